//! Files below `System32\drivers`: drivers, and what drivers keep beside them.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use volume::{Kind, Volume};

use super::dumps::DumpTrace;
use crate::opened_disk::{OpenedDisk, read_file};
use crate::{Inspection, Known};

/// Windows has some hundreds of files there.
const MOST: usize = 8192;
const DEEPEST: usize = 3;
/// A larger driver is not searched for names.
const MAX_DRIVER: u64 = 64 << 20;
/// A folder with a shorter name is not searched for in drivers: too many texts hold it by chance.
const SHORTEST_NAME: usize = 4;
/// Values of a service's keys that are looked at.
const MOST_SETTINGS: usize = 256;

/// A file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct FileTrace {
    /// From the root of the Windows volume.
    pub path: String,
    /// In bytes.
    pub size: u64,
    /// When it came to be there or was last written, whichever is later: a file that is copied keeps the time of
    /// its contents.
    pub changed: Option<Timestamp>,
}

impl FileTrace {
    /// Its name.
    pub fn name(&self) -> &str {
        last(&self.path)
    }
}

/// A driver's file, or a setting of its service, has the name of a folder below `System32\drivers` in it, so it reads
/// what lies there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Mention {
    /// The driver's file, from the root of the Windows volume.
    pub driver: String,
    /// The folder, from the root of the Windows volume.
    pub folder: String,
    /// Where the name stands: the driver's file, or a value of the registry.
    pub source: String,
}

pub(super) fn read(opened: &mut OpenedDisk<'_>) -> Known<Vec<FileTrace>> {
    opened.windows().and_then(|(volume, root)| {
        let mut files = Vec::new();
        let mut folders = vec![(format!(r"{root}\System32\drivers"), 0)];
        while let Some((folder, depth)) = folders.pop() {
            let entries = match volume.list(&folder) {
                Ok(entries) => entries,
                Err(error) if error.is_not_found() && depth == 0 => return Known::Absent,
                Err(error) if depth == 0 => return Known::Unknown(error.to_string()),
                Err(_) => continue,
            };
            for entry in entries {
                let path = format!("{folder}\\{}", entry.name);
                match entry.kind {
                    Kind::Directory if depth < DEEPEST => folders.push((path, depth + 1)),
                    Kind::File if files.len() < MOST => files.extend(trace(volume, path)),
                    _ => {}
                }
            }
        }
        Known::Known(files)
    })
}

fn trace(volume: &mut dyn Volume, path: String) -> Option<FileTrace> {
    let metadata = volume.metadata(&path).ok()?;
    let times = [metadata.created, metadata.modified].map(|time| time.to_timestamp());
    let changed = times.into_iter().flatten().max();
    Some(FileTrace { path, size: metadata.size, changed })
}

/// Looks into the drivers that dumps blame, and into the settings of their services, for the names of folders beside
/// them.
pub(super) fn mentions(
    opened: &mut OpenedDisk<'_>,
    inspection: &Inspection,
    dumps: &Known<Vec<DumpTrace>>,
    files: &Known<Vec<FileTrace>>,
) -> Vec<Mention> {
    let (Known::Known(dumps), Known::Known(files)) = (dumps, files) else { return Vec::new() };
    let mut folders: Vec<&str> = files
        .iter()
        .filter_map(|file| file.path.rsplit_once('\\').map(|(folder, _)| folder))
        // `drivers` itself is in many texts.
        .filter(|folder| last(folder).len() >= SHORTEST_NAME && !is("drivers", last(folder)))
        .collect();
    folders.sort_unstable();
    folders.dedup();
    let mut blamed: Vec<&str> =
        dumps.iter().filter_map(|dump| dump.stop.known()?.module.as_deref()).collect();
    blamed.sort_unstable();
    blamed.dedup();
    let drivers: Vec<&FileTrace> =
        files.iter().filter(|file| blamed.iter().any(|name| is(name, file.name()))).collect();
    let services = inspection.services.known().map_or(&[][..], |own| &own.services);
    let mut mentions = Vec::new();
    for driver in drivers {
        let own =
            services.iter().find(|own| own.file.known().is_some_and(|file| is(file, &driver.path)));
        let settings = own.map(|own| settings(opened, &own.name)).unwrap_or_default();
        let bytes = match opened.windows() {
            Known::Known((volume, _)) => read_file(volume, &driver.path, MAX_DRIVER),
            _ => return mentions,
        };
        for folder in &folders {
            let name = last(folder);
            let source = match &bytes {
                Known::Known(bytes) if holds(bytes, name) => Some(format!("C:\\{}", driver.path)),
                _ => settings
                    .iter()
                    .find(|(_, text)| holds(text.as_bytes(), name))
                    .map(|(source, _)| source.clone()),
            };
            if let Some(source) = source {
                let (driver, folder) = (driver.path.clone(), (*folder).to_owned());
                mentions.push(Mention { driver, folder, source });
            }
        }
    }
    mentions
}

/// Texts in the keys below a service's own, each with its place.
fn settings(opened: &OpenedDisk<'_>, service: &str) -> Vec<(String, String)> {
    let Known::Known(control) = opened.control() else { return Vec::new() };
    let root = format!("Services\\{service}");
    let Ok(Some(key)) = control.hive.find_key(control.path(&root)) else { return Vec::new() };
    let mut texts = Vec::new();
    for below in key.subkeys().unwrap_or_default() {
        let name = below.name().text();
        for value in below.values().unwrap_or_default() {
            if texts.len() == MOST_SETTINGS {
                return texts;
            }
            let text =
                value.data.as_string().or_else(|| Some(value.data.as_multi_string()?.join("\n")));
            let source = format!("hive SYSTEM, {root}\\{name}, {}", value.name.text());
            texts.extend(text.map(|text| (source, text)));
        }
    }
    texts
}

fn last(path: &str) -> &str {
    path.rsplit('\\').next().unwrap_or(path)
}

fn is(one: &str, other: &str) -> bool {
    one.eq_ignore_ascii_case(other)
}

/// Whether a text stands in a file, in UTF-16 or in ASCII, whatever its case.
fn holds(bytes: &[u8], text: &str) -> bool {
    let narrow = text.as_bytes();
    let wide: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
    [narrow, &wide]
        .iter()
        .any(|wanted| bytes.windows(wanted.len()).any(|window| window.eq_ignore_ascii_case(wanted)))
}

#[cfg(test)]
mod tests {
    use super::holds;

    #[test]
    fn a_name_is_found_in_both_encodings() {
        let wide: Vec<u8> =
            r"\drivers\CrowdStrike\".encode_utf16().flat_map(u16::to_le_bytes).collect();
        assert!(holds(&wide, "crowdstrike"));
        assert!(holds(b"..CROWDSTRIKE..", "CrowdStrike"));
        assert!(!holds(b"CrowdStrik", "CrowdStrike"));
    }
}

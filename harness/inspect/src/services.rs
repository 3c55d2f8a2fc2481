//! Services and drivers, with their files.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use volume::Volume;
use winfmt::hive::{Data, Key};

use crate::drives::Drives;
use crate::opened_disk::{OpenedDisk, Registry};
use crate::{Known, program};

pub use crate::program::ServiceImage;

/// The services of the current control set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Services {
    /// Those with a start type, by name. Keys without one (`.NET CLR Data` and the like) are no services.
    pub services: Vec<Service>,
    /// Keys below `Services` in all.
    pub keys: usize,
    /// `ServiceGroupOrder\List`.
    pub group_order: Known<Vec<String>>,
}

impl Services {
    /// One by name. Case does not matter.
    pub fn service(&self, name: &str) -> Option<&Service> {
        self.services.iter().find(|service| service.name.eq_ignore_ascii_case(name))
    }

    /// Those that start at a moment, in the order of the hive.
    pub fn starting(&self, start: Start) -> impl Iterator<Item = &Service> {
        self.services.iter().filter(move |service| service.starts() == start)
    }

    /// Drivers of others than Microsoft that start with the system.
    pub fn third_party_drivers(&self) -> impl Iterator<Item = &Service> {
        self.services.iter().filter(|service| {
            service.is_driver()
                && matches!(service.starts(), Start::Boot | Start::System)
                && service.maker == Known::Known(Maker::ThirdParty)
        })
    }
}

/// One service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Service {
    /// Its key's name.
    pub name: String,
    /// `Type`, as stored: 1 kernel driver, 2 file system driver, 0x10 own process, 0x20 shared process.
    #[serde(rename = "type")]
    pub kind: u32,
    /// `Start`: when it starts, where nothing outweighs it.
    pub start: Start,
    /// `StartOverride\\0`, which outweighs `Start` for a driver (windows-facts.md 4).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_override: Option<Start>,
    /// `ErrorControl`: 0 ignore, 1 normal, 2 severe, 3 critical.
    pub error_control: Known<u32>,
    /// `Group`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// `Tag`: the place within its group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tag: Option<u32>,
    /// `ImagePath`, as stored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_path: Option<String>,
    /// The file, from the root of the Windows volume. Absent: the path names none that is there.
    pub file: Known<String>,
    /// Who made it.
    pub maker: Known<Maker>,
    /// What the file says of itself; read for drivers that start with the system, and for all that come
    /// from a driver package of their own.
    pub image: Known<ServiceImage>,
}

impl Service {
    /// When it starts indeed.
    pub fn starts(&self) -> Start {
        self.start_override.filter(|_| self.is_driver()).unwrap_or(self.start)
    }

    /// Whether it runs in the kernel.
    pub fn is_driver(&self) -> bool {
        matches!(self.kind, 1 | 2 | 8)
    }
}

/// When a service starts (windows-facts.md 4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Start {
    /// 0: loaded by the boot loader.
    Boot,
    /// 1: while the kernel starts.
    System,
    /// 2: by the service manager, by itself.
    Automatic,
    /// 3: when asked for.
    Demand,
    /// 4: never.
    Disabled,
    /// Any other number.
    Other(u32),
}

impl From<u32> for Start {
    fn from(number: u32) -> Self {
        match number {
            0 => Self::Boot,
            1 => Self::System,
            2 => Self::Automatic,
            3 => Self::Demand,
            4 => Self::Disabled,
            other => Self::Other(other),
        }
    }
}

impl std::fmt::Display for Start {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Boot => f.pad("boot"),
            Self::System => f.pad("system"),
            Self::Automatic => f.pad("automatic"),
            Self::Demand => f.pad("demand"),
            Self::Disabled => f.pad("disabled"),
            Self::Other(number) => f.pad(&format!("start type {number}")),
        }
    }
}

/// Who made a driver.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Maker {
    /// Microsoft, as part of Windows.
    Microsoft,
    /// Somebody else.
    ThirdParty,
}

/// Services are hundreds; a hive with more was made to be slow.
const MAX_SERVICES: usize = 20_000;

/// Reads the services of a control set, and their files.
pub(crate) fn read(opened: &mut OpenedDisk<'_>) -> Known<Services> {
    let drives = Drives::read(opened);
    let (mut services, keys, group_order) = match opened.control().and_then(entries) {
        Known::Known(read) => read,
        Known::Absent => return Known::Absent,
        Known::Unknown(reason) => return Known::Unknown(reason),
    };
    let mut seen = BTreeMap::new();
    let windows = opened.windows();
    match windows {
        Known::Known((volume, _)) => {
            for (service, owners) in &mut services {
                find_file(volume, &drives, service, &mut seen);
                examine(volume, service, owners);
            }
        }
        other => {
            for (service, _) in &mut services {
                service.file = other.as_ref().and_then(|_| Known::Absent);
            }
        }
    }
    let services = services.into_iter().map(|(service, _)| service).collect();
    Known::Known(Services { services, keys, group_order })
}

type Entries = (Vec<(Service, Vec<String>)>, usize, Known<Vec<String>>);

/// The keys below `Services`, each with its `Owners`: the INF files of the packages that made it.
fn entries(control: Registry<'_>) -> Known<Entries> {
    let group_order = control.strings(r"Control\ServiceGroupOrder", "List");
    let keys = match control.hive.find_key(control.path("Services")) {
        Ok(Some(key)) => key.subkeys(),
        Ok(None) => return Known::Absent,
        Err(error) => return Known::Unknown(error.to_string()),
    };
    let keys = match keys {
        Ok(keys) => keys,
        Err(error) => return Known::Unknown(error.to_string()),
    };
    let count = keys.len();
    if count > MAX_SERVICES {
        return Known::Unknown(format!("there are {count} services, more than {MAX_SERVICES}"));
    }
    let mut services = Vec::new();
    for key in keys {
        // A key without `Start` holds parameters of something else.
        let Some(start) = dword(&key, "Start") else { continue };
        let owners = text(&key, "Owners", Data::as_multi_string);
        let string = |name| text(&key, name, Data::as_string).filter(|text| !text.is_empty());
        services.push((
            Service {
                name: key.name().text(),
                kind: dword(&key, "Type").unwrap_or_default(),
                start: start.into(),
                start_override: start_override(&key),
                error_control: dword(&key, "ErrorControl").map_or(Known::Absent, Known::Known),
                group: string("Group"),
                tag: dword(&key, "Tag"),
                image_path: string("ImagePath"),
                file: Known::Absent,
                maker: Known::Unknown("its file was not examined".to_owned()),
                image: Known::Unknown("its file was not examined".to_owned()),
            },
            owners.unwrap_or_default(),
        ));
    }
    Known::Known((services, count, group_order))
}

/// The key `StartOverride` holds one number a hardware profile; 0 is the one that all machines have.
fn start_override(key: &Key<'_>) -> Option<Start> {
    dword(&key.subkey("StartOverride").ok()??, "0").map(Start::from)
}

fn dword(key: &Key<'_>, name: &str) -> Option<u32> {
    key.value(name).ok()??.as_dword()
}

fn text<T>(key: &Key<'_>, name: &str, take: impl Fn(&Data) -> Option<T>) -> Option<T> {
    take(&key.value(name).ok()??)
}

/// Finds a service's file, as the service manager and the kernel would.
fn find_file(
    volume: &mut dyn Volume,
    drives: &Drives,
    service: &mut Service,
    seen: &mut BTreeMap<String, Known<()>>,
) {
    let candidates = match &service.image_path {
        Some(path) if service.is_driver() => vec![path.clone()],
        Some(path) => programs(path),
        // A driver without a path is where drivers are (CmpIsLoadable of the loader).
        None if service.is_driver() => vec![format!(r"System32\drivers\{}.sys", service.name)],
        None => return,
    };
    let mut elsewhere = false;
    for candidate in candidates {
        let Some(path) = drives.on_system_volume(&candidate) else {
            elsewhere = true;
            continue;
        };
        let there =
            seen.entry(path.to_ascii_lowercase()).or_insert_with(|| match volume.metadata(&path) {
                Ok(metadata) if metadata.kind != volume::Kind::Directory => Known::Known(()),
                Ok(_) => Known::Absent,
                Err(error) if error.is_not_found() => Known::Absent,
                Err(error) => Known::Unknown(error.to_string()),
            });
        match there {
            Known::Known(()) => {
                service.file = Known::Known(path);
                return;
            }
            Known::Unknown(reason) => {
                service.file = Known::Unknown(reason.clone());
                return;
            }
            Known::Absent => {}
        }
    }
    if elsewhere {
        service.file = Known::Unknown("it lies on another volume".to_owned());
    }
}

/// The program of a command line: what is in quotes, or else every beginning that ends before a blank,
/// the shortest first, as `CreateProcess` tries them.
fn programs(command: &str) -> Vec<String> {
    const MOST: usize = 8;
    let command = command.trim();
    if let Some(quoted) = command.strip_prefix('"') {
        return vec![quoted.split('"').next().unwrap_or_default().to_owned()];
    }
    let mut all: Vec<String> = Vec::new();
    let blanks = command.match_indices(' ').map(|(at, _)| at);
    for end in blanks.chain([command.len()]).take(MOST) {
        let program = &command[..end];
        all.push(program.to_owned());
        if !program.to_ascii_lowercase().ends_with(".exe") {
            all.push(format!("{program}.exe"));
        }
    }
    all
}

/// Reads what the file of a driver says of itself, and decides whose it is.
fn examine(volume: &mut dyn Volume, service: &mut Service, owners: &[String]) {
    // `oem12.inf`: a package that was added to Windows; its own are named by what they are for.
    let added = owners.iter().any(|inf| {
        inf.get(..3).is_some_and(|head| head.eq_ignore_ascii_case("oem"))
            && inf[3..].bytes().next().is_some_and(|byte| byte.is_ascii_digit())
    });
    let starts = matches!(service.starts(), Start::Boot | Start::System);
    if service.is_driver() && (starts || added) {
        service.image = service.file.as_ref().and_then(|file| program::read(volume, file));
        service.maker = maker(&service.image);
    }
    if added {
        service.maker = Known::Known(Maker::ThirdParty);
    }
}

/// Whose a driver is. Its version resource says so, signed or not; what Microsoft signs as a publisher
/// of others' drivers (hardware compatibility) is theirs, not Microsoft's.
fn maker(image: &Known<ServiceImage>) -> Known<Maker> {
    image.as_ref().and_then(|image| {
        let is_microsoft = |name: &str| name.to_ascii_lowercase().contains("microsoft");
        match (&image.company, &image.signer) {
            (Known::Known(company), _) if is_microsoft(company) => Known::Known(Maker::Microsoft),
            (Known::Known(_), _) => Known::Known(Maker::ThirdParty),
            (_, Known::Known(signer)) if signer.eq_ignore_ascii_case("Microsoft Windows") => {
                Known::Known(Maker::Microsoft)
            }
            (_, Known::Known(signer)) if !is_microsoft(signer) => Known::Known(Maker::ThirdParty),
            _ => Known::Unknown("its file names no company and no signer of its own".to_owned()),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::programs;

    #[test]
    fn a_command_line_gives_the_programs_that_windows_would_try() {
        assert_eq!(programs(r#""C:\a b\c.exe" -d"#), [r"C:\a b\c.exe"]);
        assert_eq!(
            programs(r"C:\a b\c.exe -d"),
            [r"C:\a", r"C:\a.exe", r"C:\a b\c.exe", r"C:\a b\c.exe -d", r"C:\a b\c.exe -d.exe"]
        );
        assert_eq!(programs(""), ["", ".exe"]);
    }
}

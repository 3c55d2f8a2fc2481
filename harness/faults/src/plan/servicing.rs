//! Changes that the servicing stack makes when it installs: they record what the disk holds at that moment.

use jiff::Timestamp;
use winfmt::hive::{Data, ValueType};
use winfmt::servicing::{
    Component, ComponentKey, INSTALLED, Identity, MANIFESTS, PACKAGES, Package, PlacedFile, STORE,
    package_key,
};

use super::edit::{Edit, FileState, HiveName, RegistryValue, VolumeRole};
use super::offline::{Offline, OfflineError, real_key};

const C: VolumeRole = VolumeRole::Windows;
/// Driver packages, a folder each.
pub(crate) const DRIVER_STORE: &str = r"Windows\System32\DriverStore\FileRepository";
/// The INFs of driver packages under the names that Windows gave them: `oem0.inf`, `oem1.inf` …
pub(crate) const PUBLISHED: &str = r"Windows\INF";
/// What the SYSTEM hive knows of them.
pub(crate) const DRIVER_DATABASE: &str = "DriverDatabase";

/// What an update touches.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Touched {
    /// A file, from the root of `C:`.
    File(String),
    /// A value of the registry.
    Value(HiveName, String, String),
}

/// Something that the servicing stack writes down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Servicing {
    /// A component with what these are now: its manifest, and the files in its folder of the store.
    Component {
        /// Which, in the version that is now in place.
        identity: Identity,
        /// What it owns.
        touched: Vec<Touched>,
    },
    /// A package is installed, later than all that are.
    Installed {
        /// The package.
        package: Package,
        /// Not before.
        when: Option<Timestamp>,
    },
    /// A driver package is put into the driver store.
    Published {
        /// Its folder in the store.
        folder: String,
        /// The name of its INF.
        inf: String,
        /// Names and contents of its files, the INF among them.
        files: Vec<(String, Vec<u8>)>,
        /// Their time.
        modified: Option<Timestamp>,
    },
}

impl Servicing {
    /// What is written, for people.
    pub(super) fn object(&self) -> String {
        match self {
            Self::Component { identity, .. } => {
                C.path(&format!("{MANIFESTS}\\{}.manifest", folder(identity)))
            }
            Self::Installed { package, .. } => C.path(&mum(package)),
            Self::Published { folder, .. } => C.path(&format!("{DRIVER_STORE}\\{folder}")),
        }
    }

    /// What it comes to on this disk.
    pub(super) fn resolved(&self, disk: &mut dyn Offline) -> Result<Vec<Edit>, OfflineError> {
        match self {
            Self::Component { identity, touched } => component(identity, touched, disk),
            Self::Installed { package, when } => installed(package, *when, disk),
            Self::Published { folder, inf, files, modified } => {
                published(folder, inf, files, *modified, disk)
            }
        }
    }
}

/// The folder of a component: its last digits are made of its identity, so that they are the same every time.
fn folder(identity: &Identity) -> String {
    let hash = blake3::hash(identity.folder(0).as_bytes());
    let digits = hash.as_bytes().first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes));
    identity.folder(digits)
}

fn mum(package: &Package) -> String {
    format!("{PACKAGES}\\{}.mum", package.identity.package_name())
}

fn component(
    identity: &Identity,
    touched: &[Touched],
    disk: &mut dyn Offline,
) -> Result<Vec<Edit>, OfflineError> {
    let folder = folder(identity);
    let mut component =
        Component { identity: identity.clone(), files: Vec::new(), keys: Vec::new() };
    let mut payload: Vec<(String, FileState)> = Vec::new();
    for touched in touched {
        match touched {
            Touched::File(path) => {
                let Some(state) = disk.read_file(C, path)? else { continue };
                let (below, name) = path.rsplit_once('\\').unwrap_or(("", path));
                if payload.iter().any(|(known, _)| known.eq_ignore_ascii_case(name)) {
                    return Err(format!("a component cannot have two files called {name}").into());
                }
                payload.push((name.to_owned(), state));
                let (name, folder) = (name.to_owned(), below.to_owned());
                component.files.push(PlacedFile { name, folder });
            }
            Touched::Value(hive, key, name) => {
                let real = real_key(*hive, key, disk)?;
                if !disk.key_exists(*hive, &real)? {
                    continue;
                }
                let path = format!("{}\\{key}", root(*hive));
                let at = component.keys.iter().position(|known| known.path == path);
                let at = at.unwrap_or_else(|| {
                    component.keys.push(ComponentKey { path, values: Vec::new() });
                    component.keys.len() - 1
                });
                if let Some(value) = disk.read_value(*hive, &real, name)? {
                    component.keys[at].values.push((name.clone(), value.data()));
                }
            }
        }
    }
    let write = |path, bytes, modified| Edit::WriteFile { volume: C, path, bytes, modified };
    let manifest = component.to_xml()?.into_bytes();
    let mut edits = vec![write(format!("{MANIFESTS}\\{folder}.manifest"), manifest, None)];
    for (name, (bytes, modified)) in payload {
        edits.push(write(format!("{STORE}\\{folder}\\{name}"), bytes, modified));
    }
    Ok(edits)
}

fn installed(
    package: &Package,
    when: Option<Timestamp>,
    disk: &mut dyn Offline,
) -> Result<Vec<Edit>, OfflineError> {
    let mut time = when.map_or(0, |when| winfmt::FileTime::from_timestamp(when).ticks());
    for name in package_names(disk)? {
        if let Some(last) = install_time(&name, disk)? {
            time = time.max(last.saturating_add(1));
        }
    }
    let name = package.identity.package_name();
    let set = |name: &str, value| Edit::SetValue {
        hive: HiveName::Software,
        key: package_key(&package.identity.package_name()),
        name: name.to_owned(),
        value,
    };
    let (high, low) = ((time >> 32) as u32, time as u32);
    Ok(vec![
        Edit::WriteFile {
            volume: C,
            path: mum(package),
            bytes: package.to_xml().into_bytes(),
            modified: when,
        },
        set("InstallName", RegistryValue::Text(format!("{name}.mum"))),
        set("InstallTimeHigh", RegistryValue::Dword(high)),
        set("InstallTimeLow", RegistryValue::Dword(low)),
        set("Visibility", RegistryValue::Dword(1)),
        set("CurrentState", RegistryValue::Dword(INSTALLED)),
    ])
}

/// The names of all packages that the disk has, installed or not.
pub(crate) fn package_names(disk: &mut dyn Offline) -> Result<Vec<String>, OfflineError> {
    let files = disk.file_names(C, PACKAGES)?;
    let stem = |file: String| {
        let at = file.len().checked_sub(".mum".len())?;
        let (stem, ending) = (file.get(..at)?, file.get(at..)?);
        ending.eq_ignore_ascii_case(".mum").then(|| stem.to_owned())
    };
    Ok(files.into_iter().filter_map(stem).collect())
}

/// When a package was installed, in ticks of a FILETIME; `None` where it says nothing of it.
pub(crate) fn install_time(
    package: &str,
    disk: &mut dyn Offline,
) -> Result<Option<u64>, OfflineError> {
    let key = package_key(package);
    let mut part = |name| match disk.read_value(HiveName::Software, &key, name)? {
        Some(RegistryValue::Dword(number)) => Ok(Some(u64::from(number))),
        _ => Ok::<_, OfflineError>(None),
    };
    Ok(part("InstallTimeHigh")?.zip(part("InstallTimeLow")?).map(|(high, low)| high << 32 | low))
}

fn published(
    folder: &str,
    inf: &str,
    files: &[(String, Vec<u8>)],
    modified: Option<Timestamp>,
    disk: &mut dyn Offline,
) -> Result<Vec<Edit>, OfflineError> {
    let write =
        |path, bytes: &[u8]| Edit::WriteFile { volume: C, path, bytes: bytes.to_vec(), modified };
    let taken = disk.file_names(C, PUBLISHED)?;
    let numbers = taken.iter().filter_map(|name| published_number(name));
    let oem = format!("oem{}.inf", numbers.max().map_or(0, |number| number + 1));
    let set = |key: String, name: &str, value| Edit::SetValue {
        hive: HiveName::System,
        key,
        name: name.to_owned(),
        value,
    };
    let infs = format!("{DRIVER_DATABASE}\\DriverInfFiles\\{oem}");
    let packages = format!("{DRIVER_DATABASE}\\DriverPackages\\{folder}");
    let mut edits: Vec<Edit> = files
        .iter()
        .map(|(name, bytes)| write(format!("{DRIVER_STORE}\\{folder}\\{name}"), bytes))
        .collect();
    let own = files.iter().find(|(name, _)| name.eq_ignore_ascii_case(inf));
    let (_, bytes) = own.ok_or_else(|| format!("the package has no {inf}"))?;
    edits.push(write(format!("{PUBLISHED}\\{oem}"), bytes));
    edits.push(set(infs.clone(), "", RegistryValue::texts(&[folder])));
    edits.push(set(infs, "Active", RegistryValue::Text(folder.to_owned())));
    edits.push(set(packages, "", RegistryValue::Text(oem)));
    Ok(edits)
}

/// The number of an `oemN.inf`.
pub(crate) fn published_number(name: &str) -> Option<u32> {
    let name = name.to_ascii_lowercase();
    let digits = name.strip_prefix("oem")?.strip_suffix(".inf")?;
    let plain = !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_digit());
    plain.then(|| digits.parse().ok()).flatten().filter(|number| *number < u32::MAX)
}

/// As manifests write the root of a hive.
const fn root(hive: HiveName) -> &'static str {
    match hive {
        HiveName::System => r"HKEY_LOCAL_MACHINE\SYSTEM",
        HiveName::Software => r"HKEY_LOCAL_MACHINE\SOFTWARE",
        HiveName::Components => r"HKEY_LOCAL_MACHINE\COMPONENTS",
    }
}

/// The hive of a manifest's key, and the key in it; `None` of a root that no hive here has.
pub(crate) fn hive_of(path: &str) -> Option<(HiveName, String)> {
    let below = |root: &str| {
        let (start, rest) = (path.get(..root.len())?, path.get(root.len()..)?);
        let rest = rest.strip_prefix('\\')?;
        (start.eq_ignore_ascii_case(root) && !rest.is_empty()).then(|| rest.to_owned())
    };
    if let Some(classes) = below("HKEY_CLASSES_ROOT") {
        return Some((HiveName::Software, format!("Classes\\{classes}")));
    }
    [HiveName::System, HiveName::Software]
        .into_iter()
        .find_map(|hive| Some((hive, below(root(hive))?)))
}

/// A manifest's data as a value.
pub(crate) fn value_of(data: &Data) -> RegistryValue {
    let known = match data.kind {
        ValueType::String => data.as_string().map(RegistryValue::Text),
        ValueType::ExpandString => data.as_string().map(RegistryValue::ExpandText),
        ValueType::Binary => Some(RegistryValue::Binary(data.bytes.clone())),
        ValueType::Dword => data.as_dword().map(RegistryValue::Dword),
        _ => None,
    };
    known.unwrap_or_else(|| RegistryValue::Other(data.kind.into(), data.bytes.clone()))
}

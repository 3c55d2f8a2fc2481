//! Which of the sections of one name is meant for a system: by processor and version (Microsoft: "INF Manufacturer
//! section", "Combining platform extensions with operating system versions").

use scenario::Arch;

use super::Inf;

/// The system that a package is installed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Target {
    /// Its processor.
    pub arch: Arch,
    /// Its build, such as 26100. `None`: not known; sections for a version are then passed over where there is one
    /// without.
    pub build: Option<u32>,
}

impl Target {
    /// The section for this system: of `name.NTamd64.10.0...BUILD` the newest that is not newer than the system, else
    /// `name.NTamd64`, `name.NT`, `name`.
    pub(super) fn section(self, inf: &Inf, name: &str) -> Option<String> {
        let arch = match self.arch {
            Arch::X86_64 => "ntamd64",
            Arch::X86 => "ntx86",
        };
        let name = name.to_lowercase();
        let mut versioned: Vec<([u32; 3], String)> = [arch, "nt"]
            .iter()
            .flat_map(|platform| {
                let start = format!("{name}.{platform}.");
                inf.section_names().filter_map(move |found| {
                    Some((version(found.strip_prefix(&start)?)?, found.to_owned()))
                })
            })
            .collect();
        versioned.sort_by_key(|(version, _)| std::cmp::Reverse(*version));
        let fits = |version: &[u32; 3]| match self.build {
            Some(build) => *version <= [major(build), minor(build), build],
            None => false,
        };
        let newest = versioned.iter().find(|(version, _)| fits(version));
        let plain = [format!("{name}.{arch}"), format!("{name}.nt"), name];
        let plain = plain.into_iter().find(|candidate| inf.section(candidate).is_some());
        // Of a system that is not known, one for a version is better than none.
        let any = || versioned.first().filter(|_| self.build.is_none());
        newest
            .map(|(_, section)| section.clone())
            .or(plain)
            .or_else(|| any().map(|(_, section)| section.clone()))
    }
}

/// `VER_NT_WORKSTATION`; 2 and 3 are servers.
const WORKSTATION: u32 = 1;

/// `10.0...25952`: major, minor, product type, suite mask and build, each of which may be left out. What is for
/// servers or for a suite alone is passed over.
fn version(text: &str) -> Option<[u32; 3]> {
    let mut parts = text.split('.');
    let mut number = || match parts.next() {
        None | Some("") => Some(0),
        Some(part) => match part.strip_prefix("0x") {
            Some(hex) => u32::from_str_radix(hex, 16).ok(),
            None => part.parse().ok(),
        },
    };
    let (major, minor) = (number()?, number()?);
    let (product, suite, build) = (number()?, number()?, number()?);
    let meant = product <= WORKSTATION && suite == 0;
    (meant && parts.next().is_none()).then_some([major, minor, build])
}

/// The version of NT that a build is of.
fn major(build: u32) -> u32 {
    match build {
        10240.. => 10,
        6000.. => 6,
        _ => 5,
    }
}

fn minor(build: u32) -> u32 {
    match build {
        10240.. => 0,
        9600.. => 3,
        9200.. => 2,
        7600.. => 1,
        6000.. => 0,
        3790.. => 2,
        2600.. => 1,
        _ => 0,
    }
}

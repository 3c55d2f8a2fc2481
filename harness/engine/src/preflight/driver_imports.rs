//! Drivers that need more than the image's kernel has, found before anything starts.
//!
//! A model of Windows has few of its functions. A driver that needs another one runs on Windows and not there, which
//! would look like the driver's own failure. What the kernel of an image has stands in its machine profile; an image
//! whose profile has no such list is taken to have everything.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use faults::{Change, Edit, Online, Origin, StagePlan};
use hypervisor::{Architecture, KernelExports, MachineProfile};
use scenario::{Defect, Fault, Scenario, ServiceStart};
use winfmt::escaped;
use winfmt::imports::{Import, Imports, MACHINE_AMD64};

use super::not_applicable::Lack;

/// `IMAGE_FILE_MACHINE_I386`.
const MACHINE_I386: u16 = 0x014c;
/// How many of the things that a driver lacks are listed.
const LISTED: usize = 20;
/// The longest name that is shown whole, in characters.
const NAME: usize = 80;

/// What the drivers of a scenario need and the image's kernel has not: one for each driver.
pub(super) fn lacks(scenario: &Scenario, profile: &MachineProfile, stage: &StagePlan) -> Vec<Lack> {
    let Some(kernel) = Kernel::of(profile) else { return Vec::new() };
    let exempt = meant_to_lack(scenario);
    let lacking: BTreeMap<&str, BTreeSet<Missing>> = brought(stage)
        .filter(|file| !exempt.contains(file.fault))
        .map(|file| (file.name, kernel.lacks(file.bytes)))
        .filter(|(_, missing)| !missing.is_empty())
        .collect();
    lacking.iter().map(|(driver, missing)| lack(profile.is_model, driver, missing)).collect()
}

/// What a driver needs and the image's kernel has not, in words. Nothing where the image does not say what it has.
pub(super) fn lacking(profile: &MachineProfile, file: &[u8]) -> Vec<String> {
    let lacks = Kernel::of(profile).map(|kernel| kernel.lacks(file)).unwrap_or_default();
    lacks.iter().map(ToString::to_string).collect()
}

/// A file that a scenario puts on the disk.
struct Brought<'s> {
    fault: &'s str,
    name: &'s str,
    bytes: &'s [u8],
}

fn brought(stage: &StagePlan) -> impl Iterator<Item = Brought<'_>> {
    let staged = stage.staged.iter().filter_map(|staged| match (&staged.origin, &staged.change) {
        (
            Origin::Given(fault) | Origin::Fault(fault),
            Change::Edit(Edit::WriteFile { path, bytes, .. }),
        ) => Some(Brought { fault, name: file_name(path), bytes }),
        _ => None,
    });
    let online = stage.online.iter().filter_map(|online| match online {
        Online::Write(write) => {
            let name = file_name(write.path.as_str());
            Some(Brought { fault: &write.fault, name, bytes: &write.bytes })
        }
        _ => None,
    });
    staged.chain(online)
}

fn file_name(path: &str) -> &str {
    path.rsplit('\\').next().unwrap_or(path)
}

/// The faults whose driver lacks something on purpose, or is never started.
fn meant_to_lack(scenario: &Scenario) -> HashSet<&str> {
    let all = scenario.given.iter().chain(&scenario.fault);
    all.filter_map(|fault| match fault {
        Fault::Driver(driver) => {
            let lacks = matches!(driver.defect, Defect::MissingImport(_));
            let never = driver.service.start == ServiceStart::Disabled;
            (lacks || never).then_some(driver.name.as_str())
        }
        Fault::DriverFile(driver) => {
            (driver.service.start == ServiceStart::Disabled).then_some(driver.name.as_str())
        }
        _ => None,
    })
    .collect()
}

/// What a driver needs and the kernel has not.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Missing {
    /// All of a module.
    Module(String),
    /// One thing of a module that is there.
    Import(String, Import),
}

impl std::fmt::Display for Missing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let short = |name: &str| -> String {
            let name = escaped(name).to_string();
            let end = name.char_indices().nth(NAME).map(|(end, _)| end);
            end.map_or_else(|| name.clone(), |end| format!("{}…", &name[..end]))
        };
        match self {
            Self::Module(module) => write!(f, "{} (the whole module)", short(module)),
            Self::Import(module, import) => {
                write!(f, "{}!{}", short(module), short(&import.to_string()))
            }
        }
    }
}

/// What the kernel of an image has.
struct Kernel<'p> {
    machine: u16,
    /// By module in lower case.
    modules: BTreeMap<String, HashSet<&'p str>>,
}

impl<'p> Kernel<'p> {
    /// `None` where the image's profile does not say.
    fn of(profile: &'p MachineProfile) -> Option<Self> {
        if profile.kernel_exports.is_empty() {
            return None;
        }
        let mut modules: BTreeMap<String, HashSet<&str>> = BTreeMap::new();
        for KernelExports { modules: own, names } in &profile.kernel_exports {
            for module in own {
                let known = modules.entry(module.to_ascii_lowercase()).or_default();
                known.extend(names.iter().map(String::as_str));
            }
        }
        let machine = match profile.architecture {
            Architecture::X86_64 => MACHINE_AMD64,
            Architecture::I686 => MACHINE_I386,
        };
        Some(Self { machine, modules })
    }

    /// What a file needs and does not find here. Nothing for what is no driver for this machine, or whose tables
    /// cannot be read: it is refused as on Windows.
    fn lacks(&self, file: &[u8]) -> BTreeSet<Missing> {
        let Ok(imports) = Imports::read(file) else { return BTreeSet::new() };
        if !imports.native || imports.machine != self.machine {
            return BTreeSet::new();
        }
        let mut lacks = BTreeSet::new();
        for (module, needed) in imports.modules {
            let Some(known) = self.modules.get(&module.to_ascii_lowercase()) else {
                lacks.insert(Missing::Module(module));
                continue;
            };
            for import in needed {
                let there = matches!(&import, Import::Name(name) if known.contains(name.as_str()));
                if !there {
                    lacks.insert(Missing::Import(module.clone(), import));
                }
            }
        }
        lacks
    }
}

fn lack(is_model: bool, driver: &str, missing: &BTreeSet<Missing>) -> Lack {
    let mut named: Vec<String> = missing.iter().take(LISTED).map(ToString::to_string).collect();
    if missing.len() > LISTED {
        named.push(format!("and {} more", missing.len() - LISTED));
    }
    let what = if is_model { "a model of Windows that has not" } else { "without" };
    let why = format!(
        "driver `{}` would fail on this image and not on Windows, for it is {what}: {}",
        escaped(driver),
        named.join(", ")
    );
    let remedy = "use an image of Windows: `loopbreak image import` takes its disk";
    Lack::new("kernel-exports", why, remedy)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use faults::driver::{self, DriverKind, FaultyDriverOptions};
    use faults::{StagedEdit, VolumeRole};

    use super::*;

    fn scenario() -> Scenario {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
        Scenario::load(&folder.join("../../scenarios/channel-file-291")).unwrap()
    }

    fn profile(exports: &str) -> MachineProfile {
        let text = format!("format = 1\nis-model = true\nmemory = \"1GiB\"\n{exports}");
        MachineProfile::parse(&text, Path::new("profile.toml")).unwrap()
    }

    fn with_kernel(names: &[&str]) -> MachineProfile {
        let modules = r#"modules = ["ntoskrnl.exe", "HAL.dll"]"#;
        profile(&format!("[[kernel-exports]]\n{modules}\nnames = {names:?}\n"))
    }

    /// An image that imports these, by module.
    fn image(imports: &[(&str, &[&str])]) -> Vec<u8> {
        let missing = scenario::MissingImport {
            module: imports[0].0.to_owned(),
            function: imports[0].1[0].to_owned(),
        };
        let options = FaultyDriverOptions::new(Defect::MissingImport(missing));
        driver::build(&DriverKind::Faulty(options)).unwrap()
    }

    fn staged(fault: &str, bytes: Vec<u8>) -> StagePlan {
        let path = r"Windows\System32\drivers\a.sys".to_owned();
        let volume = VolumeRole::Windows;
        let edit = Edit::WriteFile { volume, path, bytes, modified: None };
        let origin = Origin::Fault(fault.to_owned());
        StagePlan {
            staged: vec![StagedEdit { origin, change: edit.into() }],
            ..StagePlan::default()
        }
    }

    fn refused(profile: &MachineProfile, plan: &StagePlan) -> Option<String> {
        let told = |lack: Lack| format!("{}; {}", lack.why, lack.remedy.unwrap_or_default());
        lacks(&scenario(), profile, plan).into_iter().map(told).next()
    }

    /// Everything that a driver of this project imports.
    fn all_of(bytes: &[u8]) -> Vec<String> {
        let names = Imports::read(bytes).unwrap().modules.into_values().flatten();
        names.map(|import| import.to_string()).collect()
    }

    #[test]
    fn what_is_missing_is_found_by_module_and_name() {
        let harmless = driver::build(&DriverKind::Faulty(FaultyDriverOptions {
            inert: true,
            ..FaultyDriverOptions::new(Defect::NullRead)
        }));
        let own = all_of(&harmless.unwrap());
        let known: Vec<&str> = own.iter().map(String::as_str).chain(["DbgPrint"]).collect();
        let kernel = with_kernel(&known);
        // What the file needs, and whether the kernel has it.
        let table: [(&str, &str, Option<&str>); 6] = [
            ("ntoskrnl.exe", "DbgPrint", None),
            ("NTOSKRNL.EXE", "DbgPrint", None),
            ("hal.dll", "DbgPrint", None),
            ("ntoskrnl.exe", "dbgprint", Some(": ntoskrnl.exe!dbgprint;")),
            (
                "ntoskrnl.exe",
                "FsRtlIsNameInExpression",
                Some("ntoskrnl.exe!FsRtlIsNameInExpression"),
            ),
            ("fltmgr.sys", "FltRegisterFilter", Some(": fltmgr.sys (the whole module);")),
        ];
        for (module, function, lack) in table {
            let plan = staged("brought", image(&[(module, &[function])]));
            let reason = refused(&kernel, &plan);
            match lack {
                None => assert_eq!(reason, None, "{module}!{function}"),
                Some(lack) => {
                    let reason = reason.unwrap();
                    for part in [lack, "driver `a.sys`", "a model of Windows", "image of Windows"] {
                        assert!(reason.contains(part), "{reason}");
                    }
                }
            }
            // An image that does not say what it has is Windows, or one whose owner knows.
            assert_eq!(refused(&profile(""), &plan), None);
        }
    }

    #[test]
    fn the_list_is_bounded() {
        let ordinal = |at| Missing::Import("ntoskrnl.exe".into(), Import::Ordinal(at));
        let long = Missing::Module("x".repeat(500) + "\u{1b}[2J");
        let missing = (0..50).map(ordinal).chain([long]).collect();
        let reason = lack(true, "a.sys", &missing).why;
        assert!(reason.contains("and 31 more"), "{reason}");
        assert!(!reason.contains('\u{1b}') && !reason.contains(&"x".repeat(100)), "{reason}");
        assert!(reason.len() < 1500, "{reason}");
    }

    #[test]
    fn a_driver_that_is_made_to_lack_something_is_the_fault_itself() {
        let kernel = with_kernel(&["DbgPrint"]);
        let mut scenario = scenario();
        let fault = |start: &str, defect: &str| {
            let text = format!(
                "name = \"made\"\ndriver = \"a.sys\"\ndefect = {defect}\nservice = {{ start = \"{start}\" }}"
            );
            Fault::Driver(toml::from_str(&text).unwrap())
        };
        let plan = staged("made", image(&[("ntoskrnl.exe", &["NotThere"])]));
        for (given, taken) in [
            (fault("system", "{ missing-import = {} }"), true),
            (fault("disabled", "\"null-read\""), true),
            (fault("system", "\"null-read\""), false),
        ] {
            scenario.fault = vec![given];
            assert_eq!(lacks(&scenario, &kernel, &plan).is_empty(), taken, "{:?}", scenario.fault);
        }
    }

    #[test]
    fn what_is_no_driver_for_this_machine_is_left_to_others() {
        let kernel = with_kernel(&[]);
        let mut other = image(&[("ntoskrnl.exe", &["NotThere"])]);
        let pe = u32::from_le_bytes(other[0x3c..0x40].try_into().unwrap()) as usize;
        other[pe + 4..pe + 6].copy_from_slice(&MACHINE_I386.to_le_bytes());
        assert_eq!(refused(&kernel, &staged("brought", other)), None);
        assert_eq!(refused(&kernel, &staged("brought", b"MZ, but no image".to_vec())), None);
        let mut cut = image(&[("ntoskrnl.exe", &["NotThere"])]);
        cut.truncate(0x300);
        assert_eq!(refused(&kernel, &staged("brought", cut)), None);
    }
}

//! The drivers that a scenario brings as they are, to see them run: by what is put on the disk for them.

use std::collections::BTreeMap;

use faults::{Change, Edit, HiveName, Origin, RegistryValue, StagePlan};
use scenario::{Defect, Fault, Scenario};
use timeline::BroughtDriver;

const SERVICES: &str = r"CurrentControlSet\Services\";
/// `SERVICE_KERNEL_DRIVER`, `SERVICE_FILE_SYSTEM_DRIVER`.
const DRIVER_TYPES: [u32; 2] = [1, 2];
/// The last `Start` with which Windows starts a driver by itself: `SERVICE_AUTO_START`.
const LAST_AUTOMATIC: u32 = 2;

/// What the plan says of one service.
#[derive(Default)]
struct Service {
    kind: Option<u32>,
    start: Option<u32>,
    image: Option<String>,
}

/// The drivers that are brought along, with their services. Those that are made here with a defect are not among them:
/// it may keep them from running.
pub(crate) fn to_run(scenario: &Scenario, stage: &StagePlan) -> Vec<BroughtDriver> {
    let all = scenario.given.iter().chain(&scenario.fault);
    let brought = all.filter_map(|fault| match fault {
        Fault::DriverFile(driver) if !driver.inert => Some(driver.name.as_str()),
        Fault::DriverPackage(package) if !package.inert => Some(package.name.as_str()),
        _ => None,
    });
    let brought: Vec<&str> = brought.collect();
    let mut services: BTreeMap<&str, Service> = BTreeMap::new();
    for staged in &stage.staged {
        let (Origin::Given(fault) | Origin::Fault(fault)) = &staged.origin else { continue };
        let Change::Edit(Edit::SetValue { hive: HiveName::System, key, name, value }) =
            &staged.change
        else {
            continue;
        };
        let Some(service) = service_of(key).filter(|_| brought.contains(&fault.as_str())) else {
            continue;
        };
        let service = services.entry(service).or_default();
        match (name.to_ascii_lowercase().as_str(), value) {
            ("type", RegistryValue::Dword(kind)) => service.kind = Some(*kind),
            ("start", RegistryValue::Dword(start)) => service.start = Some(*start),
            ("imagepath", RegistryValue::Text(path) | RegistryValue::ExpandText(path)) => {
                service.image = Some(path.rsplit('\\').next().unwrap_or(path).to_owned());
            }
            _ => {}
        }
    }
    services
        .into_iter()
        .filter(|(_, service)| service.kind.is_some_and(|kind| DRIVER_TYPES.contains(&kind)))
        .map(|(name, service)| BroughtDriver {
            // Without a path Windows takes the service's name.
            file: service.image.unwrap_or_else(|| format!("{name}.sys")),
            service: name.to_owned(),
            starts: service.start.is_some_and(|start| start <= LAST_AUTOMATIC),
        })
        .collect()
}

/// The service whose own key this is.
fn service_of(key: &str) -> Option<&str> {
    let own = key.get(..SERVICES.len()).filter(|own| own.eq_ignore_ascii_case(SERVICES))?;
    let name = &key[own.len()..];
    (!name.contains('\\')).then_some(name)
}

/// The files of the drivers that are made to need what no Windows has.
pub(crate) fn made_to_lack(scenario: &Scenario) -> Vec<String> {
    let all = scenario.given.iter().chain(&scenario.fault);
    all.filter_map(|fault| match fault {
        Fault::Driver(driver)
            if !driver.inert && matches!(driver.defect, Defect::MissingImport(_)) =>
        {
            Some(driver.driver.clone())
        }
        _ => None,
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use faults::driver::{self, DriverKind, FaultyDriverOptions};

    use super::*;

    fn scenario(faults: &str) -> Scenario {
        let room = tempfile::tempdir().unwrap();
        let folder = room.path().join("brought");
        std::fs::create_dir(&folder).unwrap();
        let text = format!(
            "name = \"brought\"\ntitle = \"t\"\ndescription = \"d\"\nformat = 1\n[machine]\nimage = \"any\"\n{faults}\n[expect]\nverdict = \"unaffected\"\n"
        );
        std::fs::write(folder.join("scenario.toml"), text).unwrap();
        let options = FaultyDriverOptions::new(Defect::NullRead);
        let bytes = driver::build(&DriverKind::Faulty(options)).unwrap();
        std::fs::create_dir(folder.join("package")).unwrap();
        for file in ["a.sys", "package/a.sys"] {
            std::fs::write(folder.join(file), &bytes).unwrap();
        }
        let inf = "[Version]\nSignature=\"$Windows NT$\"\n[DefaultInstall.NTamd64]\nCopyFiles=Files\n\
                   [Files]\na.sys\n[DestinationDirs]\nFiles=12\n\
                   [DefaultInstall.NTamd64.Services]\nAddService=Other,,Own\n\
                   [Own]\nServiceType=2\nStartType=3\nErrorControl=1\nServiceBinary=%12%\\a.sys\n";
        std::fs::write(folder.join("package/a.inf"), inf).unwrap();
        load(&folder)
    }

    fn load(folder: &Path) -> Scenario {
        Scenario::load(folder).unwrap()
    }

    fn brought(faults: &str) -> Vec<(String, String, bool)> {
        let scenario = scenario(faults);
        let trust = faults::Trust { root: Vec::new(), publisher: Vec::new() };
        let stage = faults::stage(&scenario, &trust).unwrap();
        let drivers = to_run(&scenario, &stage).into_iter();
        drivers.map(|driver| (driver.file, driver.service, driver.starts)).collect()
    }

    #[test]
    fn what_is_brought_is_known_by_its_service() {
        let driver =
            |file: &str, service: &str, starts| (file.to_owned(), service.to_owned(), starts);
        let file = "[[fault]]\nkind = \"driver-file\"\nname = \"one\"\nfile = \"a.sys\"\n";
        assert_eq!(brought(file), [driver("a.sys", "a", true)]);
        let named = format!("{file}service = {{ name = \"Mine\", start = \"demand\" }}\n");
        assert_eq!(brought(&named), [driver("a.sys", "Mine", false)]);
        let package =
            "[[fault]]\nkind = \"driver-package\"\nname = \"two\"\ninf = \"package/a.inf\"\n";
        assert_eq!(brought(package), [driver("a.sys", "Other", false)]);
        assert_eq!(brought(&format!("{file}inert = true\n")), []);
        let made = "[[fault]]\nkind = \"driver\"\nname = \"three\"\ndriver = \"b.sys\"\ndefect = \"null-read\"\n";
        assert_eq!(brought(made), []);
    }
}

//! The vendor's updater: a service in user mode that fetches content.
//!
//! Its program does nothing by itself: on the understudy the service's parameters say what it does, on Windows
//! it is the vendor's own that has to be in the image.

use scenario::{ContentUpdater, Scenario};

use crate::driver::{self, DriverError};
use crate::plan::{Edit, HiveName, RegistryValue, VolumeRole};
use crate::stage_error::StageError;

/// Where its program lies on `C:`.
const FOLDER: &str = "Program Files\\loopbreak";
/// The port of the content service.
const PORT: u16 = 8443;

/// The changes that install it.
pub(crate) fn install(
    updater: &ContentUpdater,
    scenario: &Scenario,
) -> Result<Vec<Edit>, StageError> {
    let failed = |source: DriverError| StageError::Driver { fault: updater.name.clone(), source };
    let program = format!("{FOLDER}\\{}.exe", updater.service);
    let key = format!("CurrentControlSet\\Services\\{}", updater.service);
    let set = |key: &str, name: &str, value| Edit::SetValue {
        hive: HiveName::System,
        key: key.to_owned(),
        name: name.to_owned(),
        value,
    };
    let text = |text: &str| RegistryValue::Text(text.to_owned());
    let mut edits = vec![
        Edit::WriteFile {
            volume: VolumeRole::Windows,
            bytes: driver::idle(&format!("{}.exe", updater.service)).map_err(failed)?,
            modified: scenario.machine.clock,
            path: program.clone(),
        },
        // SERVICE_WIN32_OWN_PROCESS, SERVICE_AUTO_START, SERVICE_ERROR_NORMAL.
        set(&key, "Type", RegistryValue::Dword(0x10)),
        set(&key, "Start", RegistryValue::Dword(2)),
        set(&key, "ErrorControl", RegistryValue::Dword(1)),
        set(&key, "ImagePath", RegistryValue::ExpandText(format!("\"C:\\{program}\""))),
        set(&key, "ObjectName", text("LocalSystem")),
        set(&key, "DisplayName", text(&updater.service)),
    ];
    let parameters = format!("{key}\\Parameters");
    if let Some(service) = &scenario.content_service {
        let address = format!("https://{}:{PORT}", service.host);
        edits.push(set(&parameters, "ContentService", text(&address)));
    }
    edits.push(set(&parameters, "ContentFolder", text(updater.content_folder.as_str())));
    edits.push(set(&parameters, "ContentPattern", text(&updater.content_pattern)));
    Ok(edits)
}

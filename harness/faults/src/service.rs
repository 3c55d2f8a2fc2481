//! What makes Windows start a driver: its service key (windows-facts section 4).
//! And the same image as a service's process.

use jiff::Timestamp;
use scenario::{ErrorControl, RunsIn, ServiceStart, WindowsPath};

use crate::plan::{Edit, HiveName, RegistryValue, VolumeRole};

const SERVICE_KERNEL_DRIVER: u32 = 1;
const SERVICE_WIN32_OWN_PROCESS: u32 = 0x10;
/// `SERVICE_FAILURE_ACTIONS` as the registry holds it: the count is reset after a day, no message, no command,
/// three actions, which begin after these five numbers. Started again after 5 s, twice; then nothing.
const FAILURE_ACTIONS: [u32; 11] = [86_400, 0, 0, 3, 20, 1, 5_000, 1, 5_000, 0, 0];

/// A driver's service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DriverService<'a> {
    /// The service's name; `None` takes the file's without `.sys`.
    pub(crate) name: Option<&'a str>,
    /// File name of the driver in `C:\Windows\System32\drivers`.
    pub(crate) file_name: &'a str,
    /// As a driver, or as a process of its own.
    pub(crate) runs_in: RunsIn,
    /// When it is started.
    pub(crate) start: ServiceStart,
    /// What Windows does when it does not start.
    pub(crate) error_control: ErrorControl,
    /// Load order group.
    pub(crate) group: Option<&'a str>,
    /// Time of the driver's file; `None` leaves it to the file system.
    pub(crate) modified: Option<Timestamp>,
    /// Values of its `Parameters` key.
    pub(crate) parameters: Vec<(&'static str, RegistryValue)>,
}

impl DriverService<'_> {
    /// The service's name.
    pub(crate) fn name(&self) -> &str {
        let stem = self.file_name.len().checked_sub(".sys".len());
        let ending = stem.and_then(|at| self.file_name.get(at..));
        let is_driver = ending.is_some_and(|own| own.eq_ignore_ascii_case(".sys"));
        let stem = stem.filter(|_| is_driver).unwrap_or(self.file_name.len());
        self.name.unwrap_or(&self.file_name[..stem])
    }

    /// The changes that install it: the file, where there is one, then the key.
    pub(crate) fn install(&self, image: Option<Vec<u8>>) -> Vec<Edit> {
        let key = format!("CurrentControlSet\\Services\\{}", self.name());
        let set = |key: &str, name: &str, value| Edit::SetValue {
            hive: HiveName::System,
            key: key.to_owned(),
            name: name.to_owned(),
            value,
        };
        let (kind, start) = match self.runs_in {
            RunsIn::Kernel => (SERVICE_KERNEL_DRIVER, self.start),
            RunsIn::User => (SERVICE_WIN32_OWN_PROCESS, ServiceStart::Auto),
        };
        let path = format!("system32\\drivers\\{}", self.file_name);
        let mut edits = Vec::new();
        edits.extend(image.map(|bytes| Edit::WriteFile {
            volume: VolumeRole::Windows,
            path: format!("Windows\\System32\\drivers\\{}", self.file_name),
            bytes,
            modified: self.modified,
        }));
        edits.extend([
            set(&key, "Type", RegistryValue::Dword(kind)),
            set(&key, "Start", RegistryValue::Dword(start.value())),
            set(&key, "ErrorControl", RegistryValue::Dword(self.error_control.value())),
            set(&key, "ImagePath", RegistryValue::ExpandText(path)),
            set(&key, "DisplayName", RegistryValue::Text(self.name().to_owned())),
        ]);
        if let Some(group) = self.group {
            edits.push(set(&key, "Group", RegistryValue::Text(group.to_owned())));
        }
        if self.runs_in == RunsIn::User {
            let bytes = FAILURE_ACTIONS.iter().flat_map(|number| number.to_le_bytes()).collect();
            edits.push(set(&key, "FailureActions", RegistryValue::Binary(bytes)));
        }
        let parameters = format!("{key}\\Parameters");
        for (name, value) in &self.parameters {
            edits.push(set(&parameters, name, value.clone()));
        }
        edits
    }
}

/// A path as the kernel's object manager knows it. `\SystemRoot` exists before drive letters do, so it
/// is what a driver can use that starts with the system.
pub(crate) fn nt_path(path: &WindowsPath) -> String {
    let text = path.as_str();
    let root = "C:\\Windows\\";
    match text.get(..root.len()) {
        Some(start) if start.eq_ignore_ascii_case(root) => {
            format!("\\SystemRoot\\{}", &text[root.len()..])
        }
        _ => format!("\\??\\{text}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_is_called_after_its_file() {
        for (file_name, name) in [
            ("a.sys", "a"),
            ("A B (1).SYS", "A B (1)"),
            ("WinDivert64.8da08533.sys", "WinDivert64.8da08533"),
            ("ä", "ä"),
        ] {
            let service = DriverService {
                name: None,
                file_name,
                runs_in: RunsIn::Kernel,
                start: ServiceStart::System,
                error_control: ErrorControl::Normal,
                group: None,
                modified: None,
                parameters: Vec::new(),
            };
            assert_eq!(service.name(), name);
        }
    }

    #[test]
    fn paths_below_windows_do_not_need_a_drive_letter() {
        let nt = |text: &str| nt_path(&text.parse().unwrap());
        assert_eq!(nt("c:\\WINDOWS\\System32\\x"), "\\SystemRoot\\System32\\x");
        assert_eq!(nt("C:\\WindowsOld\\x"), "\\??\\C:\\WindowsOld\\x");
        assert_eq!(nt("D:\\data"), "\\??\\D:\\data");
        assert_eq!(nt("C:\\Wärme"), "\\??\\C:\\Wärme");
    }
}

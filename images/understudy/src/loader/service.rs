//! One service key, and where its image lies.

use std::time::Duration;

use winfmt::hive::Key;

/// `ErrorControl`: what a failed start means (windows-facts.md 4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorControl {
    /// 0: go on.
    Ignore,
    /// 1: go on, and say so.
    Normal,
    /// 2: last known good; if that is in use or off, go on.
    Severe,
    /// 3: last known good; if that is in use or off, stop.
    Critical,
}

/// What the service control manager does when a service's process ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailureAction {
    /// Nothing; a command is not run either.
    None,
    /// It is started again.
    Restart,
    /// The machine starts again.
    Reboot,
}

/// The actions for the first, second … end of the process, each after its delay; the last one counts
/// for all that follow (`SERVICE_FAILURE_ACTIONS`).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FailureActions(Vec<(FailureAction, Duration)>);

impl FailureActions {
    /// Reads the value: five numbers, the fourth one is the count, the fifth where the actions begin;
    /// each action is a kind and a delay in milliseconds. What lies outside is left out.
    pub fn parse(bytes: &[u8]) -> Self {
        let number = |at: usize| {
            let field = bytes.get(at..at.checked_add(4)?)?;
            Some(u32::from_le_bytes([field[0], field[1], field[2], field[3]]))
        };
        let count = number(12).unwrap_or(0).min(16) as usize;
        let start = number(16).unwrap_or(0) as usize;
        let action = |at: usize| {
            let at = start.checked_add(at * 8)?;
            let kind = match number(at)? {
                1 => FailureAction::Restart,
                2 => FailureAction::Reboot,
                _ => FailureAction::None,
            };
            Some((kind, Duration::from_millis(u64::from(number(at.checked_add(4)?)?))))
        };
        Self((0..count).map_while(action).collect())
    }

    /// The action for the process's end of this number, from 0.
    pub fn after(&self, failure: usize) -> (FailureAction, Duration) {
        let action = self.0.get(failure).or(self.0.last());
        action.copied().unwrap_or((FailureAction::None, Duration::ZERO))
    }
}

/// A service key. Values that are missing have Windows' defaults.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    /// Name of the key.
    pub name: String,
    /// `Type`: 1 kernel driver, 2 file system driver, 0x10 and 0x20 processes.
    pub kind: u32,
    /// `Start`: 0 boot, 1 system, 2 automatic, 3 on demand, 4 disabled.
    pub start: u32,
    /// What a failure means.
    pub error_control: ErrorControl,
    /// `ImagePath` as stored.
    pub image_path: Option<String>,
    /// `Group`.
    pub group: Option<String>,
    /// `Tag`, the place in the group.
    pub tag: Option<u32>,
    /// `FailureActions`: what follows when the service's process ends by itself.
    pub failure_actions: FailureActions,
}

impl ErrorControl {
    /// A failed start first leads to the last known good control set, where that can be.
    pub fn falls_back(self) -> bool {
        matches!(self, Self::Severe | Self::Critical)
    }
}

impl Service {
    /// Reads a key. `None` if it is no service: no `Type` or no `Start`.
    pub fn read(key: &Key<'_>) -> Option<Self> {
        let number = |name: &str| key.value(name).ok().flatten()?.as_dword();
        let text = |name: &str| {
            key.value(name).ok().flatten()?.as_string().filter(|text| !text.is_empty())
        };
        Some(Self {
            name: key.name().text(),
            kind: number("Type")?,
            start: number("Start")?,
            error_control: match number("ErrorControl") {
                Some(0) => ErrorControl::Ignore,
                Some(2) => ErrorControl::Severe,
                Some(3) => ErrorControl::Critical,
                _ => ErrorControl::Normal,
            },
            image_path: text("ImagePath"),
            group: text("Group"),
            tag: number("Tag"),
            failure_actions: key
                .value("FailureActions")
                .ok()
                .flatten()
                .map(|data| FailureActions::parse(&data.bytes))
                .unwrap_or_default(),
        })
    }

    /// True for drivers: kernel (1), file system (2) and recognizer (8).
    pub fn is_driver(&self) -> bool {
        matches!(self.kind, 1 | 2 | 8)
    }

    /// The program of a service that is no driver, as a path on drive `C:`.
    pub fn program(&self) -> Option<String> {
        self.image_path.as_deref().map(program_file)
    }

    /// File name of the driver's image.
    pub fn image_name(&self) -> String {
        let path = self.image_file();
        path.rsplit('\\').next().unwrap_or(&path).to_owned()
    }

    /// The driver's image as a path on drive `C:`.
    pub fn image_file(&self) -> String {
        match &self.image_path {
            Some(path) => image_file(path),
            None => format!("\\Windows\\System32\\drivers\\{}.sys", self.name),
        }
    }
}

/// The program of a command line: the part in quotes, or up to the first space after `.exe`.
fn program_file(command: &str) -> String {
    let command = command.trim();
    let program = match command.strip_prefix('"') {
        Some(rest) => rest.split('"').next().unwrap_or_default(),
        None => match command.to_ascii_lowercase().find(".exe") {
            Some(end) => &command[..end + 4],
            None => command,
        },
    };
    image_file(program)
}

/// A driver's `ImagePath` as a path on drive `C:`. Relative ones are relative to `C:\Windows`.
pub fn image_file(image_path: &str) -> String {
    let path = image_path.trim().trim_matches('"').replace('/', "\\");
    let lower = path.to_ascii_lowercase();
    for head in ["\\??\\c:", "\\dosdevices\\c:", "c:"] {
        if lower.starts_with(head) {
            return path[head.len()..].to_owned();
        }
    }
    for head in ["\\systemroot\\", "%systemroot%\\", "%windir%\\"] {
        if lower.starts_with(head) {
            return format!("\\Windows\\{}", &path[head.len()..]);
        }
    }
    format!("\\Windows\\{}", path.trim_start_matches('\\'))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{FailureAction, FailureActions, image_file, program_file};

    #[test]
    fn the_last_failure_action_counts_for_all_that_follow() {
        let numbers = [86_400_u32, 0, 0, 2, 20, 1, 5_000, 2, 60_000];
        let bytes: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
        let actions = FailureActions::parse(&bytes);
        assert_eq!(actions.after(0), (FailureAction::Restart, Duration::from_secs(5)));
        assert_eq!(actions.after(1), (FailureAction::Reboot, Duration::from_secs(60)));
        assert_eq!(actions.after(7), actions.after(1));
        let cut = FailureActions::parse(&bytes[..30]);
        assert_eq!(cut.after(1).0, FailureAction::Restart);
        assert_eq!(FailureActions::parse(&[]).after(0).0, FailureAction::None);
    }

    #[test]
    fn image_paths_lead_to_files() {
        let expected = "\\Windows\\System32\\drivers\\x.sys";
        for path in [
            "System32\\drivers\\x.sys",
            "\\SystemRoot\\System32\\drivers\\x.sys",
            "%SystemRoot%\\System32\\drivers\\x.sys",
            "\\??\\C:\\Windows\\System32\\drivers\\x.sys",
            "C:\\Windows\\System32\\drivers\\x.sys",
        ] {
            assert_eq!(image_file(path), expected, "{path}");
        }
        assert_eq!(image_file("\\??\\c:\\a b\\x.sys"), "\\a b\\x.sys");
    }

    #[test]
    fn the_program_is_cut_out_of_its_command_line() {
        let expected = "\\Windows\\system32\\svchost.exe";
        assert_eq!(program_file("%SystemRoot%\\system32\\svchost.exe -k netsvcs -p"), expected);
        assert_eq!(
            program_file("\"C:\\Program Files\\x y\\z.exe\" /service"),
            "\\Program Files\\x y\\z.exe"
        );
    }
}

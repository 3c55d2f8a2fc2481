//! One service key, and where its image lies.

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
}

impl Service {
    /// Reads a key. `None` if it is no service: no `Type` or no `Start`.
    pub fn read(key: &Key<'_>) -> Option<Self> {
        let number = |name: &str| key.value(name).ok().flatten()?.as_dword();
        let text = |name: &str| {
            key.value(name).ok().flatten()?.as_string().filter(|text| !text.is_empty())
        };
        Some(Self {
            name: key.name().to_string(),
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
        })
    }

    /// True for drivers: kernel (1), file system (2) and recognizer (8).
    pub fn is_driver(&self) -> bool {
        matches!(self.kind, 1 | 2 | 8)
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
    use super::image_file;

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
}

//! Paths as Windows writes them, and the rule for those that a machine is sent.
//!
//! Windows reads more into a path than its letters: devices that have a name in every folder, streams behind a
//! colon, dots and spaces that it drops, short names that mean a long one (Microsoft Learn, "Naming Files, Paths,
//! and Namespaces"). A path that means something else to Windows than it says is none here.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// The folder of the system, as the environment of Windows calls it.
const SYSTEM_ROOT: &str = "%SystemRoot%";

/// The longest name of a file, in UTF-16 units.
const COMPONENT: usize = 255;
/// The longest path, in UTF-16 units.
const PATH: usize = 32_767;

/// An absolute path as Windows writes it, with a drive: `C:\Windows\System32\drivers\null.sys`. `C:\Windows` is
/// the folder of the system that starts, wherever it lies, and may be written `%SystemRoot%`. The
/// last component may hold wildcards only where a field's documentation says so.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WindowsPath(String);

impl WindowsPath {
    /// The path as written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The drive letter, upper case.
    pub fn drive(&self) -> char {
        self.0.chars().next().map_or('C', |letter| letter.to_ascii_uppercase())
    }

    /// The components below the drive.
    pub fn components(&self) -> impl Iterator<Item = &str> {
        self.0[3..].split('\\')
    }

    /// The last component.
    pub fn file_name(&self) -> &str {
        self.0.rsplit('\\').next().unwrap_or_default()
    }

    /// True where the last component holds `*` or `?`.
    pub fn has_wildcard(&self) -> bool {
        self.file_name().contains(['*', '?'])
    }

    /// True where `folder` holds this path directly. Upper and lower case are the same, as on Windows.
    pub fn is_in(&self, folder: &WindowsPath) -> bool {
        self.0.rsplit_once('\\').is_some_and(|(parent, _)| parent.eq_ignore_ascii_case(&folder.0))
    }
}

impl FromStr for WindowsPath {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.encode_utf16().count() > PATH {
            return Err(format!(
                "a path has more than {PATH} characters, the most that Windows has"
            ));
        }
        let below =
            text.get(..SYSTEM_ROOT.len()).filter(|head| head.eq_ignore_ascii_case(SYSTEM_ROOT));
        if let Some(below) = below.and_then(|head| text.strip_prefix(head)) {
            return format!("C:\\Windows{below}").parse();
        }
        let mut letters = text.chars();
        let drive = letters.next().is_some_and(|c| c.is_ascii_alphabetic());
        if !drive || letters.next() != Some(':') || letters.next() != Some('\\') {
            return Err(format!(
                "`{text}` is not absolute: it has to start with a drive, as `C:\\`"
            ));
        }
        let components: Vec<&str> = text[3..].split('\\').collect();
        let last = components.len() - 1;
        for (index, component) in components.iter().enumerate() {
            if component.is_empty() || *component == "." || *component == ".." {
                return Err(format!("`{text}` has an empty, `.` or `..` component"));
            }
            if component.ends_with([' ', '.']) {
                return Err(format!(
                    "`{text}`: Windows drops a trailing dot or space of `{component}`"
                ));
            }
            if component.encode_utf16().count() > COMPONENT {
                return Err(format!(
                    "a component of the path has more than {COMPONENT} characters, the most that Windows has"
                ));
            }
            if is_device(component) {
                return Err(format!("`{text}`: `{component}` is a device in every folder"));
            }
            let forbidden =
                |c: char| c < ' ' || "<>:\"/|".contains(c) || (index != last && "*?".contains(c));
            if let Some(bad) = component.chars().find(|c| forbidden(*c)) {
                return Err(format!("`{text}`: `{bad}` cannot be in a Windows file name"));
            }
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for WindowsPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for WindowsPath {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for WindowsPath {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

impl JsonSchema for WindowsPath {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "WindowsPath".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "format": "windows-path",
            "pattern": r"^([A-Za-z]:|%SystemRoot%)\\",
        })
    }
}

/// A path that a remediation may name: a [`WindowsPath`] on the volume of Windows itself, without short names and
/// without the files of the file system. The one rule for both sides: who publishes is held to it, and who is sent a
/// payload does nothing of one that breaks it. Links lie on the disk and not in the path: whoever follows the path
/// looks for them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PayloadPath(WindowsPath);

impl PayloadPath {
    /// The folders from the root down, and the last component, which may hold `*` and `?`.
    pub fn split(&self) -> (Vec<&str>, &str) {
        let mut folders: Vec<&str> = self.0.components().collect();
        let last = folders.pop().unwrap_or_default();
        (folders, last)
    }

    /// True where the last component holds `*` or `?`.
    pub fn has_wildcard(&self) -> bool {
        self.0.has_wildcard()
    }
}

impl FromStr for PayloadPath {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let path: WindowsPath = text.parse()?;
        if path.drive() != 'C' {
            return Err(format!("`{text}` is not on C:, the volume of Windows"));
        }
        if let Some(short) = path.components().find(|component| is_short(component)) {
            return Err(format!("`{text}`: `{short}` may be the short name of another file"));
        }
        if path.components().next().is_some_and(is_of_the_file_system) {
            return Err(format!("`{text}` belongs to the file system itself"));
        }
        Ok(Self(path))
    }
}

impl fmt::Display for PayloadPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Names that are devices in every folder, with every extension and in every case.
fn is_device(component: &str) -> bool {
    let stem = component.split('.').next().unwrap_or_default().trim_end_matches(' ');
    let stem = stem.to_uppercase();
    if ["CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$", "CLOCK$"].contains(&stem.as_str()) {
        return true;
    }
    // A port's digit may be written high up: `COM\u{b9}`.
    let port = stem.strip_prefix("COM").or_else(|| stem.strip_prefix("LPT"));
    let mut digits = port.unwrap_or_default().chars();
    let digit = |c: char| c.is_ascii_digit() || "\u{b9}\u{b2}\u{b3}".contains(c);
    digits.next().is_some_and(digit) && digits.next().is_none()
}

/// `PROGRA~1` or `C-0000~1.SYS`: up to eight characters that end in a tilde and digits, and up to three behind a dot.
/// Wildcards count, too: they could stand for any of it.
fn is_short(component: &str) -> bool {
    let (stem, extension) = component.split_once('.').unwrap_or((component, ""));
    let Some((_, number)) = stem.rsplit_once('~') else { return false };
    let digits =
        !number.is_empty() && number.chars().all(|c| c.is_ascii_digit() || "*?".contains(c));
    let open = component.contains(['*', '?']);
    digits && (open || (stem.chars().count() <= 8 && extension.chars().count() <= 3))
}

/// The files in which NTFS keeps itself, and wildcards that could stand for one.
fn is_of_the_file_system(first: &str) -> bool {
    const NAMES: [&str; 11] = [
        "$MFT", "$MFTMirr", "$LogFile", "$Volume", "$AttrDef", "$Bitmap", "$Boot", "$BadClus",
        "$Secure", "$UpCase", "$Extend",
    ];
    let first = first.to_ascii_lowercase();
    let (begin, end) = match (first.find(['*', '?']), first.rfind(['*', '?'])) {
        (Some(begin), Some(end)) => (&first[..begin], &first[end + 1..]),
        _ => return NAMES.iter().any(|name| name.eq_ignore_ascii_case(&first)),
    };
    let mut names = NAMES.iter().map(|name| name.to_ascii_lowercase());
    names.any(|name| name.starts_with(begin) && name.ends_with(end))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What each trick would come to, were it taken.
    const TRICKS: &[(&str, &[&str])] = &[
        (
            "a way up",
            &[
                r"C:\Windows\..\..\x",
                r"C:\..\x",
                r"C:\Windows\.\x",
                r"C:\Windows\..",
                r"C:\Windows\...\x",
                r"%SystemRoot%\..\x",
                r"C:\Windows\.. \x",
                r"C:\Windows/../x",
                "C:\\Windows\\..\u{0}\\x",
            ],
        ),
        (
            "not absolute",
            &[
                "",
                "x",
                r"Windows\x",
                r"\Windows\x",
                "C:x",
                r"C:Windows\x",
                r".\x",
                r"~\x",
                r"%TEMP%\x",
            ],
        ),
        (
            "another volume",
            &[
                r"D:\x",
                r"X:\Windows\x",
                r"c\x",
                r"\??\Volume{00000000-0000-0000-0000-000000000000}\x",
            ],
        ),
        (
            "another machine",
            &[
                r"\\server\share\x",
                r"//server/share/x",
                r"\\?\UNC\server\share\x",
                r"\\localhost\C$\x",
            ],
        ),
        (
            "a device",
            &[
                r"\\.\PhysicalDrive0",
                r"\\.\C:",
                r"\\?\C:\x",
                r"\??\C:\x",
                r"\Device\HarddiskVolume1\x",
                r"\\?\GLOBALROOT\Device\x",
                r"C:\CON",
                r"C:\Windows\nul",
                r"C:\Windows\Nul.txt",
                r"C:\aux.tar.gz\x",
                r"C:\prn .txt",
                r"C:\com1",
                r"C:\LPT9.sys",
                r"C:\com0",
                "C:\\COM\u{b9}",
                "C:\\lpt\u{b3}.txt",
                r"C:\CONIN$",
                r"C:\conout$.x",
                r"C:\clock$",
            ],
        ),
        (
            "a stream",
            &[
                r"C:\f.txt:s",
                r"C:\f.txt::$DATA",
                r"C:\Windows:s\x",
                r"C:\d:$I30:$INDEX_ALLOCATION\x",
                r"C:\:s",
                r"C:\f.txt:",
            ],
        ),
        (
            "what Windows drops",
            &[
                r"C:\Windows.\x",
                r"C:\Windows \x",
                r"C:\x.",
                r"C:\x ",
                r"C:\x. .",
                r"C:\Windows\\x",
                r"C:\Windows\",
                r"C:\",
            ],
        ),
        (
            "a short name",
            &[
                r"C:\PROGRA~1\x",
                r"C:\Windows\SYSTEM~1.\x",
                r"C:\C-0000~1.SYS",
                r"C:\progr~12\x",
                r"C:\x\A~1*",
                r"C:\x\C*~?.sys",
            ],
        ),
        (
            "the file system",
            &[
                r"C:\$MFT",
                r"C:\$mft",
                r"C:\$LogFile",
                r"C:\$Extend\$UsnJrnl",
                r"C:\$Secure",
                r"C:\*",
                r"C:\$M*",
                r"C:\?mft",
                r"C:\$*e",
            ],
        ),
        (
            "no name",
            &[
                "C:\\a\nb",
                "C:\\a\0b",
                "C:\\a\u{1f}",
                r"C:\a|b",
                r"C:\a<b",
                r#"C:\a"b"#,
                r"C:\*\x",
                r"C:\W?ndows\x",
            ],
        ),
    ];

    #[test]
    fn every_trick_is_refused() {
        for (trick, paths) in TRICKS {
            for path in *paths {
                assert!(path.parse::<PayloadPath>().is_err(), "{trick}: {path:?} was taken");
            }
        }
        let long = format!("C:\\{}", "x".repeat(COMPONENT + 1));
        assert!(long.parse::<PayloadPath>().is_err());
        let deep = format!("C:{}", "\\x".repeat(PATH));
        assert!(deep.parse::<PayloadPath>().is_err());
    }

    #[test]
    fn paths_that_mean_what_they_say_are_taken() {
        for path in [
            r"C:\Windows\System32\drivers\CrowdStrike\C-00000291*.sys",
            r"c:\WINDOWS\system32\Drivers\x.sys",
            r"%SystemRoot%\Temp\x",
            r"C:\$WinREAgent\x",
            r"C:\*.dmp",
            r"C:\$Win*",
            r"C:\Windows\*",
            r"C:\Windows\$MFT",
            r"C:\console.log",
            r"C:\com10",
            r"C:\lpt",
            r"C:\nul0",
            r"C:\a..b\..c",
            r"C:\backup~of\file~1-old.text",
            "C:\\\u{fc}ber\\*.*",
            // Of the spaces, Windows drops only the plain one.
            "C:\\NUL\u{2000}",
        ] {
            let taken = path.parse::<PayloadPath>();
            assert!(taken.is_ok(), "{path}: {taken:?}");
        }
        let path: PayloadPath = r"%systemroot%\Temp\*.sys".parse().expect("a path");
        assert_eq!(path.split(), (vec!["Windows", "Temp"], "*.sys"));
    }

    /// Pieces of which tricks are made.
    fn piece() -> impl Strategy<Value = String> {
        prop_oneof![
            Just("..".to_owned()),
            Just(".".to_owned()),
            Just("\\".to_owned()),
            Just("/".to_owned()),
            Just("C:".to_owned()),
            Just("\\\\".to_owned()),
            Just("?".to_owned()),
            Just("NUL".to_owned()),
            Just("con".to_owned()),
            Just(":s".to_owned()),
            Just("~1".to_owned()),
            Just(" ".to_owned()),
            Just("%SystemRoot%".to_owned()),
            Just("Windows".to_owned()),
            Just("$MFT".to_owned()),
            Just("*".to_owned()),
            "\\PC{1,4}",
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(20_000))]
        /// Whatever is taken says where it leads: down from the root, by names that only a file can have.
        #[test]
        fn what_is_taken_leads_down_from_the_root(pieces in prop::collection::vec(piece(), 0..10), below in any::<bool>()) {
            let text = format!("{}{}", if below { "C:\\" } else { "" }, pieces.concat());
            if let Ok(path) = text.parse::<PayloadPath>() {
                let (folders, last) = path.split();
                let shown = path.to_string();
                prop_assert!(shown.starts_with("C:\\") || shown.starts_with("c:\\"), "{shown:?}");
                prop_assert_eq!(shown[3..].to_owned(), [&folders[..], &[last]].concat().join("\\"));
                for component in folders.iter().chain([&last]) {
                    prop_assert!(!component.is_empty() && !component.ends_with(['.', ' ']), "{component:?}");
                    prop_assert!(!component.contains([':', '/', '\\', '\0']), "{component:?}");
                    let stem = component.split('.').next().unwrap_or_default().trim_end_matches(' ');
                    prop_assert!(!["NUL", "CON"].iter().any(|name| stem.eq_ignore_ascii_case(name)), "{component:?}");
                }
                prop_assert!(folders.iter().all(|folder| !folder.contains(['*', '?'])));
            }
        }
    }
}

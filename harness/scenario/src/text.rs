//! Windows paths, as scenarios write them.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// The folder of the system, as the environment of Windows calls it.
const SYSTEM_ROOT: &str = "%SystemRoot%";

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

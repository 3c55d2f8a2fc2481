//! `INF\setupapi.dev.log`: which driver packages and devices were installed when.
//!
//! The log is in English in every language of Windows. Each action is a section:
//!
//! ```text
//! >>>  [Setup Import Driver Package - C:\…\VBoxGuest.inf]
//! >>>  Section start 2016/10/05 11:37:14.273
//! …
//! <<<  Section end 2016/10/05 11:38:03.007
//! <<<  [Exit status: SUCCESS]
//! ```
//!
//! Its times are local ("SetupAPI Text Logs", <https://learn.microsoft.com/windows-hardware/drivers/install/setupapi-text-logs>).

use jiff::civil::DateTime;
use serde::{Deserialize, Serialize};

use crate::Known;
use crate::opened_disk::{OpenedDisk, read_file};

/// Windows begins a new log long before.
const MAX_LOG: u64 = 64 << 20;
/// The latest sections are kept up to this number.
const LATEST: usize = 256;
const MAX_TEXT: usize = 300;

/// What the log says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct SetupLog {
    /// The file, from the root of the Windows volume.
    pub path: String,
    /// Its latest sections, the oldest first.
    pub installs: Vec<Install>,
}

/// A section.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Install {
    /// The section's title, such as `Setup Import Driver Package - C:\…\VBoxGuest.inf`.
    pub title: String,
    /// When it began, local time.
    pub began: Option<DateTime>,
    /// Whether it says that it succeeded; absent where it does not say how it ended.
    pub succeeded: Option<bool>,
    /// The line it begins at, from 1.
    pub line: usize,
}

impl Install {
    /// File name of the INF that it is about, in lower case, where its title names one.
    pub fn inf(&self) -> Option<String> {
        let (_, about) = self.title.rsplit_once(" - ")?;
        let name = about.rsplit('\\').next()?.to_ascii_lowercase();
        name.ends_with(".inf").then_some(name)
    }
}

pub(super) fn read(opened: &mut OpenedDisk<'_>) -> Known<SetupLog> {
    opened.windows().and_then(|(volume, root)| {
        let path = format!(r"{root}\INF\setupapi.dev.log");
        read_file(volume, &path, MAX_LOG)
            .map(|bytes| SetupLog { installs: installs(&String::from_utf8_lossy(&bytes)), path })
    })
}

fn installs(text: &str) -> Vec<Install> {
    let mut all: Vec<Install> = Vec::new();
    for (index, line) in text.lines().enumerate() {
        if let Some(rest) = line.strip_prefix(">>>") {
            let rest = rest.trim();
            if let Some(title) = rest.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
                let title = title.chars().take(MAX_TEXT).collect();
                all.push(Install { title, began: None, succeeded: None, line: index + 1 });
                if all.len() >= 2 * LATEST {
                    all.drain(..LATEST);
                }
            } else if let Some(time) = rest.strip_prefix("Section start ")
                && let Some(last) = all.last_mut()
            {
                last.began = local_time(time);
            }
        } else if let Some(status) = line.strip_prefix("<<<  [Exit status: ")
            && let Some(last) = all.last_mut()
        {
            last.succeeded = Some(status.starts_with("SUCCESS"));
        }
    }
    let older = all.len().saturating_sub(LATEST);
    all.split_off(older)
}

fn local_time(text: &str) -> Option<DateTime> {
    DateTime::strptime("%Y/%m/%d %H:%M:%S%.f", text.trim()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: &str = "[Device Install Log]\n\n>>>  [Setup Import Driver Package - C:\\a - b\\VBoxGuest.inf]\n>>>  Section start 2016/10/05 11:37:14.273\n     inf: Provider: Oracle\n<<<  Section end 2016/10/05 11:38:03.007\n<<<  [Exit status: SUCCESS]\n\n>>>  [Device Install - X\\Y]\n>>>  Section start 2016/13/05 11:37:14\n<<<  [Exit status: FAILURE(0x00000005)]\n>>>  [Cut off]\n";

    #[test]
    fn sections_with_time_and_end() {
        let all = installs(LOG);
        assert_eq!(all.len(), 3);
        assert_eq!(all[0].inf().as_deref(), Some("vboxguest.inf"));
        assert_eq!(all[0].began.unwrap().to_string(), "2016-10-05T11:37:14.273");
        assert_eq!((all[0].succeeded, all[0].line), (Some(true), 3));
        assert_eq!((all[1].inf(), all[1].began, all[1].succeeded), (None, None, Some(false)));
        assert_eq!(all[2].succeeded, None);
    }

    #[test]
    fn no_log_is_too_odd() {
        for text in ["", ">>>", ">>>  [", "<<<  [Exit status: ", ">>>  Section start x"] {
            assert!(installs(text).len() <= 1);
        }
        let many = ">>>  [x]\n".repeat(5 * LATEST);
        assert_eq!(installs(&many).len(), LATEST);
    }
}

//! What is still to be done at the next start.

use serde::{Deserialize, Serialize};

use crate::Known;
use crate::ground::{Ground, Registry};

/// What is pending.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Pending {
    /// `PendingFileRenameOperations`.
    pub renames: Known<Vec<Rename>>,
    /// Signs of updates that are not finished, each in words.
    pub updates: Known<Vec<String>>,
    /// `BootExecute`.
    pub boot_execute: Known<Vec<String>>,
    /// `Setup\SystemSetupInProgress`.
    pub setup_in_progress: Known<bool>,
}

/// A file that is moved or deleted at the next start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Rename {
    /// As stored.
    pub from: String,
    /// As stored; none: it is deleted.
    pub to: Option<String>,
}

const SESSION_MANAGER: &str = r"Control\Session Manager";
const SERVICING: &str = r"Microsoft\Windows\CurrentVersion\Component Based Servicing";
const UPDATE: &str = r"Microsoft\Windows\CurrentVersion\WindowsUpdate\Auto Update";

/// Reads what is pending.
pub(crate) fn read(ground: &mut Ground<'_>) -> Pending {
    let control = ground.control();
    let renames = control.as_ref().and_then(|control| {
        let key = control.path(SESSION_MANAGER);
        Known::read(control.hive.get(key, "PendingFileRenameOperations"))
            .map(|data| pairs(&texts(&data.bytes)))
    });
    let boot_execute = control.and_then(|control| control.strings(SESSION_MANAGER, "BootExecute"));
    let setup_in_progress = ground
        .system
        .as_ref()
        .and_then(|hive| Registry { hive, key: "Setup" }.flag("", "SystemSetupInProgress"));
    Pending { renames, updates: updates(ground), boot_execute, setup_in_progress }
}

/// The texts of the value, empty ones too: what Windows itself writes here breaks the rule that an empty
/// text ends a `REG_MULTI_SZ`.
fn texts(bytes: &[u8]) -> Vec<String> {
    let units: Vec<u16> =
        bytes.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]])).collect();
    let mut texts: Vec<String> =
        units.split(|unit| *unit == 0).map(String::from_utf16_lossy).collect();
    // Behind the last terminator there is nothing, not one more text.
    texts.pop();
    texts
}

/// The list is of pairs; an empty second one means: delete. A leading `!` means: replace what is there.
fn pairs(texts: &[String]) -> Vec<Rename> {
    texts
        .chunks(2)
        .map(|pair| Rename {
            from: pair[0].clone(),
            to: pair.get(1).filter(|to| !to.is_empty()).cloned(),
        })
        .filter(|rename| !rename.from.is_empty())
        .collect()
}

/// Signs in the registry and on the disk. Each is one that Windows' own trouble shooters look at
/// (windows-facts.md 4, "offline servicing").
fn updates(ground: &mut Ground<'_>) -> Known<Vec<String>> {
    let mut signs = Vec::new();
    match &ground.software {
        Known::Known(hive) => {
            for (key, sign) in [
                (format!(r"{SERVICING}\RebootPending"), "servicing waits for a restart"),
                (
                    format!(r"{SERVICING}\RebootInProgress"),
                    "servicing was under way at the restart",
                ),
                (format!(r"{SERVICING}\PackagesPending"), "packages are pending"),
                (format!(r"{UPDATE}\RebootRequired"), "Windows Update wants a restart"),
            ] {
                match hive.find_key(key.as_str()) {
                    Ok(Some(_)) => signs.push(format!("{sign} (SOFTWARE\\{key})")),
                    Ok(None) => {}
                    Err(error) => return Known::Unknown(error.to_string()),
                }
            }
        }
        other => return other.as_ref().and_then(|_| Known::Absent),
    }
    match ground.windows() {
        Known::Known((volume, root)) => {
            let file = format!(r"{root}\WinSxS\pending.xml");
            match volume.exists(&file) {
                Ok(true) => signs.push(format!("actions are left in {file}")),
                Ok(false) => {}
                Err(error) => return Known::Unknown(error.to_string()),
            }
        }
        other => return other.and_then(|_| Known::Absent),
    }
    Known::Known(signs)
}

#[cfg(test)]
mod tests {
    use super::{pairs, texts};

    #[test]
    fn a_rename_without_a_target_is_a_deletion() {
        let text = "\\??\\C:\\a\0\0\\??\\C:\\b\0!\\??\\C:\\c\0\0";
        let bytes: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let found = pairs(&texts(&bytes));
        let found: Vec<_> =
            found.iter().map(|pair| (pair.from.as_str(), pair.to.as_deref())).collect();
        assert_eq!(found, [(r"\??\C:\a", None), (r"\??\C:\b", Some(r"!\??\C:\c"))]);
        assert!(pairs(&texts(b"odd")).is_empty());
    }
}

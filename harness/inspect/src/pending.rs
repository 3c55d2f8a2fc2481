//! What is still to be done at the next start.

use serde::{Deserialize, Serialize};

use crate::Known;
use crate::opened_disk::{OpenedDisk, Registry, read_file};
use crate::servicing::{PendingXml, Rename, ServicingState, renames};

/// What is pending.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Pending {
    /// `PendingFileRenameOperations`.
    pub renames: Known<Vec<Rename>>,
    /// Updates that are not finished.
    pub updates: Known<Updates>,
    /// `BootExecute`.
    pub boot_execute: Known<Vec<String>>,
    /// `Setup\SystemSetupInProgress`.
    pub setup_in_progress: Known<bool>,
}

/// Updates that are not finished.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Updates {
    /// What component servicing notes in the registry.
    pub servicing: Known<ServicingState>,
    /// Windows Update wants a restart.
    pub restart_required: Known<bool>,
    /// `WinSxS\\pending.xml`: what runs before the session does.
    pub operations: Known<PendingXml>,
}

impl Updates {
    /// What is not finished, in words; empty where nothing is known to be.
    pub fn signs(&self) -> Vec<String> {
        let mut signs = Vec::new();
        if let Known::Known(servicing) = &self.servicing {
            for (is, sign) in [
                (servicing.reboot_pending, "servicing waits for a restart"),
                (servicing.reboot_in_progress, "servicing was under way at the restart"),
                (servicing.packages_pending, "packages are pending"),
                (servicing.session_pending.unwrap_or(0) != 0, "a servicing session is under way"),
            ] {
                if is {
                    signs.push(sign.to_owned());
                }
            }
        }
        if self.restart_required == Known::Known(true) {
            signs.push("Windows Update wants a restart".to_owned());
        }
        match &self.operations {
            Known::Known(list) => {
                signs.push(format!("{} operations are left in pending.xml", list.operations));
            }
            Known::Unknown(reason) => signs.push(format!("pending.xml: {reason}")),
            Known::Absent => {}
        }
        signs
    }
}

/// A larger list is not read.
const MAX_LIST: u64 = 128 << 20;
const SESSION_MANAGER: &str = r"Control\Session Manager";
const UPDATE: &str = r"Microsoft\Windows\CurrentVersion\WindowsUpdate\Auto Update\RebootRequired";

/// Reads what is pending.
pub(crate) fn read(opened: &mut OpenedDisk<'_>) -> Pending {
    let control = opened.control();
    let renames = control.as_ref().and_then(|control| {
        let key = control.path(SESSION_MANAGER);
        Known::read(control.hive.get(key, "PendingFileRenameOperations")).and_then(|data| {
            renames(&data).map_or_else(
                || Known::Unknown("PendingFileRenameOperations is not a list of texts".to_owned()),
                Known::Known,
            )
        })
    });
    let boot_execute = control.and_then(|control| control.strings(SESSION_MANAGER, "BootExecute"));
    let setup_in_progress = opened
        .system
        .as_ref()
        .and_then(|hive| Registry { hive, key: "Setup" }.flag("", "SystemSetupInProgress"));
    Pending { renames, updates: updates(opened), boot_execute, setup_in_progress }
}

/// What the SOFTWARE hive says, and the list of operations that runs before the session does.
fn updates(opened: &mut OpenedDisk<'_>) -> Known<Updates> {
    let software = &opened.software;
    let servicing =
        software.as_ref().and_then(|hive| Known::read(ServicingState::read(hive).map(Some)));
    let restart_required = software
        .as_ref()
        .and_then(|hive| Known::read(hive.find_key(UPDATE).map(|key| Some(key.is_some()))));
    let operations = opened.windows().and_then(|(volume, root)| {
        read_file(volume, &format!(r"{root}\WinSxS\pending.xml"), MAX_LIST)
            .and_then(|bytes| Known::read(PendingXml::read(&bytes).map(Some)))
    });
    if matches!((&opened.software, &operations), (Known::Absent, Known::Absent)) {
        return Known::Absent;
    }
    Known::Known(Updates { servicing, restart_required, operations })
}

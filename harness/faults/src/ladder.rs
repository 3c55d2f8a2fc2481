//! What the layers with a start of their own do to a disk from the host, before that start and after it.

use scenario::{LastKnownGood, Layer, SafeMode, SafeModeAction, Scenario, WindowsPath};
use winfmt::bcd::{BcdError, BcdStore, ElementId, ElementValue, known};

use crate::boot_configuration::{STORE, rewrite};
use crate::placing::on_drive;
use crate::plan::{
    Change, Edit, HiveName, Offline, Origin, RegistryValue, Rewrite, StagePlan, StagedEdit,
    VolumeRole, real_key,
};
use crate::repair::{RepairError, matching};
use crate::uninstall::left_pending;

/// `Start` of a service that is disabled (windows-facts 4).
pub const DISABLED: u32 = 4;
/// The service of the guest agent.
const AGENT: &str = "QEMU-GA";
/// Where the last known good control set is switched on.
const MANAGER: &str = "CurrentControlSet\\Control\\Session Manager\\Configuration Manager";

/// What is done in safe mode through the guest agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SafeModeAct {
    /// Deletes this file.
    Delete(WindowsPath),
    /// Sets the start type of this service to `disabled`.
    DisableService(String),
}

/// The way into safe mode, and what is done there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IntoSafeMode {
    /// Done offline before the start.
    pub edits: StagePlan,
    /// Done in safe mode, in order.
    pub acts: Vec<SafeModeAct>,
}

/// Plans the way into safe mode: the flag, and the guest agent on the list of what safe mode starts.
///
/// # Errors
/// There is nothing to delete, or the disk cannot be read.
pub fn into_safe_mode(
    safe: &SafeMode,
    disk: &mut dyn Offline,
) -> Result<IntoSafeMode, RepairError> {
    let mut acts = Vec::new();
    for action in &safe.action {
        match action {
            SafeModeAction::Delete(delete) => {
                for path in matching(delete, disk)? {
                    // Edits leave `C:` out, and no other drive.
                    let path = match delete.path.drive() {
                        'C' => format!("C:\\{path}"),
                        _ => path,
                    };
                    let path = path.parse().map_err(|why| RepairError::Name { path, why })?;
                    acts.push(SafeModeAct::Delete(path));
                }
            }
            SafeModeAction::DisableService(name) => {
                let key = service_key(name, disk)?;
                if !disk.key_exists(HiveName::System, &key).map_err(RepairError::Disk)? {
                    return Err(RepairError::NoService { name: name.clone() });
                }
                acts.push(SafeModeAct::DisableService(name.clone()));
            }
        }
    }
    Ok(IntoSafeMode { edits: safe_mode_edits(safe), acts })
}

/// The edits of the way into safe mode, which are the same on every disk.
pub fn safe_mode_edits(safe: &SafeMode) -> StagePlan {
    let mode = ElementValue::Integer(safe.mode.value());
    let listed = Edit::SetValue {
        hive: HiveName::System,
        key: format!("CurrentControlSet\\Control\\SafeBoot\\{}\\{AGENT}", safe.mode.key()),
        name: String::new(),
        value: RegistryValue::Text("Service".to_owned()),
    };
    // The flag last: what fails before it has changed nothing about the start.
    plan(Layer::SafeMode, [listed.into(), flag(ElementId::SAFE_BOOT, Some(mode))])
}

/// The way out of safe mode: the flag is taken off, whoever put it there, and what was there before the agent was
/// listed (`undo`, from the way in) is there again.
pub fn out_of_safe_mode(undo: &[Edit]) -> StagePlan {
    // The store is not put back as a whole: the boot manager may have changed it since.
    let listed = undo.iter().filter(|edit| !matches!(edit, Edit::WriteFile { .. })).cloned();
    let changes = [flag(ElementId::SAFE_BOOT, None)];
    plan(Layer::SafeMode, changes.into_iter().chain(listed.map(Change::from)))
}

/// The next start takes the last known good control set.
pub fn into_last_known_good() -> StagePlan {
    let on = ElementValue::Boolean(true);
    plan(Layer::LastKnownGood, [flag(ElementId::LAST_KNOWN_GOOD, Some(on))])
}

/// The starts after it take the default one.
pub fn out_of_last_known_good() -> StagePlan {
    plan(Layer::LastKnownGood, [flag(ElementId::LAST_KNOWN_GOOD, None)])
}

/// What Windows needs so that it keeps a last known good control set, done before anything goes wrong.
pub(crate) fn keeps_last_known_good(layer: LastKnownGood) -> Vec<Change> {
    let value = |key: String, name: &str, number| {
        Change::from(Edit::SetValue {
            hive: HiveName::System,
            key,
            name: name.to_owned(),
            value: RegistryValue::Dword(number),
        })
    };
    let enabled = value(format!("{MANAGER}\\LastKnownGood"), "Enabled", u32::from(layer.enabled));
    if !layer.enabled {
        return vec![enabled];
    }
    // 0: the legacy menu, the only one with an entry for it (windows-facts 4).
    let menu = flag(ElementId::BOOT_MENU_POLICY, Some(ElementValue::Integer(0)));
    vec![enabled, value(MANAGER.to_owned(), "BackupCount", 2), menu]
}

fn flag(element: ElementId, value: Option<ElementValue>) -> Change {
    rewrite(VolumeRole::System, STORE, Rewrite::DefaultEntry(vec![(element, value)]))
}

fn plan(layer: Layer, changes: impl IntoIterator<Item = Change>) -> StagePlan {
    let staged = |change| StagedEdit { origin: Origin::Layer(layer), change };
    StagePlan { staged: changes.into_iter().map(staged).collect(), online: Vec::new() }
}

/// What of the layers' own doing is left where it would change how Windows starts: their flags on the default entry, a
/// one-time entry of the boot manager, and an update that Windows would go on with although it was uninstalled.
///
/// # Errors
/// The disk or the store cannot be read.
pub fn left_over(scenario: &Scenario, disk: &mut dyn Offline) -> Result<Vec<String>, RepairError> {
    let mut left = Vec::new();
    if scenario.uninstall_update.is_some() || scenario.restore_point.is_some() {
        left.extend(left_pending(disk).map_err(RepairError::Disk)?);
    }
    let flagged = scenario.safe_mode.is_some() || scenario.last_known_good.is_some();
    // A machine that starts in another way has no store, and these two layers are the only ones that write to it.
    if !flagged && disk.partition_of(VolumeRole::System).map_err(RepairError::Disk)?.is_none() {
        return Ok(left);
    }
    let file = disk.read_file(VolumeRole::System, STORE).map_err(RepairError::Disk)?;
    let Some((bytes, _)) = file else {
        return Err(RepairError::Disk("there is no boot configuration store".into()));
    };
    let bcd = |error: BcdError| RepairError::Disk(error.into());
    let store = BcdStore::open(bytes).map_err(bcd)?;
    if let Some(entry) = store.default_loader().map_err(bcd)? {
        let flags = [
            (scenario.safe_mode.is_some(), ElementId::SAFE_BOOT, "safeboot"),
            (scenario.last_known_good.is_some(), ElementId::LAST_KNOWN_GOOD, "lastknowngood"),
        ];
        for (_, id, name) in flags.into_iter().filter(|(declared, ..)| *declared) {
            if store.get(entry.id, id).map_err(bcd)?.is_some() {
                left.push(format!("{name} of the default entry"));
            }
        }
    }
    let once = store.objects_of(known::BOOT_MANAGER, ElementId::BOOT_SEQUENCE).map_err(bcd)?;
    if !once.is_empty() {
        left.push("a one-time entry of the boot manager".to_owned());
    }
    Ok(left)
}

/// What a repair in safe mode was to leave on the disk and is not there; `None` where all is.
///
/// # Errors
/// The disk cannot be read.
pub fn not_repaired(
    disk: &mut dyn Offline,
    acts: &[SafeModeAct],
) -> Result<Option<String>, RepairError> {
    for act in acts {
        match act {
            SafeModeAct::Delete(path) => {
                let file = on_drive(path);
                if disk.read_file(VolumeRole::Windows, &file).map_err(RepairError::Disk)?.is_some()
                {
                    return Ok(Some(format!("{path} is on the disk again, or still")));
                }
            }
            SafeModeAct::DisableService(name) => {
                let key = service_key(name, disk)?;
                let start =
                    disk.read_value(HiveName::System, &key, "Start").map_err(RepairError::Disk)?;
                if start != Some(RegistryValue::Dword(DISABLED)) {
                    return Ok(Some(format!("the service {name} is not switched off on the disk")));
                }
            }
        }
    }
    Ok(None)
}

fn service_key(name: &str, disk: &mut dyn Offline) -> Result<String, RepairError> {
    let key = format!("CurrentControlSet\\Services\\{name}");
    real_key(HiveName::System, &key, disk).map_err(RepairError::Disk)
}

/// `Select` of the SYSTEM hive: which control set is which (windows-facts 4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Select {
    /// In use.
    pub current: u32,
    /// Of the next start.
    pub default: u32,
    /// Given up; 0: none.
    pub failed: u32,
    /// Of the last good start.
    pub last_known_good: u32,
}

impl std::fmt::Display for Select {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { current, default, failed, last_known_good } = self;
        write!(
            f,
            "(Current {current}, Default {default}, Failed {failed}, LastKnownGood {last_known_good})"
        )
    }
}

/// Reads `Select`.
///
/// # Errors
/// The hive cannot be read, or has no such numbers.
pub fn select(disk: &mut dyn Offline) -> Result<Select, RepairError> {
    let mut number = |name: &str| {
        let value = disk.read_value(HiveName::System, "Select", name).map_err(RepairError::Disk)?;
        match value {
            Some(RegistryValue::Dword(number)) => Ok(number),
            _ => Err(RepairError::Disk(format!("the hive has no number Select\\{name}").into())),
        }
    };
    Ok(Select {
        current: number("Current")?,
        default: number("Default")?,
        failed: number("Failed")?,
        last_known_good: number("LastKnownGood")?,
    })
}

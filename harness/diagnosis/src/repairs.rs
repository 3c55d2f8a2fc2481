//! The repair for each suspect, in the words of the layer `host-repair`.

use inspect::Known;
use inspect::services::{Maker, Service};
use scenario::{
    BootEntry, Delete, FileCopy, HiveFile, RegistryChange, RegistryData, RepairAction, WindowsPath,
};

use crate::statement::on_c;

/// A driver is kept from starting; one that Windows needs is brought back from the image.
///
/// # Errors
/// What a person does instead.
pub(crate) fn without(service: &Service) -> Result<RepairAction, String> {
    match &service.file {
        Known::Known(file) if is_needed(service) => Ok(RepairAction::Restore(path(file)?)),
        _ if is_needed(service) => Err(format!(
            "bring the file of {} back from another machine of the same build",
            service.name
        )),
        _ => start(&service.name, 4),
    }
}

/// Drivers that stand between Windows and its own disk; the loader has to bring each of them (windows-facts.md 4).
pub(crate) const DISK_DRIVERS: [&str; 4] = ["disk", "partmgr", "volmgr", "mountmgr"];

/// Whether Windows cannot do without it: it says so itself, or it stands between Windows and its disk.
fn is_needed(service: &Service) -> bool {
    const GROUPS: [&str; 6] = [
        "Boot Bus Extender",
        "System Bus Extender",
        "SCSI miniport",
        "SCSI Class",
        "Boot File System",
        "Primary Disk",
    ];
    let group = service.group.as_deref().unwrap_or_default();
    service.error_control == Known::Known(3)
        || service.maker == Known::Known(Maker::Microsoft)
        || DISK_DRIVERS.iter().any(|own| own.eq_ignore_ascii_case(&service.name))
        || GROUPS.iter().any(|own| own.eq_ignore_ascii_case(group))
}

/// A service starts at another moment: 0 by the loader, 4 never.
pub(crate) fn start(service: &str, start: u32) -> Result<RepairAction, String> {
    // A key's name may hold what a path takes for its end.
    if service.contains(['\\', '\0']) {
        return Err(format!(
            "set `Start` of the service to {start}; its name cannot be written in a scenario"
        ));
    }
    Ok(RepairAction::Registry(RegistryChange {
        hive: HiveFile::System,
        key: format!(r"CurrentControlSet\Services\{service}"),
        value: "Start".to_owned(),
        to: RegistryData::Dword(start),
    }))
}

pub(crate) fn delete(file: &str) -> Result<RepairAction, String> {
    Ok(RepairAction::Delete(Delete { path: path(file)?, modified_before: None }))
}

pub(crate) fn restore(file: &str) -> Result<RepairAction, String> {
    Ok(RepairAction::Restore(path(file)?))
}

pub(crate) fn copy(from: &str, to: &str) -> Result<RepairAction, String> {
    Ok(RepairAction::Copy(FileCopy { from: path(from)?, to: path(to)? }))
}

pub(crate) fn boot_entry(entry: BootEntry) -> Result<RepairAction, String> {
    Ok(RepairAction::BootEntry(entry))
}

/// A path of the disk as a scenario has it.
fn path(file: &str) -> Result<WindowsPath, String> {
    let path: WindowsPath = on_c(file)
        .parse()
        .map_err(|_| "do it by hand: its path cannot be written in a scenario".to_owned())?;
    if path.has_wildcard() {
        Err("do it by hand: its path has a wildcard in it".to_owned())
    } else {
        Ok(path)
    }
}

/// The filters of a device class become these.
pub(crate) fn filters(class: &str, list: &str, rest: Vec<String>) -> Result<RepairAction, String> {
    let to = if rest.is_empty() { RegistryData::Removed } else { RegistryData::MultiText(rest) };
    Ok(RepairAction::Registry(RegistryChange {
        hive: HiveFile::System,
        key: format!(r"CurrentControlSet\Control\Class\{class}"),
        value: list.to_owned(),
        to,
    }))
}

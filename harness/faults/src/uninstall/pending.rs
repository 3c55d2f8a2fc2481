//! An update that was left half done: what `dism /image /cleanup-image /revertpendingactions` gives up (windows-facts 4,
//! offline servicing).

use winfmt::servicing::{INSTALL_PENDING, PENDING_LIST, SERVICING_KEY, STAGED, package_key};

use super::error::UninstallError;
use crate::plan::{
    Edit, HiveName, Offline, OfflineError, RegistryValue, VolumeRole, package_names, real_key,
};

const C: VolumeRole = VolumeRole::Windows;
const MANAGER: &str = "CurrentControlSet\\Control\\Session Manager";
const ORDER: &str = "SetupExecute";
/// The program that carries the list out.
const PROGRAM: &str = "poqexec";

/// Takes list and order back, and what the servicing stack remembers of them.
pub(super) fn revert(disk: &mut dyn Offline) -> Result<Vec<Edit>, UninstallError> {
    let mut edits = Vec::new();
    let key = real_key(HiveName::System, MANAGER, disk)?;
    let order = order(&key, disk)?;
    let list = disk.read_file(C, PENDING_LIST)?;
    if order.is_none() && list.is_none() {
        return Err(UninstallError::NothingPending);
    }
    if let Some(others) = order {
        edits.push(with_texts(HiveName::System, &key, ORDER, &others));
    }
    if let Some((bytes, modified)) = list {
        let path = format!("{PENDING_LIST}.old");
        edits.push(Edit::WriteFile { volume: C, path, bytes, modified });
        edits.push(Edit::RemoveFile { volume: C, path: PENDING_LIST.to_owned() });
    }
    for (hive, key, name) in [
        (HiveName::Components, "", "PendingXmlIdentifier"),
        (HiveName::Software, &format!("{SERVICING_KEY}\\SessionsPending"), "Exclusive"),
    ] {
        if disk.read_value(hive, key, name)?.is_some() {
            let (key, name) = (key.to_owned(), name.to_owned());
            edits.push(Edit::RemoveValue { hive, key, name });
        }
    }
    for package in in_state(INSTALL_PENDING, disk)? {
        edits.push(Edit::SetValue {
            hive: HiveName::Software,
            key: package_key(&package),
            name: "CurrentState".to_owned(),
            value: RegistryValue::Dword(STAGED),
        });
    }
    Ok(edits)
}

/// What Windows would go on with at its next start, for people.
pub(crate) fn left_pending(disk: &mut dyn Offline) -> Result<Option<String>, OfflineError> {
    let key = real_key(HiveName::System, MANAGER, disk)?;
    if order(&key, disk)?.is_some() && disk.read_file(C, PENDING_LIST)?.is_some() {
        return Ok(Some("an update that the next start would go on with".to_owned()));
    }
    Ok(None)
}

/// The other texts of the session manager's order, where it has the servicing stack's.
fn order(key: &str, disk: &mut dyn Offline) -> Result<Option<Vec<String>>, OfflineError> {
    let value = disk.read_value(HiveName::System, key, ORDER)?;
    let texts = value.and_then(|value| value.as_texts()).unwrap_or_default();
    let is_ours = |text: &String| text.to_ascii_lowercase().contains(PROGRAM);
    let ordered = texts.iter().any(is_ours);
    Ok(ordered.then(|| texts.into_iter().filter(|text| !is_ours(text)).collect()))
}

/// A list of texts, which is not there where it has none.
pub(super) fn with_texts(hive: HiveName, key: &str, name: &str, texts: &[String]) -> Edit {
    let (key, name) = (key.to_owned(), name.to_owned());
    match texts {
        [] => Edit::RemoveValue { hive, key, name },
        texts => Edit::SetValue { hive, key, name, value: RegistryValue::texts(texts) },
    }
}

/// The packages that are in this state.
pub(super) fn in_state(state: u32, disk: &mut dyn Offline) -> Result<Vec<String>, OfflineError> {
    let mut packages = Vec::new();
    for package in package_names(disk)? {
        let found = disk.read_value(HiveName::Software, &package_key(&package), "CurrentState")?;
        if found == Some(RegistryValue::Dword(state)) {
            packages.push(package);
        }
    }
    packages.sort();
    Ok(packages)
}

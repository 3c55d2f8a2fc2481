//! A package: what its components have in place becomes what the store has of them in an earlier version, and the
//! package is no longer installed (windows-facts 4.5).

use scenario::LATEST;
use winfmt::servicing::{
    Component, INSTALLED, Identity, MANIFESTS, PACKAGES, Package, STORE, package_key,
};

use super::error::UninstallError;
use super::pending::{in_state, left_pending};
use crate::plan::{
    Edit, FileState, HiveName, Offline, VolumeRole, hive_of, install_time, real_key, value_of,
};

const C: VolumeRole = VolumeRole::Windows;

/// Takes a package back: one of an article, or the latest. `reverted`: what was half done is given up before.
pub(super) fn remove(
    wanted: &str,
    reverted: bool,
    disk: &mut dyn Offline,
) -> Result<Vec<Edit>, UninstallError> {
    if !reverted && left_pending(disk)?.is_some() {
        return Err(UninstallError::Pending);
    }
    let (name, package) = installed(wanted, disk)?;
    if package.components.is_empty() {
        return Err(UninstallError::Nested { package: name });
    }
    let mut edits = Vec::new();
    for identity in &package.components {
        edits.extend(back(identity, disk)?);
    }
    let (hive, key) = (HiveName::Software, package_key(&name));
    edits.push(Edit::RemoveKey { hive, key });
    edits.push(Edit::RemoveFile { volume: C, path: format!("{PACKAGES}\\{name}.mum") });
    Ok(edits)
}

/// The package that is meant, and its name. The one that was installed last is looked at first.
fn installed(wanted: &str, disk: &mut dyn Offline) -> Result<(String, Package), UninstallError> {
    let mut packages = Vec::new();
    for name in in_state(INSTALLED, disk)? {
        packages.push((install_time(&name, disk)?.unwrap_or_default(), name));
    }
    packages.sort();
    for (_, name) in packages.into_iter().rev() {
        let path = format!("{PACKAGES}\\{name}.mum");
        let Some((bytes, _)) = disk.read_file(C, &path)? else { continue };
        let package = match Package::parse(&bytes) {
            Ok(package) => package,
            // One that is not asked for may be in any form; the latest may be any.
            Err(_) if wanted != LATEST && !is_named(&name, wanted) => continue,
            Err(source) => return Err(UninstallError::Servicing { object: C.path(&path), source }),
        };
        let meant = match wanted {
            LATEST => package.release_type.contains("Update"),
            article => package.identifier.eq_ignore_ascii_case(article),
        };
        if meant {
            return Ok((name, package));
        }
    }
    Err(match wanted {
        LATEST => UninstallError::NoUpdate,
        article => UninstallError::NoPackage { wanted: article.to_owned() },
    })
}

/// True of a package that is called after an article.
fn is_named(package: &str, article: &str) -> bool {
    let (package, article) = (package.to_ascii_lowercase(), article.to_ascii_lowercase());
    package
        .strip_prefix("package_for_")
        .is_some_and(|rest| rest.split('~').next().is_some_and(|name| name == article))
}

/// What a component has in place becomes what an earlier version of it has; where the store has none, it goes.
fn back(identity: &Identity, disk: &mut dyn Offline) -> Result<Vec<Edit>, UninstallError> {
    let mut folders: Vec<([u16; 4], String)> = Vec::new();
    for file in disk.file_names(C, MANIFESTS)? {
        let Some((folder, "manifest")) = file.rsplit_once('.') else { continue };
        if let Some(version) = identity.version_in(folder) {
            folders.push((version, folder.to_owned()));
        }
    }
    folders.sort();
    let missing = || UninstallError::NotInStore { object: identity.folder(0) };
    let in_place = folders.iter().find(|(version, _)| *version == identity.version);
    let (_, folder) = in_place.ok_or_else(missing)?;
    let newer = component(folder, disk)?;
    // The store does not say whether that is still in place, or was and is no longer.
    if let Some((_, later)) = folders.iter().find(|(version, _)| *version > identity.version) {
        return Err(UninstallError::Later { component: later.clone() });
    }
    let earlier = folders.iter().rev().find(|(version, _)| *version < identity.version);
    let (earlier, store) = match earlier {
        Some((_, folder)) => (Some(component(folder, disk)?), folder.as_str()),
        None => (None, ""),
    };
    let mut edits = files(&newer, earlier.as_ref(), store, disk)?;
    edits.extend(registry(&newer, earlier.as_ref(), disk)?);
    Ok(edits)
}

fn component(folder: &str, disk: &mut dyn Offline) -> Result<Component, UninstallError> {
    let path = format!("{MANIFESTS}\\{folder}.manifest");
    let missing = || UninstallError::NotInStore { object: C.path(&path) };
    let (bytes, _) = disk.read_file(C, &path)?.ok_or_else(missing)?;
    Component::parse(&bytes)
        .map_err(|source| UninstallError::Servicing { object: C.path(&path), source })
}

fn files(
    newer: &Component,
    earlier: Option<&Component>,
    store: &str,
    disk: &mut dyn Offline,
) -> Result<Vec<Edit>, UninstallError> {
    let mut edits = Vec::new();
    for file in earlier.iter().flat_map(|earlier| &earlier.files) {
        let kept = format!("{STORE}\\{store}\\{}", file.name);
        let missing = || UninstallError::NotInStore { object: C.path(&kept) };
        let (bytes, modified): FileState = disk.read_file(C, &kept)?.ok_or_else(missing)?;
        edits.push(Edit::WriteFile { volume: C, path: file.path(), bytes, modified });
    }
    for file in &newer.files {
        let path = file.path();
        let stays = |edit: &Edit| matches!(edit, Edit::WriteFile { path: kept, .. } if kept.eq_ignore_ascii_case(&path));
        if !edits.iter().any(stays) && disk.read_file(C, &path)?.is_some() {
            edits.push(Edit::RemoveFile { volume: C, path });
        }
    }
    Ok(edits)
}

fn registry(
    newer: &Component,
    earlier: Option<&Component>,
    disk: &mut dyn Offline,
) -> Result<Vec<Edit>, UninstallError> {
    let mut edits = Vec::new();
    let mut gone: Vec<(HiveName, String)> = Vec::new();
    let place = |path: &str, disk: &mut dyn Offline| {
        let (hive, key) =
            hive_of(path).ok_or_else(|| UninstallError::Key { key: path.to_owned() })?;
        Ok::<_, UninstallError>((hive, real_key(hive, &key, disk)?))
    };
    let kept = |path: &str| {
        let mut keys = earlier.iter().flat_map(|earlier| &earlier.keys);
        keys.find(|key| key.path.eq_ignore_ascii_case(path))
    };
    for key in &newer.keys {
        let (hive, at) = place(&key.path, disk)?;
        let Some(before) = kept(&key.path) else {
            gone.push((hive, at));
            continue;
        };
        for (name, _) in &key.values {
            let has = |(known, _): &(String, _)| known.eq_ignore_ascii_case(name);
            if !before.values.iter().any(has) && disk.read_value(hive, &at, name)?.is_some() {
                edits.push(Edit::RemoveValue { hive, key: at.clone(), name: name.clone() });
            }
        }
    }
    for key in earlier.iter().flat_map(|earlier| &earlier.keys) {
        let (hive, at) = place(&key.path, disk)?;
        for (name, data) in &key.values {
            let (key, name, value) = (at.clone(), name.clone(), value_of(data));
            edits.push(Edit::SetValue { hive, key, name, value });
        }
    }
    // A key goes with all that is below it.
    for (hive, key) in &gone {
        let above = |(other, above): &(HiveName, String)| {
            let start =
                key.get(..above.len()).is_some_and(|start| start.eq_ignore_ascii_case(above));
            other == hive && start && key[above.len()..].starts_with('\\')
        };
        if !gone.iter().any(above) && disk.key_exists(*hive, key)? {
            edits.push(Edit::RemoveKey { hive: *hive, key: key.clone() });
        }
    }
    Ok(edits)
}

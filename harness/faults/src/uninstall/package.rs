//! A package: what its components have in place becomes what the store has of them in an earlier version, and the
//! package is no longer installed (windows-facts 4.5).

use scenario::LATEST;
use winfmt::paths::same_name;
use winfmt::servicing::{
    Component, ComponentKey, INSTALLED, Identity, MANIFESTS, PACKAGES, Package, STORE, package_key,
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
    let mut steps: Vec<Step> = Vec::new();
    for identity in &package.components {
        // Several updates of a package may bring the same one.
        if !steps.iter().any(|step| step.newer.identity.is_same(identity)) {
            steps.push(back(identity, disk)?);
        }
    }
    let mut edits = Vec::new();
    for step in &steps {
        edits.extend(files(step, disk)?);
    }
    edits.extend(registry(&steps, disk)?);
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

/// A component of the package, and what it becomes.
struct Step {
    newer: Component,
    /// The version before it, where the store has one.
    earlier: Option<Earlier>,
}

struct Earlier {
    component: Component,
    /// Its folder of the store.
    folder: String,
}

/// What the store has of a component, and of an earlier version of it.
fn back(identity: &Identity, disk: &mut dyn Offline) -> Result<Step, UninstallError> {
    let mut folders: Vec<([u16; 4], String)> = Vec::new();
    for file in disk.file_names(C, MANIFESTS)? {
        let Some((folder, "manifest")) = file.rsplit_once('.') else { continue };
        if let Some(version) = identity.version_in(folder) {
            folders.push((version, folder.to_owned()));
        }
    }
    folders.sort();
    let mut newer = None;
    for (version, folder) in folders.into_iter().rev() {
        // The store does not say whether that is in place, or was and is no longer.
        if version > identity.version {
            return Err(UninstallError::Later { component: folder });
        }
        let component = component(&folder, disk)?;
        // A folder has long names shortened, so that it may be another component's.
        if !component.identity.is_same(&Identity { version, ..identity.clone() }) {
            continue;
        }
        newer = match newer {
            None if version == identity.version => Some(component),
            None => break,
            Some(newer) => return Ok(Step { newer, earlier: Some(Earlier { component, folder }) }),
        };
    }
    let missing = || UninstallError::NotInStore { object: identity.folder(0) };
    Ok(Step { newer: newer.ok_or_else(missing)?, earlier: None })
}

fn component(folder: &str, disk: &mut dyn Offline) -> Result<Component, UninstallError> {
    let path = format!("{MANIFESTS}\\{folder}.manifest");
    let missing = || UninstallError::NotInStore { object: C.path(&path) };
    let (bytes, _) = disk.read_file(C, &path)?.ok_or_else(missing)?;
    Component::parse(&bytes)
        .map_err(|source| UninstallError::Servicing { object: C.path(&path), source })
}

fn files(step: &Step, disk: &mut dyn Offline) -> Result<Vec<Edit>, UninstallError> {
    let mut edits = Vec::new();
    if let Some(Earlier { component, folder }) = &step.earlier {
        for file in &component.files {
            let kept = format!("{STORE}\\{folder}\\{}", file.name);
            let missing = || UninstallError::NotInStore { object: C.path(&kept) };
            let (bytes, modified): FileState = disk.read_file(C, &kept)?.ok_or_else(missing)?;
            edits.push(Edit::WriteFile { volume: C, path: file.path(), bytes, modified });
        }
    }
    for file in &step.newer.files {
        let path = file.path();
        if disk.read_file(C, &path)?.is_some() {
            edits.push(Edit::RemoveFile { volume: C, path });
        }
    }
    Ok(edits)
}

/// A key of the registry, folded for comparing.
type Key = (HiveName, String);

/// The values of the package become those of the earlier versions. A key goes only where nothing is left in it: another
/// update, or somebody else, may have put something there.
fn registry(steps: &[Step], disk: &mut dyn Offline) -> Result<Vec<Edit>, UninstallError> {
    let mut set = Vec::new();
    let mut stays: Vec<Key> = Vec::new();
    for key in steps.iter().filter_map(|step| step.earlier.as_ref()).flat_map(keys) {
        let (hive, at) = place(&key.path, disk)?;
        stays.push((hive, at.to_lowercase()));
        for (name, data) in &key.values {
            let (key, name, value) = (at.clone(), name.clone(), value_of(data));
            set.push(Edit::SetValue { hive, key, name, value });
        }
    }
    let mut removed = Vec::new();
    let mut candidates: Vec<(Key, String)> = Vec::new();
    for key in steps.iter().flat_map(|step| &step.newer.keys) {
        let (hive, at) = place(&key.path, disk)?;
        for (name, _) in &key.values {
            if disk.read_value(hive, &at, name)?.is_some() {
                let (key, name) = (at.clone(), name.clone());
                removed.push(Edit::RemoveValue { hive, key, name });
            }
        }
        candidates.push(((hive, at.to_lowercase()), at));
    }
    // What lies below comes first.
    candidates.sort_by_key(|((_, key), _)| std::cmp::Reverse(key.matches('\\').count()));
    let mut empty: Vec<(Key, String)> = Vec::new();
    let is_empty = |empty: &[(Key, String)], hive: HiveName, key: &str| {
        empty.iter().any(|((own, known), _)| *own == hive && *known == key.to_lowercase())
    };
    for ((hive, key), shown) in candidates {
        let Some(entries) = disk.key_entries(hive, &key)? else { continue };
        let goes = |name: &String| {
            removed.iter().any(|edit| {
                matches!(edit, Edit::RemoveValue { hive: own, key: at, name: known }
                    if *own == hive && at.to_lowercase() == key && same_name(known, name))
            })
        };
        let below = |name: &String| is_empty(&empty, hive, &format!("{key}\\{name}"));
        let kept = |(own, kept): &Key| *own == hive && is_at_or_below(kept, &key);
        let left = !entries.values.iter().all(goes) || !entries.keys.iter().all(below);
        if !left && !stays.iter().any(kept) {
            empty.push(((hive, key), shown));
        }
    }
    // A key goes with its values, and with all that is below it.
    removed.retain(
        |edit| !matches!(edit, Edit::RemoveValue { hive, key, .. } if is_empty(&empty, *hive, key)),
    );
    let mut edits = removed;
    for ((hive, _), key) in &empty {
        let above = key.rsplit_once('\\').map(|(above, _)| above);
        if !above.is_some_and(|above| is_empty(&empty, *hive, above)) {
            edits.push(Edit::RemoveKey { hive: *hive, key: key.clone() });
        }
    }
    edits.extend(set);
    Ok(edits)
}

fn keys(earlier: &Earlier) -> &[ComponentKey] {
    &earlier.component.keys
}

fn place(path: &str, disk: &mut dyn Offline) -> Result<(HiveName, String), UninstallError> {
    let (hive, key) = hive_of(path).ok_or_else(|| UninstallError::Key { key: path.to_owned() })?;
    Ok((hive, real_key(hive, &key, disk)?))
}

fn is_at_or_below(key: &str, above: &str) -> bool {
    key.strip_prefix(above).is_some_and(|rest| rest.is_empty() || rest.starts_with('\\'))
}

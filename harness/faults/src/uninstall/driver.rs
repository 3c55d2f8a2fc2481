//! A driver package: what its INF put in place goes, and the package leaves the driver store, as `dism /image
//! /remove-driver` and `pnputil /delete-driver /uninstall` do it. Where the store has another package of the same name,
//! that one is in place afterwards.

use scenario::Arch;

use super::error::UninstallError;
use super::pending::with_texts;
use crate::inf::{self, Inf, Installation, Target};
use crate::plan::{
    Change, DRIVER_DATABASE, DRIVER_STORE, Edit, HiveName, Offline, PUBLISHED, VolumeRole,
    published_number, real_key,
};

const C: VolumeRole = VolumeRole::Windows;

/// A package of the driver store.
struct Published {
    /// Its number in `oemN.inf`.
    number: u32,
    /// That name.
    name: String,
    /// Its folder in the store.
    folder: String,
    installation: Installation,
}

/// Takes the package back whose INF its vendor called `inf`; of several the one that came last.
pub(super) fn remove(
    inf: &str,
    build: Option<u32>,
    disk: &mut dyn Offline,
) -> Result<Vec<Change>, UninstallError> {
    let mut packages = published(inf, build, disk)?;
    packages.sort_by_key(|package| package.number);
    let last = packages.pop();
    let last = last.ok_or_else(|| UninstallError::NoDriver { inf: inf.to_owned() })?;
    let before = packages.pop();
    // Two packages with the same INF share a folder, which then no longer has the files of the earlier one.
    if let Some(before) =
        before.as_ref().filter(|before| before.folder.eq_ignore_ascii_case(&last.folder))
    {
        let (name, folder) = (before.name.clone(), last.folder.clone());
        return Err(UninstallError::SharedFolder { name, folder });
    }
    let taken = removed(&last.installation, before.as_ref(), disk)?;
    let mut changes: Vec<Change> = taken.into_iter().map(Change::from).collect();
    if let Some(before) = &before {
        changes.extend(in_place(before, disk)?);
    }
    let path = format!("{PUBLISHED}\\{}", last.name);
    let mut edits = vec![Edit::RemoveFile { volume: C, path }];
    let folder = format!("{DRIVER_STORE}\\{}", last.folder);
    if disk.folder_exists(C, &folder)? {
        edits.push(Edit::RemoveFolder { volume: C, path: folder });
    }
    for key in [
        format!("{DRIVER_DATABASE}\\DriverInfFiles\\{}", last.name),
        format!("{DRIVER_DATABASE}\\DriverPackages\\{}", last.folder),
    ] {
        if disk.key_exists(HiveName::System, &key)? {
            edits.push(Edit::RemoveKey { hive: HiveName::System, key });
        }
    }
    changes.extend(edits.into_iter().map(Change::from));
    Ok(changes)
}

/// The packages of this name.
fn published(
    inf: &str,
    build: Option<u32>,
    disk: &mut dyn Offline,
) -> Result<Vec<Published>, UninstallError> {
    let mut packages = Vec::new();
    for name in disk.file_names(C, PUBLISHED)? {
        let Some(number) = published_number(&name) else { continue };
        let key = format!("{DRIVER_DATABASE}\\DriverInfFiles\\{name}");
        let folders = disk.read_value(HiveName::System, &key, "")?;
        let folder = folders.and_then(|value| value.as_texts()?.into_iter().next());
        let Some(folder) = folder.filter(|folder| !folder.contains(['\\', '/', ':'])) else {
            continue;
        };
        let Some((original, rest)) =
            split(&folder).filter(|(own, _)| own.eq_ignore_ascii_case(inf))
        else {
            continue;
        };
        let path = format!("{PUBLISHED}\\{name}");
        let Some((bytes, _)) = disk.read_file(C, &path)? else { continue };
        let parsed = Inf::parse(original, &bytes)?;
        let arch = if rest.starts_with("x86_") { Arch::X86 } else { Arch::X86_64 };
        let installation = inf::installation(&parsed, None, Target { arch, build })?;
        packages.push(Published { number, name, folder: folder.clone(), installation });
    }
    Ok(packages)
}

/// The name of the INF that a folder of the store is called after, and what follows it.
fn split(folder: &str) -> Option<(&str, &str)> {
    let at = folder.to_ascii_lowercase().find(".inf_")?;
    Some((folder.get(..at + ".inf".len())?, folder.get(at + ".inf_".len()..)?))
}

/// What an installation put in place, without what another one puts there.
fn removed(
    installation: &Installation,
    before: Option<&Published>,
    disk: &mut dyn Offline,
) -> Result<Vec<Edit>, UninstallError> {
    let stays = before.map(|before| before.installation.clone()).unwrap_or_default();
    let mut edits = Vec::new();
    for (_, path) in &installation.files {
        let in_store = path
            .get(..DRIVER_STORE.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(DRIVER_STORE));
        let kept = stays.files.iter().any(|(_, to)| to.eq_ignore_ascii_case(path));
        if !in_store && !kept && disk.read_file(C, path)?.is_some() {
            edits.push(Edit::RemoveFile { volume: C, path: path.clone() });
        }
    }
    let mut gone = Vec::new();
    for service in &installation.services {
        let kept = stays.services.iter().any(|own| own.eq_ignore_ascii_case(service));
        let key = format!("CurrentControlSet\\Services\\{service}");
        let key = real_key(HiveName::System, &key, disk)?;
        if !kept && disk.key_exists(HiveName::System, &key)? {
            gone.push(key.clone());
            edits.push(Edit::RemoveKey { hive: HiveName::System, key });
        }
    }
    for (hive, key, name, value, append) in &installation.values {
        let key = real_key(*hive, key, disk)?;
        let below = |gone: &String| {
            let start = key.get(..gone.len()).is_some_and(|start| start.eq_ignore_ascii_case(gone));
            start && matches!(key.as_bytes().get(gone.len()), None | Some(b'\\'))
        };
        if gone.iter().any(below) {
            continue;
        }
        let Some(there) = disk.read_value(*hive, &key, name)? else { continue };
        match (append, there.as_texts(), value.as_texts()) {
            (true, Some(texts), Some(added)) => {
                let rest: Vec<String> =
                    texts.iter().filter(|text| !added.contains(text)).cloned().collect();
                if rest != texts {
                    edits.push(with_texts(*hive, &key, name, &rest));
                }
            }
            // What somebody has set anew since is not the package's.
            _ if there == *value => {
                edits.push(Edit::RemoveValue { hive: *hive, key, name: name.clone() });
            }
            _ => {}
        }
    }
    Ok(edits)
}

/// What a package puts in place, from its folder of the store.
fn in_place(package: &Published, disk: &mut dyn Offline) -> Result<Vec<Change>, UninstallError> {
    inf::edits(&package.installation, None, |name| {
        let path = format!("{DRIVER_STORE}\\{}\\{name}", package.folder);
        let missing = || UninstallError::NotInStore { object: C.path(&path) };
        disk.read_file(C, &path)?.map(|(bytes, _)| bytes).ok_or_else(missing)
    })
}

//! All that a scenario takes back, as one plan.

use std::collections::{BTreeMap, BTreeSet};

use scenario::{Layer, UninstallUpdate};

use super::error::UninstallError;
use super::{driver, package, pending};
use crate::plan::{Change, Edit, Offline, Origin, StagePlan, StagedEdit};

/// Plans it for this powered-off disk. `build` is that of its Windows, where it is known.
///
/// # Errors
/// Something is not there, or the disk does not have it in a form that can be taken back from outside.
pub fn uninstall(
    what: &UninstallUpdate,
    build: Option<u32>,
    disk: &mut dyn Offline,
) -> Result<StagePlan, UninstallError> {
    let mut changes: Vec<Change> = Vec::new();
    if what.pending_actions {
        changes.extend(pending::revert(disk)?.into_iter().map(Change::from));
    }
    if let Some(wanted) = &what.package {
        let edits = package::remove(wanted, what.pending_actions, disk)?;
        changes.extend(edits.into_iter().map(Change::from));
    }
    if let Some(inf) = &what.driver {
        changes.extend(driver::remove(inf, build, disk)?);
    }
    let origin = Origin::Layer(Layer::UninstallUpdate);
    let staged = |change| StagedEdit { origin: origin.clone(), change };
    let changes = each_once(changes)?;
    Ok(StagePlan { staged: changes.into_iter().map(staged).collect(), online: Vec::new() })
}

/// What several components, or a package and a driver, have in common is changed once: nothing can be removed twice. What
/// one of them puts back stays, whatever another one had there.
fn each_once(changes: Vec<Change>) -> Result<Vec<Change>, UninstallError> {
    let mut written: BTreeMap<String, &[u8]> = BTreeMap::new();
    let mut set: Vec<String> = Vec::new();
    for change in &changes {
        match change {
            Change::Edit(edit @ Edit::WriteFile { bytes, .. }) => {
                let before = written.insert(object(edit), bytes);
                if before.is_some_and(|before| before != bytes) {
                    return Err(UninstallError::Twice { object: edit.object() });
                }
            }
            Change::Edit(edit @ Edit::SetValue { .. }) => set.push(object(edit)),
            _ => {}
        }
    }
    let stays = |edit: &Edit| {
        let object = object(edit);
        let below = format!("{object}\\");
        match edit {
            Edit::RemoveFile { .. } => written.contains_key(&object),
            Edit::RemoveFolder { .. } => written.keys().any(|path| path.starts_with(&below)),
            Edit::RemoveValue { .. } => set.contains(&object),
            Edit::RemoveKey { .. } => set.iter().any(|value| value.starts_with(&below)),
            _ => false,
        }
    };
    let mut done = BTreeSet::new();
    let mut once = |change: &Change| match change {
        Change::Edit(
            edit @ (Edit::RemoveFile { .. }
            | Edit::RemoveFolder { .. }
            | Edit::RemoveValue { .. }
            | Edit::RemoveKey { .. }),
        ) => !stays(edit) && done.insert(object(edit)),
        Change::Edit(edit @ Edit::WriteFile { .. }) => done.insert(object(edit)),
        _ => true,
    };
    let kept: Vec<bool> = changes.iter().map(&mut once).collect();
    Ok(changes.into_iter().zip(kept).filter_map(|(change, kept)| kept.then_some(change)).collect())
}

/// What an edit changes, the same for names that are the same to Windows.
fn object(edit: &Edit) -> String {
    edit.object().to_lowercase()
}

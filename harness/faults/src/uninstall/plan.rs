//! All that a scenario takes back, as one plan.

use scenario::{Layer, UninstallUpdate};

use super::error::UninstallError;
use super::{driver, package, pending};
use crate::plan::{Change, Offline, Origin, StagePlan, StagedEdit};

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
    Ok(StagePlan { staged: changes.into_iter().map(staged).collect(), online: Vec::new() })
}

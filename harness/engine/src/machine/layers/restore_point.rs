//! `restore-point`: registry and system files as they were before anything went wrong.

use disk::{Access, OfflineDisk};
use faults::{Change, Origin, StagePlan, StagedEdit};
use timeline::Layer;

use super::Worked;
use crate::machine::control_error::ControlError;
use crate::machine::controller::MachineController;
use crate::offline::{WindowsDisk, back_to, noise};

/// So many lines of proof are recorded; a real system may have thousands.
const PROOF: usize = 100;

impl MachineController<'_> {
    /// Takes registry and system files back. That the earlier point cannot be had, or one of the disks be worked on, is no
    /// word about the product: the point is made here, and only that nothing differs is a layer that failed.
    pub(super) async fn restore_point(&self) -> Result<Worked, ControlError> {
        let Some(what) = self.context.scenario.restore_point else {
            return Ok(Worked::Failed("the scenario has no restore point".to_owned()));
        };
        let (point, scratch) =
            (self.context.earlier_disk().await?, self.context.session.scratch.clone());
        let starting = self.context.prepared.starting();
        let drives = self.context.prepared.drives.clone();
        let noise = noise(&self.context.prepared.profile);
        let restored = self
            .edit_disk(move |windows| {
                let opened = OfflineDisk::open_overlay(&point, Access::ReadWrite, &scratch)?;
                let mut earlier =
                    WindowsDisk::new(opened.starting(starting)?, None)?.with_drives(drives);
                // It may have been frozen while it ran.
                earlier
                    .accept_crash_state()
                    .map_err(Box::new)
                    .map_err(|source| disk::DiskError::Volume { path: point, source })?;
                let edits = back_to(what, windows, &mut earlier, &noise)?;
                earlier.into_disk().close()?;
                let origin = Origin::Layer(Layer::RestorePoint);
                let staged =
                    |edit| StagedEdit { origin: origin.clone(), change: Change::Edit(edit) };
                let staged = edits.into_iter().map(staged).collect();
                Ok(StagePlan { staged, online: Vec::new() }.apply_for_good(windows)?)
            })
            .await?;
        Ok(match restored {
            (_, proof) if proof.is_empty() => {
                let what =
                    if what.files { "registry and system files are" } else { "the registry is" };
                Worked::Failed(format!("{what} as at that point already"))
            }
            (given_up, mut proof) => {
                let more = proof.len().saturating_sub(PROOF);
                proof.truncate(PROOF);
                proof.extend((more > 0).then(|| format!("and {more} more, each read back")));
                Worked::Done(given_up.into_iter().chain(proof).collect::<Vec<_>>().join("; "))
            }
        })
    }
}

//! Putting what a scenario gives onto the parts of a machine that is off.

use std::path::Path;

use disk::{Access, DiskError, OfflineDisk, create_overlay};
use faults::{Origin, StagePlan};

use super::before::Before;
use super::machine_files::{MachineFiles, copy_directory, copy_writable};
use super::windows_disk::WindowsDisk;
use crate::error::RunError;
use crate::preflight::{Lack, NotApplicable, Prepared};

/// What was put on a disk, each with what was read back of it.
pub(crate) type Landed = Vec<(Origin, Vec<String>)>;
/// The Windows volume as it was staged, and what landed on it.
pub(crate) type Staged = (Before, Landed);

impl Prepared {
    /// Makes the parts of a machine of the image: an overlay, variables and TPM state of its own.
    pub(crate) fn lay_out(&self, parts: &MachineFiles) -> Result<(), RunError> {
        create_overlay(&parts.disk, &self.image.disk()).map_err(DiskError::from)?;
        if let (Some(from), Some(to)) = (self.image.firmware_vars(), &parts.variables) {
            copy_writable(&from, to)?;
        }
        if let Some(to) = &parts.tpm {
            fs_err::create_dir_all(to)?;
            if let Some(from) = self.image.tpm_state() {
                copy_directory(&from, to)?;
            }
        }
        Ok(())
    }

    /// Puts what a plan stages onto a machine that is off. Gives the Windows volume as it is then, and what
    /// was read back.
    pub(crate) fn stage_onto(
        &self,
        stage: &StagePlan,
        parts: &MachineFiles,
        scratch: &Path,
    ) -> Result<Staged, RunError> {
        let disk = &parts.disk;
        let opened = OfflineDisk::open_overlay(disk, Access::ReadWrite, scratch)?;
        let mut windows = opened
            .starting(self.starting())
            .and_then(|opened| WindowsDisk::new(opened, self.plan.clock))
            .map_err(|error| self.not_editable(error))?
            .with(parts)
            .with_drives(self.drives.clone());
        let mut applied = stage.apply(&mut windows)?;
        if let Some((_, proof)) = applied.landed.first_mut() {
            proof.splice(0..0, windows.replayed());
        }
        let before = Before::read(windows.windows(), &self.profile)
            .map_err(Box::new)
            .map_err(|source| DiskError::Volume { path: disk.clone(), source })?;
        windows.into_disk().close()?;
        Ok((before, applied.landed))
    }

    /// What the image's disk lacks is the image's matter, not the host's: nothing else would run on it either.
    fn not_editable(&self, error: DiskError) -> RunError {
        let (lacks, found) = match error {
            DiskError::NoVolume { what, found, .. } => (format!("has no {what}"), found),
            DiskError::Uncertain { what, reason, remedy, .. } => {
                (format!("has several candidates for {what}"), format!("{reason}; {remedy}"))
            }
            DiskError::Unreadable { number, reason, .. } => {
                (format!("has no partition {number}"), reason)
            }
            other => return other.into(),
        };
        let why = format!("it {lacks} that can be edited offline: {found}");
        let remedy = "use an image whose disk has one, not encrypted and shut down in good order";
        RunError::NotApplicable(Box::new(NotApplicable {
            scenario: self.plan.scenario.clone(),
            image: self.plan.image.clone(),
            image_line: self.plan.image_line.clone(),
            image_is_model: self.profile.is_model,
            lacks: vec![Lack::new("offline-edits", why, remedy)],
        }))
    }
}

//! The disk of a machine that is off: edited, or only looked at.

use disk::{Access, OfflineDisk};

use crate::error::RunError;
use crate::machine::controller::MachineController;
use crate::offline::WindowsDisk;

impl MachineController<'_> {
    /// Opens the disk for `edit`, as a crash may have left it, and closes it again. With what `edit` gives comes what
    /// was given up and what was carried out of logs by taking the disk so, for people.
    pub(super) async fn edit_disk<T: Send + 'static>(
        &self,
        edit: impl FnOnce(&mut WindowsDisk) -> Result<T, RunError> + Send + 'static,
    ) -> Result<(Vec<String>, T), RunError> {
        let (disk, scratch) =
            (self.starting_point.spec.disk.clone(), self.context.session.scratch.clone());
        let clock = self.starting_point.spec.clock;
        let starting = self.context.prepared.starting();
        let drives = self.context.prepared.drives.clone();
        let editing = move || {
            let opened = OfflineDisk::open_overlay(&disk, Access::ReadWrite, &scratch)?
                .starting(starting)?;
            let mut windows = WindowsDisk::new(opened, clock)?.with_drives(drives);
            let given_up = windows
                .accept_crash_state()
                .map_err(Box::new)
                .map_err(|source| disk::DiskError::Volume { path: disk.clone(), source })?;
            let done = edit(&mut windows)?;
            let told = given_up.into_iter().chain(windows.replayed()).collect();
            windows.into_disk().close()?;
            Ok((told, done))
        };
        self.context.jobs.blocking(editing).await
    }

    /// Opens the disk for reading only.
    pub(super) async fn look_at_disk<T: Send + 'static>(
        &self,
        look: impl FnOnce(&mut WindowsDisk) -> Result<T, RunError> + Send + 'static,
    ) -> Result<T, RunError> {
        let (disk, scratch) =
            (self.starting_point.spec.disk.clone(), self.context.session.scratch.clone());
        let starting = self.context.prepared.starting();
        let drives = self.context.prepared.drives.clone();
        let looking = move || {
            let opened =
                OfflineDisk::open_overlay(&disk, Access::ReadOnly, &scratch)?.starting(starting)?;
            look(&mut WindowsDisk::new(opened, None)?.with_drives(drives))
        };
        self.context.jobs.blocking(looking).await
    }
}

//! The disk of a machine that is off: edited, or only looked at.

use disk::{Access, OfflineDisk};

use crate::error::RunError;
use crate::machine::controller::MachineController;
use crate::offline::WindowsDisk;

impl MachineController<'_> {
    /// Opens the disk for `edit`, as a crash may have left it, and closes it again. With what `edit` gives comes what
    /// was given up by taking the disk so, for people.
    pub(super) async fn edit_disk<T: Send + 'static>(
        &self,
        edit: impl FnOnce(&mut WindowsDisk) -> Result<T, RunError> + Send + 'static,
    ) -> Result<(Option<String>, T), RunError> {
        let (disk, scratch) =
            (self.starting_point.spec.disk.clone(), self.context.session.scratch.clone());
        let clock = self.starting_point.spec.clock;
        let editing = move || {
            let opened = OfflineDisk::open_overlay(&disk, Access::ReadWrite, &scratch)?;
            let mut windows = WindowsDisk::new(opened, clock)?;
            let given_up = windows
                .accept_crash_state()
                .map_err(Box::new)
                .map_err(|source| disk::DiskError::Volume { path: disk.clone(), source })?;
            let done = edit(&mut windows)?;
            windows.into_disk().close()?;
            Ok((given_up, done))
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
        let looking = move || {
            let opened = OfflineDisk::open_overlay(&disk, Access::ReadOnly, &scratch)?;
            look(&mut WindowsDisk::new(opened, None)?)
        };
        self.context.jobs.blocking(looking).await
    }
}

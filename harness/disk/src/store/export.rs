//! An image, or its disk, brought out again.

use std::path::Path;

use fs_err as fs;

use crate::store::bundle::{Image, MANIFEST, TPM};
use crate::store::catalogue::Store;
use crate::store::convert::{Watch, convert_out, copy_file};
use crate::store::error::StoreError;
use crate::store::source::{DiskFormat, DiskSource};

impl Store {
    /// Writes an image as a bundle into the new directory `to`: whole or not at all. Taken in again it
    /// has the same digest.
    ///
    /// # Errors
    /// [`StoreError::Exists`], [`StoreError::NoRoom`], [`StoreError::Interrupted`].
    pub fn export(&self, image: &Image, to: &Path, watch: Watch<'_>) -> Result<(), StoreError> {
        if to.exists() {
            return Err(StoreError::Exists(to.to_path_buf()));
        }
        let partial = tempfile::Builder::new().prefix(".export-").tempdir_in(folder_of(to)?)?;
        if image.tpm_state().is_some() {
            fs::create_dir(partial.path().join(TPM))?;
        }
        for file in image.manifest.files.keys().map(String::as_str).chain([MANIFEST]) {
            let from = image.directory.join(file);
            copy_file(&from, &partial.path().join(file), "copying", watch)?;
        }
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        fs::set_permissions(partial.path(), mode)?;
        // A rename onto an empty directory would succeed; that nothing is there was looked at before.
        fs::rename(partial.path(), to)?;
        let _ = partial.keep();
        Ok(())
    }

    /// Writes an image's disk to the new file `to` in another format: whole or not at all.
    ///
    /// # Errors
    /// As [`Store::export`].
    pub fn export_disk(
        &self,
        image: &Image,
        to: &Path,
        format: DiskFormat,
        watch: Watch<'_>,
    ) -> Result<(), StoreError> {
        if to.exists() {
            return Err(StoreError::Exists(to.to_path_buf()));
        }
        let partial = tempfile::Builder::new().prefix(".export-").tempdir_in(folder_of(to)?)?;
        let file = partial.path().join("disk");
        if format == DiskFormat::Qcow2 {
            copy_file(&image.disk(), &file, "copying", watch)?;
        } else {
            convert_out(&DiskSource::probe(&image.disk())?, &file, format, watch)?;
        }
        // Unlike a rename, this never takes the place of a file that came to be meanwhile.
        match fs::hard_link(&file, to) {
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
                Err(StoreError::Exists(to.to_path_buf()))
            }
            // A file system without hard links.
            Err(_) => Ok(fs::rename(&file, to)?),
            Ok(()) => Ok(()),
        }
    }
}

fn folder_of(path: &Path) -> Result<&Path, StoreError> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    fs::create_dir_all(folder)?;
    Ok(folder)
}

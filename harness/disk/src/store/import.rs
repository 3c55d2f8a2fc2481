//! An image put together and sealed.
//!
//! A [`Draft`] is begun from a disk file, a bundle or another image, completed (profile, firmware
//! variables, TPM state, qualification), and kept under a name. A draft that is dropped leaves nothing.

use std::collections::BTreeMap;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use fs_err as fs;

use crate::overlay::check_qcow2;
use crate::store::bundle::{
    DISK, FileRecord, IMAGE_FORMAT, Image, MANIFEST, Manifest, PROFILE, QUALIFICATION,
    SourceRecord, TPM, VARS, files_below, read_manifest, tpm_files,
};
use crate::store::catalogue::Store;
use crate::store::convert::{Watch, convert_in, copy_file, hash_file, unwatched};
use crate::store::error::StoreError;
use crate::store::lock::{Partial, StoreLock};
use crate::store::source::{DiskFormat, DiskSource, SourceError};

/// Firmware variables and TPM state are kilobytes; what is much more is neither.
const SMALL: u64 = 64 << 20;

/// An image that is put together.
#[derive(Debug)]
pub struct Draft {
    partial: Partial,
    source: Option<SourceRecord>,
    derived_from: Option<String>,
    /// The manifest that came with a bundle: as long as nothing is changed it stays as it is, so that
    /// what was exported comes in again with the same digest.
    given: Option<Vec<u8>>,
}

impl Draft {
    /// Its disk, which may be written until the draft is kept.
    pub fn disk(&self) -> PathBuf {
        self.partial.path().join(DISK)
    }

    /// A profile, where it has one.
    pub fn profile(&self) -> Option<PathBuf> {
        self.part(PROFILE)
    }

    /// Firmware variables, where it has any.
    pub fn firmware_vars(&self) -> Option<PathBuf> {
        self.part(VARS)
    }

    /// The directory of its TPM state, where it has any.
    pub fn tpm_state(&self) -> Option<PathBuf> {
        let path = self.partial.path().join(TPM);
        path.is_dir().then_some(path)
    }

    /// What was found out about it, where that came with it.
    pub fn qualification(&self) -> Option<PathBuf> {
        self.part(QUALIFICATION)
    }

    /// What its disk was made from.
    pub fn source(&self) -> Option<&SourceRecord> {
        self.source.as_ref()
    }

    fn part(&self, name: &str) -> Option<PathBuf> {
        let path = self.partial.path().join(name);
        path.is_file().then_some(path)
    }

    /// Gives it a profile instead of what it had.
    pub fn set_profile(&mut self, text: &str) -> Result<(), StoreError> {
        self.set(PROFILE, text.as_bytes())
    }

    /// Gives it a qualification (JSON) instead of what it had.
    pub fn set_qualification(&mut self, text: &str) -> Result<(), StoreError> {
        self.set(QUALIFICATION, text.as_bytes())
    }

    /// Gives it a copy of firmware variables.
    pub fn set_firmware_vars(&mut self, from: &Path) -> Result<(), StoreError> {
        let bytes = read_small(from)?;
        self.set(VARS, &bytes)
    }

    /// Takes its firmware variables away, as a machine with a BIOS has none.
    pub fn remove_firmware_vars(&mut self) -> Result<(), StoreError> {
        if let Some(path) = self.firmware_vars() {
            self.given = None;
            fs::remove_file(path)?;
        }
        Ok(())
    }

    /// Gives it a copy of the TPM state in the directory `from`: swtpm's own, or libvirt's, which has it
    /// in a folder `tpm2`.
    pub fn set_tpm_state(&mut self, from: &Path) -> Result<(), StoreError> {
        let below = from.join("tpm2");
        let from = if below.is_dir() { below.as_path() } else { from };
        let files = tpm_files(from)?;
        if files.is_empty() {
            return Err(StoreError::BadBundle {
                bundle: from.to_path_buf(),
                what: "there is no file of TPM state in it (swtpm's are `tpm2-00.permall` and the like)".to_owned(),
            });
        }
        self.given = None;
        let directory = self.partial.path().join(TPM);
        if directory.is_dir() {
            fs::remove_dir_all(&directory)?;
        }
        fs::create_dir(&directory)?;
        for file in files {
            fs::write(directory.join(&file), read_small(&from.join(&file))?)?;
        }
        Ok(())
    }

    fn set(&mut self, name: &str, bytes: &[u8]) -> Result<(), StoreError> {
        let path = self.partial.path().join(name);
        if fs::read(&path).is_ok_and(|there| there == bytes) {
            return Ok(());
        }
        self.given = None;
        if path.exists() {
            fs::remove_file(&path)?;
        }
        Ok(fs::write(path, bytes)?)
    }
}

fn read_small(path: &Path) -> Result<Vec<u8>, StoreError> {
    let metadata = fs::metadata(path)?;
    if !metadata.is_file() || metadata.len() > SMALL {
        return Err(StoreError::BadBundle {
            bundle: path.to_path_buf(),
            what: format!("it is not a file of at most {} MiB", SMALL >> 20),
        });
    }
    Ok(fs::read(path)?)
}

impl Store {
    /// Begins an image from a disk file: qcow2 is copied, everything else converted.
    ///
    /// # Errors
    /// [`StoreError::Source`] where the file is not a disk or must not be opened;
    /// [`StoreError::NoRoom`]; [`StoreError::Interrupted`].
    pub fn draft_of_disk(&self, path: &Path, watch: Watch<'_>) -> Result<Draft, StoreError> {
        let source = DiskSource::probe(path)?;
        let partial = self.partial()?;
        let disk = partial.path().join(DISK);
        let before = identity(&source.path)?;
        if source.format == DiskFormat::Qcow2 {
            // It also fails where a machine has the disk open for writing.
            check_qcow2(&source.path)?;
        }
        let blake3 = hash_file(&source.path, "hashing", watch)?;
        if source.is_plain_qcow2 {
            copy_file(&source.path, &disk, "copying", watch)?;
        } else {
            convert_in(&source, &disk, watch)?;
        }
        let same = source.is_plain_qcow2.then_some(&blake3);
        check_disk(&disk, same, watch)?;
        if identity(&source.path)? != before {
            return Err(changed(&source.path));
        }
        let file = source.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let record = SourceRecord {
            format: source.format.as_str().to_owned(),
            file,
            size: source.file_size,
            blake3,
        };
        Ok(Draft { partial, source: Some(record), derived_from: None, given: None })
    }

    /// Begins an image from a bundle: a directory with `disk.qcow2` and what else it has of an image's
    /// parts. A `manifest.json` is held against the files.
    ///
    /// # Errors
    /// [`StoreError::Incomplete`], [`StoreError::BadBundle`], and as [`Store::draft_of_disk`].
    pub fn draft_of_bundle(&self, bundle: &Path, watch: Watch<'_>) -> Result<Draft, StoreError> {
        let from = bundle.join(DISK);
        if !from.is_file() {
            return Err(StoreError::Incomplete { bundle: bundle.to_path_buf(), part: DISK });
        }
        let given = match read_manifest(&bundle.join(MANIFEST)) {
            Ok(bytes) => Some((Manifest::parse(&bytes, &bundle.join(MANIFEST))?, bytes)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            Err(error) => return Err(error.into()),
        };
        let source = DiskSource::probe(&from)?;
        if source.format != DiskFormat::Qcow2 {
            return Err(StoreError::BadBundle {
                bundle: bundle.to_path_buf(),
                what: format!("{DISK} is {} inside", source.format.as_str()),
            });
        }
        check_qcow2(&source.path)?;
        let partial = self.partial()?;
        let before = identity(&source.path)?;
        copy_file(&source.path, &partial.path().join(DISK), "copying", watch)?;
        if identity(&source.path)? != before {
            return Err(changed(&source.path));
        }
        let mut draft = Draft { partial, source: None, derived_from: None, given: None };
        for part in [PROFILE, VARS, QUALIFICATION] {
            let path = bundle.join(part);
            if path.is_file() {
                draft.set(part, &read_small(&path)?)?;
            }
        }
        if bundle.join(TPM).is_dir() && !tpm_files(&bundle.join(TPM))?.is_empty() {
            draft.set_tpm_state(&bundle.join(TPM))?;
        }
        if let Some((manifest, bytes)) = given {
            draft.hold_against(&manifest, bundle, watch)?;
            draft.source = manifest.source;
            draft.derived_from = manifest.derived_from;
            draft.given = Some(bytes);
        } else {
            let blake3 = hash_file(&draft.disk(), "hashing", watch)?;
            draft.source = Some(SourceRecord {
                format: "bundle".to_owned(),
                file: DISK.to_owned(),
                size: source.file_size,
                blake3,
            });
        }
        Ok(draft)
    }

    /// Begins a changed copy of an image.
    pub fn draft_of_image(&self, image: &Image, watch: Watch<'_>) -> Result<Draft, StoreError> {
        let draft = self.draft_without_disk(image)?;
        copy_file(&image.disk(), &draft.disk(), "copying", watch)?;
        Ok(draft)
    }

    /// As [`Store::draft_of_image`], for a caller who writes [`Draft::disk`] anew.
    pub fn draft_without_disk(&self, image: &Image) -> Result<Draft, StoreError> {
        let mut draft = Draft {
            partial: self.partial()?,
            source: image.manifest.source.clone(),
            derived_from: Some(image.digest.clone()),
            given: None,
        };
        for part in [PROFILE, VARS, QUALIFICATION] {
            if image.manifest.files.contains_key(part) {
                draft.set(part, &read_small(&image.directory.join(part))?)?;
            }
        }
        if let Some(tpm) = image.tpm_state() {
            draft.set_tpm_state(&tpm)?;
        }
        Ok(draft)
    }

    fn partial(&self) -> Result<Partial, StoreError> {
        Partial::new(&self.root, &self.images(), ".import-")
    }

    /// Seals a draft and gives it `name`, whatever had that name before.
    ///
    /// # Errors
    /// [`StoreError::BadName`]; [`StoreError::Incomplete`] where it has no profile;
    /// [`StoreError::Interrupted`].
    pub fn keep(&self, draft: Draft, name: &str, watch: Watch<'_>) -> Result<Image, StoreError> {
        Self::check_name(name)?;
        let Draft { mut partial, source, derived_from, given } = draft;
        let path = partial.path().to_path_buf();
        for part in [DISK, PROFILE] {
            if !path.join(part).is_file() {
                return Err(StoreError::Incomplete { bundle: path, part });
            }
        }
        let mut files = BTreeMap::new();
        for file in files_below(&path)? {
            let part = path.join(&file);
            make_read_only(&part)?;
            let size = fs::metadata(&part)?.len();
            let blake3 = hash_file(&part, "sealing", watch)?;
            files.insert(file, FileRecord { size, blake3 });
        }
        let created_by = Some(concat!("loopbreak ", env!("CARGO_PKG_VERSION")).to_owned());
        let manifest = Manifest { format: IMAGE_FORMAT, created_by, source, derived_from, files };
        let text = match given {
            Some(bytes) => bytes,
            None => manifest.to_bytes()?,
        };
        fs::write(path.join(MANIFEST), &text)?;
        make_read_only(&path.join(MANIFEST))?;
        // What was written reaches the disk before it gets its name.
        for file in manifest.files.keys().map(String::as_str).chain([MANIFEST]) {
            fs::File::open(path.join(file))?.sync_all()?;
        }
        let digest = blake3::hash(&text).to_hex().to_string();
        let place = self.images().join(&digest);
        let guard = StoreLock::shared(&self.root)?;
        if !partial.settle(&place, &guard)? {
            // It is there already; where it was damaged since, this one takes its place.
            let there = self.load(&digest, name).and_then(|image| self.check_marks(&image));
            if matches!(there, Err(StoreError::Damaged { .. })) {
                partial.replace(&place, &guard)?;
            }
        }
        self.point(name, &digest)?;
        drop(guard);
        let image = self.load(&digest, name)?;
        self.check_marks(&image)?;
        Ok(image)
    }

    /// Takes a complete bundle as it is and gives it `name`. The bundle itself is left alone.
    pub fn import(&self, bundle: &Path, name: &str) -> Result<Image, StoreError> {
        Self::check_name(name)?;
        let draft = self.draft_of_bundle(bundle, &unwatched)?;
        if draft.profile().is_none() {
            return Err(StoreError::Incomplete { bundle: bundle.to_path_buf(), part: PROFILE });
        }
        self.keep(draft, name, &unwatched)
    }
}

impl Draft {
    /// Compares what was copied with the manifest that came with it.
    fn hold_against(
        &self,
        manifest: &Manifest,
        bundle: &Path,
        watch: Watch<'_>,
    ) -> Result<(), StoreError> {
        let bad = |what| StoreError::BadBundle { bundle: bundle.to_path_buf(), what };
        let there = files_below(self.partial.path())?;
        if let Some(extra) = there.iter().find(|file| !manifest.files.contains_key(*file)) {
            return Err(bad(format!("{extra} is not in its manifest")));
        }
        for (file, record) in &manifest.files {
            if !there.contains(file) {
                return Err(bad(format!("{file} is missing")));
            }
            if hash_file(&self.partial.path().join(file), "verifying", watch)? != record.blake3 {
                return Err(bad(format!("{file} is not what its manifest says")));
            }
        }
        Ok(())
    }
}

/// What a file was when it was read: size and the times of its last changes.
fn identity(path: &Path) -> std::io::Result<(u64, i64, i64, i64, i64)> {
    let it = fs::metadata(path)?;
    Ok((it.len(), it.mtime(), it.mtime_nsec(), it.ctime(), it.ctime_nsec()))
}

fn changed(path: &Path) -> StoreError {
    let cause = std::io::Error::other("it was changed while it was read; stop whoever writes it");
    SourceError::Read { path: path.to_path_buf(), cause }.into()
}

/// A copy has the hash of its original; what was converted has sound tables.
fn check_disk(disk: &Path, hash: Option<&String>, watch: Watch<'_>) -> Result<(), StoreError> {
    let Some(hash) = hash else { return Ok(check_qcow2(disk)?) };
    if hash_file(disk, "checking the copy", watch)? == *hash {
        return Ok(());
    }
    Err(std::io::Error::other(format!("{} was not copied faithfully", disk.display())).into())
}

pub(crate) fn make_read_only(path: &Path) -> Result<(), StoreError> {
    Ok(fs::set_permissions(path, std::fs::Permissions::from_mode(0o444))?)
}

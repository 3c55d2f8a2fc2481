//! What nobody needs any more.

use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use fs_err as fs;
use serde::Serialize;

use crate::store::catalogue::{Store, is_digest};
use crate::store::checkpoint::image_of;
use crate::store::error::StoreError;
use crate::store::lock::{StoreLock, lock_directory};

/// One thing that nobody needs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Garbage {
    /// What it is.
    pub kind: GarbageKind,
    /// Its digest or key, or the name of its directory.
    pub name: String,
    /// Where it lies.
    pub path: PathBuf,
    /// Bytes on the disk that it takes.
    pub bytes: u64,
    /// Why nobody needs it.
    pub why: String,
}

/// Kinds of garbage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum GarbageKind {
    /// An image that no name, no checkpoint and no run refers to.
    Image,
    /// A checkpoint whose image is gone.
    Checkpoint,
    /// What an import that was killed left behind.
    PartialImport,
    /// What the making of a checkpoint that was killed left behind.
    PartialCheckpoint,
    /// A note about an image that is gone.
    Seal,
}

impl GarbageKind {
    /// For people.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Image => "image",
            Self::Checkpoint => "checkpoint",
            Self::PartialImport => "partial import",
            Self::PartialCheckpoint => "partial checkpoint",
            Self::Seal => "seal",
        }
    }
}

impl Store {
    /// Finds what nobody needs, and removes it unless `dry_run`. `in_use` are the digests of images that
    /// kept runs refer to. What is being put together by a process that lives is left alone.
    pub fn collect_garbage(
        &self,
        in_use: &BTreeSet<String>,
        dry_run: bool,
    ) -> Result<Vec<Garbage>, StoreError> {
        let _guard = StoreLock::exclusive(&self.root)?;
        let mut found = self.partials(&self.images(), GarbageKind::PartialImport)?;
        found.extend(self.partials(&self.checkpoints(), GarbageKind::PartialCheckpoint)?);
        let images: BTreeSet<String> = self.digests()?.into_iter().collect();
        let mut needed: BTreeSet<String> = self.pointers()?.into_values().collect();
        needed.extend(in_use.iter().cloned());
        for entry in fs::read_dir(self.checkpoints())? {
            let path = entry?.path();
            let name = file_name(&path);
            if name.starts_with('.') {
                continue;
            }
            match image_of(&path) {
                Some(image) if images.contains(&image) => {
                    needed.insert(image);
                }
                Some(image) => {
                    let why = format!("image {image:.12} is gone");
                    found.push(garbage(GarbageKind::Checkpoint, path, why)?);
                }
                None => {
                    let why = "its disk does not say which image it lies on".to_owned();
                    found.push(garbage(GarbageKind::Checkpoint, path, why)?);
                }
            }
        }
        for digest in images.difference(&needed) {
            let why = "no name, checkpoint or run refers to it".to_owned();
            found.push(garbage(GarbageKind::Image, self.images().join(digest), why)?);
        }
        found.extend(self.stale_seals(&images)?);
        if !dry_run {
            for one in &found {
                match one.kind {
                    GarbageKind::Image => self.remove_image(&one.name)?,
                    GarbageKind::Seal => fs::remove_file(&one.path)?,
                    _ => fs::remove_dir_all(&one.path)?,
                }
            }
        }
        Ok(found)
    }

    /// Hidden directories that nobody holds.
    fn partials(&self, parent: &Path, kind: GarbageKind) -> Result<Vec<Garbage>, StoreError> {
        let mut found = Vec::new();
        for entry in fs::read_dir(parent)? {
            let path = entry?.path();
            if file_name(&path).starts_with('.')
                && path.is_dir()
                && lock_directory(&path)?.is_some()
            {
                found.push(garbage(kind, path, "whoever made it is gone".to_owned())?);
            }
        }
        Ok(found)
    }

    fn stale_seals(&self, images: &BTreeSet<String>) -> Result<Vec<Garbage>, StoreError> {
        let mut found = Vec::new();
        let directory = self.root.join("seals");
        if !directory.is_dir() {
            return Ok(found);
        }
        for entry in fs::read_dir(directory)? {
            let path = entry?.path();
            let digest = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            if is_digest(&digest) && !images.contains(&digest) {
                found.push(garbage(GarbageKind::Seal, path, "its image is gone".to_owned())?);
            }
        }
        Ok(found)
    }
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn garbage(kind: GarbageKind, path: PathBuf, why: String) -> Result<Garbage, StoreError> {
    let name = match kind {
        GarbageKind::Seal => path.file_stem().unwrap_or_default().to_string_lossy().into_owned(),
        _ => file_name(&path),
    };
    Ok(Garbage { kind, name, bytes: bytes_below(&path)?, path, why })
}

/// Bytes on the disk of all files at and below `path`. At most a bundle's depth.
fn bytes_below(path: &Path) -> std::io::Result<u64> {
    let metadata = fs::symlink_metadata(path)?;
    if !metadata.is_dir() {
        return Ok(metadata.blocks().saturating_mul(512));
    }
    let mut sum = 0u64;
    for entry in fs::read_dir(path)? {
        sum = sum.saturating_add(bytes_below(&entry?.path())?);
    }
    Ok(sum)
}

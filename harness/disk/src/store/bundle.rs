//! What an image consists of.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use fs_err as fs;
use serde::{Deserialize, Serialize};

use crate::store::error::StoreError;

/// Version of the manifest that is written. Format 1, which had neither source nor TPM state, is read.
pub const IMAGE_FORMAT: u32 = 2;
/// The file whose digest is the image's.
pub(crate) const MANIFEST: &str = "manifest.json";
pub(crate) const DISK: &str = "disk.qcow2";
pub(crate) const VARS: &str = "vars.fd";
pub(crate) const PROFILE: &str = "profile.toml";
pub(crate) const QUALIFICATION: &str = "qualification.json";
pub(crate) const TPM: &str = "tpm";
/// Files of a TPM's state: swtpm keeps three. The rest is room for others.
const TPM_FILES: usize = 32;
/// A manifest is a few hundred bytes.
const MANIFEST_MAX: u64 = 1 << 20;

/// `manifest.json` of an image. It holds no time: the same input gives the same digest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Manifest {
    /// [`IMAGE_FORMAT`].
    pub format: u32,
    /// Program and version that sealed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_by: Option<String>,
    /// What its disk was made from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<SourceRecord>,
    /// The image that it is a changed copy of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub derived_from: Option<String>,
    /// Its files, by name; `/` separates folders.
    pub files: BTreeMap<String, FileRecord>,
}

/// What an image's disk was made from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct SourceRecord {
    /// `qcow2`, `raw`, `vhd`, `vhdx`, `vmdk`, or `bundle` for a disk that came in a bundle.
    pub format: String,
    /// The file's name, without its folder.
    pub file: String,
    /// Bytes.
    pub size: u64,
    /// BLAKE3, hex.
    pub blake3: String,
}

/// One file of an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileRecord {
    /// Bytes.
    pub size: u64,
    /// BLAKE3, hex.
    pub blake3: String,
}

impl Manifest {
    /// Parses a manifest that may come from anywhere; `path` is only for messages.
    pub(crate) fn parse(bytes: &[u8], path: &Path) -> Result<Self, StoreError> {
        let bad = |what: String| StoreError::BadBundle { bundle: path.to_path_buf(), what };
        #[derive(Deserialize)]
        struct Version {
            format: u32,
        }
        // The version comes first: a newer manifest may have keys that are unknown here.
        let version: Version = serde_json::from_slice(bytes).map_err(|e| bad(e.to_string()))?;
        if !(1..=IMAGE_FORMAT).contains(&version.format) {
            let (path, found) = (path.to_path_buf(), version.format);
            return Err(StoreError::Format { path, found, newest: IMAGE_FORMAT });
        }
        let manifest: Self = serde_json::from_slice(bytes).map_err(|e| bad(e.to_string()))?;
        if let Some(name) = manifest.files.keys().find(|name| !is_part(name)) {
            return Err(bad(format!("`{name}` is not part of an image")));
        }
        for part in [DISK, PROFILE] {
            if !manifest.files.contains_key(part) {
                return Err(bad(format!("{part} is missing in its manifest")));
            }
        }
        Ok(manifest)
    }

    /// As it is written.
    pub(crate) fn to_bytes(&self) -> Result<Vec<u8>, StoreError> {
        let mut text = serde_json::to_vec_pretty(self).map_err(std::io::Error::from)?;
        text.push(b'\n');
        Ok(text)
    }
}

/// Reads a manifest's bytes, as long as it is no longer than one can be.
pub(crate) fn read_manifest(path: &Path) -> std::io::Result<Vec<u8>> {
    if fs::metadata(path)?.len() > MANIFEST_MAX {
        return Err(std::io::Error::other(format!("{} is too long", path.display())));
    }
    fs::read(path)
}

/// Whether an image may have a file of this name. Nothing else ever becomes a path.
fn is_part(name: &str) -> bool {
    // `facts.json` was allowed in format 1.
    [DISK, VARS, PROFILE, QUALIFICATION, "facts.json"].contains(&name)
        || name.strip_prefix("tpm/").is_some_and(is_tpm_file)
}

/// Names of files of TPM state, as swtpm has them: `tpm2-00.permall` and the like.
pub(crate) fn is_tpm_file(name: &str) -> bool {
    (1..=64).contains(&name.len())
        && name.starts_with("tpm")
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte))
}

/// The files in a directory of TPM state, sorted. Sockets, locks and hidden files are left out.
pub(crate) fn tpm_files(directory: &Path) -> Result<Vec<String>, StoreError> {
    let mut names = Vec::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if entry.file_type()?.is_file() && is_tpm_file(&name) {
            names.push(name);
        }
        if names.len() > TPM_FILES {
            return Err(StoreError::BadBundle {
                bundle: directory.to_path_buf(),
                what: format!("more than {TPM_FILES} files are not TPM state"),
            });
        }
    }
    names.sort();
    Ok(names)
}

/// The names of all files below `directory`, as a manifest names them.
pub(crate) fn files_below(directory: &Path) -> std::io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name == TPM && entry.file_type()?.is_dir() {
            for file in fs::read_dir(entry.path())? {
                names.push(format!("{TPM}/{}", file?.file_name().to_string_lossy()));
            }
        } else {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

/// An image in the store.
#[derive(Debug, Clone)]
pub struct Image {
    /// Digest of its manifest, hex.
    pub digest: String,
    /// The name it was found by, else the beginning of its digest.
    pub name: String,
    pub(crate) directory: PathBuf,
    pub(crate) manifest: Manifest,
}

impl Image {
    /// Its disk. Only ever a backing file.
    pub fn disk(&self) -> PathBuf {
        self.directory.join(DISK)
    }

    /// Its firmware variables, to be copied.
    pub fn firmware_vars(&self) -> Option<PathBuf> {
        self.part(VARS)
    }

    /// The directory of its TPM state, to be copied.
    pub fn tpm_state(&self) -> Option<PathBuf> {
        let has = self.manifest.files.keys().any(|name| name.starts_with("tpm/"));
        has.then(|| self.directory.join(TPM))
    }

    /// Its machine profile.
    pub fn profile(&self) -> PathBuf {
        self.directory.join(PROFILE)
    }

    /// What was found out about it when it was imported, JSON.
    pub fn qualification(&self) -> Option<PathBuf> {
        self.part(QUALIFICATION)
    }

    fn part(&self, name: &str) -> Option<PathBuf> {
        self.manifest.files.contains_key(name).then(|| self.directory.join(name))
    }

    /// Its manifest.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Bytes that its files take.
    pub fn size(&self) -> u64 {
        self.manifest.files.values().map(|file| file.size).sum()
    }
}

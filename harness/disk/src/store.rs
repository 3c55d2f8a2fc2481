//! The store: sealed images and checkpoints, read-only for ever, addressed by digest.
//!
//! An image is a bundle: `disk.qcow2`, `vars.fd` where the firmware is UEFI, `profile.toml`, and
//! `manifest.json`, whose digest is the image's. Names are pointers: `names/<name>` holds a digest. All
//! changes are a rename of something complete, so two processes may use one store.

use std::collections::BTreeMap;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use fs_err as fs;
use serde::{Deserialize, Serialize};

/// Version of the bundle's manifest.
pub const IMAGE_FORMAT: u32 = 1;
const MANIFEST: &str = "manifest.json";
/// What a bundle may hold, and whether it must.
const PARTS: [(&str, bool); 4] =
    [("disk.qcow2", true), ("profile.toml", true), ("vars.fd", false), ("facts.json", false)];

/// The store cannot do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// No such image.
    #[error(
        "no image `{name}` in the store {store}; there is: {known}. `scripts/build` makes `understudy`, `loopbreak image import` takes others"
    )]
    NoImage {
        /// What was asked for.
        name: String,
        /// The store.
        store: PathBuf,
        /// The names it has.
        known: String,
    },
    /// A digest that several images begin with.
    #[error("several images begin with `{0}`; give more of the digest")]
    Ambiguous(String),
    /// A name that cannot be one.
    #[error(
        "`{0}` cannot be an image's name: lower-case letters, digits, hyphens and dots, at most 64"
    )]
    BadName(String),
    /// A bundle lacks a part.
    #[error("{bundle} is no image bundle: {part} is missing")]
    Incomplete {
        /// The bundle.
        bundle: PathBuf,
        /// What it lacks.
        part: &'static str,
    },
    /// An image is not what its manifest says.
    #[error(
        "image {digest} is damaged: {what}; remove it with `loopbreak image rm {digest}` and import it again"
    )]
    Damaged {
        /// Its digest.
        digest: String,
        /// What is wrong.
        what: String,
    },
    /// A newer format.
    #[error("{path} has format {found}; this loopbreak reads {IMAGE_FORMAT}")]
    Format {
        /// The manifest.
        path: PathBuf,
        /// Its format.
        found: u32,
    },
    /// The system refused.
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

impl StoreError {
    /// True where the request was wrong, not the host.
    pub fn is_usage(&self) -> bool {
        !matches!(self, Self::Io(_))
    }
}

/// `manifest.json` of an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// [`IMAGE_FORMAT`].
    pub format: u32,
    /// Its files, by name.
    pub files: BTreeMap<String, FileRecord>,
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

/// An image in the store.
#[derive(Debug, Clone)]
pub struct Image {
    /// Digest of its manifest, hex.
    pub digest: String,
    /// The name it was found by, else the beginning of its digest.
    pub name: String,
    directory: PathBuf,
    manifest: Manifest,
}

impl Image {
    /// Its disk. Only ever a backing file.
    pub fn disk(&self) -> PathBuf {
        self.directory.join("disk.qcow2")
    }

    /// Its firmware variables, to be copied.
    pub fn firmware_vars(&self) -> Option<PathBuf> {
        self.manifest.files.contains_key("vars.fd").then(|| self.directory.join("vars.fd"))
    }

    /// Its machine profile.
    pub fn profile(&self) -> PathBuf {
        self.directory.join("profile.toml")
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

/// A frozen machine in the store: what later runs are forked from.
#[derive(Debug, Clone)]
pub struct StoredCheckpoint {
    directory: PathBuf,
}

impl StoredCheckpoint {
    /// RAM and devices, libvirt's save format.
    pub fn ram(&self) -> PathBuf {
        self.directory.join("ram")
    }

    /// The disk; only ever a backing file.
    pub fn disk(&self) -> PathBuf {
        self.directory.join("disk.qcow2")
    }

    /// Firmware variables, to be copied.
    pub fn firmware_vars(&self) -> PathBuf {
        self.directory.join("vars.fd")
    }

    /// TPM state, to be copied.
    pub fn tpm_state(&self) -> PathBuf {
        self.directory.join("tpm")
    }

    /// What whoever made it wants to know again.
    pub fn facts(&self) -> PathBuf {
        self.directory.join("facts.json")
    }
}

/// The store.
#[derive(Debug, Clone)]
pub struct Store {
    root: PathBuf,
}

impl Store {
    /// Opens the store in the state directory `state`, making what is missing.
    pub fn open(state: &Path) -> Result<Self, StoreError> {
        let store = Self { root: state.to_path_buf() };
        for directory in ["images", "names", "checkpoints"] {
            fs::create_dir_all(store.root.join(directory))?;
        }
        Ok(store)
    }

    /// All images that have a name, by name.
    pub fn list(&self) -> Result<Vec<Image>, StoreError> {
        let mut names = Vec::new();
        for entry in fs::read_dir(self.root.join("names"))? {
            names.push(entry?.file_name().to_string_lossy().into_owned());
        }
        names.sort();
        names.iter().filter(|name| is_name(name)).map(|name| self.image(name)).collect()
    }

    /// Finds an image by name or by the beginning of its digest (at least 6 characters).
    pub fn image(&self, name: &str) -> Result<Image, StoreError> {
        if is_name(name)
            && let Ok(digest) = fs::read_to_string(self.root.join("names").join(name))
        {
            return self.load(digest.trim(), name);
        }
        let hex = name.len() >= 6 && name.bytes().all(|byte| byte.is_ascii_hexdigit());
        let mut found = Vec::new();
        for entry in fs::read_dir(self.root.join("images"))? {
            let digest = entry?.file_name().to_string_lossy().into_owned();
            if hex && digest.starts_with(name) {
                found.push(digest);
            }
        }
        match found.as_slice() {
            [digest] => self.load(digest, &digest[..12.min(digest.len())]),
            [] => Err(self.no_image(name)),
            _ => Err(StoreError::Ambiguous(name.to_owned())),
        }
    }

    fn no_image(&self, name: &str) -> StoreError {
        let known = self.list().unwrap_or_default();
        let known: Vec<String> = known.into_iter().map(|image| image.name).collect();
        let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
        StoreError::NoImage { name: name.to_owned(), store: self.root.clone(), known }
    }

    fn load(&self, digest: &str, name: &str) -> Result<Image, StoreError> {
        let directory = self.root.join("images").join(digest);
        let path = directory.join(MANIFEST);
        let damaged = |what: String| StoreError::Damaged { digest: digest.to_owned(), what };
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Err(damaged("its manifest is missing".to_owned()));
            }
            Err(error) => return Err(error.into()),
        };
        if blake3::hash(&text).to_hex().as_str() != digest {
            return Err(damaged("its manifest was changed".to_owned()));
        }
        let manifest: Manifest =
            serde_json::from_slice(&text).map_err(|error| damaged(error.to_string()))?;
        if manifest.format != IMAGE_FORMAT {
            return Err(StoreError::Format { path, found: manifest.format });
        }
        // Sizes are cheap to check each time; the contents are checked by `verify`.
        for (file, record) in &manifest.files {
            let size = fs::metadata(directory.join(file)).map(|metadata| metadata.len());
            match size {
                Ok(size) if size == record.size => {}
                Ok(size) => {
                    return Err(damaged(format!("{file} has {size} bytes, not {}", record.size)));
                }
                Err(_) => return Err(damaged(format!("{file} is missing"))),
            }
        }
        Ok(Image { digest: digest.to_owned(), name: name.to_owned(), directory, manifest })
    }

    /// Reads an image whole and compares it with its manifest.
    pub fn verify(&self, image: &Image) -> Result<(), StoreError> {
        for (file, record) in &image.manifest.files {
            if hash_file(&image.directory.join(file))? != record.blake3 {
                return Err(StoreError::Damaged {
                    digest: image.digest.clone(),
                    what: format!("the contents of {file} were changed"),
                });
            }
        }
        Ok(())
    }

    /// Takes the bundle in the directory `bundle` and gives it `name`. The bundle itself is left alone.
    pub fn import(&self, bundle: &Path, name: &str) -> Result<Image, StoreError> {
        if !is_name(name) {
            return Err(StoreError::BadName(name.to_owned()));
        }
        let partial =
            tempfile::Builder::new().prefix(".import-").tempdir_in(self.root.join("images"))?;
        let mut files = BTreeMap::new();
        for (part, needed) in PARTS {
            let from = bundle.join(part);
            if !from.is_file() {
                if needed {
                    return Err(StoreError::Incomplete { bundle: bundle.to_path_buf(), part });
                }
                continue;
            }
            let to = partial.path().join(part);
            reflink_copy::reflink_or_copy(&from, &to)?;
            seal(&to)?;
            let size = fs::metadata(&to)?.len();
            files.insert(part.to_owned(), FileRecord { size, blake3: hash_file(&to)? });
        }
        let manifest = Manifest { format: IMAGE_FORMAT, files };
        let mut text = serde_json::to_vec_pretty(&manifest).map_err(std::io::Error::from)?;
        text.push(b'\n');
        let path = partial.path().join(MANIFEST);
        fs::write(&path, &text)?;
        seal(&path)?;
        let digest = blake3::hash(&text).to_hex().to_string();
        settle(partial, &self.root.join("images").join(&digest))?;
        let pointer = tempfile::NamedTempFile::new_in(self.root.join("names"))?;
        fs::write(pointer.path(), &digest)?;
        pointer
            .persist(self.root.join("names").join(name))
            .map_err(|error| StoreError::Io(error.error))?;
        self.load(&digest, name)
    }

    /// Removes an image and the names that point at it. What was forked from it can no longer run.
    pub fn remove(&self, name: &str) -> Result<(), StoreError> {
        let digest = match self.image(name) {
            Ok(image) => image.digest,
            Err(StoreError::Damaged { digest, .. }) => digest,
            Err(error) => return Err(error),
        };
        for entry in fs::read_dir(self.root.join("names"))? {
            let path = entry?.path();
            if fs::read_to_string(&path).is_ok_and(|pointer| pointer.trim() == digest) {
                fs::remove_file(path)?;
            }
        }
        fs::remove_dir_all(self.root.join("images").join(digest))?;
        Ok(())
    }

    /// The checkpoint with this key, if there is one.
    pub fn checkpoint(&self, key: &str) -> Option<StoredCheckpoint> {
        let directory = self.root.join("checkpoints").join(key);
        directory.join("facts.json").is_file().then_some(StoredCheckpoint { directory })
    }

    /// A directory in which to put a checkpoint together: `ram`, `disk.qcow2`, `vars.fd`, `tpm/`,
    /// `facts.json`. Gone again unless [`Store::keep_checkpoint`] takes it.
    pub fn new_checkpoint(&self) -> Result<tempfile::TempDir, StoreError> {
        let partial =
            tempfile::Builder::new().prefix(".new-").tempdir_in(self.root.join("checkpoints"))?;
        Ok(partial)
    }

    /// Seals a checkpoint that was put together. If another process was first, its one is kept.
    pub fn keep_checkpoint(
        &self,
        key: &str,
        partial: tempfile::TempDir,
    ) -> Result<StoredCheckpoint, StoreError> {
        let directory = self.root.join("checkpoints").join(key);
        for part in ["ram", "disk.qcow2", "vars.fd", "facts.json"] {
            let path = partial.path().join(part);
            if path.is_file() {
                seal(&path)?;
            }
        }
        settle(partial, &directory)?;
        Ok(StoredCheckpoint { directory })
    }

    /// Removes a checkpoint, for example one that a newer emulator does not take.
    pub fn remove_checkpoint(&self, checkpoint: StoredCheckpoint) -> Result<(), StoreError> {
        Ok(fs::remove_dir_all(checkpoint.directory)?)
    }
}

fn is_name(name: &str) -> bool {
    (1..=64).contains(&name.len())
        && !name.starts_with('.')
        && name
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-.".contains(&byte))
}

/// Puts a complete directory in its place, unless the same thing is there already.
fn settle(partial: tempfile::TempDir, place: &Path) -> Result<(), StoreError> {
    match fs::rename(partial.path(), place) {
        Ok(()) => {
            // It has moved: there is nothing left to remove.
            let _ = partial.keep();
            fs::set_permissions(place, std::fs::Permissions::from_mode(0o755))?;
            Ok(())
        }
        Err(_) if place.is_dir() => Ok(()),
        Err(error) => Err(error.into()),
    }
}

fn seal(path: &Path) -> Result<(), StoreError> {
    Ok(fs::set_permissions(path, std::fs::Permissions::from_mode(0o444))?)
}

fn hash_file(path: &Path) -> Result<String, StoreError> {
    let mut file = fs::File::open(path)?;
    let mut hasher = blake3::Hasher::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hasher.finalize().to_hex().to_string()),
            read => hasher.update(&buffer[..read]),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bundle(disk: &[u8]) -> tempfile::TempDir {
        let bundle = tempfile::tempdir().unwrap();
        std::fs::write(bundle.path().join("disk.qcow2"), disk).unwrap();
        std::fs::write(bundle.path().join("profile.toml"), "format = 1").unwrap();
        bundle
    }

    #[test]
    fn the_same_bundle_has_the_same_digest_and_another_has_another() {
        let state = tempfile::tempdir().unwrap();
        let store = Store::open(state.path()).unwrap();
        let one = store.import(bundle(b"disk").path(), "one").unwrap();
        let same = store.import(bundle(b"disk").path(), "same").unwrap();
        let other = store.import(bundle(b"other disk").path(), "other").unwrap();
        assert_eq!(one.digest, same.digest);
        assert_ne!(one.digest, other.digest);
        assert_eq!(store.image(&other.digest[..8]).unwrap().digest, other.digest);
        let names: Vec<String> =
            store.list().unwrap().into_iter().map(|image| image.name).collect();
        assert_eq!(names, ["one", "other", "same"]);
        assert!(one.firmware_vars().is_none());
    }

    #[test]
    fn damage_is_found() {
        let state = tempfile::tempdir().unwrap();
        let store = Store::open(state.path()).unwrap();
        let image = store.import(bundle(b"disk").path(), "image").unwrap();
        store.verify(&image).unwrap();
        let disk = image.disk();
        std::fs::set_permissions(&disk, std::fs::Permissions::from_mode(0o644)).unwrap();
        std::fs::write(&disk, b"DISK").unwrap();
        let text = store.verify(&image).unwrap_err().to_string();
        assert!(text.contains("contents of disk.qcow2 were changed"), "{text}");
        std::fs::write(&disk, b"longer than it was").unwrap();
        assert!(matches!(store.image("image"), Err(StoreError::Damaged { .. })));
        store.remove("image").unwrap();
        assert!(matches!(store.image("image"), Err(StoreError::NoImage { .. })));
    }

    #[test]
    fn names_cannot_leave_the_store() {
        let state = tempfile::tempdir().unwrap();
        let store = Store::open(state.path()).unwrap();
        for name in ["", "../x", ".x", "a/b", "A"] {
            let result = store.import(bundle(b"disk").path(), name);
            assert!(matches!(result, Err(StoreError::BadName(_))), "{name}");
            assert!(store.image(name).is_err());
        }
    }

    #[test]
    fn a_bundle_without_a_disk_leaves_nothing_behind() {
        let state = tempfile::tempdir().unwrap();
        let store = Store::open(state.path()).unwrap();
        let empty = tempfile::tempdir().unwrap();
        let result = store.import(empty.path(), "x");
        assert!(matches!(result, Err(StoreError::Incomplete { part: "disk.qcow2", .. })));
        assert_eq!(std::fs::read_dir(state.path().join("images")).unwrap().count(), 0);
    }

    #[test]
    fn a_checkpoint_is_there_when_it_is_complete() {
        let state = tempfile::tempdir().unwrap();
        let store = Store::open(state.path()).unwrap();
        let partial = store.new_checkpoint().unwrap();
        std::fs::write(partial.path().join("ram"), b"ram").unwrap();
        std::fs::write(partial.path().join("facts.json"), b"{}").unwrap();
        assert!(store.checkpoint("key").is_none());
        store.keep_checkpoint("key", partial).unwrap();
        let kept = store.checkpoint("key").unwrap();
        assert_eq!(std::fs::read(kept.ram()).unwrap(), b"ram");
        let second = store.new_checkpoint().unwrap();
        std::fs::write(second.path().join("ram"), b"other").unwrap();
        std::fs::write(second.path().join("facts.json"), b"{}").unwrap();
        store.keep_checkpoint("key", second).unwrap();
        assert_eq!(std::fs::read(kept.ram()).unwrap(), b"ram");
        store.remove_checkpoint(kept).unwrap();
        assert!(store.checkpoint("key").is_none());
    }
}

//! Finding images, checking them, naming and removing them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use fs_err as fs;

use crate::store::bundle::{Image, MANIFEST, Manifest, files_below, read_manifest};
use crate::store::convert::{Watch, hash_file, tell, unwatched};
use crate::store::error::StoreError;
use crate::store::lock::{StoreLock, not_writable};
use crate::store::seal::{Mark, Seal};

/// The store.
#[derive(Debug, Clone)]
pub struct Store {
    pub(crate) root: PathBuf,
}

/// One name in the store.
#[derive(Debug)]
pub struct Listed {
    /// The name.
    pub name: String,
    /// What it points at.
    pub digest: String,
    /// The image, or what is wrong with it. Contents are not looked at; that is [`Store::verify`].
    pub image: Result<Image, StoreError>,
}

/// What a removal did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Removed {
    /// The names that are gone.
    pub names: Vec<String>,
    /// The image's digest.
    pub digest: String,
    /// Other names that the image still has; it is kept then.
    pub kept_for: Vec<String>,
}

impl Store {
    /// Opens the store in the state directory `state`, making what is missing.
    pub fn open(state: &Path) -> Result<Self, StoreError> {
        let store = Self { root: state.to_path_buf() };
        for directory in [store.images(), store.names(), store.checkpoints()] {
            fs::create_dir_all(directory).map_err(|error| not_writable(state, error))?;
        }
        Ok(store)
    }

    /// Whether `name` can be an image's name.
    ///
    /// # Errors
    /// [`StoreError::BadName`].
    pub fn check_name(name: &str) -> Result<(), StoreError> {
        if is_name(name) { Ok(()) } else { Err(StoreError::BadName(name.to_owned())) }
    }

    pub(crate) fn images(&self) -> PathBuf {
        self.root.join("images")
    }

    pub(crate) fn names(&self) -> PathBuf {
        self.root.join("names")
    }

    pub(crate) fn checkpoints(&self) -> PathBuf {
        self.root.join("checkpoints")
    }

    pub(crate) fn seal_of(&self, digest: &str) -> PathBuf {
        self.root.join("seals").join(format!("{digest}.json"))
    }

    /// All names, sorted, with their images or what is wrong with them.
    pub fn list(&self) -> Result<Vec<Listed>, StoreError> {
        let pointers = self.pointers()?;
        let listed = pointers.into_iter().map(|(name, digest)| {
            let image = self.load(&digest, &name);
            Listed { name, digest, image }
        });
        Ok(listed.collect())
    }

    /// Every name with the digest it points at.
    pub(crate) fn pointers(&self) -> Result<BTreeMap<String, String>, StoreError> {
        let mut pointers = BTreeMap::new();
        for entry in fs::read_dir(self.names())? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if !is_name(&name) {
                continue;
            }
            match fs::read_to_string(entry.path()) {
                Ok(digest) => {
                    pointers.insert(name, digest.trim().to_owned());
                }
                // Removed since it was listed.
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(pointers)
    }

    /// The digests of all images that are there, named or not.
    pub(crate) fn digests(&self) -> Result<Vec<String>, StoreError> {
        let mut digests = Vec::new();
        for entry in fs::read_dir(self.images())? {
            let name = entry?.file_name().to_string_lossy().into_owned();
            if is_digest(&name) {
                digests.push(name);
            }
        }
        digests.sort();
        Ok(digests)
    }

    /// Finds an image by name or by the beginning of its digest (at least 6 characters), and makes sure
    /// that it is what was sealed: by the noted times of its files, by hashing those that have others.
    ///
    /// # Errors
    /// [`StoreError::NoImage`], [`StoreError::Ambiguous`], [`StoreError::Damaged`].
    pub fn image(&self, name: &str) -> Result<Image, StoreError> {
        let (digest, name) = self.resolve(name)?;
        let image = self.load(&digest, &name)?;
        self.check_marks(&image)?;
        Ok(image)
    }

    /// As [`Store::image`], without a look at the contents.
    pub fn find(&self, name: &str) -> Result<Image, StoreError> {
        let (digest, name) = self.resolve(name)?;
        self.load(&digest, &name)
    }

    fn resolve(&self, name: &str) -> Result<(String, String), StoreError> {
        if is_name(name) {
            match fs::read_to_string(self.names().join(name)) {
                Ok(digest) if is_digest(digest.trim()) => {
                    return Ok((digest.trim().to_owned(), name.to_owned()));
                }
                Ok(_) => {
                    return Err(StoreError::Damaged {
                        digest: name.to_owned(),
                        what: vec!["its name points at nothing that is a digest".to_owned()],
                    });
                }
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => return Err(error.into()),
            }
        }
        let hex = name.len() >= 6 && name.bytes().all(|byte| byte.is_ascii_hexdigit());
        let mut found = self.digests()?;
        found.retain(|digest| hex && digest.starts_with(name));
        match found.as_slice() {
            [digest] => Ok((digest.clone(), digest[..12].to_owned())),
            [] => Err(self.no_image(name)),
            _ => Err(StoreError::Ambiguous(name.to_owned())),
        }
    }

    fn no_image(&self, name: &str) -> StoreError {
        let known: Vec<String> = self.pointers().unwrap_or_default().into_keys().collect();
        let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
        StoreError::NoImage { name: name.to_owned(), store: self.root.clone(), known }
    }

    /// Reads an image's manifest, and compares the list and the sizes of its files with it.
    pub(crate) fn load(&self, digest: &str, name: &str) -> Result<Image, StoreError> {
        let directory = self.images().join(digest);
        let path = directory.join(MANIFEST);
        let damaged = |what| StoreError::Damaged { digest: digest.to_owned(), what };
        let text = match read_manifest(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Err(damaged(vec!["its manifest is missing".to_owned()]));
            }
            Err(error) => return Err(error.into()),
        };
        if blake3::hash(&text).to_hex().as_str() != digest {
            return Err(damaged(vec!["its manifest was changed".to_owned()]));
        }
        let manifest = Manifest::parse(&text, &path)?;
        let mut what = Vec::new();
        for (file, record) in &manifest.files {
            match fs::symlink_metadata(directory.join(file)) {
                Ok(found) if !found.is_file() => what.push(format!("{file} is not a file")),
                Ok(found) if found.len() == record.size => {}
                Ok(found) => {
                    what.push(format!("{file} has {} bytes, not {}", found.len(), record.size));
                }
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                    what.push(format!("{file} is missing"));
                }
                Err(error) => return Err(error.into()),
            }
        }
        for file in files_below(&directory)? {
            if file != MANIFEST && !manifest.files.contains_key(&file) {
                what.push(format!("{file} does not belong to it"));
            }
        }
        if !what.is_empty() {
            return Err(damaged(what));
        }
        Ok(Image { digest: digest.to_owned(), name: name.to_owned(), directory, manifest })
    }

    /// Hashes the files that are not as they were noted, and notes them again.
    pub(crate) fn check_marks(&self, image: &Image) -> Result<(), StoreError> {
        let path = self.seal_of(&image.digest);
        let noted = Seal::read(&path);
        let mut marks = BTreeMap::new();
        let mut suspects = Vec::new();
        for file in image.manifest.files.keys() {
            let mark = Mark::take(&image.directory.join(file))?;
            if !noted.as_ref().is_some_and(|seal| seal.holds(file, &mark)) {
                suspects.push(file.as_str());
            }
            marks.insert(file.clone(), mark);
        }
        if suspects.is_empty() {
            return Ok(());
        }
        self.compare(image, &suspects, &unwatched)?;
        self.note(&image.digest, marks);
        Ok(())
    }

    /// Notes the files of an image that were just found to be whole. In somebody else's store, or a full
    /// one, they are hashed again the next time.
    fn note(&self, digest: &str, marks: BTreeMap<String, Mark>) {
        let _ = Seal::new(marks).write(&self.seal_of(digest));
    }

    /// Reads an image whole and compares it with its manifest.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] names every file that is not what was sealed.
    pub fn verify(&self, image: &Image, watch: Watch<'_>) -> Result<(), StoreError> {
        // Again, because the image may have been found long ago.
        self.load(&image.digest, &image.name)?;
        let mut marks = BTreeMap::new();
        for file in image.manifest.files.keys() {
            marks.insert(file.clone(), Mark::take(&image.directory.join(file))?);
        }
        let files: Vec<&str> = image.manifest.files.keys().map(String::as_str).collect();
        self.compare(image, &files, watch)?;
        self.note(&image.digest, marks);
        Ok(())
    }

    fn compare(&self, image: &Image, files: &[&str], watch: Watch<'_>) -> Result<(), StoreError> {
        let size = |file: &str| image.manifest.files.get(file).map_or(0, |record| record.size);
        let total = files.iter().map(|file| size(file)).sum();
        let mut before = 0;
        let mut what = Vec::new();
        for file in files {
            let each = |progress: crate::store::convert::Progress| {
                watch(crate::store::convert::Progress {
                    done: before + progress.done,
                    total,
                    ..progress
                })
            };
            let hash = hash_file(&image.directory.join(file), "verifying", &each)?;
            if image.manifest.files.get(*file).is_none_or(|record| record.blake3 != hash) {
                what.push(format!("the contents of {file} were changed"));
            }
            before += size(file);
        }
        tell(watch, "verifying", total, total)?;
        if what.is_empty() {
            return Ok(());
        }
        Err(StoreError::Damaged { digest: image.digest.clone(), what })
    }

    /// Points `name` at an image, whatever it pointed at before.
    pub(crate) fn point(&self, name: &str, digest: &str) -> Result<(), StoreError> {
        let pointer = tempfile::NamedTempFile::new_in(self.names())?;
        fs::write(pointer.path(), digest)?;
        let path = self.names().join(name);
        pointer.persist(path).map_err(|error| StoreError::Io(error.error))?;
        Ok(())
    }

    /// Removes a name, and the image where it has no other; given a digest, the image and all its names.
    /// What was forked from the image can no longer run.
    pub fn remove(&self, name: &str) -> Result<Removed, StoreError> {
        let _guard = StoreLock::exclusive(&self.root)?;
        let mut pointers = self.pointers()?;
        if let Some(digest) = pointers.remove(name) {
            let kept_for: Vec<String> = names_of(&pointers, &digest);
            fs::remove_file(self.names().join(name))?;
            if kept_for.is_empty() && is_digest(&digest) {
                self.remove_image(&digest)?;
            }
            return Ok(Removed { names: vec![name.to_owned()], digest, kept_for });
        }
        let (digest, _) = self.resolve(name)?;
        let names = names_of(&pointers, &digest);
        for name in &names {
            fs::remove_file(self.names().join(name))?;
        }
        self.remove_image(&digest)?;
        Ok(Removed { names, digest, kept_for: Vec::new() })
    }

    /// Removes an image's files. The store's lock is held by the caller.
    pub(crate) fn remove_image(&self, digest: &str) -> Result<(), StoreError> {
        let _ = fs::remove_file(self.seal_of(digest));
        match fs::remove_dir_all(self.images().join(digest)) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
            result => Ok(result?),
        }
    }
}

fn names_of(pointers: &BTreeMap<String, String>, digest: &str) -> Vec<String> {
    let matching = pointers.iter().filter(|(_, pointed)| *pointed == digest);
    matching.map(|(name, _)| name.clone()).collect()
}

pub(crate) fn is_name(name: &str) -> bool {
    (1..=64).contains(&name.len())
        && !name.starts_with(['.', '-'])
        && name
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-.".contains(&byte))
}

pub(crate) fn is_digest(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

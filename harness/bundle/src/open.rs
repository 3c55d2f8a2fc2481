//! Opening a bundle that came from somebody else.

use std::collections::BTreeSet;
use std::io::{BufReader, Read, Write};
use std::path::Path;

use fs_err as fs;
use serde::Deserialize;
use sha2::{Digest, Sha256};

use crate::bounds::{Bounds, check_path};
use crate::error::BundleError;
use crate::manifest::{BUNDLE_FORMAT, FileEntry, MANIFEST, Manifest};
use crate::stage::{TRAILER, hex, trailer};

/// What zstd needs of memory for any level that does not ask for more: 2^27 bytes.
const WINDOW: u32 = 27;
/// What may follow the last file: the end of the archive.
const TAIL: u64 = 64 << 10;

/// Unpacks a bundle below `into`, an empty folder, and checks every file of it. On an error, what is there is not to be
/// used.
///
/// # Errors
/// It is no bundle, it is damaged, it is larger than `bounds`, or it holds what no bundle has.
pub fn open(bundle: &Path, bounds: &Bounds, into: &Path) -> Result<Manifest, BundleError> {
    let changed = is_changed(bundle)?;
    let manifest = unpack(bundle, bounds, into)?;
    if changed {
        // Where a file of it is damaged, that was told instead, with its name.
        let why = "it is not as it was written, though its files are".to_owned();
        return Err(BundleError::NoBundle { bundle: bundle.to_path_buf(), why });
    }
    Ok(manifest)
}

/// Whether the bytes are others than those that the digest at the end is of.
fn is_changed(bundle: &Path) -> std::io::Result<bool> {
    let mut file = fs::File::open(bundle)?;
    let size = file.metadata()?.len();
    let Some(before) = size.checked_sub(TRAILER as u64) else { return Ok(true) };
    let mut digest = Sha256::new();
    std::io::copy(&mut Read::by_ref(&mut file).take(before), &mut digest)?;
    let mut end = Vec::new();
    file.take(TRAILER as u64).read_to_end(&mut end)?;
    Ok(end != trailer(&digest.finalize()))
}

fn unpack(bundle: &Path, bounds: &Bounds, into: &Path) -> Result<Manifest, BundleError> {
    let file = fs::File::open(bundle)?;
    let no_bundle = |error: std::io::Error| BundleError::NoBundle {
        bundle: bundle.to_path_buf(),
        why: error.to_string(),
    };
    let mut decoder = zstd::stream::read::Decoder::new(file).map_err(no_bundle)?;
    decoder.window_log_max(WINDOW).map_err(no_bundle)?;
    // The reader of the archive must not swallow the end: its checksum is looked at last.
    let mut unpacked = BufReader::with_capacity(64 << 10, decoder);
    let opening = Opening { bundle, bounds, into };
    let manifest = {
        let mut archive = tar::Archive::new(&mut unpacked);
        let mut entries = archive.entries().map_err(no_bundle)?.raw(true);
        let first = entries.next().ok_or_else(|| opening.no("it is empty"))?.map_err(no_bundle)?;
        let manifest = opening.manifest(first)?;
        for file in &manifest.files {
            let entry = match entries.next() {
                Some(entry) => entry.map_err(|error| {
                    opening.damaged(&file.path, format!("cannot be read: {error}"))
                })?,
                None => return Err(opening.damaged(&file.path, "is missing".to_owned())),
            };
            opening.file(file, entry)?;
        }
        if let Some(more) = entries.next() {
            let path = name_of(&more.map_err(no_bundle)?);
            return Err(opening.refused(&path, "it is not in the manifest"));
        }
        manifest
    };
    let rest = std::io::copy(&mut unpacked.by_ref().take(TAIL + 1), &mut std::io::sink())
        .map_err(no_bundle)?;
    if rest > TAIL {
        return Err(opening.no("something follows its end"));
    }
    Ok(manifest)
}

struct Opening<'a> {
    bundle: &'a Path,
    bounds: &'a Bounds,
    into: &'a Path,
}

type Entry<'a, R> = tar::Entry<'a, R>;

fn name_of<R: Read>(entry: &Entry<'_, R>) -> String {
    String::from_utf8_lossy(&entry.path_bytes()).into_owned()
}

impl Opening<'_> {
    fn no(&self, why: &str) -> BundleError {
        BundleError::NoBundle { bundle: self.bundle.to_path_buf(), why: why.to_owned() }
    }

    fn damaged(&self, file: &str, why: String) -> BundleError {
        BundleError::Damaged { bundle: self.bundle.to_path_buf(), file: file.to_owned(), why }
    }

    fn refused(&self, file: &str, why: &str) -> BundleError {
        BundleError::Refused {
            bundle: self.bundle.to_path_buf(),
            file: file.to_owned(),
            why: why.to_owned(),
        }
    }

    fn too_large(&self, what: String, most: u64) -> BundleError {
        let advice = "`loopbreak bundle` writes none like it, so do not trust where it is from";
        BundleError::TooLarge { bundle: self.bundle.to_path_buf(), what, most, advice }
    }

    fn manifest<R: Read>(&self, entry: Entry<'_, R>) -> Result<Manifest, BundleError> {
        if name_of(&entry) != MANIFEST || entry.header().entry_type() != tar::EntryType::Regular {
            return Err(self.no("it does not begin with a manifest"));
        }
        let size = entry.size();
        if size > self.bounds.manifest {
            return Err(
                self.too_large(format!("its manifest has {size} bytes"), self.bounds.manifest)
            );
        }
        let mut text = Vec::new();
        entry.take(size).read_to_end(&mut text).map_err(|error| self.no(&error.to_string()))?;
        let malformed = |error: serde_json::Error| {
            self.damaged(MANIFEST, format!("cannot be understood: {error}"))
        };
        #[derive(Deserialize)]
        struct Head {
            format: u64,
            loopbreak: String,
        }
        let head: Head = serde_json::from_slice(&text).map_err(malformed)?;
        if head.format != BUNDLE_FORMAT {
            return Err(BundleError::OtherFormat {
                bundle: self.bundle.to_path_buf(),
                format: head.format,
                known: BUNDLE_FORMAT,
                by: words::escaped(head.loopbreak).to_string(),
            });
        }
        let manifest: Manifest = serde_json::from_slice(&text).map_err(malformed)?;
        self.check(&manifest)?;
        Ok(manifest)
    }

    /// Everything that can be said before a file is written.
    fn check(&self, manifest: &Manifest) -> Result<(), BundleError> {
        let count = manifest.files.len();
        if count > self.bounds.files {
            return Err(self.too_large(format!("it has {count} files"), self.bounds.files as u64));
        }
        let mut bytes: u64 = 0;
        let mut runs = BTreeSet::new();
        for run in &manifest.runs {
            check_path(&format!("{}/x", run.run)).map_err(|why| self.refused(&run.run, why))?;
            if run.run.contains('/') || !runs.insert(run.run.as_str()) {
                return Err(
                    self.refused(&run.run, "it is no name of a run, or there are two of it")
                );
            }
        }
        if runs.is_empty() {
            return Err(self.no("it has no run"));
        }
        let mut paths = BTreeSet::new();
        for file in &manifest.files {
            check_path(&file.path).map_err(|why| self.refused(&file.path, why))?;
            if !file.path.split('/').next().is_some_and(|run| runs.contains(run)) {
                return Err(self.refused(&file.path, "it is in no run's folder"));
            }
            if !paths.insert(file.path.as_str()) {
                return Err(self.refused(&file.path, "it is there twice"));
            }
            if file.size > self.bounds.file {
                let what = format!("`{}` has {} bytes", words::escaped(&file.path), file.size);
                return Err(self.too_large(what, self.bounds.file));
            }
            bytes = bytes.saturating_add(file.size);
        }
        for path in &paths {
            let mut above = *path;
            while let Some((folder, _)) = above.rsplit_once('/') {
                if paths.contains(folder) {
                    return Err(self.refused(folder, "it is a file and a folder"));
                }
                above = folder;
            }
        }
        if bytes > self.bounds.bytes {
            return Err(BundleError::TooLarge {
                bundle: self.bundle.to_path_buf(),
                what: format!("its files have {bytes} bytes"),
                most: self.bounds.bytes,
                advice: "`--max-size` takes more where you trust it",
            });
        }
        Ok(())
    }

    fn file<R: Read>(&self, file: &FileEntry, mut entry: Entry<'_, R>) -> Result<(), BundleError> {
        let name = name_of(&entry);
        if entry.header().entry_type() != tar::EntryType::Regular {
            return Err(self.refused(&name, "it is no plain file"));
        }
        if name != file.path {
            return Err(self.refused(
                &name,
                &format!("the manifest has `{}` in its place", words::escaped(&file.path)),
            ));
        }
        if entry.size() != file.size {
            let why = format!("has {} bytes, and the manifest says {}", entry.size(), file.size);
            return Err(self.damaged(&file.path, why));
        }
        let to = self.into.join(&file.path);
        if let Some(folder) = to.parent() {
            fs::create_dir_all(folder)?;
        }
        let mut out = fs::OpenOptions::new().write(true).create_new(true).open(&to)?;
        let mut digest = Sha256::new();
        let mut buffer = vec![0; 64 << 10];
        let mut size = 0;
        loop {
            let read = entry
                .read(&mut buffer)
                .map_err(|error| self.damaged(&file.path, format!("cannot be read: {error}")))?;
            if read == 0 {
                break;
            }
            digest.update(&buffer[..read]);
            out.write_all(&buffer[..read])?;
            size += read as u64;
        }
        if size != file.size {
            return Err(
                self.damaged(&file.path, format!("breaks off after {size} of {} bytes", file.size))
            );
        }
        if !hex(&digest.finalize()).eq_ignore_ascii_case(&file.sha256) {
            return Err(
                self.damaged(&file.path, "is not what its SHA-256 in the manifest says".to_owned())
            );
        }
        Ok(())
    }
}

//! Making a bundle.

use std::fmt::Write as _;
use std::io::Write;
use std::path::{Path, PathBuf};

use fs_err as fs;
use sha2::{Digest, Sha256};

use crate::bounds::{Bounds, LARGEST, check_path};
use crate::error::BundleError;
use crate::manifest::{BUNDLE_FORMAT, BundledRun, FileEntry, LeftOut, MANIFEST, Manifest};
use crate::redact::Redactor;

/// What zstd calls level 9: near the best, and still as fast as a disk.
const LEVEL: i32 = 9;

/// Runs as they will be in a bundle, redacted, in a folder of their own.
#[derive(Debug)]
pub struct Stage {
    folder: tempfile::TempDir,
    redactor: Redactor,
    runs: Vec<BundledRun>,
    files: Vec<FileEntry>,
    left_out: Vec<LeftOut>,
}

/// A bundle that was written.
#[derive(Debug)]
pub struct Written {
    /// What it says of itself.
    pub manifest: Manifest,
    /// Its size in bytes.
    pub size: u64,
    /// Its SHA-256, in hexadecimal.
    pub sha256: String,
}

impl Stage {
    /// An empty one.
    ///
    /// # Errors
    /// There is no place for temporary files.
    pub fn new(redactor: Redactor) -> Result<Self, BundleError> {
        let folder = tempfile::Builder::new().prefix("loopbreak-bundle-").tempdir()?;
        Ok(Self { folder, redactor, runs: Vec::new(), files: Vec::new(), left_out: Vec::new() })
    }

    /// Adds the files of a run, and gives the folder in which they are now, redacted. Links are not followed.
    ///
    /// # Errors
    /// A file cannot be read or written, the run is there already, or it has no files.
    pub fn add(
        &mut self,
        directory: &Path,
        run: &str,
        dumps: bool,
    ) -> Result<PathBuf, BundleError> {
        let staged = self.folder.path().join(run);
        if staged.exists() {
            return Err(BundleError::Twice { run: run.to_owned() });
        }
        fs::create_dir(&staged)?;
        let mut pending = vec![directory.to_path_buf()];
        let mut found = Vec::new();
        while let Some(folder) = pending.pop() {
            for entry in fs::read_dir(&folder)? {
                let entry = entry?;
                let relative =
                    entry.path().strip_prefix(directory).map(Path::to_path_buf).unwrap_or_default();
                if entry.file_type()?.is_dir() {
                    pending.push(entry.path());
                } else {
                    found.push((relative, entry));
                }
            }
        }
        // The same runs give the same bundle.
        found.sort_by(|one, other| one.0.cmp(&other.0));
        let before = self.files.len();
        for (relative, entry) in found {
            let path = format!("{run}/{}", relative.to_string_lossy());
            match why_not(&path, &relative, &entry, dumps)? {
                Some(why) => self.left_out.push(LeftOut { path, why: why.to_owned() }),
                None => self.take(&path, &entry.path())?,
            }
        }
        if self.files.len() == before {
            return Err(BundleError::Empty { run: directory.to_path_buf() });
        }
        Ok(staged)
    }

    fn take(&mut self, path: &str, from: &Path) -> Result<(), BundleError> {
        let picture = from.extension().is_some_and(|extension| extension == "png");
        let content = self.redactor.redact(fs::read(from)?, picture);
        let to = self.folder.path().join(path);
        if let Some(folder) = to.parent() {
            fs::create_dir_all(folder)?;
        }
        let sha256 = hex(&Sha256::digest(&content));
        let size = content.len() as u64;
        fs::write(&to, content)?;
        self.files.push(FileEntry { path: path.to_owned(), size, sha256 });
        Ok(())
    }

    /// Says of a run that was added what it is.
    pub fn describe(&mut self, run: BundledRun) {
        self.runs.push(run);
    }

    /// Writes the bundle, whole or not at all. It may have more bytes than [`crate::open`] takes unless it is told to, but
    /// never more files.
    ///
    /// # Errors
    /// It cannot be written, or not be opened again within `bounds`.
    pub fn write(
        self,
        output: &Path,
        loopbreak: &str,
        bounds: &Bounds,
    ) -> Result<Written, BundleError> {
        let too_much = |what: String, most: u64| {
            Err(BundleError::TooMuch { bundle: output.to_path_buf(), what, most })
        };
        if self.files.len() > bounds.files {
            return too_much(format!("it has {} files", self.files.len()), bounds.files as u64);
        }
        let manifest = Manifest {
            format: BUNDLE_FORMAT,
            loopbreak: loopbreak.to_owned(),
            runs: self.runs,
            files: self.files,
            redacted: self.redactor.found(),
            not_searched: self.redactor.not_searched(),
            left_out: self.left_out,
        };
        let text = serde_json::to_string_pretty(&manifest).map_err(std::io::Error::from)? + "\n";
        if text.len() as u64 > bounds.manifest {
            return too_much(format!("its manifest has {} bytes", text.len()), bounds.manifest);
        }
        let folder = output.parent().filter(|folder| !folder.as_os_str().is_empty());
        let mut partial = tempfile::Builder::new()
            .prefix(".bundle-")
            .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o644))
            .tempfile_in(folder.unwrap_or_else(|| Path::new(".")))?;
        let written = {
            let mut encoder = zstd::stream::write::Encoder::new(Counted::new(&mut partial), LEVEL)?;
            encoder.include_checksum(true)?;
            let mut archive = tar::Builder::new(encoder);
            archive.append(&header(MANIFEST, text.len() as u64)?, text.as_bytes())?;
            for file in &manifest.files {
                let content = fs::File::open(self.folder.path().join(&file.path))?;
                archive.append(&header(&file.path, file.size)?, content)?;
            }
            archive.into_inner()?.finish()?
        };
        let Counted { mut size, mut digest, .. } = written;
        let end = trailer(&digest.clone().finalize());
        partial.write_all(&end)?;
        digest.update(&end);
        size += end.len() as u64;
        let sha256 = hex(&digest.finalize());
        partial.as_file().sync_all()?;
        partial.persist(output).map_err(|error| error.error)?;
        Ok(Written { manifest, size, sha256 })
    }
}

/// The last bytes of a bundle: a frame that zstd skips, with the digest of all bytes before it. Without it a change that
/// leaves all files as they are would not be seen (RFC 8878, 3.1.2).
pub(crate) fn trailer(digest: &[u8]) -> Vec<u8> {
    [&SKIPPED.to_le_bytes(), &(DIGEST as u32).to_le_bytes(), digest].concat()
}

/// Bytes of a SHA-256.
const DIGEST: usize = 32;
/// The first number of a frame that is skipped.
const SKIPPED: u32 = 0x184d_2a50;
/// Bytes of [`trailer`].
pub(crate) const TRAILER: usize = 8 + DIGEST;

/// Why a file is not taken.
fn why_not(
    path: &str,
    relative: &Path,
    entry: &fs::DirEntry,
    dumps: bool,
) -> Result<Option<&'static str>, BundleError> {
    let metadata = entry.metadata()?;
    if !metadata.is_file() {
        return Ok(Some("it is no plain file"));
    }
    let disk = ["qcow2", "raw", "vhd", "vhdx"];
    if relative.extension().is_some_and(|extension| disk.iter().any(|disk| extension == *disk)) {
        return Ok(Some("it is a disk, which cannot be redacted"));
    }
    if relative.extension().is_some_and(|extension| extension == "partial") {
        return Ok(Some("it is half written"));
    }
    if !dumps && relative.starts_with("dumps") {
        return Ok(Some("dumps were not wanted"));
    }
    if metadata.len() > LARGEST {
        return Ok(Some("it is larger than 256 MiB, so it was not searched for secrets"));
    }
    if relative.to_str().is_none() || check_path(path).is_err() || header(path, 0).is_err() {
        return Ok(Some("its name cannot stand in the archive"));
    }
    Ok(None)
}

/// Always the same for the same file: no owner, no date.
pub(crate) fn header(path: &str, size: u64) -> std::io::Result<tar::Header> {
    let mut header = tar::Header::new_ustar();
    header.set_path(path)?;
    header.set_entry_type(tar::EntryType::Regular);
    header.set_mode(0o644);
    header.set_size(size);
    header.set_cksum();
    Ok(header)
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Counts and digests what is written.
struct Counted<W> {
    out: W,
    size: u64,
    digest: Sha256,
}

impl<W> Counted<W> {
    fn new(out: W) -> Self {
        Self { out, size: 0, digest: Sha256::new() }
    }
}

impl<W: Write> Write for Counted<W> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let written = self.out.write(bytes)?;
        self.digest.update(&bytes[..written]);
        self.size += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.out.flush()
    }
}

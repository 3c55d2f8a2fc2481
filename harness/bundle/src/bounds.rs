//! What a bundle may be at most, and which names its files may have.

/// Bounds that hold before anything of a bundle is written.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// The most files.
    pub files: usize,
    /// The most bytes of all files, unpacked.
    pub bytes: u64,
    /// The most bytes of one file, unpacked.
    pub file: u64,
    /// The most bytes of the manifest.
    pub manifest: u64,
}

impl Default for Bounds {
    /// A run has some hundred files and some megabytes; one with large dumps some gigabytes. A word that stands for what was
    /// redacted may be longer than that, so a file may grow a little over what is taken of a run.
    fn default() -> Self {
        Self { files: 20_000, bytes: 4 << 30, file: LARGEST + (LARGEST >> 2), manifest: 16 << 20 }
    }
}

/// A larger file of a run is left out: it would have to be searched in memory.
pub(crate) const LARGEST: u64 = 256 << 20;

/// The deepest folder: a run has two.
const DEPTH: usize = 8;
/// What common file systems take as a name, in bytes.
const NAME: usize = 255;

/// Whether a path is one that a bundle may have: relative, of plain names, and nothing in it that means something else to
/// some system.
///
/// # Errors
/// Why not.
pub(crate) fn check_path(path: &str) -> Result<(), &'static str> {
    let names: Vec<&str> = path.split('/').collect();
    if path.starts_with('/') {
        return Err("it is not relative");
    }
    if names.len() < 2 {
        return Err("it is in no run's folder");
    }
    if names.len() > DEPTH {
        return Err("it is too deep");
    }
    for name in names {
        if name.is_empty() || name == "." || name == ".." {
            return Err("it has an empty name, `.` or `..`");
        }
        if name.len() > NAME {
            return Err("a name in it is too long");
        }
        if name.contains(['\\', ':']) || name.chars().any(words::escape::is_unfit) {
            return Err("a name in it has a character that is not taken");
        }
    }
    Ok(())
}

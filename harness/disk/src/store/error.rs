//! Why the store refused.

use std::path::PathBuf;

use crate::overlay::OverlayError;
use crate::store::source::SourceError;

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
        "`{0}` cannot be an image's name: lower-case letters, digits, hyphens and dots, at most 64, not beginning with a dot"
    )]
    BadName(String),
    /// A bundle lacks a part.
    #[error("{bundle} is not an image bundle: {part} is missing")]
    Incomplete {
        /// The bundle.
        bundle: PathBuf,
        /// What it lacks.
        part: &'static str,
    },
    /// A bundle that came from elsewhere is not what its manifest says, or says what cannot be.
    #[error("{bundle} cannot be taken: {what}")]
    BadBundle {
        /// The bundle.
        bundle: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// An image is not what its manifest says.
    #[error(
        "image {digest} is damaged: {what}; import it again, which replaces it, or remove it with `loopbreak image rm {digest}`",
        what = what.join("; ")
    )]
    Damaged {
        /// Its digest.
        digest: String,
        /// What is wrong, one entry a file.
        what: Vec<String>,
    },
    /// A newer format.
    #[error(
        "{path} has format {found}; this loopbreak reads 1 to {newest}; use the loopbreak that made it, or import the disk anew"
    )]
    Format {
        /// The manifest.
        path: PathBuf,
        /// Its format.
        found: u32,
        /// The newest that is read.
        newest: u32,
    },
    /// The file to take is not a disk, or not one that can be taken.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// `qemu-img` failed.
    #[error(transparent)]
    QemuImg(#[from] OverlayError),
    /// Not enough room.
    #[error(
        "{path} has {free} MiB free and up to {needed} MiB are needed; make room (`loopbreak image gc` shows what could go), or choose another place with --state DIR"
    )]
    NoRoom {
        /// The directory to be written.
        path: PathBuf,
        /// Mebibytes.
        free: u64,
        /// Mebibytes.
        needed: u64,
    },
    /// Somebody else's store.
    #[error(
        "the store {path} belongs to user {owner} and user {user} may not write it; use a state directory of your own (--state DIR or LOOPBREAK_STATE)"
    )]
    NotWritable {
        /// The store.
        path: PathBuf,
        /// Its owner's id.
        owner: u32,
        /// The id of the user who asked.
        user: u32,
    },
    /// Something is already where the result belongs.
    #[error("{0} is already there; remove it or choose another place")]
    Exists(PathBuf),
    /// Ctrl-C. Nothing is left of it.
    #[error("interrupted; nothing of it was kept")]
    Interrupted,
    /// The system refused.
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

impl StoreError {
    /// True where the request was wrong, not the host.
    pub fn is_usage(&self) -> bool {
        match self {
            Self::Io(_) | Self::QemuImg(_) | Self::Interrupted | Self::NoRoom { .. } => false,
            Self::Source(source) => source.is_usage(),
            _ => true,
        }
    }
}

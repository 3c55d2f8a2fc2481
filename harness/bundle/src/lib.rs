//! Recorded runs in one file, to be handed to somebody else: a tar archive, compressed with zstd.
//!
//! The command `bundle` puts each run directory into a [`Stage`], which takes secrets and names of the host out by the
//! rules of [`Redactor`] and nothing else, and [`Stage::write`] makes the archive. Its first entry is the [`Manifest`]:
//! all files with size and SHA-256, and what was redacted. The command `show` gives an archive to [`open`], which trusts
//! nothing in it: every bound is checked before a byte is written, only plain files are made, in a folder of its own, and
//! a file that is not as the manifest says is refused with its name.
//!
//! The digests find damage. They do not find a forger, who can write a new manifest: for that, compare the digest of the
//! whole file, which `bundle` prints.

mod bounds;
mod error;
mod manifest;
mod open;
mod redact;
mod rules;
mod stage;

pub use bounds::Bounds;
pub use error::BundleError;
pub use manifest::{BUNDLE_FORMAT, BundledRun, FileEntry, LeftOut, Manifest, Redaction, Replay};
pub use open::open;
pub use redact::{HostNames, Redactor, words_of};
pub use stage::{Stage, Written};

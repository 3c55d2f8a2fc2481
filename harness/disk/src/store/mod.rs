//! The store: sealed images and checkpoints, read-only for ever, addressed by digest.
//!
//! An image is a bundle: `disk.qcow2`, `profile.toml`, `vars.fd` where the firmware is UEFI, `tpm/` where
//! there is a TPM, `qualification.json`, and `manifest.json`, whose digest is the image's. Names are
//! pointers: `names/<name>` holds a digest.
//!
//! | file | what |
//! |---|---|
//! | `bundle` | what an image consists of |
//! | `catalogue` | finding images, checking them, naming and removing them |
//! | `source` | what a disk file is, and whether it can be taken |
//! | `cut_off` | disk files that end before their disk does |
//! | `convert` | disk files copied or converted, with progress |
//! | `import` | an image put together and sealed |
//! | `export` | an image, or its disk, brought out again |
//! | `seal` | whether an image is still what was sealed, told cheaply |
//! | `checkpoint` | frozen machines |
//! | `garbage` | what nobody needs any more |
//! | `lock` | two processes in one store |

mod bundle;
mod catalogue;
mod checkpoint;
mod convert;
mod cut_off;
mod error;
mod export;
mod garbage;
mod import;
mod lock;
mod seal;
mod source;

pub use bundle::{FileRecord, IMAGE_FORMAT, Image, Manifest, SourceRecord};
pub use catalogue::{Listed, Removed, Store};
pub use checkpoint::StoredCheckpoint;
pub use convert::{Progress, Watch, unwatched};
pub use error::StoreError;
pub use garbage::{Garbage, GarbageKind};
pub use import::Draft;
pub use lock::Partial;
pub use source::{DiskFormat, DiskSource, SourceError};

//! What an image is, read offline: its inspection, and the qualification that is decided from it.
//!
//! Recovery that the image itself has switched off is the commonest mistake in the field, and it shows
//! only hours into a campaign. So an image is read once, when it is brought: [`inspect()`] takes its disk
//! (and firmware variables and TPM state, where the bundle has them) and says what is there.
//! [`qualify()`] decides from that alone, without touching anything, what the image can do. [`fix()`] makes
//! the edits that a person would make with `reagentc` and `bcdedit`, on a disk of its own.
//!
//! What could not be read is [`Known::Unknown`] with the reason, and never guessed; one thing that
//! cannot be read never hides the others. Everything on the disk is hostile input: the readers below are
//! bounded, and all volumes are reached through the `disk` crate.
//!
//! The store keeps a [`Qualification`] beside each image; `run` refuses a scenario whose image lacks
//! what it needs.

pub mod agent;
pub mod boot;
pub mod boot_disk;
pub mod crash;
pub mod event_log;
pub mod executable;
pub mod filters;
pub mod firmware;
pub mod history;
pub mod layout;
pub mod pending;
pub mod recovery;
pub mod recovery_image;
pub mod services;
pub mod servicing;
pub mod startup_repair;
pub mod system;
pub mod traces;

mod check;
mod default_entry;
mod drives;
mod finding;
mod fix;
mod inspect;
mod inspection;
mod known;
mod opened_disk;
mod program;
mod qualify;
mod recovery_room;
mod render;

pub use check::{Answer, Check, QUALIFICATION_FORMAT, Qualification};
pub use drives::DriveLetters;
pub use fix::{Edit, FixError, Fixed, fix};
pub use inspect::inspect;
pub use inspection::{INSPECTION_FORMAT, Inspection};
pub use known::Known;
pub use opened_disk::{HiveFacts, Source};
pub use qualify::qualify;
pub use render::{render, render_qualification};
pub use words::{CheckName, NoSuchCheck};

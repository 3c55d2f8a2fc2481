//! Taking an image in: convert, inspect, propose a machine profile, qualify, seal.
//!
//! [`prepare`] does all of it but the seal: what comes out can be shown before anything is kept.
//! [`Intake::keep`] seals it. [`inspect_file`] and [`inspect_image`] only look. [`with_profile`] and
//! [`fixed`] make a new image of one that is there.

mod error;
mod examined;
mod facts;
mod line;
mod look;
mod profile;
mod take_in;

pub use error::IntakeError;
pub use examined::Examined;
pub use facts::Facts;
pub(crate) use line::line_of;
pub use look::{inspect_file, inspect_image};
pub use profile::ProposedProfile;
pub use take_in::{Intake, IntakeOptions, fixed, prepare, with_profile};

//! What a frame of a machine's display shows.
//!
//! A machine that halts at its stop screen without a panic device and without a reset tells nobody but
//! its display (windows-facts.md section 0.1). So [`classify`] looks at a [`Frame`] and says what it is
//! and how sure that is: by its colours, by where rows of glyphs, bars and boxes lie, and by a QR code.
//! It never looks for words of any language; only the numbers of the classic stop screen, whose font is known
//! pixel by pixel, are read here. Pure and bounded: any pixels of any size give an answer.
//!
//! What another stop screen *says* takes a reader of text, which this crate is not. [`for_reading`] makes the
//! picture that such a program reads best, and [`with_text`] takes what it read, with its mistakes: names
//! of stop codes, numbers and file names are the same in every language.

mod classify;
mod frame;
mod frames;
mod glyphs;
mod ground;
mod layout;
mod pixmap;
mod qr;
mod reading;
mod text;

pub use classify::classify;
pub use frame::{Frame, FrameError};
pub use reading::{for_reading, with_text};
pub use text::{Found, read};
pub use timeline::{Certainty, Screen, ScreenKind, ScreenStop};

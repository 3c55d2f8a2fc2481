//! When something was seen.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::Event;

/// Microseconds, since the run began or of a duration. Written as a bare number.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Micros(u64);

impl Micros {
    /// So many microseconds.
    pub const fn new(us: u64) -> Self {
        Self(us)
    }

    /// As a number of microseconds.
    pub const fn get(self) -> u64 {
        self.0
    }

    /// From `earlier` to `self`; zero where the order is the other way round.
    pub const fn since(self, earlier: Self) -> Self {
        Self(self.0.saturating_sub(earlier.0))
    }

    /// Both, one after the other.
    pub const fn plus(self, more: Self) -> Self {
        Self(self.0.saturating_add(more.0))
    }
}

impl From<Micros> for Duration {
    fn from(us: Micros) -> Self {
        Self::from_micros(us.0)
    }
}

/// An event's place in the record: its number for evidence, its time for measurements.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moment {
    /// [`Event::seq`].
    pub seq: u64,
    /// Since the run began.
    pub at: Micros,
}

impl From<&Event> for Moment {
    fn from(event: &Event) -> Self {
        Self { seq: event.seq, at: Micros::new(event.at_us) }
    }
}

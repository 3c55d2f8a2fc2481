//! Is it a loop?
//!
//! A loop is a row of Windows boots that failed in the same way: the same end, in the same phase, with
//! the same signature. What belongs to a row, and what breaks it:
//!
//! - A boot that the harness reset, one that a power cut ended, and a reset that the image declares are
//!   passed over: they neither lengthen nor break a row. An operator's reset counts like the guest's own.
//! - A boot of the recovery environment is passed over too: being sent through recovery and failing
//!   again is the very loop that matters. But where a layer *changed* something, what follows is a new
//!   try, and a new row.
//! - The start of a layer is passed over: it is no start of Windows as it is.
//! - A boot that was healthy and did not fail ends the row.
//! - The boot in which a fault arrived while the machine was up fails with the same signature as the
//!   start-ups after it, but in another phase: it had been healthy. It is a failed boot, so a machine that
//!   is healthy later has *recovered*; but it is no member of the row, because the user's machine stopped
//!   once while in use, and what cannot get out by itself is the failing start-up. Counting it would also
//!   make the same fault, put there offline, a loop of another length.

use serde::{Deserialize, Serialize};

use crate::{Boot, BootKind, Change, End, Phase, Signature};

/// A row of boots that failed in the same way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Loop {
    /// The numbers of the boots.
    pub boots: Vec<u32>,
    /// How each of them ended.
    pub end: End,
    /// In which phase.
    pub phase: Phase,
    /// With what.
    pub signature: Signature,
}

impl Loop {
    fn of(boot: &Boot) -> Self {
        Self {
            boots: vec![boot.number],
            end: boot.end,
            phase: boot.reached(),
            signature: boot.signature(),
        }
    }

    fn goes_on_with(&self, boot: &Boot) -> bool {
        self.end == boot.end
            && self.phase == boot.reached()
            && self.signature.agrees_with(&boot.signature())
    }
}

/// All rows, in order. Those of a single boot are in it too.
pub fn rows(boots: &[Boot], changes: &[Change]) -> Vec<Loop> {
    let mut rows: Vec<Loop> = Vec::new();
    // The last boot of the row that is still open.
    let mut open: Option<u32> = None;
    for boot in boots {
        if boot.kind() == BootKind::Recovery || boot.during.is_some() {
            continue;
        }
        if !boot.counts_towards_a_loop() {
            if boot.is_healthy() && !boot.expected {
                open = None;
            }
            continue;
        }
        let changed = |from| changes.iter().any(|c| c.boot >= from && c.boot < boot.number);
        match rows
            .last_mut()
            .filter(|row| open.is_some_and(|last| !changed(last)) && row.goes_on_with(boot))
        {
            Some(row) => {
                row.boots.push(boot.number);
                row.signature = row.signature.joined_with(&boot.signature());
            }
            None => rows.push(Loop::of(boot)),
        }
        open = Some(boot.number);
    }
    rows
}

/// The longest row that makes a loop; of equally long ones the first.
pub fn find_loop(boots: &[Boot], changes: &[Change], loop_after: u32) -> Option<Loop> {
    let mut longest: Option<Loop> = None;
    for row in rows(boots, changes) {
        let long_enough = row.boots.len() >= loop_after.max(1) as usize;
        if long_enough && longest.as_ref().is_none_or(|known| row.boots.len() > known.boots.len()) {
            longest = Some(row);
        }
    }
    longest
}

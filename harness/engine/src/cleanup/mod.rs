//! What must not outlive a run: noted, removed, and cleaned up where the harness was killed.

mod clean;
mod ledger;

pub use clean::{CleanReport, CleanedRun, clean};
pub(crate) use ledger::Ledger;
pub use ledger::{Cleaned, Entry, Leak, LedgerError, Ledgers};

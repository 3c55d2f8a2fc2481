//! An encrypted Windows volume, as far as it is modelled: it is not encrypted, but nothing is started from
//! it unless the TPM gives out its key, or would be if somebody typed the recovery key.
//!
//! The TPM is real, and so are its registers: the firmware measures Secure Boot's variables and the boot
//! manager into them before this program runs.

mod lock;
mod tpm;

pub use lock::{Lock, seal, unlock};

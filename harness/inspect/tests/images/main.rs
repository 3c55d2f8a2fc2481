//! Whole disks, inspected, qualified and fixed.

#![expect(clippy::unwrap_used, reason = "helpers of tests; a panic is the report")]

mod facts;
mod machine;
mod qualification;

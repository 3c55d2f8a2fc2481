//! Whole disks, diagnosed.

#![expect(clippy::unwrap_used, reason = "helpers of tests; a panic is the report")]

mod broken;
#[path = "../../../inspect/tests/images/machine.rs"]
#[expect(dead_code, reason = "the tests of `inspect` use more of it")]
mod machine;
mod real;
mod recipe;

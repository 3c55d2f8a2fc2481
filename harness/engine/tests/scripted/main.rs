//! Whole runs on the scripted hypervisor: a real image, real staging, a real network and real evidence,
//! and a machine that only says what its script says. What comes of the scripts tells nothing about
//! Windows, nor about the understudy.

#![expect(clippy::unwrap_used, reason = "tests; a panic is the report")]

mod beginnings;
mod bench;
mod checkpoints;
mod failures;
mod forced_stop;
mod guest;
mod host_repair;
mod image;
mod leaks;
mod operator;
mod outcomes;
mod power;
mod restore_point;
mod system_log;
mod troubles;
mod uninstall_update;

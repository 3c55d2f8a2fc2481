//! One module a command.

pub(crate) mod bcd;
pub(crate) mod clean;
pub(crate) mod diagnose;
pub(crate) mod diff;
pub(crate) mod doctor;
pub(crate) mod driver;
pub(crate) mod dump;
pub(crate) mod explain;
pub(crate) mod fault;
pub(crate) mod fleet;
pub(crate) mod guestfs;
pub(crate) mod hive;
pub(crate) mod image;
pub(crate) mod matrix;
pub(crate) mod merge;
pub(crate) mod pending;
pub(crate) mod plan;
pub(crate) mod prune;
pub(crate) mod repeat;
pub(crate) mod report;
pub(crate) mod review;
pub(crate) mod run;
mod run_table;
pub(crate) mod runs;
pub(crate) mod scenario;
pub(crate) mod serve;
pub(crate) mod settings;

//! One module a command.

pub(crate) mod accept;
pub(crate) mod bcd;
pub(crate) mod clean;

pub(crate) mod doctor;
pub(crate) mod driver;
pub(crate) mod dump;
pub(crate) mod explain;
pub(crate) mod fault;
pub(crate) mod guestfs;
pub(crate) mod hive;
pub(crate) mod image;
pub(crate) mod plan;
pub(crate) mod repeat;
pub(crate) mod report;
pub(crate) mod run;
mod run_table;
pub(crate) mod runs;
pub(crate) mod scenario;

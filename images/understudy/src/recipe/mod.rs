//! The recipe of the disk.

pub mod cpio;
pub mod kernel_package;
pub mod pe;
pub mod uki;

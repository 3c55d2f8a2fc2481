//! The recipe of the image. Runs on the host: [`build`] makes the bundle that the harness takes into
//! its store.

mod build;
mod cpio;
mod disk;
mod hives;
mod identity;
mod kernel_package;
mod libraries;
mod pe;
mod uki;
mod variables;

/// A program of the image, for tests of what looks at programs.
#[cfg(test)]
pub(crate) fn sample_program() -> Vec<u8> {
    pe::minimal(pe::Kind::BootApplication, "winload.efi")
}

pub use build::{BuildError, Built, Inputs, build};
pub use disk::DiskError;
pub use kernel_package::KernelError;
pub use libraries::LibraryError;
pub use uki::UkiError;
pub use variables::FirstStartError;

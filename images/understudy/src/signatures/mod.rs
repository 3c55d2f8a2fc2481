//! Signatures of drivers: which files the loader and the kernel take. A check of the model's own, after
//! what is documented of Windows' (Microsoft: "Driver signing policy", "The TESTSIGNING boot
//! configuration option"); `FIDELITY.md` says where it differs.
//!
//! Both ask [`Signatures`], which is read once in a start: `testsigning` and `nointegritychecks` of the
//! boot entry that was started, the [`catalog`] of the files that came with the image, and the roots of
//! the SOFTWARE hive's certificate store. A driver's [`file`] gives its digest and the signature that is
//! embedded in it; [`embedded`] says whether that signature is good.
//!
//! Files, catalog, hive and certificates lie on the machine's disk, so all of it is hostile: what is read
//! has limits, and what is not understood is refused.

pub(crate) mod catalog;
mod check;
mod embedded;
mod file;
mod refusal;
#[cfg(test)]
mod tests;

pub use check::Signatures;
pub use refusal::Refusal;

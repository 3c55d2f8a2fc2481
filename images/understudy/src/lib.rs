//! The understudy: a small guest that behaves like Windows where loopbreak looks. It is a model of
//! Windows, not Windows; `FIDELITY.md` says what is modelled after what, and where it differs.
//!
//! One program does everything. As PID 1 of a stock Linux kernel it plays, one after the other,
//! ([`machine`] leads from stage to stage, [`windows`] through a start of Windows)
//! - the [`bootmgr`]: boot configuration, boot status, fail-over to recovery, [`encryption`];
//! - the [`loader`]: registry, order of drivers, their files;
//! - the [`kernel`]: drivers run natively in a process of their own; a fault becomes a bug check;
//! - the [`session`]: network, services, the guest [`agent`], the word that the start was good;
//! - or the [`recovery`] environment: Startup Repair and Quick Machine Recovery.
//!
//! Loader and kernel take a driver by its [`signatures`], unless the boot entry says otherwise.
//!
//! [`storage`] is what all of them read and write, [`sys`] what they take from the kernel below,
//! [`console`] the serial line by which an observer follows. The [`recipe`] runs on the host and
//! builds the disk.

pub mod agent;
pub mod bootmgr;
pub mod console;
mod drivers;
pub mod encryption;
pub mod kernel;
pub mod loader;
pub mod machine;
pub mod recipe;
pub mod recovery;
pub mod screen;
pub mod session;
pub mod signatures;
pub mod stop;
pub mod storage;
pub mod sys;
pub mod windows;

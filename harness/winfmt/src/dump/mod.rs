//! Kernel crash dumps: read by the harness, written by the understudy. Of those of 32-bit Windows and of ARM64, and of
//! what was cut off, the header is read: code, parameters and time are always there.
//!
//! A stop leaves two files: `MEMORY.DMP` (pages of physical memory behind a header and a bitmap) and
//! a small dump in `Minidump` (header and tables only). [`summarize`] tells of either what the
//! machine stopped with and which module is to blame, without symbols: it reads the header, walks the
//! loaded-module list through the page tables in the dump, and finds the module that holds the
//! faulting instruction. [`Builder`] makes both kinds from a bug check, a processor state, modules and
//! memory.
//!
//! Sources: windows-facts.md 6.4 (header offsets, from QEMU's `win_dump_defs.h` and the crate
//! `kdmp-parser`, MIT); layout of small dumps and of their driver list: the Ghidra project's
//! `pagedump` reader (Apache-2.0); debugger data block and module entries: Microsoft's public header
//! `wdbgexts.h`.

mod builder;
mod error;
mod layout;
mod memory;
mod reader;
#[cfg(test)]
mod tests;

use serde::Serialize;

use crate::FileTime;

pub use builder::{BuildError, Builder, Context, Exception, Module, Segment};
pub use error::DumpError;
pub use reader::{Dump, summarize};

/// What kind of dump a file is (`DumpType` of its header).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum DumpKind {
    /// 1: all physical memory, by runs.
    Full,
    /// 2: kernel memory, as Windows 7 and before wrote it. Only its header is read.
    Summary,
    /// 4: a small dump ("minidump"): header, module list, some memory.
    Small,
    /// 5: all memory in use, by bitmap (active and complete dumps).
    BitmapFull,
    /// 6: kernel memory, by bitmap (kernel and automatic dumps).
    BitmapKernel,
    /// 8: kernel memory, in the debugger's newer format.
    Kernel,
    /// 9: kernel and user memory, in the debugger's newer format.
    KernelAndUser,
    /// 10: all memory, in the debugger's newer format.
    Complete,
    /// Any other number. Only its header is read.
    Unknown,
}

/// The bug check of a dump.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DumpBugCheck {
    /// For example 0x50.
    pub code: u32,
    /// The name of the code, where it is known.
    pub name: Option<&'static str>,
    /// The four parameters.
    pub parameters: [u64; 4],
}

impl DumpBugCheck {
    /// What is in the place of a code where nothing was written there: the header's filling.
    const NONE: u32 = u32::from_le_bytes(*b"PAGE");

    /// False of a dump that a tool wrote from a machine that had not stopped.
    pub fn is_stop(&self) -> bool {
        self.code != Self::NONE
    }
}

/// A module of the loaded-module list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DumpModule {
    /// File name, for example `csagent.sys`.
    pub name: String,
    /// Address of its first byte.
    pub base: u64,
    /// Bytes.
    pub size: u32,
}

/// What a dump tells without symbols. Everything in it is the guest's word.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DumpSummary {
    /// The kind of the file.
    pub kind: DumpKind,
    /// What the machine was: `x86-64`, `x86`, `arm64`; else the number of its header.
    pub machine: String,
    /// What cannot be read because the file is cut off or damaged.
    pub damage: Option<String>,
    /// What the machine stopped with.
    pub bug_check: DumpBugCheck,
    /// File name of the module that holds the instruction to blame, where the list has one.
    pub module: Option<String>,
    /// Address of the instruction to blame.
    pub instruction: u64,
    /// When the machine stopped, by its own clock.
    pub time: FileTime,
    /// How long it had been up, in units of 100 ns.
    pub up_time: u64,
    /// The system's build number (`MinorVersion` of the header).
    pub build: u32,
    /// Number of processors.
    pub processors: u32,
    /// The comment of the header, where it has one.
    pub comment: Option<String>,
    /// The loaded modules, in load order. Empty where the dump does not hold the list.
    pub modules: Vec<DumpModule>,
}

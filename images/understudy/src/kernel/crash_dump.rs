//! From a stop to the bytes of its dumps.

use std::fs::File;
use std::os::unix::fs::FileExt;

use winfmt::FileTime;
use winfmt::dump::{Builder, Context, Exception, Module, Segment};

use super::layout::{self, Region};
use super::report::StopReport;

/// What the dump says in its comment.
const COMMENT: &str =
    "Written by the loopbreak understudy, a model of Windows. Not a dump of Windows.";
/// The build that the model plays: Windows 11 24H2.
const BUILD: u32 = 26100;
/// The most memory that a dump takes.
const MAX_MEMORY: u64 = 48 << 20;
const PAGE: usize = 0x1000;

/// The memory of the kernel process as a dump wants it: every mapped page of the model's regions at
/// the address that Windows would show. Pages of zeroes outside images are left out.
///
/// `pid` is [`super::Kernel::pid`]; the process must be frozen. Empty where it cannot be read.
pub fn kernel_memory(pid: i32) -> Vec<Segment> {
    let Ok(maps) = std::fs::read_to_string(format!("/proc/{pid}/maps")) else {
        return Vec::new();
    };
    let Ok(memory) = File::open(format!("/proc/{pid}/mem")) else { return Vec::new() };
    let mut segments = Vec::new();
    let mut left = MAX_MEMORY;
    for line in maps.lines() {
        let Some((start, end, rights)) = parse(line) else { continue };
        let Some(region) = layout::region_of(start).filter(|region| end <= region.end()) else {
            continue;
        };
        if !rights.starts_with('r') || end - start > left {
            continue;
        }
        left -= end - start;
        let write = rights.contains('w');
        let execute = rights.contains('x');
        let mut bytes = vec![0; (end - start) as usize];
        if memory.read_exact_at(&mut bytes, start).is_err() {
            continue;
        }
        let address = layout::to_kernel(start);
        segments.extend(pieces(address, bytes, is_image(region)).map(|(address, bytes)| Segment {
            address,
            bytes,
            write,
            execute,
        }));
    }
    segments
}

fn is_image(region: Region) -> bool {
    region == layout::NT || region == layout::DRIVERS
}

/// The whole range for an image, else its runs of pages that are not all zero.
fn pieces(address: u64, bytes: Vec<u8>, whole: bool) -> impl Iterator<Item = (u64, Vec<u8>)> {
    let mut pieces: Vec<(u64, Vec<u8>)> = Vec::new();
    if whole {
        pieces.push((address, bytes));
        return pieces.into_iter();
    }
    for (at, page) in bytes.chunks(PAGE).enumerate() {
        if page.iter().all(|byte| *byte == 0) {
            continue;
        }
        let here = address + (at * PAGE) as u64;
        match pieces.last_mut() {
            Some((start, piece)) if *start + piece.len() as u64 == here => {
                piece.extend_from_slice(page);
            }
            _ => pieces.push((here, page.to_vec())),
        }
    }
    pieces.into_iter()
}

/// Start, end and rights of a line of `/proc/<pid>/maps`.
fn parse(line: &str) -> Option<(u64, u64, &str)> {
    let mut fields = line.split_ascii_whitespace();
    let (start, end) = fields.next()?.split_once('-')?;
    let rights = fields.next()?;
    Some((u64::from_str_radix(start, 16).ok()?, u64::from_str_radix(end, 16).ok()?, rights))
}

/// Everything a dump is built from. `up_time` in units of 100 ns.
pub fn builder(report: &StopReport, memory: Vec<Segment>, time: FileTime, up_time: u64) -> Builder {
    let r = &report.registers;
    let mut builder = Builder {
        code: report.bug_check.code,
        parameters: report.bug_check.parameters,
        context: Context {
            general: [
                r.rax, r.rcx, r.rdx, r.rbx, r.rsp, r.rbp, r.rsi, r.rdi, r.r8, r.r9, r.r10, r.r11,
                r.r12, r.r13, r.r14, r.r15,
            ],
            rip: r.rip,
            eflags: r.eflags,
        },
        exception: report.exception.map(|exception| Exception {
            code: exception.code,
            address: exception.address,
            information: exception.information,
            parameters: exception.parameters,
        }),
        time,
        up_time,
        build: BUILD,
        comment: COMMENT.to_owned(),
        modules: report
            .modules
            .iter()
            .map(|module| Module {
                name: module.name.clone(),
                path: module.path.clone(),
                base: module.base,
                size: module.size,
                entry: module.entry,
                checksum: module.checksum,
                timestamp: module.timestamp,
            })
            .collect(),
        segments: memory,
        structures: layout::DUMP_STRUCTURES,
    };
    // Where parameters 3 and 4 of 0x7E point to.
    for (address, bytes) in [
        (layout::EXCEPTION_RECORD, builder.exception_record()),
        (layout::CONTEXT_RECORD, builder.context_record()),
    ] {
        builder.segments.push(Segment { address, bytes, write: true, execute: false });
    }
    builder
}

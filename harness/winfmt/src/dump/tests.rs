use std::io::Cursor;

use kdmp_parser::gxa::{Gva, Gxa};
use kdmp_parser::parse::KernelDumpParser;
use kdmp_parser::virt;
use proptest::prelude::*;

use super::*;

const NT: u64 = 0xFFFF_F800_1000_0000;
const DRIVER: u64 = 0xFFFF_F800_2000_0000;
const STACK: u64 = 0xFFFF_FA80_0003_F000;
const RIP: u64 = DRIVER + 0x1017;
const WILD: u64 = 0xFFFF_8405_0000_0074;

fn module(name: &str, base: u64, size: u32) -> Module {
    Module {
        name: name.to_owned(),
        path: format!(r"\SystemRoot\System32\drivers\{name}"),
        base,
        size,
        entry: base + 0x1000,
        checksum: 0x1234,
        timestamp: 0x6699_0000,
    }
}

fn builder() -> Builder {
    let mut context = Context { rip: RIP, eflags: 0x10246, ..Context::default() };
    context.general[4] = STACK + 0x80;
    context.general[15] = 0x1515;
    Builder {
        code: 0x50,
        parameters: [WILD, 0, RIP, 2],
        context,
        exception: Some(Exception {
            code: 0xC000_0005,
            address: RIP,
            information: [0, WILD],
            parameters: 2,
        }),
        time: FileTime::from_ticks(133_658_213_400_000_000),
        up_time: 600_000_000,
        build: 26100,
        comment: "a model, not Windows".to_owned(),
        modules: vec![
            module("ntoskrnl.exe", NT, 0x400_0000),
            module("csagent.sys", DRIVER, 0x6000),
        ],
        segments: vec![
            Segment {
                address: DRIVER,
                bytes: (0..0x2345_u32).map(|at| at as u8).collect(),
                write: false,
                execute: true,
            },
            Segment { address: STACK, bytes: vec![0xAB; 0x1000], write: true, execute: false },
        ],
        structures: NT + 0x3C0_2000,
    }
}

#[test]
fn an_independent_reader_agrees_on_a_kernel_dump() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), builder().build_kernel().unwrap()).unwrap();
    let theirs = KernelDumpParser::new(file.path()).unwrap();
    assert_eq!(theirs.headers().bug_check_code, 0x50);
    assert_eq!(theirs.headers().bug_check_code_parameters, [WILD, 0, RIP, 2]);
    assert_eq!(theirs.headers().system_time, 133_658_213_400_000_000);
    assert_eq!(theirs.headers().minor_version, 26100);
    assert_eq!(theirs.context_record().rip, RIP);
    assert_eq!(theirs.context_record().rsp, STACK + 0x80);
    assert_eq!(theirs.context_record().r15, 0x1515);
    assert_eq!(theirs.exception_record().exception_code, 0xC000_0005);
    assert_eq!(theirs.exception_record().exception_address, RIP);
    assert_eq!(theirs.exception_record().exception_information[1], WILD);
    let mut names = theirs
        .kernel_modules()
        .map(|(range, name)| (range.start.u64(), range.end.u64(), name.to_owned()))
        .collect::<Vec<_>>();
    names.sort();
    let path = |name: &str| format!(r"\SystemRoot\System32\drivers\{name}");
    assert_eq!(
        names,
        [
            (NT, NT + 0x400_0000, path("ntoskrnl.exe")),
            (DRIVER, DRIVER + 0x6000, path("csagent.sys"))
        ]
    );
    let reader = virt::Reader::new(&theirs);
    let mut bytes = vec![0; 0x2345];
    reader.read_exact(Gva::new(DRIVER), &mut bytes).unwrap();
    assert_eq!(bytes, builder().segments[0].bytes);
    assert!(reader.translate(Gva::new(DRIVER)).unwrap().executable);
    let stack = reader.translate(Gva::new(STACK)).unwrap();
    assert!(stack.writable && !stack.executable);
}

#[test]
fn our_reader_agrees_with_the_builder_on_both_kinds() {
    for (bytes, kind) in [
        (builder().build_kernel().unwrap(), DumpKind::BitmapKernel),
        (builder().build_small().unwrap(), DumpKind::Small),
    ] {
        let summary = summarize(Cursor::new(&bytes)).unwrap();
        assert_eq!(summary.kind, kind);
        assert_eq!(summary.bug_check.code, 0x50);
        assert_eq!(summary.bug_check.name, Some("PAGE_FAULT_IN_NONPAGED_AREA"));
        assert_eq!(summary.bug_check.parameters, [WILD, 0, RIP, 2]);
        assert_eq!(summary.module.as_deref(), Some("csagent.sys"));
        assert_eq!(summary.instruction, RIP);
        assert_eq!(summary.time, FileTime::from_ticks(133_658_213_400_000_000));
        assert_eq!(summary.up_time, 600_000_000);
        assert_eq!(summary.build, 26100);
        assert_eq!(summary.comment.as_deref(), Some("a model, not Windows"));
        let names = summary.modules.iter().map(|module| &*module.name).collect::<Vec<_>>();
        assert_eq!(names, ["ntoskrnl.exe", "csagent.sys"]);
        let last = bytes.len() as u64;
        assert_eq!(layout::u64_at(&bytes, layout::REQUIRED_SPACE), last);
    }
}

#[test]
fn a_full_dump_reads_through_its_runs() {
    // The same pages as a bitmap dump has, behind the header directly.
    let bitmap = builder().build_kernel().unwrap();
    let first = layout::u64_at(&bitmap, layout::HEADER + layout::BITMAP_FIRST_PAGE) as usize;
    let mut full = bitmap[..layout::HEADER].to_vec();
    full[layout::DUMP_TYPE] = 1;
    full.extend_from_slice(&bitmap[first..]);
    let summary = summarize(Cursor::new(&full)).unwrap();
    assert_eq!(summary.kind, DumpKind::Full);
    assert_eq!(summary.module.as_deref(), Some("csagent.sys"));

    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), &full).unwrap();
    assert_eq!(KernelDumpParser::new(file.path()).unwrap().kernel_modules().len(), 2);
}

#[test]
fn the_debuggers_newer_format_reads_through_its_ranges() {
    let bitmap = builder().build_kernel().unwrap();
    let first = layout::u64_at(&bitmap, layout::HEADER + layout::BITMAP_FIRST_PAGE) as usize;
    let pages = (bitmap.len() - first) as u64 / layout::PAGE;
    let mut newer = bitmap[..layout::HEADER].to_vec();
    newer[layout::DUMP_TYPE] = 8;
    let metadata = 0x20 + 0x1000 - 0x40_u64;
    let start = metadata - 0x20 + 0x2040;
    let mut head = 0x40_u32.to_le_bytes().to_vec();
    head.extend_from_slice(b"RDMPDUMP\0\0\0\0");
    for value in [metadata, start, 0, 0, 0x100, pages, 0, 0] {
        head.extend_from_slice(&value.to_le_bytes());
    }
    newer.extend_from_slice(&head);
    newer.resize(start as usize, 0);
    newer.extend_from_slice(&bitmap[first..]);
    let summary = summarize(Cursor::new(&newer)).unwrap();
    assert_eq!(summary.kind, DumpKind::Kernel);
    assert_eq!(summary.module.as_deref(), Some("csagent.sys"));

    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), &newer).unwrap();
    assert_eq!(KernelDumpParser::new(file.path()).unwrap().kernel_modules().len(), 2);
}

#[test]
fn the_module_to_blame_follows_the_codes_parameter() {
    let blame = |code: u32, parameters: [u64; 4], rip: u64| {
        let mut builder = Builder { code, parameters, exception: None, ..builder() };
        builder.context.rip = rip;
        summarize(Cursor::new(builder.build_small().unwrap())).unwrap().module
    };
    let (nt, driver) = (Some("ntoskrnl.exe".to_owned()), Some("csagent.sys".to_owned()));
    assert_eq!(blame(0x50, [WILD, 0, RIP, 2], NT), driver);
    assert_eq!(blame(0xD1, [0, 2, 0, RIP], NT), driver);
    assert_eq!(blame(0x0A, [0, 2, 0, NT + 5], RIP), nt);
    assert_eq!(blame(0x7E, [0xFFFF_FFFF_C000_0005, RIP, 0, 0], NT), driver);
    assert_eq!(blame(0x1000_007E, [0xFFFF_FFFF_C000_0005, RIP, 0, 0], NT), driver);
    assert_eq!(blame(0xEF, [RIP, 0, 0, 0], NT), nt);
    assert_eq!(blame(0x50, [WILD, 0x10, 0, 2], RIP), driver);
    assert_eq!(blame(0x9999, [0; 4], 0x1000), None);
}

#[test]
fn other_files_are_refused_with_what_they_are() {
    let refused = |bytes: &[u8]| summarize(Cursor::new(bytes)).unwrap_err().to_string();
    assert!(refused(b"MDMP\x93\xa7\0\0").contains("user-mode minidump"));
    assert!(refused(b"PAGEDUMP").contains("cut off"));
    assert!(refused(b"").contains("not a kernel dump"));
    assert!(refused(&builder().build_kernel().unwrap()[..0x1000]).contains("cut off"));
}

/// Behind a whole header anything may be missing: code and parameters are told, and what is missing.
#[test]
fn what_a_damaged_dump_still_says_is_said() {
    let whole = builder().build_kernel().unwrap();
    let told = |bytes: &[u8]| summarize(Cursor::new(bytes)).unwrap();
    let stop = told(&whole).bug_check;
    assert!(told(&whole).damage.is_none() && stop.is_stop());
    let cut = told(&whole[..layout::HEADER]);
    assert_eq!((cut.bug_check, cut.machine.as_str()), (stop.clone(), "x86-64"));
    assert!(cut.damage.is_some() && cut.modules.is_empty());
    let mut odd = whole.clone();
    odd[layout::DUMP_TYPE] = 77;
    assert_eq!(told(&odd).bug_check, stop);
    assert!(told(&odd).damage.unwrap().contains("type 77"));
    let mut other = whole.clone();
    other[layout::MACHINE..layout::MACHINE + 4].copy_from_slice(&0xaa64u32.to_le_bytes());
    let other = told(&other);
    assert_eq!((other.machine.as_str(), other.modules.len()), ("arm64", 0));
    let mut tool = whole;
    tool[layout::BUG_CHECK..layout::BUG_CHECK + 4].copy_from_slice(b"PAGE");
    assert!(!told(&tool).bug_check.is_stop());
}

/// The header of 32-bit Windows.
#[test]
fn a_dump_of_32_bit_windows_gives_its_header() {
    let mut bytes = vec![0; layout::HEADER32];
    bytes[..8].copy_from_slice(layout::SIGNATURE32);
    let mut put = |at: usize, value: u32| bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
    put(layout::MACHINE32, layout::MACHINE_I386);
    put(layout::BUG_CHECK32, 0xd1);
    for (at, value) in [0x11, 2, 0, 0x8b0a_1234].into_iter().enumerate() {
        put(layout::PARAMETERS32 + at * 4, value);
    }
    put(layout::DUMP_TYPE32, 4);
    let found = summarize(Cursor::new(bytes)).unwrap();
    assert_eq!((found.machine.as_str(), found.kind), ("x86", DumpKind::Small));
    assert_eq!(found.bug_check.parameters, [0x11, 2, 0, 0x8b0a_1234]);
    assert_eq!(found.instruction, 0x8b0a_1234);
}

#[test]
fn a_real_user_mode_minidump_is_refused() {
    let artifacts = std::env::var_os("LOOPBREAK_ARTIFACTS").map_or_else(
        || concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/artifacts").into(),
        std::path::PathBuf::from,
    );
    let Ok(file) = std::fs::File::open(artifacts.join("dumps/user-wer1090.mdmp")) else {
        println!("skipped: no artifacts");
        return;
    };
    assert!(matches!(summarize(file), Err(DumpError::NotADump(_))));
}

#[test]
fn a_module_list_that_goes_in_circles_ends() {
    let bytes = builder().build_kernel().unwrap();
    let mut dump = Dump::open(Cursor::new(bytes)).unwrap();
    let head = layout::u64_at(&dump.read(builder().structures + 0x48, 8).unwrap().unwrap(), 0);
    let first = layout::u64_at(&dump.read(head, 8).unwrap().unwrap(), 0);
    // The first entry holds the last mention of the second one: its link, turned onto itself.
    let mut bytes = builder().build_kernel().unwrap();
    let second = first + layout::ENTRY_SIZE as u64;
    let at = bytes.windows(8).rposition(|window| window == second.to_le_bytes()).unwrap();
    bytes[at..at + 8].copy_from_slice(&first.to_le_bytes());
    assert_eq!(summarize(Cursor::new(bytes)).unwrap().modules.len(), 1);
}

#[test]
fn too_much_memory_is_refused() {
    let segment =
        Segment { address: u64::MAX - 5, bytes: vec![0; 10], write: false, execute: false };
    let builder = Builder { segments: vec![segment], ..builder() };
    assert!(builder.build_kernel().is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn damage_never_panics(edits in prop::collection::vec((0.0..1.0_f64, any::<u8>()), 1..40), small: bool) {
        let mut bytes = if small { builder().build_small().unwrap() } else { builder().build_kernel().unwrap() };
        let length = bytes.len() as f64;
        for (place, value) in edits {
            bytes[(place * length) as usize] = value;
        }
        let _ = summarize(Cursor::new(bytes));
    }

    #[test]
    fn damaged_headers_never_panic(edits in prop::collection::vec((0_usize..0x2100, any::<u64>()), 1..12), kind in 0_u8..12, cut in 0_usize..0x3000) {
        let mut bytes = builder().build_kernel().unwrap();
        for (at, value) in edits {
            bytes[at..at + 8].copy_from_slice(&value.to_le_bytes());
        }
        bytes[..8].copy_from_slice(layout::SIGNATURE);
        bytes[layout::DUMP_TYPE..layout::DUMP_TYPE + 4].copy_from_slice(&u32::from(kind).to_le_bytes());
        bytes.truncate(bytes.len() - cut);
        let _ = summarize(Cursor::new(bytes));
    }
}

//! The images as other readers see them.

use std::process::Command;

use iced_x86::{Code, Decoder, DecoderOptions, Instruction, OpKind, Register};
use object::LittleEndian as LE;
use object::pe::{self, ImageNtHeaders64};
use object::read::pe::{Import, PeFile64};
use object::{Object, ObjectSection};

use super::*;

fn image() -> Vec<u8> {
    build(&DriverKind::named("content-driver").unwrap()).unwrap()
}

/// The one that looks once a session can begin.
fn later() -> Vec<u8> {
    build(&DriverKind::ContentDriver(ContentDriverOptions {
        first_look: Trigger::Session(Delay { seconds: 5 }),
        ..ContentDriverOptions::default()
    }))
    .unwrap()
}

fn parsed(image: &[u8]) -> PeFile64<'_> {
    PeFile64::parse(image).unwrap()
}

#[test]
fn the_same_options_give_the_same_bytes() {
    assert_eq!(image(), image());
}

#[test]
fn it_is_a_native_driver_with_a_right_checksum() {
    let bytes = image();
    let file = parsed(&bytes);
    let header: &ImageNtHeaders64 = file.nt_headers();
    let optional = &header.optional_header;
    assert_eq!(header.file_header.machine.get(LE), pe::IMAGE_FILE_MACHINE_AMD64);
    assert_eq!(optional.subsystem.get(LE), pe::IMAGE_SUBSYSTEM_NATIVE);
    assert_eq!(bytes.len() % optional.file_alignment.get(LE) as usize, 0);
    let field = file.dos_header().nt_headers_offset() as usize + 4 + 20 + 64;
    assert_eq!(optional.check_sum.get(LE), checksum::checksum(&bytes, field));
    // By hand, as the algorithm is described: all 16-bit words but the field's, carries folded once at
    // the end, plus the length.
    let mut sum: u64 = bytes
        .chunks_exact(2)
        .enumerate()
        .filter(|(index, _)| !(field..field + 4).contains(&(index * 2)))
        .map(|(_, word)| u64::from(u16::from_le_bytes([word[0], word[1]])))
        .sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    assert_eq!(u64::from(optional.check_sum.get(LE)), sum + bytes.len() as u64);
}

#[test]
fn it_imports_only_what_the_kernel_exports() {
    let bytes = image();
    let table = parsed(&bytes).import_table().unwrap().unwrap();
    let mut descriptors = table.descriptors().unwrap();
    let descriptor = descriptors.next().unwrap().unwrap();
    assert_eq!(table.name(descriptor.name.get(LE)).unwrap(), b"ntoskrnl.exe");
    assert!(descriptors.next().unwrap().is_none());
    let mut thunks = table.thunks(descriptor.original_first_thunk.get(LE)).unwrap();
    let mut names = Vec::new();
    while let Some(thunk) = thunks.next::<ImageNtHeaders64>().unwrap() {
        match table.import::<ImageNtHeaders64>(thunk).unwrap() {
            Import::Name(_, name) => names.push(String::from_utf8(name.to_vec()).unwrap()),
            Import::Ordinal(number) => panic!("import by ordinal {number}"),
        }
    }
    assert_eq!(
        names,
        [
            "DbgPrint",
            "ExAllocatePoolWithTag",
            "ExFreePoolWithTag",
            "IoCreateDevice",
            "IoDeleteDevice",
            "NtNotifyChangeDirectoryFile",
            "PsCreateSystemThread",
            "PsTerminateSystemThread",
            "ZwClose",
            "ZwOpenFile",
            "ZwOpenKey",
            "ZwQueryDirectoryFile",
            "ZwQueryValueKey",
            "ZwReadFile",
        ]
    );
}

/// All instructions of `.text`.
fn code(bytes: &[u8]) -> Vec<Instruction> {
    let file = parsed(bytes);
    let text = file.section_by_name(".text").unwrap();
    let size = text.size() as usize;
    let data = &text.data().unwrap()[..size];
    Decoder::with_ip(64, data, text.address(), DecoderOptions::NONE).into_iter().collect()
}

/// Begin, end and address of the unwind data of each function.
fn functions(bytes: &[u8]) -> Vec<[u64; 3]> {
    let file = parsed(bytes);
    let base = file.relative_address_base();
    let section = file.section_by_name(".pdata").unwrap();
    let size = section.size() as usize;
    section.data().unwrap()[..size]
        .chunks_exact(12)
        .map(|entry| {
            let at = |i: usize| u32::from_le_bytes(entry[i..i + 4].try_into().unwrap());
            [at(0), at(4), at(8)].map(|relative| base + u64::from(relative))
        })
        .collect()
}

fn constant(bytes: &[u8], address: u64, size: usize) -> Vec<u8> {
    let file = parsed(bytes);
    let section = file.section_by_name(".rdata").unwrap();
    section.data_range(address, size as u64).unwrap().unwrap().to_vec()
}

#[test]
fn unwind_data_describes_the_prologues() {
    for bytes in [image(), later()] {
        check_unwind(&bytes);
    }
}

fn check_unwind(bytes: &[u8]) {
    let code = code(bytes);
    let functions = functions(bytes);
    assert_eq!(functions.len(), 5);
    assert!(functions.windows(2).all(|pair| pair[0][1] <= pair[1][0]), "not in order");
    for [begin, end, unwind] in functions {
        let header = constant(bytes, unwind, 4);
        let count = usize::from(header[2]);
        assert_eq!((header[0], header[3]), (1, 0), "version 1, no handler, no frame register");
        let codes = constant(bytes, unwind + 4, 2 * count);
        // From the codes: how far rsp is below where it was on entry, after each offset.
        let mut described = Vec::new();
        let mut slot = 0;
        while slot < count {
            let (offset, operation) = (codes[2 * slot], codes[2 * slot + 1]);
            let info = u32::from(operation >> 4);
            let (size, slots) = match operation & 15 {
                0 => (8, 1),
                2 => (8 * info + 8, 1),
                1 => {
                    assert_eq!(info, 0);
                    let scaled = u16::from_le_bytes([codes[2 * slot + 2], codes[2 * slot + 3]]);
                    (8 * u32::from(scaled), 2)
                }
                other => panic!("unexpected unwind operation {other}"),
            };
            let register = (operation & 15 == 0).then_some(info);
            described.push((u64::from(offset), size, register));
            slot += slots;
        }
        described.reverse();
        // From the instructions themselves.
        let prologue: Vec<(u64, u32, Option<u32>)> = code
            .iter()
            .filter(|i| i.ip() >= begin && i.ip() < end)
            .map_while(|i| {
                let offset = i.next_ip() - begin;
                match i.code() {
                    Code::Push_r64 => {
                        Some((offset, 8, Some(i.op0_register() as u32 - Register::RAX as u32)))
                    }
                    Code::Sub_rm64_imm32 => Some((offset, i.immediate(1) as u32, None)),
                    _ => None,
                }
            })
            .collect();
        assert_eq!(described, prologue);
        assert_eq!(u64::from(header[1]), prologue.last().unwrap().0, "length of the prologue");
        let depth: u32 = prologue.iter().map(|(_, size, _)| size).sum();
        assert_eq!(depth % 16, 8, "rsp is a multiple of 16 at calls");
        assert_eq!(code.iter().find(|i| i.ip() == end).unwrap().code(), Code::Int3);
    }
}

#[test]
fn every_operand_lies_in_the_image_and_every_instruction_is_one() {
    for bytes in [image(), later()] {
        let file = parsed(&bytes);
        let sections: Vec<(u64, u64)> = file
            .sections()
            .map(|section| (section.address(), section.address() + section.size()))
            .collect();
        let inside =
            |address: u64| sections.iter().any(|(from, to)| (*from..*to).contains(&address));
        for instruction in code(&bytes) {
            assert_ne!(instruction.code(), Code::INVALID);
            if instruction.is_ip_rel_memory_operand() {
                let address = instruction.ip_rel_memory_address();
                assert!(inside(address), "{instruction} refers to {address:#x}");
            }
            if instruction.op0_kind() == OpKind::NearBranch64 {
                assert!(inside(instruction.near_branch_target()), "{instruction}");
            }
        }
    }
}

#[test]
fn the_interpreter_compares_with_the_declared_count_only() {
    let bytes = image();
    let code = code(&bytes);
    // The load that overruns: r8 = record[r13], then what it points to.
    let load = code
        .iter()
        .position(|i| {
            i.code() == Code::Mov_r64_rm64
                && (i.op0_register(), i.memory_base(), i.memory_index(), i.memory_index_scale())
                    == (Register::R8, Register::R12, Register::R13, 8)
        })
        .unwrap();
    assert_eq!(code[load + 1].to_string(), "mov r9d,[r8]");
    let compared: Vec<String> = code
        .iter()
        .filter(|i| {
            i.code() == Code::Cmp_rm32_r32
                || i.code() == Code::Cmp_r32_rm32
                || i.code() == Code::Cmp_rm32_imm8
        })
        .filter(|i| i.op0_register() == Register::R13D)
        .map(ToString::to_string)
        .collect();
    assert_eq!(compared, ["cmp r13d,ebx"]);
}

#[test]
fn pointers_are_relocated() {
    let bytes = image();
    let file = parsed(&bytes);
    let mut blocks = file
        .data_directories()
        .relocation_blocks(file.data(), &file.section_table())
        .unwrap()
        .unwrap();
    let mut places = Vec::new();
    while let Some(block) = blocks.next().unwrap() {
        for relocation in block {
            assert_eq!(relocation.typ, pe::IMAGE_REL_BASED_DIR64);
            places.push(u64::from(relocation.virtual_address) + file.relative_address_base());
        }
    }
    // Twenty inputs and four UNICODE_STRINGs.
    assert_eq!(places.len(), 24);
    for place in places {
        let pointer = u64::from_le_bytes(constant(&bytes, place, 8).try_into().unwrap());
        constant(&bytes, pointer, 1);
    }
}

#[test]
fn objdump_reads_it_without_complaint() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("csagent.sys");
    std::fs::write(&path, image()).unwrap();
    let Ok(output) = Command::new("objdump").args(["-x", "-d", "-M", "intel"]).arg(&path).output()
    else {
        println!("skipped: objdump is not installed (package binutils)");
        return;
    };
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success());
    assert!(!text.contains("(bad)"), "objdump found bytes that are no instruction");
    assert!(text.contains("mov    r9d,DWORD PTR [r8]"));
    // binutils has no word for the flag that keeps a section out of the page file.
    let complaints: Vec<_> = String::from_utf8_lossy(&output.stderr)
        .lines()
        .filter(|line| !line.contains("IMAGE_SCN_MEM_NOT_PAGED"))
        .map(str::to_owned)
        .collect();
    assert!(complaints.is_empty(), "{complaints:?}");
}

#[test]
fn the_version_resource_names_it() {
    let kind = DriverKind::ContentDriver(ContentDriverOptions {
        file_name: "other.sys".to_owned(),
        version: parse_version("6.5.4.3").unwrap(),
        content_pattern: "*.bin".to_owned(),
        ..ContentDriverOptions::default()
    });
    let bytes = build(&kind).unwrap();
    let file = parsed(&bytes);
    let resources = file
        .data_directories()
        .resource_directory(file.data(), &file.section_table())
        .unwrap()
        .unwrap();
    let mut level = resources.root().unwrap();
    let entry = loop {
        assert_eq!(level.entries.len(), 1);
        match level.entries[0].data(resources).unwrap() {
            object::read::pe::ResourceDirectoryEntryData::Table(next) => level = next,
            object::read::pe::ResourceDirectoryEntryData::Data(entry) => break entry,
        }
    };
    let address = file.relative_address_base() + u64::from(entry.offset_to_data.get(LE));
    let section = file.section_by_name(".rsrc").unwrap();
    let data = section.data_range(address, u64::from(entry.size.get(LE))).unwrap().unwrap();
    assert_eq!(u16::from_le_bytes([data[0], data[1]]) as usize, data.len());
    let text: String =
        char::decode_utf16(data.chunks_exact(2).map(|c| u16::from_le_bytes([c[0], c[1]])))
            .map(|c| c.unwrap_or('?'))
            .collect();
    assert!(text.contains("other.sys") && text.contains("6.5.4.3"), "{text}");
    let fixed = data.windows(4).position(|w| w == 0xfeef_04bd_u32.to_le_bytes()).unwrap();
    let high = u32::from_le_bytes(data[fixed + 8..fixed + 12].try_into().unwrap());
    assert_eq!(high, 6 << 16 | 5);
}

#[test]
fn options_that_cannot_work_are_refused() {
    let options = ContentDriverOptions::default();
    for file_name in ["", ".sys", "a b.sys", "a.exe", "%s.sys", "ä.sys"] {
        let options = ContentDriverOptions { file_name: file_name.to_owned(), ..options.clone() };
        assert!(matches!(
            build(&DriverKind::ContentDriver(options)),
            Err(DriverError::FileName(_))
        ));
    }
    for content_pattern in ["", "a\\b"] {
        let options =
            ContentDriverOptions { content_pattern: content_pattern.to_owned(), ..options.clone() };
        assert!(matches!(build(&DriverKind::ContentDriver(options)), Err(DriverError::Pattern(_))));
    }
    assert!(matches!(DriverKind::named("hang"), Err(DriverError::UnknownKind(_))));
    assert!(parse_version("1.2.3").is_err() && parse_version("1.2.3.65536").is_err());
}

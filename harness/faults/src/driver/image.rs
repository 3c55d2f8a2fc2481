//! A driver image: what is in it, where it lies, and its bytes.
//!
//! Sections: `.text` (code), `.rdata` (import addresses, constants, import tables, unwind data), `.data`
//! (variables, all zero at first), `.pdata` (which function has which unwind data), `.rsrc` (version),
//! `.reloc`. Flags and versions are those of drivers that Microsoft's linker makes.

use iced_x86::IcedError;
use object::pe;
use object::write::pe::{NtHeaders, Writer};
use scenario::Arch;

use super::asm::{Assembler, Text};
use super::checksum::patch_checksum;
use super::parts::{Data, Parts, Sections, image_base, width};
use super::program::Function;
use super::resource::{self, Identity};
use super::{lower32, lower64};

const SECTION_ALIGNMENT: u32 = 0x1000;
const FILE_ALIGNMENT: u32 = 0x200;
// 28 February 2024, the day of the sensor's release 7.11 (windows-facts 5.1). Fixed, so that the same
// input gives the same bytes.
const TIME_STAMP: u32 = 1_709_078_400;

/// Makes an x86-64 image. `code` emits all functions; it is called twice and has to emit the same
/// instructions both times: first to learn how long they are, then with the final addresses.
pub(crate) fn build(
    identity: &Identity,
    parts: &Parts,
    entry: &'static str,
    code: impl Fn(&mut Assembler<'_>) -> Result<(), IcedError>,
) -> Result<Vec<u8>, IcedError> {
    link(identity, parts, |sections| {
        let mut assembler = Assembler::new(sections)?;
        code(&mut assembler)?;
        assembler.finish(entry)
    })
}

/// Makes an image of functions, for the processor that the parts are for.
pub(crate) fn build_program(
    identity: &Identity,
    parts: &Parts,
    entry: &'static str,
    functions: &[Function],
) -> Result<Vec<u8>, IcedError> {
    match parts.arch {
        Arch::X86_64 => build(identity, parts, entry, |assembler| {
            functions.iter().try_for_each(|function| lower64::lower(assembler, function))
        }),
        Arch::X86 => link(identity, parts, |sections| {
            lower32::assemble(sections, functions, entry, |import| parts.is_variadic(import))
        }),
    }
}

fn link(
    identity: &Identity,
    parts: &Parts,
    assemble: impl Fn(&Sections) -> Result<Text, IcedError>,
) -> Result<Vec<u8>, IcedError> {
    // Operands that are addresses always take four bytes, so the length does not depend on them.
    let measured = assemble(&Sections::new(parts, SECTION_ALIGNMENT, 0, 0, 0))?;
    let text_end = SECTION_ALIGNMENT + measured.bytes.len() as u32;
    let rdata = Rdata::lay_out(parts, &measured, text_end.next_multiple_of(SECTION_ALIGNMENT));
    let sections = Sections::new(
        parts,
        SECTION_ALIGNMENT,
        rdata.base,
        rdata.base + rdata.constants,
        (rdata.base + rdata.size).next_multiple_of(SECTION_ALIGNMENT),
    );
    let text = assemble(&sections)?;
    assert_eq!(
        text.bytes.len(),
        measured.bytes.len(),
        "the code's length depends on its addresses"
    );
    let mut bytes = write(identity, parts, &sections, &rdata, &text);
    patch_checksum(&mut bytes);
    Ok(bytes)
}

/// Offsets within `.rdata`: import addresses, constants, import tables, unwind data.
struct Rdata {
    base: u32,
    constants: u32,
    descriptors: u32,
    names: u32,
    unwind: u32,
    size: u32,
}

const DESCRIPTOR: u32 = 20;

impl Rdata {
    fn lay_out(parts: &Parts, text: &Text, base: u32) -> Self {
        let table = parts.import_table_size();
        let constants = table.next_multiple_of(16);
        let descriptors = (constants + parts.constants.len() as u32).next_multiple_of(8);
        // A descriptor a module and the empty one that ends the list, then the names' tables.
        let names = (descriptors + descriptors_size(parts)).next_multiple_of(8);
        let functions = parts.modules.iter().flat_map(|module| &module.functions);
        let hints: u32 = functions.map(|name| hint_size(name)).sum();
        let modules: u32 = parts.modules.iter().map(|module| module.name.len() as u32 + 1).sum();
        let unwind = (names + table + hints + modules).next_multiple_of(4);
        let codes: u32 = text.functions.iter().map(|function| function.unwind.len() as u32).sum();
        Self { base, constants, descriptors, names, unwind, size: unwind + codes }
    }

    fn bytes(&self, parts: &Parts, sections: &Sections, text: &Text) -> Vec<u8> {
        let mut bytes = vec![0; self.size as usize];
        let mut put = |at: u32, what: &[u8]| {
            bytes[at as usize..at as usize + what.len()].copy_from_slice(what);
        };
        let width = width(parts.arch);
        let pointer = |value: u64| value.to_le_bytes()[..width as usize].to_vec();
        put(self.constants, &parts.constants);
        for (at, target) in &parts.pointers {
            put(self.constants + at, &pointer(sections.data(Data::Constant(*target))));
        }
        let mut entry = 0;
        let mut hint = self.names + parts.import_table_size();
        let mut first = Vec::new();
        for module in &parts.modules {
            first.push(entry);
            for name in &module.functions {
                let place = pointer(u64::from(self.base + hint));
                put(entry, &place);
                put(self.names + entry, &place);
                put(hint + 2, name.as_bytes());
                hint += hint_size(name);
                entry += width;
            }
            entry += width;
        }
        for (index, (module, first)) in parts.modules.iter().zip(first).enumerate() {
            put(hint, module.name.as_bytes());
            // IMAGE_IMPORT_DESCRIPTOR: names, time, forwarder, module's name, addresses.
            let descriptor = self.descriptors + DESCRIPTOR * index as u32;
            put(descriptor, &(self.base + self.names + first).to_le_bytes());
            put(descriptor + 12, &(self.base + hint).to_le_bytes());
            put(descriptor + 16, &(self.base + first).to_le_bytes());
            hint += module.name.len() as u32 + 1;
        }
        let mut unwind = self.unwind;
        for function in &text.functions {
            put(unwind, &function.unwind);
            unwind += function.unwind.len() as u32;
        }
        bytes
    }
}

fn descriptors_size(parts: &Parts) -> u32 {
    DESCRIPTOR * (parts.modules.len() as u32 + 1)
}

// IMAGE_IMPORT_BY_NAME: a hint of two bytes, the name, its zero, padded to an even length.
fn hint_size(name: &str) -> u32 {
    (2 + name.len() as u32 + 1).next_multiple_of(2)
}

fn write(
    identity: &Identity,
    parts: &Parts,
    sections: &Sections,
    rdata: &Rdata,
    text: &Text,
) -> Vec<u8> {
    let mut pdata = Vec::new();
    let mut unwind = rdata.base + rdata.unwind;
    for function in &text.functions {
        for field in [function.begin, function.end, unwind] {
            pdata.extend_from_slice(&field.to_le_bytes());
        }
        unwind += function.unwind.len() as u32;
    }

    let mut buffer = Vec::new();
    let wide = parts.arch == Arch::X86_64;
    let mut writer = Writer::new(wide, SECTION_ALIGNMENT, FILE_ALIGNMENT, &mut buffer);
    writer.reserve_dos_header_and_stub();
    writer.reserve_nt_headers(pe::IMAGE_NUMBEROF_DIRECTORY_ENTRIES);
    // x86 has no table of functions.
    writer.reserve_section_headers(if wide { 6 } else { 5 });
    let code = pe::IMAGE_SCN_CNT_CODE | pe::IMAGE_SCN_MEM_EXECUTE | pe::IMAGE_SCN_MEM_READ;
    let constant = pe::IMAGE_SCN_CNT_INITIALIZED_DATA | pe::IMAGE_SCN_MEM_READ;
    // Not paged: a driver may be called where a page fault cannot be served.
    let resident = pe::IMAGE_SCN_MEM_NOT_PAGED;
    let length = text.bytes.len() as u32;
    let text_range = writer.reserve_section(*b".text\0\0\0", code | resident, length, length);
    let rdata_range =
        writer.reserve_section(*b".rdata\0\0", constant | resident, rdata.size, rdata.size);
    let data_range = writer.reserve_section(
        *b".data\0\0\0",
        constant | resident | pe::IMAGE_SCN_MEM_WRITE,
        parts.variables.max(8),
        0,
    );
    let pdata_range = wide.then(|| writer.reserve_pdata_section(pdata.len() as u32));
    // The version resource holds addresses relative to the image; its size does not depend on them.
    let size = resource::version(identity, 0).len() as u32;
    let rsrc_range = writer.reserve_rsrc_section(size);
    let rsrc = resource::version(identity, rsrc_range.virtual_address);
    let relocation = if wide { pe::IMAGE_REL_BASED_DIR64 } else { pe::IMAGE_REL_BASED_HIGHLOW };
    let constants = parts.pointers.iter().map(|(at, _)| rdata.base + rdata.constants + at);
    for place in text.relocations.iter().copied().chain(constants) {
        writer.add_reloc(place, relocation);
    }
    writer.reserve_reloc_section();
    debug_assert_eq!(text_range.virtual_address, sections.text);
    debug_assert_eq!(rdata_range.virtual_address, rdata.base);
    debug_assert_eq!(data_range.virtual_address, sections.variables);
    writer.set_data_directory(
        pe::IMAGE_DIRECTORY_ENTRY_IMPORT,
        rdata.base + rdata.descriptors,
        descriptors_size(parts),
    );
    writer.set_data_directory(pe::IMAGE_DIRECTORY_ENTRY_IAT, rdata.base, parts.import_table_size());

    writer.write_dos_header_and_stub().expect("writing into a vector does not fail");
    let mut dll_characteristics = pe::IMAGE_DLLCHARACTERISTICS_DYNAMIC_BASE
        | pe::IMAGE_DLLCHARACTERISTICS_NX_COMPAT
        | pe::IMAGE_DLLCHARACTERISTICS_WDM_DRIVER;
    let (machine, addresses, system) = if wide {
        dll_characteristics |= pe::IMAGE_DLLCHARACTERISTICS_HIGH_ENTROPY_VA;
        (pe::IMAGE_FILE_MACHINE_AMD64, pe::IMAGE_FILE_LARGE_ADDRESS_AWARE, (10, 0))
    } else {
        // Windows Server 2003's, which is what ReactOS stands for.
        (pe::IMAGE_FILE_MACHINE_I386, pe::IMAGE_FILE_32BIT_MACHINE, (5, 2))
    };
    writer.write_nt_headers(NtHeaders {
        machine,
        time_date_stamp: TIME_STAMP,
        characteristics: pe::IMAGE_FILE_EXECUTABLE_IMAGE | addresses,
        major_linker_version: 14,
        minor_linker_version: 0,
        address_of_entry_point: text.entry,
        image_base: image_base(parts.arch),
        major_operating_system_version: system.0,
        minor_operating_system_version: system.1,
        major_image_version: identity.version[0],
        minor_image_version: identity.version[1],
        major_subsystem_version: system.0,
        minor_subsystem_version: system.1,
        subsystem: pe::IMAGE_SUBSYSTEM_NATIVE,
        dll_characteristics,
        size_of_stack_reserve: 0x10_0000,
        size_of_stack_commit: 0x1000,
        size_of_heap_reserve: 0x10_0000,
        size_of_heap_commit: 0x1000,
    });
    writer.write_section_headers();
    writer.write_section(text_range.file_offset, &text.bytes);
    writer.write_section(rdata_range.file_offset, &rdata.bytes(parts, sections, text));
    if let Some(range) = pdata_range {
        writer.write_section(range.file_offset, &pdata);
    }
    writer.write_section(rsrc_range.file_offset, &rsrc);
    writer.write_reloc_section();
    buffer
}

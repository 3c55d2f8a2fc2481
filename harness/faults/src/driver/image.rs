//! A driver image: what is in it, where it lies, and its bytes.
//!
//! Sections: `.text` (code), `.rdata` (import addresses, constants, import tables, unwind data), `.data`
//! (variables, all zero at first), `.pdata` (which function has which unwind data), `.rsrc` (version),
//! `.reloc`. Flags and versions are those of drivers that Microsoft's linker makes.

use std::collections::BTreeMap;

use iced_x86::IcedError;
use object::pe;
use object::write::pe::{NtHeaders, Writer};

use super::asm::{Assembler, Text};
use super::resource;

const IMAGE_BASE: u64 = 0x1_4000_0000;
const SECTION_ALIGNMENT: u32 = 0x1000;
const FILE_ALIGNMENT: u32 = 0x200;
const KERNEL: &str = "ntoskrnl.exe";
// 28 February 2024, the day of the sensor's release 7.11 (windows-facts 5.1). Fixed, so that the same
// input gives the same bytes.
const TIME_STAMP: u32 = 1_709_078_400;

/// An import from the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Import(usize);

/// Something in `.rdata` or `.data`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Data {
    /// Offset in the constants.
    Constant(u32),
    /// Offset in the variables.
    Variable(u32),
}

/// What a driver is made of, besides its code.
#[derive(Debug, Clone, Default)]
pub(crate) struct Parts {
    imports: Vec<&'static str>,
    constants: Vec<u8>,
    /// Places in the constants that hold the address of another constant.
    pointers: Vec<(u32, u32)>,
    variables: u32,
    texts: BTreeMap<String, u32>,
}

impl Parts {
    /// A function of the kernel.
    pub(crate) fn import(&mut self, name: &'static str) -> Import {
        let index = self.imports.iter().position(|known| *known == name).unwrap_or_else(|| {
            self.imports.push(name);
            self.imports.len() - 1
        });
        Import(index)
    }

    fn align(&mut self, to: usize) -> u32 {
        self.constants.resize(self.constants.len().next_multiple_of(to), 0);
        self.constants.len() as u32
    }

    /// Bytes, aligned to 8.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> Data {
        let at = self.align(8);
        self.constants.extend_from_slice(bytes);
        Data::Constant(at)
    }

    /// An 8-bit text with its final zero.
    pub(crate) fn text(&mut self, text: &str) -> Data {
        if let Some(at) = self.texts.get(text) {
            return Data::Constant(*at);
        }
        let mut bytes = text.as_bytes().to_vec();
        bytes.push(0);
        let data = self.bytes(&bytes);
        if let Data::Constant(at) = data {
            self.texts.insert(text.to_owned(), at);
        }
        data
    }

    /// A UNICODE_STRING with its characters.
    pub(crate) fn unicode(&mut self, text: &str) -> Data {
        let characters: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let length = (characters.len() as u16).to_le_bytes();
        let maximum = (characters.len() as u16 + 2).to_le_bytes();
        let buffer = self.align(8);
        self.constants.extend_from_slice(&characters);
        self.constants.extend_from_slice(&[0, 0]);
        let at = self.align(8);
        self.constants.extend_from_slice(&length);
        self.constants.extend_from_slice(&maximum);
        self.constants.extend_from_slice(&[0; 4]);
        self.pointer(buffer);
        Data::Constant(at)
    }

    /// A table of pointers to constants.
    pub(crate) fn table(&mut self, entries: &[Data]) -> Data {
        let at = self.align(8);
        for entry in entries {
            let Data::Constant(target) = entry else {
                unreachable!("tables are made of constants by this crate only");
            };
            self.pointer(*target);
        }
        Data::Constant(at)
    }

    fn pointer(&mut self, target: u32) {
        self.pointers.push((self.constants.len() as u32, target));
        self.constants.extend_from_slice(&[0; 8]);
    }

    /// A variable, zero at first, aligned to 8.
    pub(crate) fn variable(&mut self, size: u32) -> Data {
        let at = self.variables;
        self.variables += size.next_multiple_of(8);
        Data::Variable(at)
    }
}

/// Where everything lies, as addresses at the preferred base.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sections {
    text: u32,
    import_addresses: u32,
    constants: u32,
    variables: u32,
}

impl Sections {
    pub(crate) fn text(&self) -> u64 {
        IMAGE_BASE + u64::from(self.text)
    }

    /// The place where the loader puts the address of an import.
    pub(crate) fn import(&self, import: Import) -> u64 {
        IMAGE_BASE + u64::from(self.import_addresses) + 8 * import.0 as u64
    }

    pub(crate) fn data(&self, data: Data) -> u64 {
        let relative = match data {
            Data::Constant(offset) => self.constants + offset,
            Data::Variable(offset) => self.variables + offset,
        };
        IMAGE_BASE + u64::from(relative)
    }

    /// An address relative to the image.
    pub(crate) fn relative(&self, address: u64) -> u32 {
        (address - IMAGE_BASE) as u32
    }
}

/// Name and version in the version resource, and on the image itself.
#[derive(Debug, Clone)]
pub(crate) struct Identity {
    pub(crate) file_name: String,
    pub(crate) description: String,
    pub(crate) version: [u16; 4],
}

/// Makes the image. `code` emits all functions; it is called twice and has to emit the same
/// instructions both times: first to learn how long they are, then with the final addresses.
pub(crate) fn build(
    identity: &Identity,
    parts: &Parts,
    entry: &'static str,
    code: impl Fn(&mut Assembler<'_>) -> Result<(), IcedError>,
) -> Result<Vec<u8>, IcedError> {
    let assemble = |sections: &Sections| -> Result<Text, IcedError> {
        let mut assembler = Assembler::new(sections)?;
        code(&mut assembler)?;
        assembler.finish(entry)
    };
    // Operands relative to rip always take four bytes, so the length does not depend on the addresses.
    let measured = assemble(&Sections { text: SECTION_ALIGNMENT, ..Sections::default() })?;
    let text_end = SECTION_ALIGNMENT + measured.bytes.len() as u32;
    let rdata = Rdata::lay_out(parts, &measured, text_end.next_multiple_of(SECTION_ALIGNMENT));
    let sections = Sections {
        text: SECTION_ALIGNMENT,
        import_addresses: rdata.base,
        constants: rdata.base + rdata.constants,
        variables: (rdata.base + rdata.size).next_multiple_of(SECTION_ALIGNMENT),
    };
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
        let table = 8 * (parts.imports.len() as u32 + 1);
        let constants = table.next_multiple_of(16);
        let descriptors = (constants + parts.constants.len() as u32).next_multiple_of(8);
        // One descriptor and the empty one that ends the list, then the names' table.
        let names = (descriptors + 2 * DESCRIPTOR).next_multiple_of(8);
        let hints: u32 = parts.imports.iter().map(|name| hint_size(name)).sum();
        let unwind = (names + table + hints + KERNEL.len() as u32 + 1).next_multiple_of(4);
        let codes: u32 = text.functions.iter().map(|function| function.unwind.len() as u32).sum();
        Self { base, constants, descriptors, names, unwind, size: unwind + codes }
    }

    fn bytes(&self, parts: &Parts, sections: &Sections, text: &Text) -> Vec<u8> {
        let mut bytes = vec![0; self.size as usize];
        let mut put = |at: u32, what: &[u8]| {
            bytes[at as usize..at as usize + what.len()].copy_from_slice(what);
        };
        put(self.constants, &parts.constants);
        for (at, target) in &parts.pointers {
            let address = sections.data(Data::Constant(*target));
            put(self.constants + at, &address.to_le_bytes());
        }
        let table = 8 * (parts.imports.len() as u32 + 1);
        let mut hint = self.names + table;
        for (index, name) in parts.imports.iter().enumerate() {
            let pointer = u64::from(self.base + hint).to_le_bytes();
            put(8 * index as u32, &pointer);
            put(self.names + 8 * index as u32, &pointer);
            put(hint + 2, name.as_bytes());
            hint += hint_size(name);
        }
        put(hint, KERNEL.as_bytes());
        // IMAGE_IMPORT_DESCRIPTOR: names, time, forwarder, module's name, addresses.
        put(self.descriptors, &(self.base + self.names).to_le_bytes());
        put(self.descriptors + 12, &(self.base + hint).to_le_bytes());
        put(self.descriptors + 16, &self.base.to_le_bytes());
        let mut unwind = self.unwind;
        for function in &text.functions {
            put(unwind, &function.unwind);
            unwind += function.unwind.len() as u32;
        }
        bytes
    }
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
    let mut writer = Writer::new(true, SECTION_ALIGNMENT, FILE_ALIGNMENT, &mut buffer);
    writer.reserve_dos_header_and_stub();
    writer.reserve_nt_headers(pe::IMAGE_NUMBEROF_DIRECTORY_ENTRIES);
    writer.reserve_section_headers(6);
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
    let pdata_range = writer.reserve_pdata_section(pdata.len() as u32);
    // The version resource holds addresses relative to the image; its size does not depend on them.
    let size = resource::version(identity, 0).len() as u32;
    let rsrc_range = writer.reserve_rsrc_section(size);
    let rsrc = resource::version(identity, rsrc_range.virtual_address);
    for (at, _) in &parts.pointers {
        writer.add_reloc(rdata.base + rdata.constants + at, pe::IMAGE_REL_BASED_DIR64);
    }
    writer.reserve_reloc_section();
    debug_assert_eq!(text_range.virtual_address, sections.text);
    debug_assert_eq!(rdata_range.virtual_address, rdata.base);
    debug_assert_eq!(data_range.virtual_address, sections.variables);
    writer.set_data_directory(
        pe::IMAGE_DIRECTORY_ENTRY_IMPORT,
        rdata.base + rdata.descriptors,
        2 * DESCRIPTOR,
    );
    writer.set_data_directory(
        pe::IMAGE_DIRECTORY_ENTRY_IAT,
        rdata.base,
        8 * (parts.imports.len() as u32 + 1),
    );

    writer.write_dos_header_and_stub().expect("writing into a vector does not fail");
    writer.write_nt_headers(NtHeaders {
        machine: pe::IMAGE_FILE_MACHINE_AMD64,
        time_date_stamp: TIME_STAMP,
        characteristics: pe::IMAGE_FILE_EXECUTABLE_IMAGE | pe::IMAGE_FILE_LARGE_ADDRESS_AWARE,
        major_linker_version: 14,
        minor_linker_version: 0,
        address_of_entry_point: text.entry,
        image_base: IMAGE_BASE,
        major_operating_system_version: 10,
        minor_operating_system_version: 0,
        major_image_version: identity.version[0],
        minor_image_version: identity.version[1],
        major_subsystem_version: 10,
        minor_subsystem_version: 0,
        subsystem: pe::IMAGE_SUBSYSTEM_NATIVE,
        dll_characteristics: pe::IMAGE_DLLCHARACTERISTICS_HIGH_ENTROPY_VA
            | pe::IMAGE_DLLCHARACTERISTICS_DYNAMIC_BASE
            | pe::IMAGE_DLLCHARACTERISTICS_NX_COMPAT
            | pe::IMAGE_DLLCHARACTERISTICS_WDM_DRIVER,
        size_of_stack_reserve: 0x10_0000,
        size_of_stack_commit: 0x1000,
        size_of_heap_reserve: 0x10_0000,
        size_of_heap_commit: 0x1000,
    });
    writer.write_section_headers();
    writer.write_section(text_range.file_offset, &text.bytes);
    writer.write_section(rdata_range.file_offset, &rdata.bytes(parts, sections, text));
    writer.write_section(pdata_range.file_offset, &pdata);
    writer.write_section(rsrc_range.file_offset, &rsrc);
    writer.write_reloc_section();
    buffer
}

/// Where the checksum lies in the optional header of a 64-bit image.
const CHECKSUM: usize = 4 + 20 + 64;

// The kernel refuses a driver whose checksum does not match (STATUS_IMAGE_CHECKSUM_MISMATCH); the
// writer leaves it zero.
fn patch_checksum(image: &mut [u8]) {
    let headers = u32::from_le_bytes([image[0x3c], image[0x3d], image[0x3e], image[0x3f]]) as usize;
    let at = headers + CHECKSUM;
    let sum = checksum(image, at);
    image[at..at + 4].copy_from_slice(&sum.to_le_bytes());
}

/// The checksum of an image whose checksum field lies at `field`: the 16-bit words' sum with the carry
/// added back, plus the length.
pub(crate) fn checksum(image: &[u8], field: usize) -> u32 {
    let mut sum = 0u32;
    for (index, word) in image.chunks(2).enumerate() {
        if (field..field + 4).contains(&(2 * index)) {
            continue;
        }
        sum += u32::from(u16::from_le_bytes([word[0], word.get(1).copied().unwrap_or(0)]));
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum + image.len() as u32
}

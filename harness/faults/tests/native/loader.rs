//! Loads a driver's image into this process as the kernel would: sections, relocations, imports.

use object::LittleEndian as LE;
use object::pe::{IMAGE_SCN_MEM_EXECUTE, IMAGE_SCN_MEM_WRITE, ImageNtHeaders64};
use object::read::pe::{Import, PeFile64};

use crate::kernel::{Kernel, UnicodeString};

/// Loads the image and calls its entry point. The image stays mapped: its thread may still run.
pub(crate) fn start(bytes: &[u8], kernel: &Kernel) -> u32 {
    let file = PeFile64::parse(bytes).unwrap();
    let optional = &file.nt_headers().optional_header;
    let size = optional.size_of_image.get(LE) as usize;
    // SAFETY: a fresh anonymous mapping at an address of the system's choice.
    let base = unsafe {
        libc::mmap(
            std::ptr::null_mut(),
            size,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
            -1,
            0,
        )
    };
    assert_ne!(base, libc::MAP_FAILED);
    // SAFETY: the mapping was just made, has this size, and nothing else refers to it.
    let memory = unsafe { std::slice::from_raw_parts_mut(base.cast::<u8>(), size) };

    for section in file.section_table().iter() {
        let at = section.virtual_address.get(LE) as usize;
        let data = section.pe_data(bytes).unwrap();
        memory[at..at + data.len()].copy_from_slice(data);
    }
    let moved = (base as u64).wrapping_sub(optional.image_base.get(LE));
    let directories = file.data_directories();
    let mut blocks = directories.relocation_blocks(bytes, &file.section_table()).unwrap().unwrap();
    while let Some(block) = blocks.next().unwrap() {
        for relocation in block {
            let at = relocation.virtual_address as usize;
            let place = &mut memory[at..at + 8];
            let value = u64::from_le_bytes(place.try_into().unwrap()).wrapping_add(moved);
            place.copy_from_slice(&value.to_le_bytes());
        }
    }
    let table = file.import_table().unwrap().unwrap();
    let mut descriptors = table.descriptors().unwrap();
    while let Some(descriptor) = descriptors.next().unwrap() {
        let mut at = descriptor.first_thunk.get(LE) as usize;
        let mut thunks = table.thunks(descriptor.original_first_thunk.get(LE)).unwrap();
        while let Some(thunk) = thunks.next::<ImageNtHeaders64>().unwrap() {
            let Import::Name(_, name) = table.import::<ImageNtHeaders64>(thunk).unwrap() else {
                panic!("import by ordinal");
            };
            let address = Kernel::export(std::str::from_utf8(name).unwrap());
            memory[at..at + 8].copy_from_slice(&address.to_le_bytes());
            at += 8;
        }
    }
    for section in file.section_table().iter() {
        let flags = section.characteristics.get(LE);
        let mut protection = libc::PROT_READ;
        if flags.contains(IMAGE_SCN_MEM_WRITE) {
            protection |= libc::PROT_WRITE;
        }
        if flags.contains(IMAGE_SCN_MEM_EXECUTE) {
            protection |= libc::PROT_EXEC;
        }
        let at = section.virtual_address.get(LE) as usize;
        let length = section.virtual_size.get(LE) as usize;
        // SAFETY: a page-aligned part of the mapping above; `memory` is not used any more.
        let result = unsafe { libc::mprotect(base.add(at), length, protection) };
        assert_eq!(result, 0);
    }

    type Entry = unsafe extern "win64" fn(*mut u8, *const UnicodeString) -> u32;
    let path: Vec<u16> = "\\Registry\\Machine\\System\\CurrentControlSet\\Services\\csagent"
        .encode_utf16()
        .collect();
    let registry_path = UnicodeString::of(&path);
    let mut driver_object = [0u8; 0x150];
    kernel.install();
    // SAFETY: the address is the image's entry point, mapped executable above; the signature is that of
    // DriverEntry; both arguments outlive the call.
    unsafe {
        let address = base.cast::<u8>().add(optional.address_of_entry_point.get(LE) as usize);
        let entry = std::mem::transmute::<*mut u8, Entry>(address);
        entry(driver_object.as_mut_ptr(), &registry_path)
    }
}

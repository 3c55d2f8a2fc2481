//! Hardware as drivers reach it: memory of devices, buses, memory descriptor lists.
//!
//! The model has no devices that a driver could find: where one asks, nothing answers, which on a bus is all ones.

#![expect(unsafe_code, reason = "reads and writes what a driver points to")]
#![expect(
    unsafe_op_in_unsafe_fn,
    reason = "every function here trusts its caller's pointers alike"
)]

use super::super::child::{Caller, PoolKind, pool, stop_lacking};
use super::super::report::Lack;
use super::super::types::Mdl;
use super::memory::is_readable;
use super::{exports, with_caller};

const TAG: u32 = u32::from_le_bytes(*b"Mdl ");
const PAGE: u64 = 0x1000;
/// `PCIConfiguration`.
const PCI: u32 = 4;
/// `MDL_MAPPED_TO_SYSTEM_VA`, `MDL_PAGES_LOCKED`, `MDL_SOURCE_IS_NONPAGED_POOL`, `MDL_ALLOCATED_FIXED_SIZE`.
const MAPPED: u16 = 1;
const LOCKED: u16 = 2;
const NONPAGED: u16 = 4;

unsafe extern "C" {
    fn understudy_probe_and_lock();
    fn understudy_probe_for_read();
    fn understudy_probe_for_write();
}

with_caller!("understudy_probe_and_lock", probe_and_lock);
with_caller!("understudy_probe_for_read", probe_for_read);
with_caller!("understudy_probe_for_write", probe_for_read);

exports! {
    MmMapIoSpace => map_io_space,
    MmMapIoSpaceEx => map_io_space,
    MmUnmapIoSpace => unmap_io_space,
    MmGetPhysicalAddress => physical_address,
    HalGetBusDataByOffset => get_bus_data_by_offset,
    HalGetBusData => get_bus_data,
    HalSetBusDataByOffset => set_bus_data_by_offset,
    HalSetBusData => set_bus_data,
    HalTranslateBusAddress => translate_bus_address,
    IoAllocateMdl => allocate_mdl,
    IoFreeMdl => free_mdl,
    MmBuildMdlForNonPagedPool => build_mdl,
    MmProbeAndLockPages => understudy_probe_and_lock,
    MmUnlockPages => unlock_pages,
    MmMapLockedPages => map_locked_pages,
    MmMapLockedPagesSpecifyCache => map_locked_pages,
    MmUnmapLockedPages => unmap_locked_pages,
    MmSizeOfMdl => size_of_mdl,
    ProbeForRead => understudy_probe_for_read,
    ProbeForWrite => understudy_probe_for_write,
}

/// Memory that reads as all ones, for no device is there. What is written to it stays, which a bus would not do.
unsafe extern "win64" fn map_io_space(physical: u64, size: u64, _cache: u32) -> u64 {
    let inside = physical % PAGE;
    let room = inside.saturating_add(size).max(PAGE);
    let Some(address) = pool().allocate(room, TAG, PoolKind::NonPaged) else { return 0 };
    std::ptr::write_bytes(address as *mut u8, 0xFF, room as usize);
    address + inside
}

unsafe extern "win64" fn unmap_io_space(address: u64, _size: u64) {
    // Windows, too, does nothing for an address that was not mapped but damage its own books.
    let _ = pool().free(address & !(PAGE - 1), Some(TAG));
}

/// One that no other address has: the model has no physical memory of its own.
unsafe extern "win64" fn physical_address(address: u64) -> u64 {
    address & 0xFF_FFFF_FFFF
}

/// What is known of a bus: on bus 0 no slot is filled, other buses are not there.
unsafe fn bus_data(kind: u32, bus: u32, to: *mut u8, length: u32) -> u32 {
    if kind != PCI || bus != 0 {
        return 0;
    }
    // PCI_INVALID_VENDORID, and that only this was read.
    let read = length.min(2);
    std::ptr::write_bytes(to, 0xFF, read as usize);
    read
}

unsafe extern "win64" fn get_bus_data_by_offset(
    kind: u32,
    bus: u32,
    _slot: u32,
    to: *mut u8,
    _offset: u32,
    length: u32,
) -> u32 {
    bus_data(kind, bus, to, length)
}

unsafe extern "win64" fn get_bus_data(
    kind: u32,
    bus: u32,
    _slot: u32,
    to: *mut u8,
    length: u32,
) -> u32 {
    bus_data(kind, bus, to, length)
}

/// Nothing is there that could be written.
unsafe extern "win64" fn set_bus_data_by_offset() -> u32 {
    0
}

/// As [`set_bus_data_by_offset`].
unsafe extern "win64" fn set_bus_data() -> u32 {
    0
}

/// Addresses of a bus are those of the processor, as on every PC.
unsafe extern "win64" fn translate_bus_address(
    _interface: u32,
    _bus: u32,
    address: u64,
    _space: *mut u32,
    translated: *mut u64,
) -> u8 {
    *translated = address;
    1
}

fn pages(address: u64, length: u64) -> u64 {
    (address % PAGE + length).div_ceil(PAGE)
}

unsafe extern "win64" fn size_of_mdl(address: u64, length: u64) -> u64 {
    size_of::<Mdl>() as u64 + 8 * pages(address, length)
}

unsafe extern "win64" fn allocate_mdl(
    address: u64,
    length: u32,
    secondary: u8,
    _charge: u8,
    irp: *mut u64,
) -> *mut Mdl {
    let size = size_of_mdl(address, length.into());
    let Some(at) = pool().allocate(size, TAG, PoolKind::NonPaged) else {
        return std::ptr::null_mut();
    };
    std::ptr::write_bytes(at as *mut u8, 0, size as usize);
    let mdl = at as *mut Mdl;
    (*mdl).size = size as u16;
    (*mdl).start = address & !(PAGE - 1);
    (*mdl).offset = (address % PAGE) as u32;
    (*mdl).count = length;
    if !irp.is_null() {
        // IRP.MdlAddress, or the end of the list that begins there.
        let mut link = irp.add(1);
        if secondary != 0 {
            while *link != 0 {
                link = *link as *mut u64;
            }
        }
        *link = at;
    }
    mdl
}

unsafe extern "win64" fn free_mdl(mdl: u64) {
    let _ = pool().free(mdl, Some(TAG));
}

unsafe fn fill(mdl: *mut Mdl, flags: u16) {
    let first = mdl.add(1).cast::<u64>();
    for page in 0..pages((*mdl).offset.into(), (*mdl).count.into()) {
        *first.add(page as usize) = physical_address((*mdl).start + page * PAGE) / PAGE;
    }
    (*mdl).flags |= flags;
}

unsafe extern "win64" fn build_mdl(mdl: *mut Mdl) {
    fill(mdl, NONPAGED);
    (*mdl).mapped = (*mdl).start + u64::from((*mdl).offset);
}

/// Pages that cannot be read raise an exception on Windows, which the model cannot deliver.
unsafe extern "win64" fn probe_and_lock(caller: *const Caller) {
    let mdl = (*caller).general[1] as *mut Mdl;
    let (start, count) = ((*mdl).start + u64::from((*mdl).offset), u64::from((*mdl).count));
    if !range_is_readable(start, count) {
        stop_lacking(&*caller, Lack::Exception, 0);
    }
    fill(mdl, LOCKED);
}

unsafe extern "win64" fn probe_for_read(caller: *const Caller) {
    let [address, length, alignment] = [1, 2, 8].map(|at| (*caller).general[at]);
    let aligned = address & (alignment & 0xFF).saturating_sub(1) == 0;
    if length != 0 && !(aligned && range_is_readable(address, length)) {
        stop_lacking(&*caller, Lack::Exception, 0);
    }
}

unsafe fn range_is_readable(start: u64, length: u64) -> bool {
    let Some(end) = start.checked_add(length) else { return false };
    let mut page = start;
    while page < end {
        if !is_readable(page) {
            return false;
        }
        page = (page & !(PAGE - 1)) + PAGE;
    }
    true
}

unsafe extern "win64" fn unlock_pages(mdl: *mut Mdl) {
    (*mdl).flags &= !(LOCKED | MAPPED);
}

/// There is one address space: the pages are where they were.
unsafe extern "win64" fn map_locked_pages(mdl: *mut Mdl) -> u64 {
    (*mdl).flags |= MAPPED;
    (*mdl).mapped = (*mdl).start + u64::from((*mdl).offset);
    (*mdl).mapped
}

unsafe extern "win64" fn unmap_locked_pages(_address: u64, mdl: *mut Mdl) {
    (*mdl).flags &= !MAPPED;
}

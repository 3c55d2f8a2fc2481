//! Pool and memory blocks.

#![expect(unsafe_code, reason = "reads and writes what a driver points to")]
#![expect(
    unsafe_op_in_unsafe_fn,
    reason = "every function here trusts its caller's pointers alike"
)]

use super::super::child::{Caller, PoolError, PoolKind, bug_check, pool};
use super::super::layout;
use super::{exports, with_caller};

const NO_TAG: u32 = u32::from_le_bytes(*b"None");
/// `POOL_FLAG_UNINITIALIZED`, `POOL_FLAG_NON_PAGED_EXECUTE`, `POOL_FLAG_PAGED` of ExAllocatePool2.
const UNINITIALIZED: u64 = 2;
const NON_PAGED_EXECUTE: u64 = 0x80;
const PAGED: u64 = 0x100;

unsafe extern "C" {
    fn understudy_ex_free_pool();
    fn understudy_ex_free_pool_with_tag();
}

with_caller!("understudy_ex_free_pool", ex_free_pool);
with_caller!("understudy_ex_free_pool_with_tag", ex_free_pool_with_tag);

exports! {
    ExAllocatePool => ex_allocate_pool,
    ExAllocatePoolWithTag => ex_allocate_pool_with_tag,
    ExAllocatePoolWithQuotaTag => ex_allocate_pool_with_tag,
    ExAllocatePoolZero => ex_allocate_pool_zero,
    ExAllocatePool2 => ex_allocate_pool2,
    ExFreePool => understudy_ex_free_pool,
    ExFreePoolWithTag => understudy_ex_free_pool_with_tag,
    MmAllocateContiguousMemory => mm_allocate_contiguous,
    MmFreeContiguousMemory => understudy_ex_free_pool,
    MmIsAddressValid => mm_is_address_valid,
    memcpy => memmove,
    memmove => memmove,
    RtlCopyMemory => memmove,
    RtlMoveMemory => memmove,
    memset => memset,
    RtlFillMemory => fill,
    RtlZeroMemory => zero,
    RtlSecureZeroMemory => zero,
    memcmp => memcmp,
    memchr => memchr,
    RtlCompareMemory => rtl_compare_memory,
}

/// Of the pool types of the older interface the odd ones are paged, and those with the bit of `NonPagedPoolNx` are data
/// (wdm.h, `POOL_TYPE`).
fn kind_of(pool_type: u32) -> PoolKind {
    match pool_type {
        odd if odd & 1 != 0 => PoolKind::Paged,
        data if data & 0x200 != 0 => PoolKind::NonPaged,
        _ => PoolKind::Executable,
    }
}

fn allocate(size: u64, tag: u32, kind: PoolKind) -> u64 {
    pool().allocate(size, tag, kind).unwrap_or(0)
}

unsafe extern "win64" fn ex_allocate_pool(kind: u32, size: u64) -> u64 {
    allocate(size, NO_TAG, kind_of(kind))
}

unsafe extern "win64" fn ex_allocate_pool_with_tag(kind: u32, size: u64, tag: u32) -> u64 {
    allocate(size, tag, kind_of(kind))
}

unsafe extern "win64" fn ex_allocate_pool_zero(kind: u32, size: u64, tag: u32) -> u64 {
    cleared(allocate(size, tag, kind_of(kind)), size)
}

unsafe extern "win64" fn ex_allocate_pool2(flags: u64, size: u64, tag: u32) -> u64 {
    let kind = match flags {
        paged if paged & PAGED != 0 => PoolKind::Paged,
        code if code & NON_PAGED_EXECUTE != 0 => PoolKind::Executable,
        _ => PoolKind::NonPaged,
    };
    let address = allocate(size, tag, kind);
    if flags & UNINITIALIZED != 0 { address } else { cleared(address, size) }
}

unsafe extern "win64" fn mm_allocate_contiguous(size: u64, _highest: u64) -> u64 {
    allocate(size.max(0x1000), NO_TAG, PoolKind::Executable)
}

unsafe fn cleared(address: u64, size: u64) -> u64 {
    if address != 0 {
        std::ptr::write_bytes(address as *mut u8, 0, size as usize);
    }
    address
}

unsafe extern "win64" fn ex_free_pool(caller: *const Caller) {
    free(&*caller, None);
}

unsafe extern "win64" fn ex_free_pool_with_tag(caller: *const Caller) {
    let tag = (*caller).general[2] as u32;
    free(&*caller, Some(tag));
}

/// Frees the block in the caller's rcx. A block that cannot be freed is a bug check:
/// 0xC2 BAD_POOL_CALLER (7 freed already, 0x46 never allocated, 0xA wrong tag) or 0x19
/// BAD_POOL_HEADER (0x20 the header is damaged).
fn free(caller: &Caller, tag: Option<u32>) {
    let address = caller.general[1];
    let freed = pool().free(address, tag);
    let (code, parameters) = match freed {
        Ok(()) => return,
        Err(PoolError::NeverAllocated) => (0xC2, [0x46, address, 0, 0]),
        Err(PoolError::AlreadyFreed(header)) => (0xC2, [7, 0, header, address]),
        Err(PoolError::WrongTag(found)) => {
            (0xC2, [0xA, address, u64::from(found), u64::from(tag.unwrap_or(0))])
        }
        Err(PoolError::HeaderDamaged) => (0x19, [0x20, address - 16, 0, 0]),
    };
    bug_check(code, parameters, caller)
}

unsafe extern "win64" fn mm_is_address_valid(address: u64) -> u8 {
    u8::from(is_readable(address))
}

/// Whether this is memory of the model's kernel that can be read.
pub(super) unsafe fn is_readable(address: u64) -> bool {
    let address = layout::to_native(address);
    if layout::region_of(address).is_none() {
        return false;
    }
    let mut resident = 0_u8;
    let page = address & !0xFFF;
    // mincore fails for unmapped memory only; reserved pages must be told by their rights.
    let mapped = libc::mincore(page as *mut libc::c_void, 0x1000, &raw mut resident) == 0;
    mapped && readable(address)
}

/// Asks the kernel to read one byte: `write` to a pipe fails with EFAULT where the page is not
/// readable, without a signal.
unsafe fn readable(address: u64) -> bool {
    let mut ends = [0; 2];
    if libc::pipe(ends.as_mut_ptr()) != 0 {
        return false;
    }
    let wrote = libc::write(ends[1], address as *const libc::c_void, 1);
    libc::close(ends[0]);
    libc::close(ends[1]);
    wrote == 1
}

unsafe extern "win64" fn memmove(to: *mut u8, from: *const u8, size: u64) -> *mut u8 {
    std::ptr::copy(from, to, size as usize);
    to
}

unsafe extern "win64" fn memset(to: *mut u8, value: u32, size: u64) -> *mut u8 {
    std::ptr::write_bytes(to, value as u8, size as usize);
    to
}

unsafe extern "win64" fn fill(to: *mut u8, size: u64, value: u32) {
    std::ptr::write_bytes(to, value as u8, size as usize);
}

unsafe extern "win64" fn zero(to: *mut u8, size: u64) {
    std::ptr::write_bytes(to, 0, size as usize);
}

unsafe extern "win64" fn memcmp(a: *const u8, b: *const u8, size: u64) -> i32 {
    for at in 0..size as usize {
        let difference = i32::from(*a.add(at)) - i32::from(*b.add(at));
        if difference != 0 {
            return difference;
        }
    }
    0
}

unsafe extern "win64" fn memchr(a: *const u8, value: u32, size: u64) -> *const u8 {
    (0..size as usize)
        .map(|at| a.add(at))
        .find(|at| **at == value as u8)
        .unwrap_or(std::ptr::null())
}

/// Number of equal bytes from the start.
unsafe extern "win64" fn rtl_compare_memory(a: *const u8, b: *const u8, size: u64) -> u64 {
    (0..size).take_while(|at| *a.add(*at as usize) == *b.add(*at as usize)).count() as u64
}

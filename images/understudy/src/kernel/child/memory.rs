//! The model's kernel memory: its regions, and the pool allocator.
//!
//! The allocator keeps its books outside the pool, so that a driver's overrun damages what Windows
//! would have damaged (the neighbour and its header) and never the allocator. Headers are written as
//! Windows has them and checked when a block is freed.

#![expect(unsafe_code, reason = "maps memory at fixed addresses and writes pool headers")]

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::sync::{LazyLock, Mutex, MutexGuard};

use super::super::layout::{self, NONPAGED_POOL, PAGED_POOL, REGIONS, Region};
use super::lock;

const PAGE: u64 = 0x1000;
/// `POOL_HEADER` of x64 Windows.
const HEADER: u64 = 16;

pub(super) const READ: libc::c_int = libc::PROT_READ;
pub(super) const WRITE: libc::c_int = libc::PROT_WRITE;
pub(super) const EXECUTE: libc::c_int = libc::PROT_EXEC;

/// Reserves every region without access.
pub(super) fn map_regions() -> io::Result<()> {
    for region in REGIONS {
        let flags = libc::MAP_PRIVATE
            | libc::MAP_ANONYMOUS
            | libc::MAP_NORESERVE
            | libc::MAP_FIXED_NOREPLACE;
        // SAFETY: MAP_FIXED_NOREPLACE never replaces a mapping that is in use.
        let got = unsafe {
            libc::mmap(
                region.base as *mut libc::c_void,
                region.size as usize,
                libc::PROT_NONE,
                flags,
                -1,
                0,
            )
        };
        if got as u64 != region.base {
            let error = io::Error::last_os_error();
            return Err(io::Error::new(
                error.kind(),
                format!("mapping kernel memory at 0x{:x}: {error}", region.base),
            ));
        }
    }
    Ok(())
}

/// Sets what pages of the model's regions may do.
pub(super) fn protect(address: u64, size: u64, protection: libc::c_int) -> io::Result<()> {
    let start = address & !(PAGE - 1);
    let end = (address + size).next_multiple_of(PAGE);
    let inside = layout::region_of(start).is_some_and(|region| end <= region.end());
    if !inside {
        return Err(io::Error::other("not kernel memory"));
    }
    // SAFETY: the range lies within one of the model's own regions.
    let failed =
        unsafe { libc::mprotect(start as *mut libc::c_void, (end - start) as usize, protection) };
    if failed == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Copies bytes into mapped, writable memory of the model's regions.
pub(super) fn write(address: u64, bytes: &[u8]) {
    debug_assert!(layout::region_of(address).is_some());
    // SAFETY: callers pass ranges that they have just made writable.
    unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), address as *mut u8, bytes.len()) };
}

/// Why a block could not be freed; each is a bug check on Windows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum PoolError {
    /// Nothing was ever allocated there.
    NeverAllocated,
    /// Freed already. The header as it is now.
    AlreadyFreed(u64),
    /// The header in front of the block was overwritten.
    HeaderDamaged,
    /// Allocated with this tag, freed with another.
    WrongTag(u32),
}

/// What becomes of a block's pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum PoolKind {
    /// Always there, and data: `NonPagedPoolNx`.
    NonPaged,
    /// Always there, and code may run from it: the old `NonPagedPool`, which is `NonPagedPoolExecute` (wdm.h,
    /// `POOL_TYPE`).
    Executable,
    /// May be paged out.
    Paged,
}

struct Block {
    size: u64,
    tag: u32,
    kind: PoolKind,
}

struct Arena {
    region: Region,
    protection: libc::c_int,
    /// First byte that was never handed out.
    top: u64,
    /// Free small blocks by size, header included.
    free: BTreeMap<u64, Vec<u64>>,
}

impl Arena {
    fn new(region: Region, protection: libc::c_int) -> Self {
        Self { region, protection, top: region.base, free: BTreeMap::new() }
    }

    /// Makes room for `size` bytes at the top, `align`ed.
    fn grow(&mut self, size: u64, align: u64) -> Option<u64> {
        let start = self.top.next_multiple_of(align);
        let end = start.checked_add(size)?;
        // The last page stays unmapped, so that an overrun of the last block faults.
        if end > self.region.end() - PAGE {
            return None;
        }
        protect(start, size, self.protection).ok()?;
        self.top = end;
        Some(start)
    }
}

/// The pools.
pub(in super::super) struct Pool {
    nonpaged: Arena,
    executable: Arena,
    paged: Arena,
    blocks: HashMap<u64, Block>,
    freed: HashMap<u64, u64>,
}

static POOL: LazyLock<Mutex<Pool>> = LazyLock::new(|| {
    // Which half is the one from which code runs nobody can tell on Windows either.
    let half = NONPAGED_POOL.size / 2;
    let executable = Region { base: NONPAGED_POOL.base + half, size: half };
    Mutex::new(Pool {
        nonpaged: Arena::new(Region { size: half, ..NONPAGED_POOL }, READ | WRITE),
        executable: Arena::new(executable, READ | WRITE | EXECUTE),
        paged: Arena::new(PAGED_POOL, READ | WRITE),
        blocks: HashMap::new(),
        freed: HashMap::new(),
    })
});

/// The pools, locked.
pub(in super::super) fn pool() -> MutexGuard<'static, Pool> {
    lock(&POOL)
}

impl Pool {
    fn arena(&mut self, kind: PoolKind) -> &mut Arena {
        match kind {
            PoolKind::NonPaged => &mut self.nonpaged,
            PoolKind::Executable => &mut self.executable,
            PoolKind::Paged => &mut self.paged,
        }
    }

    /// Allocates. The memory is not cleared beyond what a fresh page is. None when the pool is full.
    pub(in super::super) fn allocate(
        &mut self,
        size: u64,
        tag: u32,
        kind: PoolKind,
    ) -> Option<u64> {
        let size = size.max(1);
        let arena = self.arena(kind);
        let address = if size + HEADER >= PAGE {
            let room = size.checked_next_multiple_of(PAGE)?;
            arena.grow(room, PAGE)?
        } else {
            let room = (size + HEADER).next_multiple_of(16);
            let at = match arena.free.get_mut(&room).and_then(Vec::pop) {
                Some(at) => at,
                None => {
                    // A small block never crosses a page, as on Windows.
                    if arena.top / PAGE != (arena.top + room - 1) / PAGE {
                        arena.top = arena.top.next_multiple_of(PAGE);
                    }
                    arena.grow(room, 16)?
                }
            };
            write(at, &header(room, tag, kind));
            at + HEADER
        };
        self.freed.remove(&address);
        self.blocks.insert(address, Block { size, tag, kind });
        Some(address)
    }

    /// Frees. `tag` where the caller gave one.
    pub(in super::super) fn free(
        &mut self,
        address: u64,
        tag: Option<u32>,
    ) -> Result<(), PoolError> {
        let Some(block) = self.blocks.get(&address) else {
            return Err(match self.freed.get(&address) {
                Some(header) => PoolError::AlreadyFreed(*header),
                None => PoolError::NeverAllocated,
            });
        };
        if let Some(tag) = tag
            && tag != 0
            && tag != block.tag
        {
            return Err(PoolError::WrongTag(block.tag));
        }
        let small = block.size + HEADER < PAGE;
        let room = (block.size + HEADER).next_multiple_of(16);
        let kind = block.kind;
        let mut head = [0; HEADER as usize];
        if small {
            // SAFETY: a small block lies behind its header in mapped memory.
            head = unsafe { std::ptr::read((address - HEADER) as *const [u8; 16]) };
            if head != header(room, block.tag, kind) {
                return Err(PoolError::HeaderDamaged);
            }
        }
        let size = block.size;
        self.blocks.remove(&address);
        let head = u64::from_le_bytes([
            head[0], head[1], head[2], head[3], head[4], head[5], head[6], head[7],
        ]);
        self.freed.insert(address, head);
        let arena = self.arena(kind);
        if small {
            arena.free.entry(room).or_default().push(address - HEADER);
        } else if protect(address, size, libc::PROT_NONE).is_err() {
            // The pages stay readable; a use after free then goes unseen, nothing worse.
        }
        Ok(())
    }
}

/// `POOL_HEADER`: previous size, index, block size in 16-byte units, pool type, tag, process billed.
fn header(room: u64, tag: u32, kind: PoolKind) -> [u8; 16] {
    let mut header = [0; 16];
    header[2] = (room / 16) as u8;
    // In use (bit 1); paged pool has type 1.
    header[3] = 2 | u8::from(kind == PoolKind::Paged);
    header[4..8].copy_from_slice(&tag.to_le_bytes());
    header
}

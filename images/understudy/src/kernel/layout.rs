//! Where things lie: the addresses of the model's kernel, and the one translation between the
//! addresses that driver code runs at and the ones that Windows would show.
//!
//! Driver code runs in an ordinary Linux process, so every address it can use is below 2^47. Windows
//! keeps kernel memory in the upper half. The model's regions therefore lie at the address that
//! Windows might have used *with the upper bits cleared*, and everything that leaves the kernel
//! process (stop parameters, registers, dumps, screens) passes through [`to_kernel`], which sets
//! them again:
//!
//! | region | shown as | runs at |
//! |---|---|---|
//! | `ntoskrnl.exe` | `0xFFFFF800_10000000` | `0x7800_10000000` |
//! | driver images | `0xFFFFF800_20000000` | `0x7800_20000000` |
//! | non-paged pool | `0xFFFFC080_00000000` | `0x4080_00000000` |
//! | paged pool | `0xFFFFB980_00000000` | `0x3980_00000000` |
//! | kernel stacks | `0xFFFFFA80_00000000` | `0x7A80_00000000` |
//! | shared user data | `0xFFFFF780_00000000` | `0x7780_00000000` |
//!
//! Code of the understudy itself (the implementation of the exports) lies wherever Linux put the
//! program; it is shown inside `ntoskrnl.exe`, from [`NT_TEXT_OFFSET`] on.

/// Bits that tell the upper half of the address space from the lower.
const UPPER: u64 = 0xFFFF_8000_0000_0000;

/// A range of the model's kernel memory, by the address at which code uses it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Region {
    /// First byte.
    pub base: u64,
    /// Bytes.
    pub size: u64,
}

impl Region {
    /// True where `address` (as used by code) lies within.
    pub const fn contains(&self, address: u64) -> bool {
        address >= self.base && address - self.base < self.size
    }

    /// One past the last byte.
    pub const fn end(&self) -> u64 {
        self.base + self.size
    }
}

/// The model's `ntoskrnl.exe`: headers, export thunks, and the window for the program's own code.
pub const NT: Region = Region { base: 0x7800_1000_0000, size: 0x0400_0000 };
/// Driver images.
pub const DRIVERS: Region = Region { base: 0x7800_2000_0000, size: 0x1000_0000 };
/// Non-paged pool.
pub const NONPAGED_POOL: Region = Region { base: 0x4080_0000_0000, size: 0x0400_0000 };
/// Paged pool.
pub const PAGED_POOL: Region = Region { base: 0x3980_0000_0000, size: 0x0400_0000 };
/// Kernel stacks, one slot a thread.
pub const STACKS: Region = Region { base: 0x7A80_0000_0000, size: 0x0800_0000 };
/// `KUSER_SHARED_DATA`. The one address that drivers know by heart.
pub const SHARED_DATA: Region = Region { base: 0x7780_0000_0000, size: 0x1000 };
/// One slot of [`STACKS`]: guard page, then the stack.
pub const STACK_SLOT: u64 = 0x0004_0000;
/// Bytes that stay unmapped at the low end of a stack slot.
pub const STACK_GUARD: u64 = 0x1000;

/// Offset within [`NT`] at which the program's own code is shown.
pub const NT_TEXT_OFFSET: u64 = 0x0040_0000;
/// Offset within [`NT`] of what a dump adds: debugger data, module list, exception and context.
pub const NT_DUMP_OFFSET: u64 = 0x03C0_0000;
/// Kernel address of the exception record that parameter 3 of 0x7E points to.
pub const EXCEPTION_RECORD: u64 = (NT.base + NT_DUMP_OFFSET) | UPPER;
/// Kernel address of the context record that parameter 4 of 0x7E points to.
pub const CONTEXT_RECORD: u64 = EXCEPTION_RECORD + 0x1000;
/// Kernel address from which a dump may lay out its own structures.
pub const DUMP_STRUCTURES: u64 = EXCEPTION_RECORD + 0x2000;

/// All regions of the model's kernel memory.
pub const REGIONS: [Region; 6] = [NT, DRIVERS, NONPAGED_POOL, PAGED_POOL, STACKS, SHARED_DATA];

/// The region that holds an address as code uses it.
pub fn region_of(address: u64) -> Option<Region> {
    REGIONS.into_iter().find(|region| region.contains(address))
}

/// The address that Windows would show: addresses within the model's regions move to the upper half,
/// all others (null, user space, wild kernel addresses) stay what they are.
pub fn to_kernel(address: u64) -> u64 {
    if region_of(address).is_some() { address | UPPER } else { address }
}

/// The inverse of [`to_kernel`], for reading the kernel process's memory.
pub fn to_native(address: u64) -> u64 {
    let native = address & !UPPER;
    if address & UPPER == UPPER && region_of(native).is_some() { native } else { address }
}

/// True for a canonical address in the upper half (bits 63 to 47 all set).
pub const fn is_upper_half(address: u64) -> bool {
    address & UPPER == UPPER
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn translation_round_trips_inside_and_leaves_the_rest_alone() {
        for region in REGIONS {
            for address in [region.base, region.base + 0x123, region.end() - 1] {
                assert!(is_upper_half(to_kernel(address)));
                assert_eq!(to_native(to_kernel(address)), address);
            }
            assert_eq!(to_kernel(region.end()), region.end());
        }
        for address in [0, 0x9C, 0x7FFF_FFFF_0000, 0xFFFF_8405_0000_0074, u64::MAX] {
            assert_eq!(to_kernel(address), address);
            assert_eq!(to_native(address), address);
        }
    }

    #[test]
    fn regions_do_not_overlap() {
        for (at, one) in REGIONS.iter().enumerate() {
            for other in &REGIONS[at + 1..] {
                assert!(one.end() <= other.base || other.end() <= one.base);
            }
        }
    }
}

//! Everything about the image that Windows would draw by lot or take from a clock, fixed, so that the
//! same inputs give the same bytes.

use winfmt::{FileTime, Guid};

/// The computer's name.
pub(super) const COMPUTER_NAME: &str = "UNDERSTUDY";
/// The disk's id.
pub(super) const DISK: Guid = id(0x10);
/// The EFI system partition's id.
pub(super) const ESP: Guid = id(0x11);
/// The Microsoft reserved partition's id.
pub(super) const RESERVED: Guid = id(0x12);
/// The Windows partition's id.
pub(super) const WINDOWS: Guid = id(0x13);
/// The recovery partition's id.
pub(super) const RECOVERY: Guid = id(0x14);
/// The Windows loader's id in the BCD store.
pub(super) const LOADER: Guid = id(0x20);
/// The recovery loader's id in the BCD store.
pub(super) const RECOVERY_LOADER: Guid = id(0x21);
/// The RAM disk options' id in the BCD store.
pub(super) const RECOVERY_OPTIONS: Guid = id(0x22);
/// The id in the header of `Winre.wim`.
pub(super) const RECOVERY_IMAGE: Guid = id(0x23);

/// Build and update revision of the Windows that is modelled: one with Quick Machine Recovery
/// (windows-facts.md 1.2).
pub(super) const BUILD: (u32, u32) = (26100, 4770);

/// 2024-07-01T00:00:00Z, the time of everything on the disk.
pub(super) const TIME_UNIX: u64 = 1_719_792_000;

/// [`TIME_UNIX`] as the hives hold it.
pub(super) const fn time() -> FileTime {
    FileTime::from_ticks((TIME_UNIX + 11_644_473_600) * 10_000_000)
}

/// `6c6f6f70-6272-4561-8000-0000000000nn`: version 4 in form, "loopbrea" in its first bytes.
const fn id(number: u8) -> Guid {
    Guid::from_fields(0x6C6F_6F70, 0x6272, 0x4561, [0x80, 0, 0, 0, 0, 0, 0, number])
}

//! The entries `.` and `..` of a directory.
//!
//! They are the first two of a directory, without long names, and `..` names cluster 0 where the
//! directory lies in the root (Microsoft FAT specification 1.03, "Directory creation"). `fatfs` 0.3
//! gives them long names, writes the cluster of the root of FAT32 into `..`, and leaves `..` as it was
//! when a directory moves; `fsck.vfat` and `chkdsk` take all three for damage. So they are put right
//! before anything reaches the device.

use super::check::{Geometry, boot_sector};
use crate::{BlockDevice, Reason};

const SLOT: usize = 32;

/// Puts the first entries of a directory right. `path` is made of the short names on the way to it.
pub(super) fn put_right(device: &mut dyn BlockDevice, path: &[Vec<u8>]) -> Result<(), Reason> {
    let boot = boot_sector(device)?;
    let geometry = Geometry::parse(&boot, device.len())?;
    let table = geometry.table(device, 0)?;
    let (mut parent, mut own) = (0, 0);
    for name in path {
        parent = own;
        own = find(device, &geometry, &table, own, name)?;
    }
    let missing = || Reason::Damaged("a directory has no entries '.' and '..'".to_owned());
    let place = geometry.place(own).ok_or_else(missing)?;
    let mut head = [0; 5 * SLOT];
    device.read_at(place, &mut head).map_err(Reason::Device)?;
    let slot = |name: &[u8; 11]| {
        let mut slots = head.chunks_exact(SLOT);
        slots.find(|slot| slot.starts_with(name) && slot[11] & 0x08 == 0).map(<[u8]>::to_vec)
    };
    let mut dot = slot(b".          ").ok_or_else(missing)?;
    let mut dots = slot(b"..         ").ok_or_else(missing)?;
    for (entry, cluster) in [(&mut dot, own), (&mut dots, parent)] {
        let bytes = cluster.to_le_bytes();
        entry[20..22].copy_from_slice(&bytes[2..]);
        entry[26..28].copy_from_slice(&bytes[..2]);
    }
    let mut new = head;
    new[..SLOT].copy_from_slice(&dot);
    new[SLOT..2 * SLOT].copy_from_slice(&dots);
    let long_names = head[11] == 0x0f;
    if long_names {
        // Where they were: free, or the end if nothing follows.
        new[2 * SLOT..4 * SLOT].fill(0);
        if head[4 * SLOT] != 0 {
            (new[2 * SLOT], new[3 * SLOT]) = (0xe5, 0xe5);
        }
    }
    device.write_at(place, &new).map_err(Reason::Device)
}

/// The first cluster of the directory `name` in the directory that starts at `dir` (0 is the root).
fn find(
    device: &mut dyn BlockDevice,
    geometry: &Geometry,
    table: &[u8],
    dir: u32,
    name: &[u8],
) -> Result<u32, Reason> {
    let bytes = geometry.directory(device, table, dir)?;
    bytes
        .chunks_exact(SLOT)
        .take_while(|entry| entry[0] != 0)
        .filter(|entry| entry[0] != 0xe5 && entry[11] & 0x18 == 0x10)
        .find(|entry| stored_name(entry) == name)
        .map(|entry| geometry.first_cluster(entry))
        .ok_or(Reason::NotFound)
}

/// The short name of an entry as `fatfs` gives it: with a full stop, without the padding.
fn stored_name(entry: &[u8]) -> Vec<u8> {
    let trimmed = |part: &[u8]| {
        let end = part.iter().rposition(|&byte| byte != b' ').map_or(0, |last| last + 1);
        part[..end].to_vec()
    };
    let (mut name, extension) = (trimmed(&entry[..8]), trimmed(&entry[8..11]));
    // 0xE5 begins a free entry, so a name that begins with it is stored with 0x05.
    if name.first() == Some(&0x05) {
        name[0] = 0xe5;
    }
    if !extension.is_empty() {
        name.push(b'.');
        name.extend(extension);
    }
    name
}

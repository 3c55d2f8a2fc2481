//! What the operations do to a file record, an index block or a bitmap: pure, on bytes whose update sequence is
//! undone. Whatever does not fit is refused, and nothing of it is done.

use super::operation as op;
use super::records::Action;
use crate::ntfs::record::{IN_USE, kind, u16_at, u32_at, u64_at};
use crate::ntfs::runs;

#[cfg(test)]
mod tests;

/// Where the head of the entries lies in an index block.
const BLOCK_HEAD: usize = 0x18;
/// Entry flags: it has a child, it is the last one.
const HAS_CHILD: u16 = 1;
const LAST: u16 = 2;
/// Where the times and sizes begin in an index entry of a file name, and their bytes.
const DUPLICATED: usize = 0x18;
const DUPLICATED_LEN: usize = 0x38;

/// Why an operation cannot be carried out.
pub(super) type Refusal = &'static str;

/// One direction of an action.
#[derive(Debug, Clone, Copy)]
pub(super) struct Change<'a> {
    pub(super) operation: u16,
    pub(super) data: &'a [u8],
    /// What the opposite direction writes: what is there before.
    pub(super) opposite: &'a [u8],
    /// Where the attribute lies in the record.
    pub(super) record_offset: usize,
    /// Where in the attribute or block.
    pub(super) attribute_offset: usize,
}

impl<'a> Change<'a> {
    pub(super) fn redo(action: &Action<'a>) -> Self {
        Self {
            operation: action.redo,
            data: action.redo_data,
            opposite: action.undo_data,
            record_offset: action.record_offset,
            attribute_offset: action.attribute_offset,
        }
    }

    pub(super) fn undo(action: &Action<'a>) -> Self {
        Self {
            operation: action.undo,
            data: action.undo_data,
            opposite: action.redo_data,
            ..Self::redo(action)
        }
    }

    /// True if nothing of what was there before is left by it.
    pub(super) fn is_initial(&self) -> bool {
        match self.operation {
            op::INITIALIZE_RECORD => self.begins(b"FILE") && self.data.len() >= 0x30,
            op::UPDATE_NONRESIDENT => self.begins(b"INDX"),
            _ => false,
        }
    }

    fn begins(&self, signature: &[u8]) -> bool {
        self.record_offset == 0 && self.data.starts_with(signature)
    }
}

fn put(bytes: &mut [u8], at: usize, value: &[u8]) -> Result<(), Refusal> {
    let place = bytes.get_mut(at..at + value.len()).ok_or("bytes lie outside of the block")?;
    place.copy_from_slice(value);
    Ok(())
}

fn put_u16(bytes: &mut [u8], at: usize, value: usize) -> Result<(), Refusal> {
    let value = u16::try_from(value).map_err(|_| "a length does not fit its field")?;
    put(bytes, at, &value.to_le_bytes())
}

fn put_u32(bytes: &mut [u8], at: usize, value: usize) -> Result<(), Refusal> {
    let value = u32::try_from(value).map_err(|_| "a length does not fit its field")?;
    put(bytes, at, &value.to_le_bytes())
}

/// Replaces `old` bytes at `at` by `new` ones, moving what is behind them up to `end`. Gives the new end.
fn splice(
    bytes: &mut [u8],
    at: usize,
    old: usize,
    new: &[u8],
    end: usize,
) -> Result<usize, Refusal> {
    let behind = at.checked_add(old).filter(|&behind| behind <= end && end <= bytes.len());
    let behind = behind.ok_or("bytes lie outside of the block")?;
    let moved = at + new.len() + (end - behind);
    if moved > bytes.len() {
        return Err("there is no room for it");
    }
    bytes.copy_within(behind..end, at + new.len());
    bytes[at..at + new.len()].copy_from_slice(new);
    if moved < end {
        bytes[moved..end].fill(0);
    }
    Ok(moved)
}

/// Bytes of a record that are used, if its head is sound.
fn used(record: &[u8]) -> Result<usize, Refusal> {
    let (first, used) = (usize::from(u16_at(record, 0x14)), u32_at(record, 0x18) as usize);
    let sound =
        first >= 0x2a && first.is_multiple_of(8) && used <= record.len() && first + 8 <= used;
    if sound { Ok(used) } else { Err("the head of the file record is malformed") }
}

/// Checks that an attribute begins at `at`, or that the attributes end there. Gives its length, 0 for the end.
fn attribute(record: &[u8], at: usize) -> Result<usize, Refusal> {
    let used = used(record)?;
    let mut here = usize::from(u16_at(record, 0x14));
    loop {
        let end = here + 4 <= used && u32_at(record, here) == kind::END;
        let len = if end { 0 } else { u32_at(record, here + 4) as usize };
        if !end && (len < 0x18 || !len.is_multiple_of(8) || here + len + 4 > used) {
            return Err("an attribute leaves the file record");
        }
        if here == at {
            return Ok(len);
        }
        if end || here > at {
            return Err("no attribute of the file record begins there");
        }
        here += len;
    }
}

/// Carries out a change of a file record. `clusters` is how many the volume has.
pub(super) fn change_record(
    record: &mut [u8],
    change: &Change<'_>,
    clusters: u64,
) -> Result<(), Refusal> {
    let (at, within, data) = (change.record_offset, change.attribute_offset, change.data);
    match change.operation {
        op::INITIALIZE_RECORD => {
            // Freeing a record changes no more than its head, and that alone brings it back.
            if !change.begins(b"FILE") || data.len() < 0x18 {
                return Err("a file record is not begun at its start");
            }
            put(record, 0, data)?;
            used(record).map(|_| ())
        }
        op::DEALLOCATE_RECORD => {
            let flags = u16_at(record, 0x16) & !IN_USE;
            put(record, 0x16, &flags.to_le_bytes())?;
            let sequence = u16_at(record, 0x10).wrapping_add(1).max(1);
            put(record, 0x10, &sequence.to_le_bytes())
        }
        op::WRITE_END_OF_RECORD => {
            attribute(record, at)?;
            put(record, at, data)?;
            put_u32(record, 0x18, (at + data.len()).next_multiple_of(8))?;
            attribute(record, at).map(|_| ())
        }
        op::ZERO_END_OF_RECORD => {
            // Only what is not used: nothing that means anything.
            let used = used(record)?;
            let end = at.checked_add(data.len()).filter(|&end| end <= record.len());
            let end = end.ok_or("bytes lie outside of the block")?;
            if at.max(used) < end {
                record[at.max(used)..end].fill(0);
            }
            Ok(())
        }
        op::CREATE_ATTRIBUTE => create_attribute(record, at, data),
        op::DELETE_ATTRIBUTE => {
            let (used, len) = (used(record)?, attribute(record, at)?);
            let expected = change.opposite;
            if len == 0 || (expected.len() >= 16 && !is_same_attribute(&record[at..], expected)) {
                return Err("another attribute lies where one is to be taken away");
            }
            let indexed = is_indexed(&record[at..]);
            let used = splice(record, at, len, &[], used)?;
            put_u32(record, 0x18, used)?;
            add_links(record, if indexed { -1 } else { 0 })
        }
        op::UPDATE_RESIDENT => update_resident(record, change),
        op::UPDATE_MAPPING_PAIRS => update_mapping_pairs(record, change, clusters),
        op::SET_SIZES => {
            let len = attribute(record, at)?;
            if len < 0x40 || record[at + 8] != 1 || !matches!(data.len(), 24 | 32) {
                return Err("sizes are set of something that has none");
            }
            // In the log the valid length comes before the length.
            put(record, at + 0x28, &data[..8])?;
            put(record, at + 0x38, &data[8..16])?;
            put(record, at + 0x30, &data[16..24])?;
            let pairs = usize::from(u16_at(record, at + 0x20));
            if data.len() == 32 && pairs >= 0x48 {
                put(record, at + 0x40, &data[24..32])?;
            }
            Ok(())
        }
        _ => change_root(record, at, within, change),
    }
}

fn is_same_attribute(one: &[u8], other: &[u8]) -> bool {
    one.get(..4) == other.get(..4) && one.get(8..10) == other.get(8..10)
}

/// True for a name of the file that stands in a directory: it counts as a link.
fn is_indexed(attribute: &[u8]) -> bool {
    attribute.get(8) == Some(&0) && attribute.get(0x16).is_some_and(|flags| flags & 1 != 0)
}

fn add_links(record: &mut [u8], more: i16) -> Result<(), Refusal> {
    let links = u16_at(record, 0x12).checked_add_signed(more).ok_or("a file has no links left")?;
    put(record, 0x12, &links.to_le_bytes())
}

fn create_attribute(record: &mut [u8], at: usize, data: &[u8]) -> Result<(), Refusal> {
    attribute(record, at)?;
    let len = u32_at(data, 4) as usize;
    let created = data.get(..len).filter(|_| len >= 0x18 && len.is_multiple_of(8));
    let created = created.ok_or("an attribute that is to be made is malformed")?;
    let used = splice(record, at, 0, created, used(record)?)?;
    put_u32(record, 0x18, used)?;
    let id = u16_at(created, 0x0e);
    if u16_at(record, 0x28) <= id {
        put_u16(record, 0x28, usize::from(id) + 1)?;
    }
    add_links(record, if is_indexed(created) { 1 } else { 0 })
}

fn update_resident(record: &mut [u8], change: &Change<'_>) -> Result<(), Refusal> {
    let (at, within, data) = (change.record_offset, change.attribute_offset, change.data);
    let (used, len) = (used(record)?, attribute(record, at)?);
    if len == 0 || record[at + 8] != 0 {
        return Err("a value is changed of something that has none in the file record");
    }
    if data.len() == change.opposite.len() {
        if within < 0x18 || within + data.len() > len {
            return Err("a value leaves its attribute");
        }
        return put(record, at + within, data);
    }
    let value = usize::from(u16_at(record, at + 0x14));
    let end = within + data.len();
    if value < 0x18 || within < value || within > len {
        return Err("a value leaves its attribute");
    }
    let mut tail = data.to_vec();
    tail.resize(end.next_multiple_of(8) - within, 0);
    let used = splice(record, at + within, len - within, &tail, used)?;
    put_u32(record, 0x18, used)?;
    put_u32(record, at + 4, end.next_multiple_of(8))?;
    put_u32(record, at + 0x10, end - value)
}

fn update_mapping_pairs(
    record: &mut [u8],
    change: &Change<'_>,
    clusters: u64,
) -> Result<(), Refusal> {
    let (at, within, data) = (change.record_offset, change.attribute_offset, change.data);
    let (used, len) = (used(record)?, attribute(record, at)?);
    if len < 0x40 || record[at + 8] != 1 {
        return Err("clusters are mapped of something that has none");
    }
    let pairs = usize::from(u16_at(record, at + 0x20));
    if pairs < 0x40 || within < pairs || within > len {
        return Err("a list of clusters leaves its attribute");
    }
    let end = (within + data.len()).next_multiple_of(8);
    let mut tail = data.to_vec();
    tail.resize(end - within, 0);
    let used = splice(record, at + within, len - within, &tail, used)?;
    put_u32(record, 0x18, used)?;
    put_u32(record, at + 4, end)?;
    let mapped = runs::decode(&record[at + pairs..at + end], clusters);
    let mapped = mapped.map_err(|_| "a list of clusters leaves the volume")?;
    let last = u64_at(record, at + 0x10).wrapping_add(runs::total(&mapped)).wrapping_sub(1);
    put(record, at + 0x18, &last.to_le_bytes())
}

/// A change of an index that lies in the record.
fn change_root(
    record: &mut [u8],
    at: usize,
    within: usize,
    change: &Change<'_>,
) -> Result<(), Refusal> {
    let (record_used, len) = (used(record)?, attribute(record, at)?);
    let (value, value_len) = (usize::from(u16_at(record, at + 0x14)), u32_at(record, at + 0x10));
    let value_len = value_len as usize;
    if u32_at(record, at) != kind::INDEX_ROOT
        || record[at + 8] != 0
        || value < 0x18
        || value_len < 0x20
        || value + value_len > len
    {
        return Err("an index is changed where there is none");
    }
    let head = at + value + 16;
    let here = at + within;
    let entry = entry(record, head, at + value + value_len, here)?;
    let end = head + u32_at(record, head + 4) as usize;
    let (old, new): (usize, &[u8]) = match change.operation {
        op::ADD_TO_ROOT => (0, whole_entry(change.data)?),
        op::DELETE_FROM_ROOT => (deletable(&record[here..here + entry], change)?, &[]),
        _ => return change_entry(&mut record[here..here + entry], change),
    };
    // What is behind the entry moves, the attributes behind this one as well.
    let moved = |length: usize| (length + new.len()).checked_sub(old).ok_or("an index has no end");
    let (len, value_len, end) = (moved(len)?, moved(value_len)?, moved(end - head)?);
    let allocated = moved(u32_at(record, head + 8) as usize)?;
    let record_used = splice(record, here, old, new, record_used)?;
    put_u32(record, 0x18, record_used)?;
    put_u32(record, at + 4, len)?;
    put_u32(record, at + 0x10, value_len)?;
    put_u32(record, head + 4, end)?;
    put_u32(record, head + 8, allocated)
}

/// Checks that an entry begins at `at` in the entries whose head lies at `head`, and gives its length.
fn entry(bytes: &[u8], head: usize, limit: usize, at: usize) -> Result<usize, Refusal> {
    let (first, used) = (u32_at(bytes, head) as usize, u32_at(bytes, head + 4) as usize);
    let end = head.checked_add(used).filter(|&end| end <= limit && limit <= bytes.len());
    let end = end.ok_or("the entries leave their index")?;
    if first < 16 {
        return Err("the entries of an index begin in its head");
    }
    let mut here = head + first;
    loop {
        let len = usize::from(u16_at(bytes, here + 8));
        if len < 16 || !len.is_multiple_of(8) || here + len > end {
            return Err("an entry leaves its index");
        }
        if here == at {
            return Ok(len);
        }
        if here > at || u16_at(bytes, here + 12) & LAST != 0 {
            return Err("no entry of the index begins there");
        }
        here += len;
    }
}

/// An entry that is to be put in.
fn whole_entry(data: &[u8]) -> Result<&[u8], Refusal> {
    let len = usize::from(u16_at(data, 8));
    let sound = len >= 16 && len.is_multiple_of(8) && u16_at(data, 12) & LAST == 0;
    data.get(..len).filter(|_| sound).ok_or("an entry that is to be put in is malformed")
}

/// The length of an entry that is to be taken away: it must be the one that the log means.
fn deletable(entry: &[u8], change: &Change<'_>) -> Result<usize, Refusal> {
    let expected = change.opposite;
    if u16_at(entry, 12) & LAST != 0 {
        return Err("the end of an index is to be taken away");
    }
    let same =
        expected.len() < 16 || (expected[..8] == entry[..8] && expected[10..12] == entry[10..12]);
    if !same {
        return Err("another entry lies where one is to be taken away");
    }
    Ok(entry.len())
}

/// A change inside of an entry.
fn change_entry(entry: &mut [u8], change: &Change<'_>) -> Result<(), Refusal> {
    let data = change.data;
    match change.operation {
        op::SET_CHILD_IN_ROOT | op::SET_CHILD_IN_BLOCK => {
            if u16_at(entry, 12) & HAS_CHILD == 0 || entry.len() < 24 || data.len() < 8 {
                return Err("an entry has no child to be changed");
            }
            put(entry, entry.len() - 8, &data[..8])
        }
        op::UPDATE_NAME_IN_ROOT | op::UPDATE_NAME_IN_BLOCK => {
            if data.len() != DUPLICATED_LEN || u16_at(entry, 12) & LAST != 0 {
                return Err("times of a file are set where there is none");
            }
            put(entry, DUPLICATED, data)
        }
        op::UPDATE_DATA_IN_ROOT | op::UPDATE_DATA_IN_BLOCK => {
            let at = usize::from(u16_at(entry, 0));
            if at < 16 || at + data.len() > entry.len() {
                return Err("the data of an entry leave it");
            }
            put(entry, at, data)
        }
        _ => Err("an operation stands in the wrong place"),
    }
}

/// Carries out a change of an index block.
pub(super) fn change_block(block: &mut [u8], change: &Change<'_>) -> Result<(), Refusal> {
    let limit = BLOCK_HEAD.checked_add(u32_at(block, BLOCK_HEAD + 8) as usize);
    let limit = limit.filter(|&limit| limit <= block.len()).ok_or("an index block is malformed")?;
    if change.record_offset != 0 {
        return Err("an index block does not begin where its bytes do");
    }
    let here = change.attribute_offset;
    let entry = entry(block, BLOCK_HEAD, limit, here)?;
    let end = BLOCK_HEAD + u32_at(block, BLOCK_HEAD + 4) as usize;
    let end = match change.operation {
        op::ADD_TO_BLOCK => splice(&mut block[..limit], here, 0, whole_entry(change.data)?, end)?,
        op::DELETE_FROM_BLOCK => {
            let len = deletable(&block[here..here + entry], change)?;
            splice(block, here, len, &[], end)?
        }
        op::WRITE_END_OF_BLOCK => splice(&mut block[..limit], here, end - here, change.data, end)?,
        _ => return change_entry(&mut block[here..here + entry], change),
    };
    put_u32(block, BLOCK_HEAD + 4, end - BLOCK_HEAD)
}

/// Puts the first bytes of an index block in.
pub(super) fn begin_block(block: &mut [u8], change: &Change<'_>) -> Result<(), Refusal> {
    put(block, change.record_offset, change.data)?;
    let strides = block.len() / 512;
    if !block.starts_with(b"INDX") || usize::from(u16_at(block, 6)) != strides + 1 {
        return Err("an index block is begun that is none");
    }
    Ok(())
}

/// The first bit and the count of a change of a bitmap.
pub(super) fn bits(change: &Change<'_>) -> Result<(u64, u64), Refusal> {
    if change.data.len() < 8 {
        return Err("a change of a bitmap is malformed");
    }
    Ok((u64::from(u32_at(change.data, 0)), u64::from(u32_at(change.data, 4))))
}

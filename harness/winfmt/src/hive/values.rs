//! Values: the `vk` cell, its data, and data too large for one cell (`db`).

use super::cells::NONE;
use super::error::damaged;
use super::key::{Node, field};
use super::name::Name;
use super::{Data, Hive, HiveError};
use crate::bytes::{u16_at, u32_at};

const HEADER: usize = 20;
const DATA_LENGTH: usize = 4;
const DATA: usize = 8;
const KIND: usize = 12;
const FLAGS: usize = 16;
const FLAG_COMPRESSED: u16 = 1;
/// In the length: the data are the four bytes of the offset field.
const RESIDENT: u32 = 1 << 31;
/// Bytes of data in each segment but the last; larger data are split.
const SEGMENT: usize = 16_344;

/// What a `vk` cell says.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub cell: u32,
    pub name: Name,
    pub kind: u32,
    /// As stored, with the resident flag.
    length: u32,
    /// A cell, or up to four bytes of data.
    data: u32,
}

impl Entry {
    fn is_resident(&self) -> bool {
        self.length & RESIDENT != 0
    }

    pub(super) fn length(&self) -> usize {
        (self.length & !RESIDENT) as usize
    }
}

impl Hive {
    /// The cells of a key's values, in the order of the list.
    pub(super) fn value_cells(&self, node: &Node) -> Result<Vec<u32>, HiveError> {
        if node.values == 0 {
            return Ok(Vec::new());
        }
        let count = node.values as usize;
        let entries = count
            .checked_mul(4)
            .and_then(|size| self.cell(node.value_list).map(|list| list.get(..size)).transpose())
            .transpose()?
            .ok_or_else(|| {
                damaged(node.cell, format!("a list of {count} values overruns its cell"))
            })?;
        Ok(entries.chunks_exact(4).map(|entry| u32_at(entry, 0).unwrap_or(NONE)).collect())
    }

    pub(super) fn value_entry(&self, cell: u32) -> Result<Entry, HiveError> {
        let content = self.cell(cell)?;
        if content.len() < HEADER || content[..2] != *b"vk" {
            return Err(damaged(cell, "no value (`vk`) where one should be"));
        }
        let name_length = usize::from(u16_at(content, 2).unwrap_or_default());
        let name = content
            .get(HEADER..HEADER + name_length)
            .ok_or_else(|| damaged(cell, format!("a value's name has {name_length} bytes")))?;
        let compressed = u16_at(content, FLAGS).unwrap_or_default() & FLAG_COMPRESSED != 0;
        let word = |at| u32_at(content, at).unwrap_or_default();
        let entry = Entry {
            cell,
            name: Name::decode(name, compressed),
            kind: word(KIND),
            length: word(DATA_LENGTH),
            data: word(DATA),
        };
        if entry.is_resident() && entry.length() > 4 {
            let length = entry.length();
            return Err(damaged(cell, format!("a value keeps {length} bytes in a field of 4")));
        }
        if entry.length() > self.data.len() {
            return Err(damaged(cell, "a value is larger than the hive"));
        }
        Ok(entry)
    }

    fn is_big(&self, length: usize) -> bool {
        length > SEGMENT && self.version().has_big_data()
    }

    pub(super) fn value_bytes(&self, entry: &Entry) -> Result<Vec<u8>, HiveError> {
        let length = entry.length();
        if length == 0 {
            return Ok(Vec::new());
        }
        if entry.is_resident() {
            return Ok(entry.data.to_le_bytes()[..length].to_vec());
        }
        if !self.is_big(length) {
            let bytes = self.cell(entry.data)?.get(..length);
            return bytes
                .map(<[u8]>::to_vec)
                .ok_or_else(|| damaged(entry.data, format!("{length} bytes overrun their cell")));
        }
        let mut bytes = Vec::with_capacity(length);
        for segment in self.segments(entry)? {
            let take = SEGMENT.min(length - bytes.len());
            let content = self.cell(segment)?.get(..take);
            bytes.extend_from_slice(
                content.ok_or_else(|| damaged(segment, "a segment of data is cut off"))?,
            );
        }
        Ok(bytes)
    }

    /// The segments of big data: exactly as many as its length needs.
    fn segments(&self, entry: &Entry) -> Result<Vec<u32>, HiveError> {
        let content = self.cell(entry.data)?;
        if content.get(..2) != Some(b"db") {
            return Err(damaged(entry.data, "no big data (`db`) where it should be"));
        }
        let count = usize::from(u16_at(content, 2).unwrap_or_default());
        if count != entry.length().div_ceil(SEGMENT) {
            let length = entry.length();
            return Err(damaged(entry.data, format!("{count} segments for {length} bytes")));
        }
        let list = u32_at(content, 4).unwrap_or(NONE);
        let offsets = self.cell(list)?.get(..4 * count).ok_or_else(|| {
            damaged(list, format!("a list of {count} segments overruns its cell"))
        })?;
        Ok(offsets.chunks_exact(4).map(|offset| u32_at(offset, 0).unwrap_or(NONE)).collect())
    }

    /// Every cell that a value's data occupies.
    pub(super) fn data_cells(&self, entry: &Entry) -> Result<Vec<u32>, HiveError> {
        if entry.is_resident() || entry.length() == 0 {
            return Ok(Vec::new());
        }
        if !self.is_big(entry.length()) {
            return Ok(vec![entry.data]);
        }
        let mut cells = vec![entry.data, self.word(entry.data, 4)?];
        cells.extend(self.segments(entry)?);
        Ok(cells)
    }

    /// Stores bytes and gives the length and offset fields that lead to them.
    fn store(&mut self, bytes: &[u8]) -> Result<(u32, u32), HiveError> {
        let limit = u64::from(RESIDENT - 1);
        let length = u32::try_from(bytes.len())
            .ok()
            .filter(|&length| length < RESIDENT)
            .ok_or(HiveError::TooLarge { what: "a value", limit })?;
        if bytes.is_empty() {
            return Ok((RESIDENT, 0));
        }
        if bytes.len() <= 4 {
            let mut field = [0; 4];
            field[..bytes.len()].copy_from_slice(bytes);
            return Ok((length | RESIDENT, u32::from_le_bytes(field)));
        }
        if !self.is_big(bytes.len()) {
            return Ok((length, self.allocate_with(bytes)?));
        }
        let limit = SEGMENT as u64 * 65_535;
        let count = u16::try_from(bytes.len().div_ceil(SEGMENT))
            .map_err(|_| HiveError::TooLarge { what: "a value", limit })?;
        let mut list = Vec::new();
        for segment in bytes.chunks(SEGMENT) {
            list.extend(self.allocate_with(segment)?.to_le_bytes());
        }
        let list = self.allocate_with(&list)?;
        let mut header = b"db".to_vec();
        header.extend(count.to_le_bytes());
        header.extend(list.to_le_bytes());
        Ok((length, self.allocate_with(&header)?))
    }

    /// Creates or replaces a value of a key.
    pub(super) fn put_value(
        &mut self,
        key: u32,
        name: &Name,
        data: &Data,
    ) -> Result<(), HiveError> {
        let node = self.node(key)?;
        match self.find_value(&node, name)? {
            Some(entry) => self.replace_data(&entry, data)?,
            None => self.append_value(&node, name, data)?,
        }
        let length = u32::try_from(data.bytes.len()).unwrap_or(u32::MAX);
        self.raise(key, field::MAX_VALUE_NAME, name.utf16_len())?;
        self.raise(key, field::MAX_VALUE_DATA, length)
    }

    fn replace_data(&mut self, entry: &Entry, data: &Data) -> Result<(), HiveError> {
        self.put_u32(entry.cell, KIND, data.kind.into())?;
        let cells = self.data_cells(entry)?;
        // Data that fit their old cell without wasting most of it stay where they are.
        if let [cell] = cells[..]
            && data.bytes.len() > 4
            && !self.is_big(data.bytes.len())
        {
            let content = self.cell_mut(cell)?;
            if (data.bytes.len()..=2 * data.bytes.len() + 64).contains(&content.len()) {
                let (used, rest) = content.split_at_mut(data.bytes.len());
                used.copy_from_slice(&data.bytes);
                rest.fill(0);
                let length = u32::try_from(data.bytes.len()).unwrap_or(u32::MAX);
                return self.put_u32(entry.cell, DATA_LENGTH, length);
            }
        }
        for cell in cells {
            self.release(cell)?;
        }
        let (length, offset) = self.store(&data.bytes)?;
        self.put_u32(entry.cell, DATA_LENGTH, length)?;
        self.put_u32(entry.cell, DATA, offset)
    }

    fn append_value(&mut self, node: &Node, name: &Name, data: &Data) -> Result<(), HiveError> {
        let (name_bytes, compressed) = name.encode();
        let too_long = HiveError::TooLarge { what: "a value's name", limit: 65_535 };
        let name_length = u16::try_from(name_bytes.len()).map_err(|_| too_long)?;
        let (length, offset) = self.store(&data.bytes)?;
        let mut content = b"vk".to_vec();
        content.extend(name_length.to_le_bytes());
        content.extend(length.to_le_bytes());
        content.extend(offset.to_le_bytes());
        content.extend(u32::from(data.kind).to_le_bytes());
        content.extend(u16::from(compressed).to_le_bytes());
        content.extend([0; 2]);
        content.extend(name_bytes);
        let cell = self.allocate_with(&content)?;

        let mut cells = self.value_cells(node)?;
        cells.push(cell);
        let list: Vec<u8> = cells.iter().flat_map(|cell| cell.to_le_bytes()).collect();
        if node.values > 0 && self.cell(node.value_list)?.len() >= list.len() {
            self.put(node.value_list, 0, &list)?;
        } else {
            if node.values > 0 {
                self.release(node.value_list)?;
            }
            let new = self.allocate(list.len() + list.len() / 4)?;
            self.put(new, 0, &list)?;
            self.put_u32(node.cell, field::VALUE_LIST, new)?;
        }
        self.put_u32(node.cell, field::VALUES, node.values + 1)
    }

    /// Deletes a value; `false` if there is none of that name.
    pub(super) fn remove_value(&mut self, key: u32, name: &Name) -> Result<bool, HiveError> {
        let node = self.node(key)?;
        let Some(entry) = self.find_value(&node, name)? else { return Ok(false) };
        let mut cells = self.value_cells(&node)?;
        cells.retain(|&cell| cell != entry.cell);
        for cell in self.data_cells(&entry)? {
            self.release(cell)?;
        }
        self.release(entry.cell)?;
        if cells.is_empty() {
            self.release(node.value_list)?;
            self.put_u32(key, field::VALUE_LIST, NONE)?;
        } else {
            let list: Vec<u8> = cells.iter().flat_map(|cell| cell.to_le_bytes()).collect();
            self.put(node.value_list, 0, &list)?;
        }
        let count = u32::try_from(cells.len()).unwrap_or(u32::MAX);
        self.put_u32(key, field::VALUES, count)?;
        let (mut longest_name, mut longest_data) = (0, 0);
        for cell in cells {
            let left = self.value_entry(cell)?;
            longest_name = longest_name.max(left.name.utf16_len());
            longest_data = longest_data.max(u32::try_from(left.length()).unwrap_or(u32::MAX));
        }
        self.put_u32(key, field::MAX_VALUE_NAME, longest_name)?;
        self.put_u32(key, field::MAX_VALUE_DATA, longest_data)?;
        Ok(true)
    }

    fn find_value(&self, node: &Node, name: &Name) -> Result<Option<Entry>, HiveError> {
        for cell in self.value_cells(node)? {
            let entry = self.value_entry(cell)?;
            if entry.name.same(name) {
                return Ok(Some(entry));
            }
        }
        Ok(None)
    }

    /// Raises a "longest so far" field of a key.
    fn raise(&mut self, key: u32, at: usize, length: u32) -> Result<(), HiveError> {
        let before = self.word(key, at)?;
        self.put_u32(key, at, before.max(length))
    }
}

//! File records and their attributes.
//!
//! A record is taken apart into its attributes, which keep their bytes: what is not understood or
//! not changed goes back as it was.

use super::runs::{self, Run};
use crate::Reason;

/// Attribute types.
pub(crate) mod kind {
    pub(crate) const STANDARD_INFORMATION: u32 = 0x10;
    pub(crate) const ATTRIBUTE_LIST: u32 = 0x20;
    pub(crate) const FILE_NAME: u32 = 0x30;
    pub(crate) const OBJECT_ID: u32 = 0x40;
    pub(crate) const VOLUME_NAME: u32 = 0x60;
    pub(crate) const VOLUME_INFORMATION: u32 = 0x70;
    pub(crate) const DATA: u32 = 0x80;
    pub(crate) const INDEX_ROOT: u32 = 0x90;
    pub(crate) const INDEX_ALLOCATION: u32 = 0xa0;
    pub(crate) const BITMAP: u32 = 0xb0;
    pub(crate) const REPARSE_POINT: u32 = 0xc0;
    pub(crate) const END: u32 = 0xffff_ffff;
}

/// Record flag: in use.
pub(crate) const IN_USE: u16 = 1;
/// Record flag: a directory.
pub(crate) const DIRECTORY: u16 = 2;

/// Attribute flag: compressed with LZNT1.
pub(crate) const COMPRESSED: u16 = 0x0001;
/// Attribute flag: encrypted.
pub(crate) const ENCRYPTED: u16 = 0x4000;
/// Attribute flag: has holes.
pub(crate) const SPARSE: u16 = 0x8000;

/// The low 48 bits of a file reference: the number of the record.
pub(crate) const NUMBER_MASK: u64 = 0xffff_ffff_ffff;

/// Bytes that one entry of the update sequence protects, whatever the sector size of the disk.
const STRIDE: usize = 512;

pub(crate) fn u16_at(bytes: &[u8], at: usize) -> u16 {
    bytes.get(at..at + 2).map_or(0, |field| u16::from_le_bytes([field[0], field[1]]))
}

pub(crate) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    bytes
        .get(at..at + 4)
        .map_or(0, |field| u32::from_le_bytes([field[0], field[1], field[2], field[3]]))
}

pub(crate) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from(u32_at(bytes, at)) | u64::from(u32_at(bytes, at + 4)) << 32
}

fn damaged(number: u64, what: &str) -> Reason {
    Reason::Damaged(format!("file record {number}: {what}"))
}

/// Undoes the update sequence of a record or index block. False if it is torn or malformed.
pub(crate) fn remove_fixups(block: &mut [u8]) -> bool {
    remove_fixups_from(block, 0x28)
}

/// The same for a block whose update sequence begins at `first` at the earliest.
pub(crate) fn remove_fixups_from(block: &mut [u8], first: usize) -> bool {
    let at = usize::from(u16_at(block, 4));
    let count = usize::from(u16_at(block, 6));
    let strides = block.len() / STRIDE;
    if count != strides + 1 || !at.is_multiple_of(2) || at < first || at + 2 * count > STRIDE - 2 {
        return false;
    }
    let check = [block[at], block[at + 1]];
    for index in 0..strides {
        let end = (index + 1) * STRIDE - 2;
        if block[end..end + 2] != check {
            return false;
        }
        let saved = at + 2 + 2 * index;
        (block[end], block[end + 1]) = (block[saved], block[saved + 1]);
    }
    true
}

/// Puts an update sequence in, with the next number.
pub(crate) fn apply_fixups(block: &mut [u8]) {
    let at = usize::from(u16_at(block, 4));
    let next = match u16_at(block, at).wrapping_add(1) {
        0 | 0xffff => 1,
        next => next,
    };
    block[at..at + 2].copy_from_slice(&next.to_le_bytes());
    for index in 0..block.len() / STRIDE {
        let end = (index + 1) * STRIDE - 2;
        let saved = at + 2 + 2 * index;
        (block[saved], block[saved + 1]) = (block[end], block[end + 1]);
        block[end..end + 2].copy_from_slice(&next.to_le_bytes());
    }
}

/// One attribute with its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Attribute {
    raw: Vec<u8>,
}

/// The sizes of a non-resident attribute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sizes {
    /// Bytes of the clusters that are reserved.
    pub(crate) allocated: u64,
    /// Bytes of the contents.
    pub(crate) real: u64,
    /// Bytes that were ever written; the rest of the contents reads as zeros.
    pub(crate) initialized: u64,
}

impl Attribute {
    fn parse(number: u64, bytes: &[u8]) -> Result<Self, Reason> {
        let attribute = Self { raw: bytes.to_vec() };
        let name_end = usize::from(u16_at(bytes, 10)) + 2 * usize::from(bytes[9]);
        if bytes[9] > 0 && name_end > bytes.len() {
            return Err(damaged(number, "a name leaves its attribute"));
        }
        let fits = if attribute.is_resident() {
            let end = usize::from(u16_at(bytes, 0x14)).checked_add(u32_at(bytes, 0x10) as usize);
            bytes.len() >= 0x18 && end.is_some_and(|end| end <= bytes.len())
        } else {
            bytes.len() >= 0x40 && usize::from(u16_at(bytes, 0x20)) < bytes.len()
        };
        if fits { Ok(attribute) } else { Err(damaged(number, "a value leaves its attribute")) }
    }

    pub(crate) fn resident(kind: u32, name: &[u16], value: &[u8], indexed: bool) -> Self {
        let value_at = (0x18 + 2 * name.len()).next_multiple_of(8);
        let mut raw = vec![0; (value_at + value.len()).next_multiple_of(8)];
        write_head(&mut raw, kind, name, 0x18);
        raw[0x10..0x14].copy_from_slice(&(value.len() as u32).to_le_bytes());
        raw[0x14..0x16].copy_from_slice(&(value_at as u16).to_le_bytes());
        raw[0x16] = u8::from(indexed);
        raw[value_at..value_at + value.len()].copy_from_slice(value);
        Self { raw }
    }

    pub(crate) fn non_resident(
        kind: u32,
        name: &[u16],
        first: u64,
        runs: &[Run],
        sizes: Sizes,
    ) -> Self {
        let pairs = runs::encode(runs);
        let pairs_at = (0x40 + 2 * name.len()).next_multiple_of(8);
        let mut raw = vec![0; (pairs_at + pairs.len()).next_multiple_of(8)];
        write_head(&mut raw, kind, name, 0x40);
        raw[8] = 1;
        let last = (first + runs::total(runs)).wrapping_sub(1);
        raw[0x10..0x18].copy_from_slice(&first.to_le_bytes());
        raw[0x18..0x20].copy_from_slice(&last.to_le_bytes());
        raw[0x20..0x22].copy_from_slice(&(pairs_at as u16).to_le_bytes());
        raw[0x28..0x30].copy_from_slice(&sizes.allocated.to_le_bytes());
        raw[0x30..0x38].copy_from_slice(&sizes.real.to_le_bytes());
        raw[0x38..0x40].copy_from_slice(&sizes.initialized.to_le_bytes());
        raw[pairs_at..pairs_at + pairs.len()].copy_from_slice(&pairs);
        Self { raw }
    }

    /// An unnamed stream of `size` bytes that is one hole, as Windows makes it.
    #[cfg(test)]
    pub(crate) fn hole(size: u64, clusters: u64, cluster: u64) -> Self {
        let sizes = Sizes { allocated: clusters * cluster, real: size, initialized: 0 };
        let runs = [Run { lcn: None, len: clusters }];
        let mut hole = Self::non_resident(kind::DATA, &[], 0, &runs, sizes);
        // A sparse attribute has one field more: the bytes of its clusters.
        hole.raw.splice(0x40..0x40, [0; 8]);
        let len = hole.raw.len() as u32;
        hole.raw[4..8].copy_from_slice(&len.to_le_bytes());
        hole.raw[0x0c..0x0e].copy_from_slice(&SPARSE.to_le_bytes());
        hole.raw[0x20] = 0x48;
        hole.raw[0x0a] = 0x48;
        hole
    }

    pub(crate) fn kind(&self) -> u32 {
        u32_at(&self.raw, 0)
    }

    pub(crate) fn len(&self) -> usize {
        self.raw.len()
    }

    pub(crate) fn is_resident(&self) -> bool {
        self.raw[8] == 0
    }

    pub(crate) fn name(&self) -> Vec<u16> {
        let at = usize::from(u16_at(&self.raw, 10));
        (0..usize::from(self.raw[9])).map(|index| u16_at(&self.raw, at + 2 * index)).collect()
    }

    pub(crate) fn is(&self, kind: u32, name: &[u16]) -> bool {
        self.kind() == kind && self.name() == name
    }

    pub(crate) fn flags(&self) -> u16 {
        u16_at(&self.raw, 0x0c)
    }

    pub(crate) fn id(&self) -> u16 {
        u16_at(&self.raw, 0x0e)
    }

    pub(crate) fn set_id(&mut self, id: u16) {
        self.raw[0x0e..0x10].copy_from_slice(&id.to_le_bytes());
    }

    /// The value of a resident attribute; empty for others.
    pub(crate) fn value(&self) -> &[u8] {
        if !self.is_resident() {
            return &[];
        }
        let at = usize::from(u16_at(&self.raw, 0x14));
        self.raw.get(at..at + u32_at(&self.raw, 0x10) as usize).unwrap_or_default()
    }

    /// Replaces the value of a resident attribute; name, id and flags stay.
    pub(crate) fn set_value(&mut self, value: &[u8]) {
        let mut replaced =
            Self::resident(self.kind(), &self.name(), value, self.raw[0x16] & 1 != 0);
        replaced.set_id(self.id());
        replaced.raw[0x0c..0x0e].copy_from_slice(&self.flags().to_le_bytes());
        *self = replaced;
    }

    pub(crate) fn first_vcn(&self) -> u64 {
        if self.is_resident() { 0 } else { u64_at(&self.raw, 0x10) }
    }

    /// `log2` of the clusters of a compression unit; 0 without compression.
    pub(crate) fn compression_unit(&self) -> u8 {
        if self.is_resident() { 0 } else { self.raw[0x22] }
    }

    /// Only meaningful in the first segment of a non-resident attribute.
    pub(crate) fn sizes(&self) -> Sizes {
        Sizes {
            allocated: u64_at(&self.raw, 0x28),
            real: u64_at(&self.raw, 0x30),
            initialized: u64_at(&self.raw, 0x38),
        }
    }

    pub(crate) fn set_sizes(&mut self, sizes: Sizes) {
        self.raw[0x28..0x30].copy_from_slice(&sizes.allocated.to_le_bytes());
        self.raw[0x30..0x38].copy_from_slice(&sizes.real.to_le_bytes());
        self.raw[0x38..0x40].copy_from_slice(&sizes.initialized.to_le_bytes());
    }

    pub(crate) fn runs(&self, clusters: u64) -> Result<Vec<Run>, Reason> {
        let at = usize::from(u16_at(&self.raw, 0x20));
        let runs = runs::decode(self.raw.get(at..).unwrap_or_default(), clusters)?;
        let (first, last) = (u64_at(&self.raw, 0x10), u64_at(&self.raw, 0x18));
        if first.checked_add(runs::total(&runs)) == last.checked_add(1)
            || (runs.is_empty() && last == u64::MAX)
        {
            Ok(runs)
        } else {
            Err(Reason::Damaged("a run list has not the length its attribute says".to_owned()))
        }
    }

    /// Replaces the runs of a non-resident attribute that is neither compressed nor sparse.
    pub(crate) fn set_runs(&mut self, runs: &[Run]) {
        let mut replaced =
            Self::non_resident(self.kind(), &self.name(), self.first_vcn(), runs, self.sizes());
        replaced.set_id(self.id());
        *self = replaced;
    }
}

fn write_head(raw: &mut [u8], kind: u32, name: &[u16], name_at: usize) {
    let len = raw.len() as u32;
    raw[0..4].copy_from_slice(&kind.to_le_bytes());
    raw[4..8].copy_from_slice(&len.to_le_bytes());
    raw[9] = name.len() as u8;
    raw[0x0a..0x0c].copy_from_slice(&(name_at as u16).to_le_bytes());
    for (index, unit) in name.iter().enumerate() {
        let at = name_at + 2 * index;
        raw[at..at + 2].copy_from_slice(&unit.to_le_bytes());
    }
}

/// A file record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) number: u64,
    pub(crate) sequence: u16,
    /// Number of names.
    pub(crate) links: u16,
    pub(crate) flags: u16,
    /// Reference of the base record; 0 in a base record.
    pub(crate) base: u64,
    pub(crate) attributes: Vec<Attribute>,
    next_id: u16,
    /// The header up to the first attribute, with the update sequence.
    head: Vec<u8>,
    size: usize,
}

impl Record {
    /// An unused record.
    pub(crate) fn new(number: u64, sequence: u16, size: usize) -> Self {
        let strides = size / STRIDE;
        let mut head = vec![0; (0x30 + 2 * (strides + 1)).next_multiple_of(8)];
        head[0..4].copy_from_slice(b"FILE");
        head[4..6].copy_from_slice(&0x30u16.to_le_bytes());
        head[6..8].copy_from_slice(&(strides as u16 + 1).to_le_bytes());
        head[0x2c..0x30].copy_from_slice(&(number as u32).to_le_bytes());
        Self {
            number,
            sequence,
            links: 0,
            flags: 0,
            base: 0,
            attributes: Vec::new(),
            next_id: 0,
            head,
            size,
        }
    }

    /// Takes a record apart, as it lies on the disk.
    pub(crate) fn parse(number: u64, mut bytes: Vec<u8>) -> Result<Self, Reason> {
        if bytes.get(..4) != Some(b"FILE") {
            return Err(damaged(number, "no FILE signature"));
        }
        if !remove_fixups(&mut bytes) {
            return Err(damaged(number, "torn write: its sectors are of different age"));
        }
        let first = usize::from(u16_at(&bytes, 0x14));
        let used = u32_at(&bytes, 0x18) as usize;
        let fixups_end = usize::from(u16_at(&bytes, 4)) + 2 * usize::from(u16_at(&bytes, 6));
        if first < fixups_end
            || first < 0x2a
            || !first.is_multiple_of(8)
            || used > bytes.len()
            || first > used
        {
            return Err(damaged(number, "its header is malformed"));
        }
        let mut attributes = Vec::new();
        let mut at = first;
        loop {
            let rest = bytes.get(at..used).unwrap_or_default();
            if rest.len() < 4 || u32_at(rest, 0) == kind::END {
                break;
            }
            let len = u32_at(rest, 4) as usize;
            if len < 0x18 || !len.is_multiple_of(8) || len > rest.len() {
                return Err(damaged(number, "an attribute leaves its record"));
            }
            attributes.push(Attribute::parse(number, &rest[..len])?);
            at += len;
        }
        Ok(Self {
            number,
            sequence: u16_at(&bytes, 0x10),
            links: u16_at(&bytes, 0x12),
            flags: u16_at(&bytes, 0x16),
            base: u64_at(&bytes, 0x20),
            attributes,
            next_id: u16_at(&bytes, 0x28),
            head: bytes[..first].to_vec(),
            size: bytes.len(),
        })
    }

    /// The record as it goes to the disk, and the record as it is from then on. `None` if the
    /// attributes do not fit.
    pub(crate) fn serialize(&mut self) -> Option<Vec<u8>> {
        let used = self.used();
        if used > self.size {
            return None;
        }
        let mut bytes = self.head.clone();
        bytes[0x10..0x12].copy_from_slice(&self.sequence.to_le_bytes());
        bytes[0x12..0x14].copy_from_slice(&self.links.to_le_bytes());
        bytes[0x14..0x16].copy_from_slice(&(self.head.len() as u16).to_le_bytes());
        bytes[0x16..0x18].copy_from_slice(&self.flags.to_le_bytes());
        bytes[0x18..0x1c].copy_from_slice(&(used as u32).to_le_bytes());
        bytes[0x1c..0x20].copy_from_slice(&(self.size as u32).to_le_bytes());
        bytes[0x20..0x28].copy_from_slice(&self.base.to_le_bytes());
        bytes[0x28..0x2a].copy_from_slice(&self.next_id.to_le_bytes());
        for attribute in &self.attributes {
            bytes.extend(&attribute.raw);
        }
        bytes.extend(kind::END.to_le_bytes());
        bytes.resize(self.size, 0);
        apply_fixups(&mut bytes);
        let at = usize::from(u16_at(&bytes, 4));
        self.head[at..at + 2].copy_from_slice(&bytes[at..at + 2]);
        Some(bytes)
    }

    /// Bytes that the record takes.
    pub(crate) fn used(&self) -> usize {
        self.head.len() + self.attributes.iter().map(Attribute::len).sum::<usize>() + 8
    }

    /// True if the attributes fit into the record.
    pub(crate) fn serialize_fits(&self) -> bool {
        self.used() <= self.size
    }

    /// Bytes that are left.
    pub(crate) fn room(&self) -> usize {
        self.size.saturating_sub(self.used())
    }

    pub(crate) fn is_in_use(&self) -> bool {
        self.flags & IN_USE != 0
    }

    pub(crate) fn is_directory(&self) -> bool {
        self.flags & DIRECTORY != 0
    }

    /// What index entries and names refer to.
    pub(crate) fn reference(&self) -> u64 {
        self.number & NUMBER_MASK | u64::from(self.sequence) << 48
    }

    pub(crate) fn find(&self, kind: u32, name: &[u16]) -> Option<&Attribute> {
        self.attributes.iter().find(|attribute| attribute.is(kind, name))
    }

    pub(crate) fn find_mut(&mut self, kind: u32, name: &[u16]) -> Option<&mut Attribute> {
        self.attributes.iter_mut().find(|attribute| attribute.is(kind, name))
    }

    /// Adds an attribute at its place in the order (type, then name) with an id of its own.
    pub(crate) fn add(&mut self, mut attribute: Attribute) -> u16 {
        let id = self.next_id;
        attribute.set_id(id);
        self.next_id = self.next_id.wrapping_add(1);
        let key = |attribute: &Attribute| (attribute.kind(), attribute.name());
        let wanted = key(&attribute);
        let place = self.attributes.iter().position(|other| key(other) > wanted);
        self.attributes.insert(place.unwrap_or(self.attributes.len()), attribute);
        id
    }

    pub(crate) fn remove(&mut self, kind: u32, name: &[u16]) {
        self.attributes.retain(|attribute| !attribute.is(kind, name));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn record() -> Record {
        let mut record = Record::new(40, 3, 1024);
        record.flags = IN_USE;
        record.add(Attribute::resident(kind::DATA, &[], b"contents", false));
        record.add(Attribute::resident(kind::STANDARD_INFORMATION, &[], &[7; 72], false));
        record.add(Attribute::resident(kind::DATA, &[0x41], &[], false));
        record
    }

    #[test]
    fn a_record_comes_back_with_its_attributes_in_order() {
        let mut record = record();
        let bytes = record.serialize().unwrap();
        assert_eq!(bytes.len(), 1024);
        let back = Record::parse(40, bytes).unwrap();
        assert_eq!(back.sequence, 3);
        let kinds: Vec<_> = back.attributes.iter().map(|one| (one.kind(), one.id())).collect();
        assert_eq!(kinds, [(0x10, 1), (0x80, 0), (0x80, 2)]);
        assert_eq!(back.find(kind::DATA, &[]).unwrap().value(), b"contents");
    }

    #[test]
    fn a_torn_record_is_noticed() {
        let mut bytes = record().serialize().unwrap();
        bytes[1022] ^= 1;
        assert!(matches!(Record::parse(40, bytes), Err(Reason::Damaged(_))));
    }

    #[test]
    fn a_record_that_is_too_full_is_not_written() {
        let mut record = record();
        record.add(Attribute::resident(kind::DATA, &[0x42], &[0; 900], false));
        assert!(record.serialize().is_none());
    }

    proptest! {
        #[test]
        fn damage_is_taken_or_refused(
            changes in prop::collection::vec((0usize..510, any::<u8>()), 1..12))
        {
            let mut bytes = record().serialize().unwrap();
            for (at, value) in changes {
                bytes[at] = value;
            }
            if let Ok(mut record) = Record::parse(40, bytes) {
                for attribute in &record.attributes {
                    let _ = (attribute.name(), attribute.value().len(), attribute.runs(1 << 30));
                }
                let _ = record.serialize();
            }
        }
    }
}

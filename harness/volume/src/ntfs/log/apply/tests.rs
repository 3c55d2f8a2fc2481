//! Each operation by a table: done, taken back, and refused where it does not fit.

use super::*;
use crate::ntfs::node::{IndexEntry, Node};
use crate::ntfs::record::{Attribute, Record, Sizes, remove_fixups};
use crate::ntfs::runs::Run;
use proptest::prelude::*;

const CLUSTERS: u64 = 1000;

fn root() -> Vec<u8> {
    let mut key = vec![0; 0x42];
    key.extend(b"a\0b\0c\0");
    let entries = vec![IndexEntry::new(30, &key), IndexEntry::new(31, &key).with_child(Some(4))];
    Node { entries, last_child: None }.to_root(&[0x30; 16])
}

/// A file record with a value, a name, an index and contents in clusters; where each of them begins.
fn record() -> (Vec<u8>, [usize; 4]) {
    let mut record = Record::new(40, 7, 1024);
    record.flags = IN_USE;
    record.links = 1;
    let sizes = Sizes { allocated: 8192, real: 5000, initialized: 4000 };
    let runs = [Run { lcn: Some(100), len: 2 }];
    record.attributes = vec![
        Attribute::resident(kind::STANDARD_INFORMATION, &[], &[1; 48], false),
        Attribute::resident(kind::FILE_NAME, &[], &[2; 0x50], true),
        Attribute::non_resident(kind::DATA, &[], 0, &runs, sizes),
        Attribute::resident(kind::INDEX_ROOT, &[36], &root(), false),
    ];
    let mut starts = [0; 4];
    let mut bytes = record.serialize().unwrap();
    assert!(remove_fixups(&mut bytes));
    let mut at = usize::from(u16_at(&bytes, 0x14));
    for (start, attribute) in starts.iter_mut().zip(&record.attributes) {
        *start = at;
        at += attribute.len();
    }
    (bytes, starts)
}

fn block() -> Vec<u8> {
    let mut key = vec![0; 0x42];
    key.extend(b"a\0b\0c\0");
    let entries = (0..4).map(|number| IndexEntry::new(30 + number, &key)).collect();
    let mut block = Node { entries, last_child: Some(8) }.to_block(4096, 4, 8);
    assert!(remove_fixups(&mut block));
    block
}

struct Case<'a> {
    redo: u16,
    undo: u16,
    redo_data: &'a [u8],
    undo_data: &'a [u8],
    at: usize,
    within: usize,
}

impl Case<'_> {
    fn change(&self, redo: bool) -> Change<'_> {
        let (operation, data, opposite) = match redo {
            true => (self.redo, self.redo_data, self.undo_data),
            false => (self.undo, self.undo_data, self.redo_data),
        };
        Change { operation, data, opposite, record_offset: self.at, attribute_offset: self.within }
    }
}

/// Without the next id of an attribute, which is not counted back.
fn comparable(record: &[u8]) -> Vec<u8> {
    let mut record = record.to_vec();
    record[0x28..0x2a].fill(0);
    let used = u32_at(&record, 0x18) as usize;
    record[used..].fill(0);
    record
}

#[test]
fn changes_of_a_file_record_are_done_and_taken_back() {
    let (before, [standard, name, data, index]) = record();
    let entry = |at: usize, len: usize| &before[at..at + len];
    let (name_len, index_len) = (0x68, u32_at(&before, index + 4) as usize);
    let end = index + index_len;
    let first_entry = 0x20 + 32;
    let mut new_entry = entry(index + first_entry, 0x58).to_vec();
    new_entry[0] = 99;
    let mut another = entry(standard, 0x48).to_vec();
    another[0] = 0x40;
    another[0x0e] = 9;
    let old_sizes = [
        &before[data + 0x28..data + 0x30],
        &before[data + 0x38..data + 0x40],
        &before[data + 0x30..data + 0x38],
    ]
    .concat();
    let new_sizes = [4096u64.to_le_bytes(), 3u64.to_le_bytes(), 9u64.to_le_bytes()].concat();
    let case = |redo, undo, redo_data, undo_data, at, within| Case {
        redo,
        undo,
        redo_data,
        undo_data,
        at,
        within,
    };
    let cases = [
        case(op::CREATE_ATTRIBUTE, op::DELETE_ATTRIBUTE, &another, &[], name, 0),
        case(op::CREATE_ATTRIBUTE, op::DELETE_ATTRIBUTE, entry(name, name_len), &[], end, 0),
        case(op::DELETE_ATTRIBUTE, op::CREATE_ATTRIBUTE, &[], entry(name, name_len), name, 0),
        case(op::UPDATE_RESIDENT, op::UPDATE_RESIDENT, &[9; 8], &[1; 8], standard, 0x20),
        // Longer and shorter.
        case(op::UPDATE_RESIDENT, op::UPDATE_RESIDENT, &[9; 61], &[1; 16], standard, 0x18 + 32),
        case(op::UPDATE_RESIDENT, op::UPDATE_RESIDENT, &[], &[1; 40], standard, 0x18 + 8),
        case(
            op::UPDATE_MAPPING_PAIRS,
            op::UPDATE_MAPPING_PAIRS,
            &[0x11, 2, 100, 0x11, 9, 5, 0],
            &[0x11, 2, 100, 0],
            data,
            0x40,
        ),
        case(op::SET_SIZES, op::SET_SIZES, &new_sizes, &old_sizes, data, 0),
        case(op::ADD_TO_ROOT, op::DELETE_FROM_ROOT, &new_entry, &[], index, first_entry),
        case(op::ADD_TO_ROOT, op::DELETE_FROM_ROOT, &new_entry, &[], index, first_entry + 0x58),
        case(
            op::DELETE_FROM_ROOT,
            op::ADD_TO_ROOT,
            &[],
            entry(index + first_entry, 0x58),
            index,
            first_entry,
        ),
        case(
            op::SET_CHILD_IN_ROOT,
            op::SET_CHILD_IN_ROOT,
            &[7, 0, 0, 0, 0, 0, 0, 0],
            &[4, 0, 0, 0, 0, 0, 0, 0],
            index,
            first_entry + 0x58,
        ),
        case(
            op::UPDATE_NAME_IN_ROOT,
            op::UPDATE_NAME_IN_ROOT,
            &[5; 0x38],
            &[0; 0x38],
            index,
            first_entry,
        ),
        case(op::DEALLOCATE_RECORD, op::INITIALIZE_RECORD, &[], entry(0, 0x18), 0, 0),
        case(op::INITIALIZE_RECORD, op::INITIALIZE_RECORD, &before, &before, 0, 0),
        case(
            op::WRITE_END_OF_RECORD,
            op::WRITE_END_OF_RECORD,
            &[0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0],
            &before[index..end + 8],
            index,
            0,
        ),
        case(op::ZERO_END_OF_RECORD, op::ZERO_END_OF_RECORD, &[0; 64], &[0; 64], 960, 0),
    ];
    for one in &cases {
        let what = format!("{:#x} at {:#x}", one.redo, one.at);
        let mut bytes = before.clone();
        change_record(&mut bytes, &one.change(true), CLUSTERS)
            .unwrap_or_else(|why| panic!("{what}: {why}"));
        let same = matches!(one.redo, op::INITIALIZE_RECORD | op::ZERO_END_OF_RECORD);
        assert_eq!(comparable(&bytes) == comparable(&before), same, "{what}");
        if one.redo != op::DEALLOCATE_RECORD {
            // It is still a record.
            let mut whole = bytes.clone();
            crate::ntfs::record::apply_fixups(&mut whole);
            Record::parse(40, whole).unwrap_or_else(|why| panic!("{what}: {why}"));
        }
        change_record(&mut bytes, &one.change(false), CLUSTERS)
            .unwrap_or_else(|why| panic!("{what}: {why}"));
        assert_eq!(comparable(&bytes), comparable(&before), "{what}");
    }
    // What the changes are, and not only that they fit each other.
    let done = |index: usize| {
        let mut bytes = before.clone();
        change_record(&mut bytes, &cases[index].change(true), CLUSTERS).unwrap();
        bytes
    };
    assert_eq!(
        (u16_at(&done(1), 0x12), u16_at(&done(2), 0x12), u16_at(&done(0), 0x28)),
        (2, 0, 10)
    );
    assert_eq!((u32_at(&done(4), standard + 0x10), u32_at(&done(4), standard + 4)), (93, 0x78));
    assert_eq!(u64_at(&done(6), data + 0x18), 10);
    let sizes = done(7);
    let field = |at| u64_at(&sizes, data + at);
    assert_eq!((field(0x28), field(0x30), field(0x38)), (4096, 9, 3));
    assert_eq!((u16_at(&done(13), 0x10), u16_at(&done(13), 0x16)), (8, 0));
}

#[test]
fn changes_of_an_index_block_are_done_and_taken_back() {
    let before = block();
    let first = 0x18 + u32_at(&before, 0x18) as usize;
    let len = usize::from(u16_at(&before, first + 8));
    let end = 0x18 + u32_at(&before, 0x1c) as usize;
    let (last, mut new) = (end - 24, before[first..first + len].to_vec());
    new[0] = 99;
    let case = |redo, undo, redo_data, undo_data, within| Case {
        redo,
        undo,
        redo_data,
        undo_data,
        at: 0,
        within,
    };
    let cases = [
        case(op::ADD_TO_BLOCK, op::DELETE_FROM_BLOCK, &new[..], &[], first + len),
        case(op::ADD_TO_BLOCK, op::DELETE_FROM_BLOCK, &new, &[], last),
        case(op::DELETE_FROM_BLOCK, op::ADD_TO_BLOCK, &[], &before[first..first + len], first),
        case(
            op::WRITE_END_OF_BLOCK,
            op::WRITE_END_OF_BLOCK,
            &before[last..end],
            &before[first + len..end],
            first + len,
        ),
        case(
            op::SET_CHILD_IN_BLOCK,
            op::SET_CHILD_IN_BLOCK,
            &[5, 0, 0, 0, 0, 0, 0, 0],
            &[8, 0, 0, 0, 0, 0, 0, 0],
            last,
        ),
        case(
            op::UPDATE_NAME_IN_BLOCK,
            op::UPDATE_NAME_IN_BLOCK,
            &[5; 0x38],
            &[0; 0x38],
            first + 2 * len,
        ),
        case(op::UPDATE_DATA_IN_BLOCK, op::UPDATE_DATA_IN_BLOCK, &[6; 8], &[0; 8], first),
    ];
    for one in &cases {
        let what = format!("{:#x} at {:#x}", one.redo, one.within);
        let mut start = before.clone();
        if one.redo == op::UPDATE_DATA_IN_BLOCK {
            // Where the data of an entry begin.
            start[first] = 0x20;
        }
        let mut bytes = start.clone();
        change_block(&mut bytes, &one.change(true)).unwrap_or_else(|why| panic!("{what}: {why}"));
        assert!(bytes != start, "{what}");
        let mut whole = bytes.clone();
        crate::ntfs::record::apply_fixups(&mut whole);
        Node::from_block(whole, 4).unwrap_or_else(|why| panic!("{what}: {why}"));
        change_block(&mut bytes, &one.change(false)).unwrap_or_else(|why| panic!("{what}: {why}"));
        let used = 0x18 + u32_at(&bytes, 0x1c) as usize;
        assert_eq!(bytes[..used], start[..used], "{what}");
    }
}

#[test]
fn what_does_not_fit_is_refused() {
    let (record, [standard, _, data, index]) = record();
    let block = block();
    let first = 0x18 + u32_at(&block, 0x18) as usize;
    let mut other = block[first..first + 0x58].to_vec();
    other[0] = 77;
    let change = |operation, data, opposite, record_offset, attribute_offset| Change {
        operation,
        data,
        opposite,
        record_offset,
        attribute_offset,
    };
    let long = [0; 1000];
    for one in [
        // Not where an attribute begins, none there, no room, of another kind.
        change(op::DELETE_ATTRIBUTE, &[], &[], standard + 8, 0),
        change(op::DELETE_ATTRIBUTE, &[], &other, standard, 0),
        change(op::CREATE_ATTRIBUTE, &long, &[], standard, 0),
        change(op::UPDATE_RESIDENT, &[1; 8], &[1; 8], data, 0x20),
        change(op::UPDATE_RESIDENT, &[1; 8], &[1; 8], standard, 0x44),
        change(op::UPDATE_RESIDENT, &long, &[], standard, 0x18),
        change(op::UPDATE_RESIDENT, &[1; 8], &[], standard, 0x10),
        change(op::UPDATE_MAPPING_PAIRS, &[0x11, 1, 1], &[], standard, 0x40),
        change(op::UPDATE_MAPPING_PAIRS, &[0x21, 9, 0xff, 0x7f, 0], &[], data, 0x40),
        change(op::UPDATE_MAPPING_PAIRS, &[0], &[], data, 0x20),
        change(op::SET_SIZES, &[0; 24], &[], standard, 0),
        change(op::SET_SIZES, &[0; 8], &[], data, 0),
        change(op::ADD_TO_ROOT, &other, &[], standard, 0x38),
        change(op::ADD_TO_ROOT, &other, &[], index, 0x41),
        change(op::DELETE_FROM_ROOT, &[], &other, index, 0x40),
        change(op::UPDATE_NAME_IN_ROOT, &[0; 8], &[], index, 0x40),
        change(op::INITIALIZE_RECORD, &[0; 64], &[], 0, 0),
        change(op::WRITE_END_OF_RECORD, &[0; 16], &[], standard, 0),
        change(op::ZERO_END_OF_RECORD, &[0; 64], &[], 1000, 0),
        change(op::SET_BITS, &[0; 8], &[], standard, 0),
    ] {
        let mut bytes = record.clone();
        assert!(change_record(&mut bytes, &one, CLUSTERS).is_err(), "{one:?}");
    }
    for one in [
        change(op::ADD_TO_BLOCK, &other, &[], 0, first + 8),
        change(op::ADD_TO_BLOCK, &other[..40], &[], 0, first),
        change(op::DELETE_FROM_BLOCK, &[], &other, 0, first),
        change(op::DELETE_FROM_BLOCK, &[], &[], 0, 0x18 + u32_at(&block, 0x1c) as usize - 24),
        change(op::WRITE_END_OF_BLOCK, &[0; 4090], &[], 0, first),
        change(op::SET_CHILD_IN_BLOCK, &[0; 8], &[], 0, first),
        change(op::UPDATE_DATA_IN_BLOCK, &[0; 90], &[], 0, first),
        change(op::UPDATE_NAME_IN_BLOCK, &[0; 0x38], &[], 8, first),
        change(op::UPDATE_RESIDENT, &[0; 8], &[], 0, first),
    ] {
        let mut bytes = block.clone();
        assert!(change_block(&mut bytes, &one).is_err(), "{one:?}");
    }
}

proptest! {
    #[test]
    fn any_bytes_are_changed_or_refused(
        damage in prop::collection::vec((0usize..500, any::<u8>()), 0..6),
        operation in 0u16..0x28,
        data in prop::collection::vec(any::<u8>(), 0..200),
        attribute in 0usize..4,
        shift in 0usize..3,
        within in 0usize..0x200)
    {
        let (mut record, starts) = record();
        let mut block = block();
        for (at, value) in damage {
            record[at] = value;
            block[at] = value;
        }
        let change = Change {
            operation,
            data: &data,
            opposite: &data[data.len() / 2..],
            record_offset: starts[attribute] + 4 * shift,
            attribute_offset: within,
        };
        let _ = change_record(&mut record, &change, CLUSTERS);
        let _ = change_block(&mut block, &Change { record_offset: 0, ..change });
        let _ = begin_block(&mut block, &change);
    }
}

//! The operations of the log, by number (docs/windows-facts.md, "NTFS log").

pub(super) const COMPENSATION: u16 = 0x01;
pub(super) const INITIALIZE_RECORD: u16 = 0x02;
pub(super) const DEALLOCATE_RECORD: u16 = 0x03;
pub(super) const WRITE_END_OF_RECORD: u16 = 0x04;
pub(super) const CREATE_ATTRIBUTE: u16 = 0x05;
pub(super) const DELETE_ATTRIBUTE: u16 = 0x06;
pub(super) const UPDATE_RESIDENT: u16 = 0x07;
pub(super) const UPDATE_NONRESIDENT: u16 = 0x08;
pub(super) const UPDATE_MAPPING_PAIRS: u16 = 0x09;
pub(super) const FREED_CLUSTERS: u16 = 0x0a;
pub(super) const SET_SIZES: u16 = 0x0b;
pub(super) const ADD_TO_ROOT: u16 = 0x0c;
pub(super) const DELETE_FROM_ROOT: u16 = 0x0d;
pub(super) const ADD_TO_BLOCK: u16 = 0x0e;
pub(super) const DELETE_FROM_BLOCK: u16 = 0x0f;
pub(super) const WRITE_END_OF_BLOCK: u16 = 0x10;
pub(super) const SET_CHILD_IN_ROOT: u16 = 0x11;
pub(super) const SET_CHILD_IN_BLOCK: u16 = 0x12;
pub(super) const UPDATE_NAME_IN_ROOT: u16 = 0x13;
pub(super) const UPDATE_NAME_IN_BLOCK: u16 = 0x14;
pub(super) const SET_BITS: u16 = 0x15;
pub(super) const CLEAR_BITS: u16 = 0x16;
pub(super) const END_TOP_LEVEL: u16 = 0x18;
pub(super) const PREPARE: u16 = 0x19;
pub(super) const COMMIT: u16 = 0x1a;
pub(super) const FORGET: u16 = 0x1b;
pub(super) const OPEN_ATTRIBUTE: u16 = 0x1c;
pub(super) const OPEN_ATTRIBUTES: u16 = 0x1d;
pub(super) const DIRTY_PAGES: u16 = 0x1f;
pub(super) const TRANSACTIONS: u16 = 0x20;
pub(super) const UPDATE_DATA_IN_ROOT: u16 = 0x21;
pub(super) const UPDATE_DATA_IN_BLOCK: u16 = 0x22;
pub(super) const ZERO_END_OF_RECORD: u16 = 0x25;

/// True for what is understood here. Not understood: `HotFix` (0x17, a bad cluster was replaced), and changes of
/// parts of the data of an index entry (0x23, 0x24), of which no public description and no example is at hand.
pub(super) fn is_known(operation: u16) -> bool {
    operation == ZERO_END_OF_RECORD || (operation <= UPDATE_DATA_IN_BLOCK && operation != 0x17)
}

/// True for what may say how many zeros it writes, and not write them out.
pub(super) fn may_write_zeros(operation: u16) -> bool {
    matches!(operation, UPDATE_RESIDENT | ZERO_END_OF_RECORD)
}

/// True for changes of a file record.
pub(super) fn is_of_record(operation: u16) -> bool {
    matches!(
        operation,
        INITIALIZE_RECORD
            ..=UPDATE_RESIDENT
                | UPDATE_MAPPING_PAIRS
                | SET_SIZES
                | ADD_TO_ROOT
                | DELETE_FROM_ROOT
                | SET_CHILD_IN_ROOT
                | UPDATE_NAME_IN_ROOT
                | UPDATE_DATA_IN_ROOT
                | ZERO_END_OF_RECORD
    )
}

/// True for changes of an index block.
pub(super) fn is_of_block(operation: u16) -> bool {
    matches!(
        operation,
        ADD_TO_BLOCK
            | DELETE_FROM_BLOCK
            | WRITE_END_OF_BLOCK
            | SET_CHILD_IN_BLOCK
            | UPDATE_NAME_IN_BLOCK
            | UPDATE_DATA_IN_BLOCK
    )
}

/// True for changes of anything that lies on the volume.
pub(super) fn changes_a_page(operation: u16) -> bool {
    is_of_record(operation)
        || is_of_block(operation)
        || matches!(operation, UPDATE_NONRESIDENT | SET_BITS | CLEAR_BITS)
}

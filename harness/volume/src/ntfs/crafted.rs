//! Things on a volume that the engine itself does not make, for tests.

use super::Ntfs;
use super::engine::Inode;
use super::node::{IndexEntry, Node};
use super::record::{Attribute, IN_USE, kind};

/// Puts an index of these entries into a new file of `$Extend`.
pub(super) fn make_index(ntfs: &mut Ntfs, file: &str, name: &[u16], entries: Vec<IndexEntry>) {
    let engine = &mut ntfs.engine;
    engine.write_file(&format!("$Extend\\{file}"), &mut &[][..], 0).unwrap();
    let mut inode = engine.resolve(&["$Extend", file]).unwrap();
    let mut head = vec![0; 48];
    head[8..12].copy_from_slice(&4096u32.to_le_bytes());
    let root = Node { entries, last_child: None }.to_root(&head);
    inode.base.add(Attribute::resident(kind::INDEX_ROOT, name, &root, false));
    engine.write_inode(&mut inode).unwrap();
}

/// The keys of such an index.
pub(super) fn keys(ntfs: &mut Ntfs, file: &str, name: &[u16]) -> Vec<Vec<u8>> {
    let inode = ntfs.engine.resolve(&["$Extend", file]).unwrap();
    let tree = ntfs.engine.tree(&inode, name).unwrap();
    let entries = ntfs.engine.all_entries(tree).unwrap();
    entries.iter().map(|entry| entry.key().to_vec()).collect()
}

/// An entry of a view index: a key, and data behind it.
pub(super) fn entry(key: &[u8], data: &[u8]) -> IndexEntry {
    let at = 16 + key.len() as u64;
    let mut raw = IndexEntry::new(at | (data.len() as u64) << 16, key).with_data(data);
    raw.child = None;
    raw
}

pub(super) fn add_attribute(ntfs: &mut Ntfs, path: &str, wanted: u32, value: &[u8]) -> u64 {
    let mut inode = ntfs.engine.resolve_path(path).unwrap();
    inode.base.add(Attribute::resident(wanted, &[], value, false));
    ntfs.engine.write_inode(&mut inode).unwrap();
    inode.base.reference()
}

/// `$LOGGED_UTILITY_STREAM`, which nothing here looks at.
const FILLER: u32 = 0x100;

/// Gives a file an attribute list, and moves its data into an extension record: in its base record is no room
/// for it any more.
pub(super) fn spread(ntfs: &mut Ntfs, path: &str) {
    let engine = &mut ntfs.engine;
    let mut inode = engine.resolve_path(path).unwrap();
    let mut extension = engine.allocate_record().unwrap();
    extension.flags = IN_USE;
    extension.base = inode.base.reference();
    let data = inode.base.find(kind::DATA, &[]).unwrap().clone();
    inode.base.remove(kind::DATA, &[]);
    extension.add(data);
    let list_len = 0x18 + 0x20 * (inode.base.attributes.len() + 2);
    let filler = vec![0; inode.base.room() - list_len - 0x18 - 64];
    inode.base.add(Attribute::resident(FILLER, &[], &filler, false));
    let list = [&inode.base, &extension].map(|record| {
        let entries = record
            .attributes
            .iter()
            .map(|one| super::edit::list_entry(one.kind(), record.reference(), one.id()));
        entries.collect::<Vec<_>>().concat()
    });
    inode.base.add(Attribute::resident(kind::ATTRIBUTE_LIST, &[], &list.concat(), false));
    engine.write_inode(&mut Inode { extensions: vec![extension], ..inode }).unwrap();
}

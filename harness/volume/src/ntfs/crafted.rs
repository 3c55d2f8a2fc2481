//! Things on a volume that the engine itself does not make, for tests.

use super::Ntfs;
use super::engine::Inode;
use super::name::FileName;
use super::node::{IndexEntry, Node};
use super::record::{Attribute, IN_USE, Record, kind};
use super::stream::Layout;
use crate::Volume;
use crate::wof::{WOF_STREAM, WOF_TAG};

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

/// Makes a new file that CompactOS has compressed, as it lies on a volume of Windows: a hole of `size` bytes, the
/// compressed data beside it, and a reparse point of these numbers behind its tag. Its key in the index of reparse
/// points is what comes back.
pub(super) fn compress(
    ntfs: &mut Ntfs,
    path: &str,
    numbers: [u32; 4],
    size: u64,
    stored: &[u8],
) -> Vec<u8> {
    ntfs.write(path, stored).unwrap();
    let engine = &mut ntfs.engine;
    let mut inode = engine.resolve_path(path).unwrap();
    let name: Vec<u16> = WOF_STREAM.encode_utf16().collect();
    let data = inode.base.find(kind::DATA, &[]).unwrap().clone();
    let stream = match engine.layout(&inode, kind::DATA, &[]).unwrap().unwrap() {
        Layout::Resident(value) => Attribute::resident(kind::DATA, &name, &value, false),
        Layout::Runs { runs, .. } => {
            Attribute::non_resident(kind::DATA, &name, 0, &runs, data.sizes())
        }
    };
    let cluster = engine.geometry.cluster;
    inode.base.remove(kind::DATA, &[]);
    inode.base.add(Attribute::hole(size, size.div_ceil(cluster), cluster));
    inode.base.add(stream);
    let mut point = [WOF_TAG, 16].map(u32::to_le_bytes).concat();
    point.extend(numbers.iter().flat_map(|number| number.to_le_bytes()));
    inode.base.add(Attribute::resident(kind::REPARSE_POINT, &[], &point, false));
    engine.change_standard(&mut inode, |standard| standard.attributes |= 0x600).unwrap();
    engine.write_inode(&mut inode).unwrap();
    engine.update_entries(&inode).unwrap();
    let (folder, name) = path.rsplit_once('\\').unwrap_or(("", path));
    let mut dir = engine.resolve_path(folder).unwrap();
    let name: Vec<u16> = name.encode_utf16().collect();
    engine.update_name(&mut dir, &name, |_, entry| entry.set_reparse_tag(WOF_TAG)).unwrap();
    let attribute = inode.base.find_mut(kind::FILE_NAME, &[]).unwrap();
    let mut own = FileName::parse(attribute.value()).unwrap();
    own.set_reparse_tag(WOF_TAG);
    attribute.set_value(&own.encode());
    engine.write_inode(&mut inode).unwrap();
    [&point[..4], &inode.base.reference().to_le_bytes()].concat()
}

/// `$LOGGED_UTILITY_STREAM`, which nothing here looks at.
const FILLER: u32 = 0x100;

/// Gives a file an attribute list, and moves its streams into an extension record: in its base record is no room
/// for them any more.
pub(super) fn spread(ntfs: &mut Ntfs, path: &str) {
    let engine = &mut ntfs.engine;
    let mut inode = engine.resolve_path(path).unwrap();
    let mut extension = engine.allocate_record().unwrap();
    extension.flags = IN_USE;
    extension.base = inode.base.reference();
    for stream in inode.base.attributes.extract_if(.., |one| one.kind() == kind::DATA) {
        extension.add(stream);
    }
    let entries = |record: &Record| -> Vec<u8> {
        record.attributes.iter().flat_map(|one| entry_of(one, record.reference())).collect()
    };
    let list_len = 0x18 + entries(&inode.base).len() + entries(&extension).len() + 0x20;
    let filler = vec![0; inode.base.room() - list_len - 0x18 - 64];
    inode.base.add(Attribute::resident(FILLER, &[], &filler, false));
    let list = [entries(&inode.base), entries(&extension)].concat();
    inode.base.add(Attribute::resident(kind::ATTRIBUTE_LIST, &[], &list, false));
    engine.write_inode(&mut Inode { extensions: vec![extension], ..inode }).unwrap();
}

/// The entry of an attribute list for an attribute with its name.
fn entry_of(attribute: &Attribute, reference: u64) -> Vec<u8> {
    let mut entry = super::edit::list_entry(attribute.kind(), reference, attribute.id());
    let name = attribute.name();
    entry.truncate(0x1a);
    entry.extend(name.iter().flat_map(|unit| unit.to_le_bytes()));
    entry.resize(entry.len().next_multiple_of(8), 0);
    let len = entry.len() as u16;
    entry[4..6].copy_from_slice(&len.to_le_bytes());
    entry[6] = name.len() as u8;
    entry
}

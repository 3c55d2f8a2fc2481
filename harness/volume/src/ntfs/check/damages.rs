//! What an engine with a defect could do to a volume, each with what finds it: a table for tests.

use super::tests::{GONE, LEFT};
use crate::BlockDevice;
use crate::ntfs::crafted::entry;
use crate::ntfs::engine::{BITMAP, Engine, Inode};
use crate::ntfs::extend::OBJECT_IDS;
use crate::ntfs::index::{I30, Sought};
use crate::ntfs::name::FileName;
use crate::ntfs::node::Node;
use crate::ntfs::record::{Attribute, DIRECTORY, IN_USE, Record, Sizes, kind};
use crate::ntfs::runs::Run;
use crate::ntfs::stream::Layout;

/// A damage, and how it is found.
pub(super) struct Row {
    pub(super) name: &'static str,
    pub(super) damage: fn(&mut Engine),
    /// What the check of the changes says.
    pub(super) said: &'static str,
    /// The check of the whole volume finds it too.
    pub(super) whole: bool,
    /// It is found even where nobody saw that it was written.
    pub(super) unseen: bool,
}

pub(super) fn inode(engine: &mut Engine, path: &str) -> Inode {
    engine.resolve_path(path).unwrap()
}

/// The first cluster of a file.
pub(super) fn cluster(engine: &mut Engine, path: &str) -> u64 {
    let inode = inode(engine, path);
    match engine.layout(&inode, kind::DATA, &[]).unwrap().unwrap() {
        Layout::Runs { runs, .. } => runs[0].lcn.unwrap(),
        Layout::Resident(_) => panic!("{path} has no clusters"),
    }
}

fn clear(engine: &mut Engine, path: &str) {
    let lcn = Some(cluster(engine, path));
    engine.free_clusters(&[Run { lcn, len: 1 }]).unwrap();
}

/// Changes a file's record.
fn change(engine: &mut Engine, path: &str, work: impl FnOnce(&mut Inode)) {
    let mut inode = inode(engine, path);
    work(&mut inode);
    engine.write_inode(&mut inode).unwrap();
}

pub(super) fn change_data(engine: &mut Engine, path: &str, work: impl FnOnce(&mut Attribute)) {
    change(engine, path, |inode| work(inode.base.find_mut(kind::DATA, &[]).unwrap()));
}

/// Changes the block of a directory that has this name.
fn change_block(engine: &mut Engine, dir: &str, name: &str, work: impl FnOnce(&mut Node, usize)) {
    let dir = inode(engine, dir);
    let tree = engine.tree(&dir, &I30).unwrap();
    let blocks = tree.allocation.as_ref().unwrap().size() / tree.block as u64;
    let wanted: Vec<u16> = name.encode_utf16().collect();
    for block in 0..blocks {
        let vcn = block * tree.stride();
        let Ok(mut node) = engine.node(&tree, vcn) else { continue };
        let names = node.entries.iter().map(|one| FileName::parse(one.key()).unwrap().name);
        let place = names.into_iter().position(|one| one == wanted);
        if let Some(place) = place {
            work(&mut node, place);
            return engine.write_node(&tree, vcn, &node).unwrap();
        }
    }
    panic!("no block has '{name}'");
}

fn change_entry(engine: &mut Engine, dir: &str, name: &str, work: fn(&mut u64, &mut FileName)) {
    let mut dir = inode(engine, dir);
    let name: Vec<u16> = name.encode_utf16().collect();
    engine.update_name(&mut dir, &name, work).unwrap();
}

fn insert(engine: &mut Engine, dir: &str, reference: u64, name: &str) {
    let mut dir = inode(engine, dir);
    let name = FileName::new(dir.base.reference(), name);
    engine.insert_name(&mut dir, reference, &name).unwrap();
}

fn reference(engine: &mut Engine, path: &str) -> u64 {
    inode(engine, path).base.reference()
}

fn record_place(engine: &mut Engine, path: &str) -> u64 {
    let number = inode(engine, path).base.number;
    engine.record_place(number).unwrap()[0].start
}

pub(super) const TABLE: &[Row] = &[
    Row {
        name: "a new file's cluster is marked free",
        damage: |engine| clear(engine, "dir\\new"),
        said: "is used by record",
        whole: true,
        unseen: true,
    },
    Row {
        name: "a grown file's cluster is marked free",
        damage: |engine| clear(engine, "appended"),
        said: "is used by record",
        whole: true,
        unseen: true,
    },
    Row {
        name: "another file's cluster is marked free",
        damage: |engine| clear(engine, "bystander"),
        said: "is marked free, and no file",
        whole: true,
        unseen: true,
    },
    Row {
        name: "a new file has clusters of a file that nobody touched",
        damage: |engine| {
            let lcn = Some(cluster(engine, "bystander"));
            change_data(engine, "dir\\new", |data| data.set_runs(&[Run { lcn, len: 3 }]));
        },
        said: "it was taken already",
        whole: true,
        unseen: true,
    },
    Row {
        name: "two new files have the same clusters",
        damage: |engine| {
            let lcn = Some(cluster(engine, "dir\\newer"));
            change_data(engine, "dir\\new", |data| data.set_runs(&[Run { lcn, len: 3 }]));
        },
        said: "is used twice, by record",
        whole: true,
        unseen: true,
    },
    Row {
        name: "the map of clusters is changed beyond its end",
        damage: |engine| {
            let bitmap = engine.inode(BITMAP).unwrap();
            let layout = engine.layout(&bitmap, kind::DATA, &[]).unwrap().unwrap();
            engine.write_layout(&layout, layout.size() - 1, &[0x7f]).unwrap();
        },
        said: "beyond the last cluster",
        whole: false,
        unseen: true,
    },
    Row {
        name: "a new record is marked free",
        damage: |engine| {
            let number = inode(engine, "dir\\new").base.number;
            engine.set_record_bit(number, false).unwrap();
        },
        said: "in use but marked as free",
        whole: true,
        unseen: true,
    },
    Row {
        name: "another record is marked free",
        damage: |engine| {
            let number = inode(engine, "bystander").base.number;
            engine.set_record_bit(number, false).unwrap();
        },
        said: "in use but marked as free",
        whole: true,
        unseen: true,
    },
    Row {
        name: "a free record is in use",
        damage: |engine| {
            let number = engine.record_count() - 1;
            let mut record = Record::new(number, 9, 1024);
            record.flags = IN_USE;
            engine.write_record(&mut record).unwrap();
        },
        said: "in use but marked as free",
        whole: true,
        unseen: false,
    },
    Row {
        name: "a count of names is wrong",
        damage: |engine| change(engine, "dir\\new", |inode| inode.base.links = 2),
        said: "has 1 names, and says 2",
        whole: true,
        unseen: true,
    },
    Row {
        name: "a new file's record is given back",
        damage: |engine| {
            let record = inode(engine, "dir\\new").base;
            engine.free_record(record).unwrap();
        },
        said: "is not in use",
        whole: true,
        unseen: true,
    },
    Row {
        name: "the entry of a new file is of an earlier use of its record",
        damage: |engine| change(engine, "dir\\new", |inode| inode.base.sequence += 1),
        said: "a stale reference",
        whole: true,
        unseen: true,
    },
    Row {
        name: "a record is torn",
        damage: |engine| {
            let place = record_place(engine, "dir\\new");
            engine.device.write_at(place + 510, &[0xee]).unwrap();
        },
        said: "torn write",
        whole: true,
        unseen: true,
    },
    Row {
        name: "two entries are swapped",
        damage: |engine| {
            change_block(engine, "dir", "new", |node, at| {
                let other = if at == 0 { 1 } else { at - 1 };
                node.entries.swap(at, other);
            });
        },
        said: "are out of order",
        whole: true,
        unseen: true,
    },
    Row {
        name: "an entry is there twice",
        damage: |engine| {
            change_block(engine, "dir", "new", |node, at| {
                let entry = node.entries[at].clone();
                node.entries.insert(at, entry.with_child(None));
            });
        },
        said: "are out of order",
        whole: true,
        unseen: true,
    },
    Row {
        name: "the entry of a neighbour is lost",
        damage: |engine| {
            change_block(engine, "dir", "file 050", |node, at| drop(node.entries.remove(at)))
        },
        said: "has lost the entry 'file 050'",
        whole: false,
        unseen: false,
    },
    Row {
        name: "the entry of a new file is lost",
        damage: |engine| {
            change_block(engine, "dir", "new", |node, at| drop(node.entries.remove(at)))
        },
        said: "has no such entry",
        whole: false,
        unseen: true,
    },
    Row {
        name: "an entry has the size of before",
        damage: |engine| change_entry(engine, "dir", "new", |_, entry| entry.real = 8),
        said: "says that 'new' has 8 bytes, and it has 9000",
        whole: false,
        unseen: true,
    },
    Row {
        name: "the entry of a replaced file has the size of before",
        damage: |engine| change_entry(engine, "", "replaced", |_, entry| entry.real = 20_000),
        said: "says that 'replaced' has 20000 bytes, and it has 9",
        whole: false,
        unseen: true,
    },
    Row {
        name: "an entry refers to another file",
        damage: |engine| {
            // The numbers of records are those of the volume that all tests start from.
            change_entry(engine, "dir", "new", |file, _| *file = 0x0001_0000_0000_0018);
        },
        said: "has no such name",
        whole: true,
        unseen: true,
    },
    Row {
        name: "the entry of a removed file stays",
        damage: |engine| insert(engine, "dir", 0x0001_0000_0000_0020, "file 007"),
        said: "'file 007'",
        whole: true,
        unseen: true,
    },
    Row {
        name: "the entry of a moved file stays where it was",
        damage: |engine| {
            let file = reference(engine, "dir\\moved");
            insert(engine, "other", file, "file 020");
        },
        said: "which has lost that name",
        whole: true,
        unseen: true,
    },
    Row {
        name: "a directory that nobody touched names a new file",
        damage: |engine| {
            let file = reference(engine, "dir\\new");
            insert(engine, "third", file, "intruder");
        },
        said: "was written to, and no file",
        whole: true,
        unseen: false,
    },
    Row {
        name: "a removed file is there again, without an entry",
        damage: |engine| {
            let free = |record: &Record| {
                let names = record.attributes.iter().filter(|one| one.kind() == kind::FILE_NAME);
                let names: Vec<_> =
                    names.map(|one| FileName::parse(one.value()).unwrap().text()).collect();
                names == ["with id"] && !record.is_in_use()
            };
            let count = engine.record_count();
            let found = (24..count).find_map(|number| engine.record(number).ok().filter(free));
            let mut record = found.unwrap();
            record.flags |= IN_USE;
            engine.write_record(&mut record).unwrap();
            engine.set_record_bit(record.number, true).unwrap();
        },
        said: "has no such entry",
        whole: false,
        unseen: true,
    },
    Row {
        name: "a file says another name than its directory",
        damage: |engine| {
            change(engine, "dir\\new", |inode| {
                let own = inode.base.find_mut(kind::FILE_NAME, &[]).unwrap();
                let parent = FileName::parse(own.value()).unwrap().parent;
                own.set_value(&FileName::new(parent, "odd").encode());
            });
        },
        said: "has the name 'odd', and directory",
        whole: true,
        unseen: true,
    },
    Row {
        name: "a file's name is of an earlier use of its directory",
        damage: |engine| {
            change(engine, "dir\\new", |inode| {
                let own = inode.base.find_mut(kind::FILE_NAME, &[]).unwrap();
                let mut name = FileName::parse(own.value()).unwrap();
                name.parent += 1 << 48;
                own.set_value(&name.encode());
            });
        },
        said: "in an earlier use of record",
        whole: false,
        unseen: true,
    },
    Row {
        name: "a block of a directory is marked free",
        damage: |engine| {
            change(engine, "dir", |inode| {
                let bitmap = inode.base.find_mut(kind::BITMAP, &I30).unwrap();
                let mut bits = bitmap.value().to_vec();
                let used = bits[0].trailing_zeros();
                bits[0] &= !(1 << used);
                bitmap.set_value(&bits);
            });
        },
        said: "is used but marked free",
        whole: true,
        unseen: true,
    },
    Row {
        name: "a directory leads into one block twice",
        damage: |engine| {
            change(engine, "dir", |inode| {
                let root = inode.base.find_mut(kind::INDEX_ROOT, &I30).unwrap();
                let mut node = Node::from_root(root.value()).unwrap();
                node.last_child = node.entries[0].child;
                root.set_value(&node.to_root(root.value()));
            });
        },
        said: "goes in a circle",
        whole: true,
        unseen: true,
    },
    Row {
        name: "a file is marked as a directory",
        damage: |engine| change(engine, "dir\\new", |inode| inode.base.flags |= DIRECTORY),
        said: "has no index",
        whole: true,
        unseen: true,
    },
    Row {
        name: "a directory is marked as a file",
        damage: |engine| change(engine, "dir", |inode| inode.base.flags &= !DIRECTORY),
        said: "has lost the entry",
        whole: false,
        unseen: true,
    },
    Row {
        name: "a block of a directory is torn",
        damage: |engine| {
            let dir = inode(engine, "dir");
            let tree = engine.tree(&dir, &I30).unwrap();
            let Some(Layout::Runs { runs, .. }) = tree.allocation else { panic!("no blocks") };
            let used = dir.base.find(kind::BITMAP, &I30).unwrap().value()[0].trailing_zeros();
            let place = (runs[0].lcn.unwrap() + u64::from(used)) * 4096;
            engine.device.write_at(place + 1022, &[0xee]).unwrap();
        },
        said: "torn write",
        whole: true,
        unseen: true,
    },
    Row {
        name: "an attribute list lacks the data",
        damage: |engine| {
            let mut inode = inode(engine, "spread");
            engine.change_list(&mut inode, |list| list.retain(|one| one[0] != 0x80)).unwrap();
            engine.write_inode(&mut inode).unwrap();
        },
        said: "which does not list it",
        whole: true,
        unseen: true,
    },
    Row {
        name: "an attribute list has a wrong id",
        damage: |engine| {
            let mut inode = inode(engine, "spread");
            let data = |one: &&mut Vec<u8>| one[0] == 0x80;
            engine
                .change_list(&mut inode, |list| list.iter_mut().find(data).unwrap()[0x18] += 1)
                .unwrap();
            engine.write_inode(&mut inode).unwrap();
        },
        said: "lists an attribute of type 0x80",
        whole: true,
        unseen: true,
    },
    Row {
        name: "an extension record is given back",
        damage: |engine| {
            let extension = inode(engine, "spread").extensions.remove(0);
            engine.free_record(extension).unwrap();
        },
        said: "is not an extension of",
        whole: true,
        unseen: true,
    },
    Row {
        name: "an extension record says another file",
        damage: |engine| change(engine, "spread", |inode| inode.extensions[0].base -= 1),
        said: "is not an extension of",
        whole: true,
        unseen: true,
    },
    Row {
        name: "a file has more bytes than its clusters",
        damage: |engine| {
            change_data(engine, "dir\\new", |data| {
                let sizes = data.sizes();
                data.set_sizes(Sizes { allocated: sizes.allocated + 4096, ..sizes });
            });
        },
        said: "bytes in clusters, and says",
        whole: true,
        unseen: true,
    },
    Row {
        name: "the clusters of a file are not as many as it says",
        damage: |engine| {
            let place = record_place(engine, "dir\\new");
            let mut bytes = vec![0; 1024];
            engine.device.read_at(place, &mut bytes).unwrap();
            let data = bytes.windows(5).position(|five| five == [0x80, 0, 0, 0, 0x48]).unwrap();
            // The last cluster of its data.
            engine.device.write_at(place + data as u64 + 0x18, &[9]).unwrap();
        },
        said: "run list has not the length",
        whole: true,
        unseen: true,
    },
    Row {
        name: "a record is not as its copy in $MFTMirr",
        damage: |engine| {
            let place = engine.mirror_place(3) + 0x60;
            engine.device.write_at(place, &[0xee]).unwrap();
        },
        said: "record 3 is not the same in $MFTMirr",
        whole: true,
        unseen: false,
    },
    Row {
        name: "a file that nobody touched is written to",
        damage: |engine| {
            let place = cluster(engine, "bystander") * 4096 + 77;
            engine.device.write_at(place, b"astray").unwrap();
        },
        said: "was written to, and no file that was changed has it",
        whole: false,
        unseen: false,
    },
    Row {
        name: "the boot sector is written to",
        damage: |engine| engine.device.write_at(0x100, b"astray").unwrap(),
        said: "cluster 0 was written to",
        whole: false,
        unseen: false,
    },
    Row {
        name: "the boot sector says another serial number",
        damage: |engine| engine.device.write_at(0x48, b"other").unwrap(),
        said: "boot sector was changed",
        whole: false,
        unseen: false,
    },
    Row {
        name: "a removed file stays in the index of object ids",
        damage: |engine| {
            let mut view = engine.extended("$ObjId").unwrap().unwrap();
            let number = (24..).find(|&number| {
                engine.record(number).is_ok_and(|record| {
                    record.find(kind::OBJECT_ID, &[]).is_some_and(|id| id.value() == GONE)
                })
            });
            let record = engine.record(number.unwrap()).unwrap();
            let old = record.reference() - (1 << 48);
            let again = entry(&GONE, &[&old.to_le_bytes()[..], &[0; 48]].concat());
            engine
                .rebuild(
                    &mut view,
                    |all, at| all.insert(at, again),
                    Sought::Longs(&OBJECT_IDS, &GONE),
                )
                .unwrap();
        },
        said: "$ObjId has an entry of record",
        whole: false,
        unseen: true,
    },
    Row {
        name: "another file is lost from the index of object ids",
        damage: |engine| {
            let mut view = engine.extended("$ObjId").unwrap().unwrap();
            engine.remove_entry(&mut view, Sought::Longs(&OBJECT_IDS, &LEFT)).unwrap();
        },
        said: "$ObjId has lost the entry of record",
        whole: false,
        unseen: true,
    },
];

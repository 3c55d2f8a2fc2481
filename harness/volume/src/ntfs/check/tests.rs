//! The check of changes against a table of damages: each is done after a session of edits, once as the
//! engine would do it by mistake, once behind its back, and must be found.

use super::check_changes;
use super::damages::{TABLE, change_data, cluster, inode};
use crate::changes::{Before, Changes};
use crate::ntfs::crafted::{add_attribute, entry, make_index, spread};
use crate::ntfs::engine::{BITMAP, Engine, MFT};
use crate::ntfs::extend::OBJECT_IDS;
use crate::ntfs::index::I30;
use crate::ntfs::record::{IN_USE, Record, kind};
use crate::ntfs::runs::Run;
use crate::{
    BlockDevice, Check, FileTime, MemoryDevice, Ntfs, NtfsFormat, Reason, SharedDevice, Volume,
    VolumeError,
};
use std::ops::Range;
use std::sync::LazyLock;

const TIME: FileTime = FileTime::from_unix_seconds(1_721_362_140);
/// Not a multiple of eight clusters.
const LEN: usize = (10 << 20) + 5 * 4096;
/// Object ids of files.
pub(super) const GONE: [u8; 16] = [3; 16];
pub(super) const LEFT: [u8; 16] = [4; 16];

/// A volume with directories of blocks, an attribute list, object ids.
static SOUND: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let device = SharedDevice::new(MemoryDevice::zeroed(LEN));
    let options = NtfsFormat { label: "C".to_owned(), serial: 1, time: TIME };
    let mut ntfs = Ntfs::format(device.clone(), &options).unwrap();
    for directory in ["dir", "other", "third"] {
        ntfs.create_dir_all(directory).unwrap();
        for index in 0..110 {
            ntfs.write(&format!("{directory}\\file {index:03}"), &vec![index; 900]).unwrap();
        }
    }
    for name in ["bystander", "appended", "spread", "replaced"] {
        ntfs.write(name, &[7; 20_000]).unwrap();
    }
    spread(&mut ntfs, "spread");
    for name in ["with id", "with id too"] {
        ntfs.write(name, b"x").unwrap();
    }
    let ids = [("with id", GONE), ("with id too", LEFT)].map(|(name, id)| {
        let reference = add_attribute(&mut ntfs, name, kind::OBJECT_ID, &id);
        let data = [&reference.to_le_bytes()[..], &[0; 48]].concat();
        entry(&id, &data)
    });
    make_index(&mut ntfs, "$ObjId", &OBJECT_IDS, ids.to_vec());
    assert_eq!(ntfs.check().unwrap(), Check::default());
    let mut bytes = vec![0; LEN];
    device.clone().read_at(0, &mut bytes).unwrap();
    bytes
});

/// What a session does.
fn edit(ntfs: &mut Ntfs) -> Result<(), VolumeError> {
    ntfs.write("dir\\new", &[1; 9000])?;
    ntfs.write("dir\\newer", &[2; 9000])?;
    ntfs.remove_file("dir\\file 007")?;
    ntfs.rename("other\\file 020", "dir\\moved")?;
    ntfs.append("appended", &[3; 9000])?;
    ntfs.write("spread", &[4; 30_000])?;
    ntfs.write("replaced", b"small now")?;
    ntfs.create_dir_all("made\\deep")?;
    ntfs.write("made\\deep\\file", b"x")?;
    ntfs.remove_file("with id")
}

fn volume(changes: &Changes) -> (Ntfs, SharedDevice) {
    let device = SharedDevice::new(MemoryDevice::new(SOUND.clone()));
    let mut ntfs = Ntfs::open_tracked(device.clone(), changes).unwrap();
    ntfs.set_clock(TIME);
    (ntfs, device)
}

/// What a check finds, or says instead.
fn findings(check: Result<Check, VolumeError>) -> Vec<String> {
    match check {
        Ok(check) => check.errors,
        Err(error) => vec![error.to_string()],
    }
}

/// What the checks of the changes and of the whole volume find.
fn both(device: &SharedDevice, changes: &Changes) -> (Vec<String>, Vec<String>) {
    let whole = Ntfs::open(device.clone()).and_then(|mut ntfs| ntfs.check());
    (findings(Ntfs::check_changes(device.clone(), changes)), findings(whole))
}

#[test]
fn edits_alone_are_sound() {
    let changes = Changes::default();
    let (mut ntfs, device) = volume(&changes);
    edit(&mut ntfs).unwrap();
    assert!(!changes.units().unwrap().is_empty());
    assert_eq!(both(&device, &changes), (vec![], vec![]));
    assert_eq!(Ntfs::check_changes(device, &changes).unwrap(), Check::default());
}

#[test]
fn every_damage_is_found() {
    let mut wrong = Vec::new();
    for row in TABLE {
        let changes = Changes::default();
        let (mut ntfs, device) = volume(&changes);
        edit(&mut ntfs).unwrap();
        let before = changes.units().unwrap();
        (row.damage)(&mut ntfs.engine);
        let (found, whole) = both(&device, &changes);
        if !found.iter().any(|one| one.contains(row.said)) || whole.is_empty() == row.whole {
            wrong.push(format!("{}: found {found:#?}, by the whole check {whole:#?}", row.name));
        }
        // The same by a handle whose changes nobody keeps.
        let changes = Changes::default();
        let (mut ntfs, device) = volume(&changes);
        edit(&mut ntfs).unwrap();
        let mut other = Ntfs::open(device.clone()).unwrap();
        other.set_clock(TIME);
        (row.damage)(&mut other.engine);
        assert_eq!(changes.units().unwrap().len(), before.len());
        let found = both(&device, &changes).0;
        if found.is_empty() == row.unseen {
            wrong.push(format!("{}, unseen: found {found:#?}", row.name));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// `$MFT` has no room for the files of this session.
#[test]
fn a_table_of_files_that_grows_is_checked() {
    let grow = |changes: &Changes| {
        let (mut ntfs, device) = volume(changes);
        let before = ntfs.engine.record_count();
        for index in 0.. {
            ntfs.write(&format!("dir\\more {index}"), b"x").unwrap();
            if ntfs.engine.record_count() > before {
                return (ntfs, device);
            }
        }
        unreachable!("the table never grew")
    };
    let changes = Changes::default();
    let (_, device) = grow(&changes);
    assert_eq!(both(&device, &changes), (vec![], vec![]));
    type Damage = fn(&mut Engine);
    let rows: [(Damage, &str); 3] = [
        // The copy of record 0 is that of before.
        (
            |engine| {
                let place = engine.mirror_place(MFT) + 0x100;
                engine.device.write_at(place, &[0xee; 16]).unwrap();
            },
            "record 0 is not the same in $MFTMirr",
        ),
        (
            |engine| {
                let lcn = engine.mft_runs().last().unwrap();
                let last = Run { lcn: Some(lcn.lcn.unwrap() + lcn.len - 1), len: 1 };
                engine.free_clusters(&[last]).unwrap();
            },
            "is used by record 0 but marked free",
        ),
        // A record among the new ones is in use, and not marked.
        (
            |engine| {
                let mut record = Record::new(engine.record_count() - 1, 1, 1024);
                record.flags = IN_USE;
                engine.write_record(&mut record).unwrap();
            },
            "in use but marked as free",
        ),
    ];
    for (damage, said) in rows {
        let changes = Changes::default();
        let (mut ntfs, device) = grow(&changes);
        damage(&mut ntfs.engine);
        let found = both(&device, &changes).0;
        assert!(found.iter().any(|one| one.contains(said)), "{said}: {found:#?}");
    }
}

/// Where the volume keeps what it knows of its files: mostly records, then blocks of directories and the map
/// of clusters.
fn metadata(engine: &mut Engine) -> Vec<Range<u64>> {
    let count = engine.record_count();
    let record = |number| {
        let start = engine.record_place(number).unwrap()[0].start;
        start..start + 420
    };
    let mut places: Vec<_> = (0..count).map(record).collect();
    for _ in 0..places.len() / 8 {
        for path in ["dir", "other", "third"] {
            let dir = inode(engine, path);
            let blocks = engine.tree(&dir, &I30).unwrap().allocation.unwrap();
            places.extend(engine.extents(&dir, &blocks).unwrap());
        }
        let bitmap = engine.inode(BITMAP).unwrap();
        let layout = engine.layout(&bitmap, kind::DATA, &[]).unwrap().unwrap();
        let map = engine.extents(&bitmap, &layout).unwrap()[0].start;
        places.push(map..map + 300);
    }
    places
}

/// What the check of the whole volume finds of damage that was done to a sound volume, the check of the
/// changes finds.
#[test]
fn whatever_the_whole_check_finds_is_found() {
    let mut state = 20_240_719u64;
    let mut below = |limit: u64| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state % limit
    };
    let (mut red, mut rounds) = (0, 0);
    while rounds < 400 {
        let changes = Changes::default();
        let (mut ntfs, device) = volume(&changes);
        edit(&mut ntfs).unwrap();
        let places = metadata(&mut ntfs.engine);
        for _ in 0..1 + below(3) {
            let place = &places[below(places.len() as u64) as usize];
            let at = place.start + below(place.end - place.start);
            let mut byte = [0];
            ntfs.engine.device.read_at(at, &mut byte).unwrap();
            byte[0] = match below(3) {
                0 => byte[0].wrapping_add(1),
                1 => byte[0] ^ 1 << below(8),
                _ => below(256) as u8,
            };
            ntfs.engine.device.write_at(at, &byte).unwrap();
        }
        rounds += 1;
        let (found, whole) = both(&device, &changes);
        red += usize::from(!whole.is_empty());
        assert!(
            whole.is_empty() || !found.is_empty(),
            "round {rounds}: only the check of the whole volume finds {whole:#?}"
        );
    }
    println!("{red} of {rounds} were damaged");
    assert!(red > 100, "only {red} of {rounds} were damaged");
}

#[test]
fn too_many_records_are_not_compared() {
    let changes = Changes::default();
    let (mut ntfs, device) = volume(&changes);
    edit(&mut ntfs).unwrap();
    let units = changes.units().unwrap();
    let compare = |most| {
        let before = Before::new(device.clone(), units.clone());
        check_changes(Box::new(before), Box::new(device.clone()), &units, most).unwrap()
    };
    assert_eq!(compare(100), Some(Check::default()));
    assert_eq!(compare(5), None);
}

/// Damage of before that was not touched is the price.
#[test]
fn damage_of_before_is_for_the_whole_check() {
    let device = SharedDevice::new(MemoryDevice::new(SOUND.clone()));
    let mut ntfs = Ntfs::open(device.clone()).unwrap();
    let lcn = Some(cluster(&mut ntfs.engine, "bystander"));
    change_data(&mut ntfs.engine, "replaced", |data| data.set_runs(&[Run { lcn, len: 5 }]));
    let changes = Changes::default();
    let mut ntfs = Ntfs::open_tracked(device.clone(), &changes).unwrap();
    ntfs.write("dir\\new", &[1; 9000]).unwrap();
    let (found, whole) = both(&device, &changes);
    assert_eq!(found, Vec::<String>::new());
    assert!(whole.iter().any(|one| one.contains("is used twice")), "{whole:#?}");
    // What cannot be told apart is checked as a whole.
    let given_up = Changes::default();
    given_up.give_up();
    assert_eq!(both(&device, &given_up).0, whole);
    // What is touched is looked at.
    ntfs.append("replaced", &[1; 9000]).unwrap();
    ntfs.write("bystander", b"x").unwrap();
    let found = both(&device, &changes).0;
    assert!(found.iter().any(|one| one.contains("marked free")), "{found:#?}");
}

#[test]
fn a_device_that_fails_is_an_error() {
    struct Failing(SharedDevice, u64);
    impl BlockDevice for Failing {
        fn len(&self) -> u64 {
            self.0.len()
        }
        fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> std::io::Result<()> {
            if (offset..offset + buffer.len() as u64).contains(&self.1) {
                return Err(std::io::Error::other("bad sector"));
            }
            self.0.read_at(offset, buffer)
        }
        fn write_at(&mut self, offset: u64, data: &[u8]) -> std::io::Result<()> {
            self.0.write_at(offset, data)
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    impl Clone for Failing {
        fn clone(&self) -> Self {
            Self(self.0.clone(), self.1)
        }
    }
    let changes = Changes::default();
    let (mut ntfs, device) = volume(&changes);
    edit(&mut ntfs).unwrap();
    let dir = inode(&mut ntfs.engine, "dir");
    let tree = ntfs.engine.tree(&dir, &I30).unwrap();
    let place = ntfs.engine.extents(&dir, &tree.allocation.unwrap()).unwrap()[0].start;
    let failed = Ntfs::check_changes(Failing(device, place), &changes).unwrap_err();
    assert!(matches!(failed.reason, Reason::Device(_)), "{failed}");
}

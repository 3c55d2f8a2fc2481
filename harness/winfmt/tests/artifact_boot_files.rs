//! Boot configuration stores, boot logs and WIM files that Windows or its tools wrote.

use winfmt::bcd::{
    BcdStore, Device, DeviceKind, ElementId, ElementValue, Object, ObjectType, StandardStore, known,
};
use winfmt::bootstat::{BootLog, LogEvent};
use winfmt::hive::Hive;
use winfmt::wim::{Compression, WimHeader};
use winfmt::{FileTime, Guid};

#[path = "../src/artifacts.rs"]
mod artifacts;

struct Expected {
    file: &'static str,
    objects: usize,
    default: &'static str,
    description: &'static str,
    recovery: Option<&'static str>,
    /// What the store says, not what follows from saying nothing.
    recovery_enabled: Option<bool>,
}

const STORES: [Expected; 5] = [
    Expected {
        file: "bcd/ka-2022-03-01/BCD",
        objects: 17,
        default: "{fad8d4a4-2730-11ec-914f-e04e81d67b96}",
        description: "Windows 10",
        recovery: Some("{fad8d4a5-2730-11ec-914f-e04e81d67b96}"),
        recovery_enabled: Some(true),
    },
    Expected {
        file: "bcd/ka-2022-03-03/BCD",
        objects: 17,
        default: "{fad8d4a4-2730-11ec-914f-e04e81d67b96}",
        description: "Windows 10",
        recovery: Some("{fad8d4a5-2730-11ec-914f-e04e81d67b96}"),
        recovery_enabled: Some(true),
    },
    Expected {
        file: "bcd/win10-uefi-regipy.BCD",
        objects: 17,
        default: "{733b62e5-f608-11eb-825c-c112f60133ab}",
        description: "Windows 10",
        recovery: Some("{733b62e6-f608-11eb-825c-c112f60133ab}"),
        recovery_enabled: Some(true),
    },
    Expected {
        file: "bcd/ka-2022-03-01-recovery/BCD",
        objects: 10,
        default: "{30287b9a-26f7-11ec-8195-b91433c91232}",
        description: "Windows Recovery Environment",
        recovery: None,
        recovery_enabled: None,
    },
    Expected {
        file: "bcd/windeploy-bios.BCD",
        objects: 11,
        default: "{1b67bffd-e290-11eb-8ffa-f459a0d9b879}",
        description: "Windows 10",
        recovery: None,
        recovery_enabled: None,
    },
];

#[test]
fn stores_say_whether_they_can_recover() {
    for expected in &STORES {
        let Some(bytes) = artifacts::read(expected.file) else { return };
        let store = BcdStore::open(bytes).unwrap();
        let file = expected.file;
        assert_eq!(store.objects().unwrap().len(), expected.objects, "{file}");
        let default = store.default_loader().unwrap().unwrap();
        let recovery = store.recovery_sequence(default.id).unwrap();
        let enabled = store.boolean(default.id, ElementId::RECOVERY_ENABLED).unwrap();
        println!(
            "{file}: default {} {:?}, recoverysequence {recovery:?}, recoveryenabled {enabled:?}",
            default.id,
            default.description().unwrap_or_default()
        );
        assert_eq!(default.id.to_string(), expected.default, "{file}");
        assert_eq!(default.kind, ObjectType::OS_LOADER, "{file}");
        assert_eq!(default.description(), Some(expected.description), "{file}");
        let first = recovery.first().map(Guid::to_string);
        assert_eq!(first.as_deref(), expected.recovery, "{file}");
        assert_eq!(enabled, expected.recovery_enabled, "{file}");
        assert_eq!(store.boot_status_policy(default.id).unwrap(), None, "{file}");
        assert_eq!(store.resolve("{default}").unwrap(), default.id, "{file}");
        assert_eq!(store.resolve("BootMgr").unwrap(), known::BOOT_MANAGER);
        assert!(store.resolve("{nonsense}").is_err());

        let Some(recovery) = recovery.first() else { continue };
        let recovery = store.object(*recovery).unwrap().unwrap();
        assert!(recovery.is_win_pe(), "{file}");
        let device = recovery.device(ElementId::DEVICE).unwrap();
        let DeviceKind::File { path, .. } = device.kind() else { panic!("{file}: {device}") };
        assert_eq!(path, r"\Recovery\WindowsRE\Winre.wim", "{file}");
        let options = store.object(device.options().unwrap()).unwrap().unwrap();
        assert_eq!(options.kind, ObjectType::DEVICE_OPTIONS);
        let sdi = options.string(ElementId::RAMDISK_SDI_PATH);
        assert_eq!(sdi, Some(r"\Recovery\WindowsRE\boot.sdi"), "{file}");
    }
}

fn elements(store: &BcdStore) -> Vec<(Object, ElementId, ElementValue)> {
    let objects = store.objects().expect("the store was opened");
    let each = objects.into_iter().flat_map(|object| {
        let elements = object.elements.clone();
        elements.into_iter().map(move |(id, value)| (object.clone(), id, value))
    });
    each.collect()
}

#[test]
fn every_element_is_understood_and_written_as_windows_wrote_it() {
    let (mut gpt, mut mbr, mut files, mut boot) = (0, 0, 0, 0);
    for expected in &STORES {
        let Some(bytes) = artifacts::read(expected.file) else { return };
        let store = BcdStore::open(bytes).unwrap();
        for (object, id, value) in elements(&store) {
            let place = format!("{} {} {id}", expected.file, object.id);
            let path = format!("Objects\\{}\\Elements\\{id}", object.id);
            let stored = store.hive().get(path, "Element").unwrap().unwrap();
            assert!(!matches!(value, ElementValue::Unknown(_)), "{place}: {stored}");
            let mut encoded = value.encode();
            // Windows ends some strings twice: what came from firmware variables or from `reagentc`.
            if encoded.as_string().is_some() && stored.bytes.len() == encoded.bytes.len() + 2 {
                encoded.bytes.extend([0, 0]);
            }
            assert_eq!(encoded, stored, "{place}");
            let ElementValue::Device(device) = value else { continue };
            match device.kind() {
                DeviceKind::Gpt { .. } => gpt += 1,
                DeviceKind::Mbr { .. } => mbr += 1,
                DeviceKind::File { .. } => files += 1,
                DeviceKind::Boot => boot += 1,
                other => panic!("{place}: {other}"),
            }
            let options = device.options().unwrap_or(Guid::ZERO);
            let encoded = Device::encode(options, &device.kind());
            assert_eq!(encoded.bytes(), device.bytes(), "{place}");
        }
    }
    if artifacts::folder().is_some() {
        assert!(gpt > 10 && mbr > 1 && files >= 4 && boot > 1, "{gpt} {mbr} {files} {boot}");
    }
}

/// The store that we make has the same elements as the one of a real installation, with its ids put in
/// their place. What is left out is named.
#[test]
fn our_store_is_like_that_of_a_real_installation() {
    let Some(bytes) = artifacts::read("bcd/ka-2022-03-03/BCD") else { return };
    let real = BcdStore::open(bytes).unwrap();
    let loader = real.default_loader().unwrap().unwrap();
    let recovery = real.object(real.recovery_sequence(loader.id).unwrap()[0]).unwrap().unwrap();
    let image = recovery.device(ElementId::DEVICE).unwrap();
    let partition = |object: &Object| match object.device(ElementId::DEVICE).map(Device::kind) {
        Some(DeviceKind::Gpt { disk, partition }) => (disk, partition),
        other => panic!("{other:?}"),
    };
    let manager = real.object(known::BOOT_MANAGER).unwrap().unwrap();
    let ours = StandardStore {
        disk: partition(&loader).0,
        system_partition: partition(&manager).1,
        windows_partition: partition(&loader).1,
        // On this machine the image lies on the Windows partition.
        recovery_partition: partition(&loader).1,
        loader: loader.id,
        recovery_loader: recovery.id,
        recovery_options: image.options().unwrap(),
        description: "Windows 10".to_owned(),
        locale: "en-GB".to_owned(),
        timeout: 30,
    };
    let ours = ours.build(FileTime::from_ticks(1)).unwrap();
    let mut compared = 0;
    for object in ours.objects().unwrap() {
        let theirs = real.object(object.id).unwrap().unwrap();
        assert_eq!(object.kind, theirs.kind, "{}", object.id);
        for (id, value) in &object.elements {
            let place = format!("{} {id}", object.id);
            match (value, theirs.element(*id)) {
                // Their disk is of another kind than the system partition's.
                (ElementValue::Device(_), _) if object.id == known::BOOT_MANAGER => {}
                (ElementValue::String(own), Some(ElementValue::String(other))) => {
                    assert!(own.eq_ignore_ascii_case(other), "{place}: {own} {other}");
                }
                (own, other) => assert_eq!(Some(own), other, "{place}"),
            }
            compared += 1;
        }
        let mut missing: Vec<String> = theirs
            .elements
            .iter()
            .filter(|(id, _)| object.element(*id).is_none())
            .map(|(id, _)| id.name_on(object.kind).map_or_else(|| id.to_string(), str::to_owned))
            .collect();
        // The resume application and the memory tester are left out, and settings of the person.
        let left_out = [
            "resumeobject",
            "toolsdisplayorder",
            "quietboot",
            "hypervisordebugtype",
            "hypervisordebugport",
            "hypervisorbaudrate",
        ];
        missing.retain(|name| !left_out.contains(&name.as_str()));
        assert_eq!(missing, Vec::<String>::new(), "{}", object.id);
    }
    assert!(compared > 40, "{compared}");
}

#[test]
fn edits_leave_everything_else_as_it_was() {
    let Some(bytes) = artifacts::read("bcd/ka-2022-03-01/BCD") else { return };
    let mut store = BcdStore::open(bytes).unwrap();
    let before = elements(&store);
    let loader = store.default_loader().unwrap().unwrap().id;
    let recovery = store.recovery_sequence(loader).unwrap();
    store.set(loader, ElementId::RECOVERY_ENABLED, &ElementValue::Boolean(false)).unwrap();
    store.set(loader, ElementId::SAFE_BOOT, &ElementValue::Integer(1)).unwrap();
    let sequence = ElementValue::ObjectList(recovery.clone());
    store.set(known::BOOT_MANAGER, ElementId::BOOT_SEQUENCE, &sequence).unwrap();
    let wrong = store.set(loader, ElementId::SAFE_BOOT, &ElementValue::Boolean(true));
    assert!(wrong.unwrap_err().to_string().contains("25000080"));
    assert!(store.set(Guid::ZERO, ElementId::PATH, &ElementValue::String(String::new())).is_err());

    let mut store = BcdStore::open(store.to_bytes().unwrap()).unwrap();
    assert!(!store.recovery_enabled(loader).unwrap());
    assert_eq!(store.integer(loader, ElementId::SAFE_BOOT).unwrap(), Some(1));
    assert_eq!(store.take_boot_sequence().unwrap(), recovery);
    assert_eq!(store.take_boot_sequence().unwrap(), []);
    assert!(store.delete(loader, ElementId::SAFE_BOOT).unwrap());
    assert!(!store.delete(loader, ElementId::SAFE_BOOT).unwrap());
    store.set(loader, ElementId::RECOVERY_ENABLED, &ElementValue::Boolean(true)).unwrap();
    let after = BcdStore::open(store.to_bytes().unwrap()).unwrap();
    assert!(elements(&after) == before);
}

#[test]
fn inheritance_is_followed_and_loops_end() {
    let clock = FileTime::from_ticks(1);
    let mut store = BcdStore::create(clock).unwrap();
    let (one, two) = (Guid::from_bytes([1; 16]), Guid::from_bytes([2; 16]));
    store.add_object(one, ObjectType::OS_LOADER).unwrap();
    store.add_object(two, ObjectType::LOADER_SETTINGS).unwrap();
    for (object, parent) in [(one, two), (two, one)] {
        let parents = ElementValue::ObjectList(vec![parent]);
        store.set(object, ElementId::INHERIT, &parents).unwrap();
    }
    assert_eq!(store.boolean(one, ElementId::TEST_SIGNING).unwrap(), None);
    store.set(two, ElementId::TEST_SIGNING, &ElementValue::Boolean(true)).unwrap();
    assert_eq!(store.boolean(one, ElementId::TEST_SIGNING).unwrap(), Some(true));
    assert_eq!(store.get(one, ElementId::TEST_SIGNING).unwrap(), None);
    assert_eq!(store.default_loader().unwrap(), None);
    let not_a_store = Hive::create("ROOT").unwrap().to_bytes().unwrap();
    assert!(BcdStore::open(not_a_store).unwrap_err().to_string().contains("`Objects`"));
}

#[test]
fn a_store_shows_as_bcdedit_shows_it() {
    let Some(bytes) = artifacts::read("bcd/ka-2022-03-01/BCD") else { return };
    let text = BcdStore::open(bytes).unwrap().render().unwrap();
    for part in [
        "Windows Boot Manager\n--------------------\nidentifier              {bootmgr}\n",
        "default                 {default}\n",
        "Windows Boot Loader\n-------------------\nidentifier              {default}\n",
        "recoverysequence        {fad8d4a5-2730-11ec-914f-e04e81d67b96}\n",
        "recoveryenabled         Yes\n",
        "nx                      OptIn\n",
        "bootmenupolicy          Standard\n",
        "winpe                   Yes\n",
        "custom:46000010         Yes\n",
        "allowedinmemorysettings 0x15000075\n",
        r"device                  ramdisk=[partition={d3883b81-98bf-43e1-9650-b2517484d1cb} disk={43df372a-3d14-4fb5-8abc-636e94f4d37a}]\Recovery\WindowsRE\Winre.wim,{fad8d4a6-2730-11ec-914f-e04e81d67b96}",
    ] {
        assert!(text.contains(part), "no {part:?} in\n{text}");
    }
    // The names are found again.
    let loader = ObjectType::OS_LOADER;
    assert_eq!(ElementId::by_name("RecoveryEnabled", loader), Some(ElementId::RECOVERY_ENABLED));
    let default = ElementId::by_name("default", ObjectType::BOOT_MANAGER);
    assert_eq!(default, Some(ElementId::DEFAULT_OBJECT));
    assert_eq!(ElementId::by_name("default", loader), None);
    assert_eq!(ElementId::by_name("custom:46000010", loader), Some(ElementId::RECOVERY_OS));
    assert_eq!(ElementId::by_name("custom:4600001", loader), None);
}

#[test]
fn boot_logs_that_windows_wrote() {
    for (file, count, launched) in
        [("bcd/ka-2022-03-01/BOOTSTAT.DAT", 145, 70), ("bcd/ka-2022-03-03/BOOTSTAT.DAT", 221, 107)]
    {
        let Some(bytes) = artifacts::read(file) else { return };
        let log = BootLog::parse(&bytes).unwrap();
        let records = log.records();
        assert_eq!(records.len(), count, "{file}");
        assert_eq!(records[0].application, known::BOOT_MANAGER);
        let first = records[0].time().unwrap().to_string();
        assert_eq!(first, "2021-10-07T05:44:30Z", "{file}");
        let launches: Vec<_> =
            records.iter().filter(|record| record.event == LogEvent::EntryLaunched).collect();
        assert_eq!(launches.len(), launched, "{file}");
        assert_eq!(launches[0].path().as_deref(), Some(r"\Windows\system32\winload.efi"));
        let entry = launches[0].entry().unwrap().to_string();
        assert_eq!(entry, "{fad8d4a4-2730-11ec-914f-e04e81d67b96}");
        // The machine's clock was set back more than once, so the times are not in order.
        let begun = records.iter().filter(|record| record.event == LogEvent::Initialized);
        assert_eq!(begun.filter(|record| record.time().is_none()).count(), 0, "{file}");
        // What was not wrapped is written as Windows wrote it.
        assert!(log.to_bytes() == bytes, "{file}: not the same when written");
    }
    let Some(bytes) = artifacts::read("bcd/ka-2022-03-03/BOOTSTAT.DAT") else { return };
    let log = BootLog::parse(&bytes).unwrap();
    let returned: Vec<_> = log.records().iter().filter_map(|record| record.status()).collect();
    assert_eq!(returned, [0xc000_0001; 3]);
}

#[test]
fn wim_headers() {
    for (file, compression, parts) in [
        ("wim/XPRESS.wim", Compression::Xpress, 1),
        ("wim/LZX.wim", Compression::Lzx, 1),
        ("wim/BootXPRESS.wim", Compression::Xpress, 1),
        ("wim/Split.swm", Compression::Xpress, 2),
    ] {
        let Some(bytes) = artifacts::read(file) else { return };
        let header = WimHeader::parse(&bytes).unwrap();
        assert_eq!(header.parts, parts, "{file}");
        assert_eq!(header.images, 1, "{file}");
        assert_eq!(header.boot_index, u32::from(file.contains("Boot")), "{file}");
        let xml = header.xml_text(&bytes).unwrap();
        assert!(xml.starts_with("<WIM>"), "{file}: {xml}");
        if parts == 1 {
            assert_eq!(header.compression(), compression, "{file}");
        }
    }
}

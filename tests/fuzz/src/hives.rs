//! Registry hives and the boot configuration stores that lie in them.

use std::sync::LazyLock;

use winfmt::bcd::{BcdStore, StandardStore};
use winfmt::hive::{CreateOptions, Data, Hive};
use winfmt::{FileTime, Guid};

use crate::patch;

/// A time that makes made files the same each time.
pub(crate) fn clock() -> FileTime {
    FileTime::from_ticks(133_658_000_000_000_000)
}

/// An id with this number in it.
pub(crate) fn guid(number: u8) -> Guid {
    Guid::from_bytes([number; 16])
}

/// A hive with the shapes that matter: a class of services, values of all sizes, a list long enough to be
/// split, a name that is not Latin.
pub(crate) fn sound() -> Hive {
    let mut hive =
        Hive::create_with("ROOT", &CreateOptions { clock: Some(clock()), ..Default::default() })
            .expect("the name is short");
    hive.set_clock(clock());
    for number in 0..40 {
        let key = format!(r"ControlSet001\Services\service{number:02}");
        hive.set_value(key.as_str(), "Start", &Data::dword(number % 5)).expect("a sound hive");
        hive.set_value(key.as_str(), "ImagePath", &Data::expand_string(r"system32\drivers\a.sys"))
            .expect("a sound hive");
    }
    hive.set_value(r"Данные", "большой", &Data::binary(vec![0x5a; 20_000])).expect("a sound hive");
    hive.set_value("Select", "Current", &Data::dword(1)).expect("a sound hive");
    hive.delete_key(r"ControlSet001\Services\service07").expect("a sound hive");
    hive
}

static HIVE: LazyLock<Vec<u8>> =
    LazyLock::new(|| sound().to_bytes().expect("a sound hive can be written"));

static STORE: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let store = StandardStore {
        disk: guid(1),
        system_partition: guid(2),
        windows_partition: guid(3),
        recovery_partition: guid(4),
        loader: guid(5),
        recovery_loader: guid(6),
        recovery_options: guid(7),
        description: "Windows".to_owned(),
        locale: "en-US".to_owned(),
        timeout: 30,
    };
    let store = store.build(clock()).expect("a sound store");
    store.to_bytes().expect("a sound store can be written")
});

/// Makes the checksum of the base block right: behind a wrong one nothing would be reached.
pub(crate) fn with_checksum(mut bytes: Vec<u8>) -> Vec<u8> {
    if bytes.len() >= 512 {
        let sum = bytes[..508]
            .chunks_exact(4)
            .fold(0, |sum, word| sum ^ u32::from_le_bytes([word[0], word[1], word[2], word[3]]));
        let sum = match sum {
            0 => 1,
            u32::MAX => u32::MAX - 1,
            sum => sum,
        };
        bytes[508..512].copy_from_slice(&sum.to_le_bytes());
    }
    bytes
}

/// The input is a hive.
pub(crate) fn file(input: &[u8]) {
    use_hive(with_checksum(input.to_vec()));
}

pub(crate) fn file_seeds() -> Vec<(&'static str, Vec<u8>)> {
    let mut small =
        Hive::create_with("R", &CreateOptions { clock: Some(clock()), ..Default::default() })
            .expect("the name is short");
    small.set_clock(clock());
    small.set_value("a", "b", &Data::string("c")).expect("a sound hive");
    vec![("small", small.to_bytes().expect("a sound hive can be written"))]
}

/// The input changes a sound hive.
pub(crate) fn patched(input: &[u8]) {
    use_hive(with_checksum(patch::applied(&HIVE, input)));
}

pub(crate) fn use_hive(bytes: Vec<u8>) {
    if let Ok(hive) = Hive::open_dirty(bytes.clone()) {
        read_all(&hive, false);
    }
    let Ok(mut hive) = Hive::open(bytes) else { return };
    read_all(&hive, true);
    // What the check took can be edited, and is a sound hive afterwards.
    let key = r"ControlSet001\Services\fuzz";
    for round in 0..3_u32 {
        let edits = [
            hive.set_value(key, "Start", &Data::dword(round)),
            hive.set_value(key, "Large", &Data::binary(vec![1; 17_000])),
            hive.delete_value(key, "Start").map(|_| ()),
            hive.delete_key(r"ControlSet001\Services\service01").map(|_| ()),
        ];
        if edits.iter().any(Result::is_err) {
            // A key of the hive stands in the way; what is given out must be sound all the same.
            break;
        }
    }
    let Ok(bytes) = hive.to_bytes() else { return };
    let again = Hive::open(bytes).expect("what was edited and written opens again");
    read_all(&again, true);
}

fn read_all(hive: &Hive, sound: bool) {
    for walked in hive.walk().take(20_000) {
        let Ok(walked) = walked else {
            assert!(!sound, "a hive that was checked has a key that cannot be read");
            continue;
        };
        let values = walked.key.values();
        assert!(!sound || values.is_ok(), "a hive that was checked has values that cannot be read");
        for value in values.unwrap_or_default() {
            let _ = (value.data.as_string(), value.data.as_multi_string(), value.data.as_qword());
        }
        let _ = (walked.key.class(), walked.key.security_descriptor(), walked.key.subkey_names());
    }
}

/// The input changes a sound store.
pub(crate) fn bcd(input: &[u8]) {
    let Ok(store) = BcdStore::open(with_checksum(patch::applied(&STORE, input))) else { return };
    let _ = store.render();
    for object in store.objects().unwrap_or_default() {
        let _ = (store.recovery_sequence(object.id), store.recovery_enabled(object.id));
        let _ = (store.boot_status_policy(object.id), store.object(object.id));
    }
    let _ = store.default_loader();
}

//! Damage of every kind: nothing panics, nothing hangs, and what opens can be read and edited.

#![expect(clippy::unwrap_used, reason = "a test: whatever fails shall stop it")]

use std::sync::OnceLock;

use proptest::prelude::*;
use proptest::sample::Index;
use winfmt::bcd::BcdStore;
use winfmt::hive::{Data, Hive, HiveError};

#[path = "../src/artifacts.rs"]
mod artifacts;

/// A small hive with everything in it: lists of lists, big data, classes of names.
fn sample() -> Vec<u8> {
    static SAMPLE: OnceLock<Vec<u8>> = OnceLock::new();
    SAMPLE.get_or_init(make_sample).clone()
}

fn make_sample() -> Vec<u8> {
    let mut hive = Hive::create("ROOT").unwrap();
    for number in 0..1100 {
        hive.create_key(format!("many\\{number}")).unwrap();
    }
    for length in [0usize, 3, 4, 5, 100, 16_344, 40_000] {
        let data = Data::binary(vec![7; length]);
        hive.set_value(r"deep\er\värde\ж", format!("v{length}"), &data).unwrap();
    }
    hive.set_value("", "", &Data::multi_string(["a", "b"])).unwrap();
    hive.to_bytes().unwrap()
}

/// Puts the checksum right, so that damage behind it is reached.
fn fix_checksum(bytes: &mut [u8]) {
    if bytes.len() < 512 {
        return;
    }
    let sum = bytes[..508]
        .chunks_exact(4)
        .fold(0, |sum, word| sum ^ u32::from_le_bytes(word.try_into().unwrap()));
    let sum = match sum {
        0 => 1,
        u32::MAX => u32::MAX - 1,
        other => other,
    };
    bytes[508..512].copy_from_slice(&sum.to_le_bytes());
}

/// Everything that can be done with bytes that may be a hive.
fn exercise(bytes: &[u8]) {
    if let Ok(hive) = Hive::open_dirty(bytes.to_vec()) {
        for walked in hive.walk().flatten() {
            let _ = walked.key.values();
            let _ = walked.key.class();
            let _ = walked.key.security_descriptor();
        }
    }
    let Ok(mut hive) = Hive::open(bytes.to_vec()) else { return };
    let mut first = None;
    for walked in hive.walk() {
        let walked = walked.expect("a hive that opens is sound");
        walked.key.values().expect("a hive that opens is sound");
        if first.is_none() && !walked.path.names().is_empty() {
            first = Some(walked.path);
        }
    }
    // Edits stay sound too: the result opens again.
    let edited: Result<bool, HiveError> = (|| {
        hive.set_value(r"new\key", "value", &Data::string("text"))?;
        if let Some(path) = first {
            hive.set_value(&path, "value", &Data::binary(vec![1; 20_000]))?;
            hive.delete_key(&path)?;
        }
        hive.delete_key("new")
    })();
    edited.expect("a sound hive takes edits");
    Hive::open(hive.to_bytes().unwrap()).expect("an edited hive is sound");
    if let Ok(store) = BcdStore::from_hive(hive) {
        let _ = (store.objects(), store.render(), store.default_loader());
    }
}

fn damage(bytes: &mut Vec<u8>, hits: &[(Index, u8)], cut: Option<Index>) {
    for (at, byte) in hits {
        let at = at.index(bytes.len());
        bytes[at] = *byte;
    }
    if let Some(cut) = cut {
        bytes.truncate(cut.index(bytes.len()));
    }
    fix_checksum(bytes);
}

/// Bytes that turn small numbers and offsets into other plausible ones.
fn hits() -> impl Strategy<Value = Vec<(Index, u8)>> {
    let byte = prop_oneof![any::<u8>(), prop::sample::select(vec![0, 1, 8, 0x20, 0x80, 0xff])];
    prop::collection::vec((any::<Index>(), byte), 1..12)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..9000)) {
        exercise(&bytes);
    }

    #[test]
    fn a_base_block_with_anything_behind(bytes in prop::collection::vec(any::<u8>(), 4096)) {
        let mut hive = sample();
        hive.truncate(4096 + 32);
        hive.extend(bytes);
        hive.resize(4096 * 2, 0);
        hive[40..44].copy_from_slice(&4096u32.to_le_bytes());
        fix_checksum(&mut hive);
        exercise(&hive);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn damaged_hives_of_ours(hits in hits(), cut in prop::option::weighted(0.1, any::<Index>())) {
        let mut bytes = sample();
        damage(&mut bytes, &hits, cut);
        exercise(&bytes);
    }
}

#[test]
fn damaged_hives_of_windows() {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;
    let mut runner = TestRunner::deterministic();
    for file in [
        "bcd/ka-2022-03-01/BCD",
        "bcd/windeploy-bios.BCD",
        "hives/openvmm-imc.hiv",
        "hives/plaso-100_sub_keys.hiv",
        "hives/yarp/UpcaseHive",
        "hives/yarp/HealedHive",
        "hives/yarp/BigDataHive",
    ] {
        let Some(whole) = artifacts::read(file) else { return };
        for _ in 0..150 {
            let mut bytes = whole.clone();
            let hits = hits().new_tree(&mut runner).unwrap().current();
            damage(&mut bytes, &hits, None);
            exercise(&bytes);
        }
    }
}

/// Structures that would trap a careless reader.
#[test]
fn loops_end() {
    // Every byte of the first 2 KiB of bins in turn becomes each of a few values: this makes keys
    // their own children, lists their own entries, and sizes huge.
    let mut small = Hive::create("R").unwrap();
    small.set_value(r"a\b", "v", &Data::binary(vec![1; 64])).unwrap();
    small.create_key("c").unwrap();
    let bytes = small.to_bytes().unwrap();
    for at in 4096..4096 + 1024 {
        for value in [0x00, 0x20, 0x80, 0xff] {
            let mut bytes = bytes.clone();
            bytes[at] = value;
            exercise(&bytes);
        }
    }
}

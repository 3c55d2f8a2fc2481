//! Random edits against a model in memory, with every cell accounted for, and libhivex as a judge.

use std::collections::BTreeMap;
use std::process::Command;

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

use super::check::check;
use super::{CreateOptions, Data, Hive, KeyPath, Name, ValueType, Version};
use crate::FileTime;

#[derive(Debug, Clone)]
pub(super) enum Edit {
    CreateKey(String),
    DeleteKey(String),
    SetValue(String, String, Data),
    DeleteValue(String, String),
}

/// A key's name as it was made, and its values in order.
pub(super) type Values = Vec<(Name, Data)>;
/// By upper-cased names from the root key down: Windows' order of keys.
pub(super) type Model = BTreeMap<Vec<Vec<u16>>, (Name, Values)>;

fn upper(name: &Name) -> Vec<u16> {
    name.units().iter().map(|&unit| super::upcase(unit)).collect()
}

pub(super) fn place(path: &str) -> Vec<Vec<u16>> {
    KeyPath::from(path).names().iter().map(upper).collect()
}

fn ensure(model: &mut Model, path: &str) -> bool {
    let mut made = false;
    let mut at = Vec::new();
    for name in KeyPath::from(path).names() {
        at.push(upper(name));
        model.entry(at.clone()).or_insert_with(|| {
            made = true;
            (name.clone(), Vec::new())
        });
    }
    made
}

/// Makes an edit in both and compares the answers.
pub(super) fn apply(hive: &mut Hive, model: &mut Model, edit: &Edit) {
    match edit {
        Edit::CreateKey(path) => {
            assert_eq!(hive.create_key(path).unwrap(), ensure(model, path));
        }
        Edit::DeleteKey(path) => {
            let at = place(path);
            let existed = model.contains_key(&at);
            model.retain(|key, _| !key.starts_with(&at));
            assert_eq!(hive.delete_key(path).unwrap(), existed);
        }
        Edit::SetValue(path, name, data) => {
            hive.set_value(path, name, data).unwrap();
            ensure(model, path);
            let values = &mut model.get_mut(&place(path)).unwrap().1;
            let name = Name::from(name);
            match values.iter_mut().find(|(own, _)| own.same(&name)) {
                Some((_, own)) => *own = data.clone(),
                None => values.push((name, data.clone())),
            }
        }
        Edit::DeleteValue(path, name) => {
            let name = Name::from(name);
            let existed = model.get_mut(&place(path)).is_some_and(|(_, values)| {
                let before = values.len();
                values.retain(|(own, _)| !own.same(&name));
                values.len() < before
            });
            assert_eq!(hive.delete_value(path, &name).unwrap(), existed);
        }
    }
}

pub(super) fn contents(hive: &Hive) -> Model {
    hive.walk()
        .map(|walked| {
            let walked = walked.unwrap();
            let at = walked.path.names().iter().map(upper).collect();
            let values = walked.key.values().unwrap();
            let values = values.into_iter().map(|value| (value.name, value.data)).collect();
            (at, (walked.key.name().clone(), values))
        })
        .collect()
}

/// The hive is as the model, and sound: no cell is lost, every count is right.
pub(super) fn verify(hive: &Hive, model: &Model) {
    let again = Hive::open(hive.to_bytes().unwrap()).unwrap();
    assert_eq!(&contents(&again), model);
    let order: Vec<Vec<Vec<u16>>> = again
        .walk()
        .map(|walked| walked.unwrap().path.names().iter().map(upper).collect())
        .collect();
    assert!(order.is_sorted(), "keys are out of order");
    let audit = check(&again).unwrap();
    assert_eq!(audit.used.len(), again.cells.allocated_count(), "allocated cells nobody uses");
    for (&cell, &users) in &audit.users {
        assert_eq!(again.security_count(cell).unwrap(), users);
    }
    for walked in again.walk() {
        verify_hints(&again, &walked.unwrap().key.node);
    }
}

fn verify_hints(hive: &Hive, node: &super::key::Node) {
    use super::key::field;
    let names = hive.children(node).unwrap().into_iter().map(|cell| hive.node(cell).unwrap().name);
    let longest = names.map(|name| name.utf16_len()).max().unwrap_or(0);
    assert_eq!(hive.word(node.cell, field::MAX_SUBKEY_NAME).unwrap(), longest);
    let values = hive.value_cells(node).unwrap();
    let entries: Vec<_> = values.iter().map(|&cell| hive.value_entry(cell).unwrap()).collect();
    let name = entries.iter().map(|entry| entry.name.utf16_len()).max().unwrap_or(0);
    assert_eq!(hive.word(node.cell, field::MAX_VALUE_NAME).unwrap(), name);
    let data = entries.iter().map(|entry| entry.length() as u32).max().unwrap_or(0);
    assert!(hive.word(node.cell, field::MAX_VALUE_DATA).unwrap() >= data);
}

fn names() -> impl Strategy<Value = String> {
    prop_oneof![
        prop::sample::select(vec![
            "a", "A", "b", "Services", "SERVICES", "ä", "Ä", "ж", "Ж", "ß", "ss", "{guid}", "a b",
            "日本", "𝒳",
        ])
        .prop_map(str::to_owned),
        "[a-z]{1,3}",
        Just("n".repeat(255)),
    ]
}

fn paths() -> impl Strategy<Value = String> {
    prop::collection::vec(names(), 1..4).prop_map(|names| names.join("\\"))
}

fn data() -> impl Strategy<Value = Data> {
    let lengths = prop_oneof![
        0usize..10,
        10usize..200,
        prop::sample::select(vec![16_343usize, 16_344, 16_345, 32_688, 40_000]),
    ];
    (lengths, any::<u8>(), 0u32..14).prop_map(|(length, byte, kind)| Data {
        kind: ValueType::from(kind),
        bytes: vec![byte; length],
    })
}

pub(super) fn edits() -> impl Strategy<Value = Edit> {
    let value_names = || prop_oneof![Just(String::new()), names()];
    prop_oneof![
        3 => paths().prop_map(Edit::CreateKey),
        1 => paths().prop_map(Edit::DeleteKey),
        4 => (paths(), value_names(), data()).prop_map(|(p, n, d)| Edit::SetValue(p, n, d)),
        1 => (paths(), value_names()).prop_map(|(p, n)| Edit::DeleteValue(p, n)),
    ]
}

pub(super) fn empty(version: Version) -> (Hive, Model) {
    let clock = Some(FileTime::from_ticks(133_000_000_000_000_000));
    let options = CreateOptions { version, clock, ..CreateOptions::default() };
    let hive = Hive::create_with("ROOT", &options).unwrap();
    (hive, Model::from([(Vec::new(), (Name::from("ROOT"), Vec::new()))]))
}

fn versions() -> impl Strategy<Value = Version> {
    prop::sample::select(vec![Version::V1_3, Version::V1_4, Version::V1_5, Version::V1_6])
}

proptest! {
    #[test]
    fn random_edits_do_as_the_model(
        version in versions(),
        edits in prop::collection::vec(edits(), 0..120),
        reopen in 0usize..120,
    ) {
        let (mut hive, mut model) = empty(version);
        for (index, edit) in edits.iter().enumerate() {
            apply(&mut hive, &mut model, edit);
            if index == reopen {
                hive = Hive::open(hive.to_bytes().unwrap()).unwrap();
            }
        }
        verify(&hive, &model);
    }

    #[test]
    fn the_same_edits_give_the_same_bytes(edits in prop::collection::vec(edits(), 0..40)) {
        let make = || {
            let (mut hive, mut model) = empty(Version::V1_5);
            edits.iter().for_each(|edit| apply(&mut hive, &mut model, edit));
            hive.to_bytes().unwrap()
        };
        prop_assert!(make() == make());
    }

    #[test]
    fn what_is_deleted_leaves_room(edits in prop::collection::vec(edits(), 1..60)) {
        let (mut hive, model) = empty(Version::V1_5);
        let mut sizes = Vec::new();
        for _ in 0..6 {
            let mut model = model.clone();
            edits.iter().for_each(|edit| apply(&mut hive, &mut model, edit));
            for name in hive.root().unwrap().subkey_names().unwrap() {
                hive.delete_key(name).unwrap();
            }
            sizes.push(hive.size());
            let audit = check(&hive).unwrap();
            prop_assert_eq!(audit.used.len(), 2, "root key and its security are left");
        }
        // The order of the free cells differs from round to round, their sum does not: one further
        // bin may be needed once, but no growth goes on.
        prop_assert_eq!(sizes[3], sizes[5], "{:?}", sizes);
    }
}

#[test]
fn many_keys_under_one_take_several_lists_and_little_room() {
    let (mut hive, mut model) = empty(Version::V1_5);
    for number in 0..2500 {
        // Out of order, so that insertion happens everywhere.
        let path = format!("Services\\{:04}", (number * 1237) % 2500);
        apply(&mut hive, &mut model, &Edit::CreateKey(path));
    }
    verify(&hive, &model);
    // A key of this kind takes 88 bytes, its entry in the list 8.
    assert!(hive.size() < 2500 * 96 * 3 / 2, "{} bytes", hive.size());
    for number in 0..2490 {
        apply(&mut hive, &mut model, &Edit::DeleteKey(format!("services\\{number:04}")));
    }
    verify(&hive, &model);
}

#[test]
fn rewriting_a_value_does_not_grow_the_file() {
    let (mut hive, _) = empty(Version::V1_5);
    for length in (0..3000).map(|round: usize| (round * 7919) % 20_000) {
        hive.set_value("a", "v", &Data::binary(vec![1; length])).unwrap();
    }
    assert!(hive.size() < 100_000, "{} bytes", hive.size());
}

/// The names of a hive's keys and values as `hivexml` reads them.
pub(super) fn hivexml(bytes: &[u8]) -> Option<String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("hive");
    std::fs::write(&path, bytes).unwrap();
    match Command::new("hivexml").arg(&path).output() {
        Ok(output) => {
            let text = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(output.status.success(), "hivexml: {text}");
            Some(String::from_utf8(output.stdout).unwrap())
        }
        Err(_) => {
            println!("skipped: `hivexml` is not installed (Debian package libhivex-bin)");
            None
        }
    }
}

fn names_by_hivexml(node: roxmltree::Node<'_, '_>, names: &mut Vec<(String, Vec<String>)>) {
    let children =
        |tag| node.children().filter(move |child: &roxmltree::Node| child.has_tag_name(tag));
    let values = children("value").map(|value| value.attribute("key").unwrap_or("").to_owned());
    names.push((node.attribute("name").unwrap().to_owned(), values.collect()));
    children("node").for_each(|child| names_by_hivexml(child, names));
}

#[test]
fn libhivex_reads_the_same_keys_and_values() {
    let mut runner = TestRunner::deterministic();
    for round in 0..30 {
        let strategy = (versions(), prop::collection::vec(edits(), 80));
        let (version, edits) = strategy.new_tree(&mut runner).unwrap().current();
        let (mut hive, mut model) = empty(version);
        for mut edit in edits {
            // `hivexml` writes strings out as they are, also what XML cannot hold.
            if let Edit::SetValue(_, _, data) = &mut edit {
                data.bytes = b"x\0".iter().copied().cycle().take(data.bytes.len()).collect();
            }
            apply(&mut hive, &mut model, &edit);
        }
        let Some(xml) = hivexml(&hive.to_bytes().unwrap()) else { return };
        let document = roxmltree::Document::parse(&xml).unwrap();
        let root = document.root_element();
        let root = root.children().find(|child| child.has_tag_name("node")).unwrap();
        let mut theirs = Vec::new();
        names_by_hivexml(root, &mut theirs);
        let ours: Vec<(String, Vec<String>)> = model
            .values()
            .map(|(name, values)| {
                let values = values.iter().map(|(name, _)| name.to_string()).collect();
                (name.to_string(), values)
            })
            .collect();
        assert_eq!(theirs, ours, "round {round}");
    }
}

#[test]
fn libhivex_edits_what_we_made_and_we_read_it_back() {
    let (mut hive, _) = empty(Version::V1_5);
    let key = r"ControlSet001\Services\csagent";
    hive.set_value(key, "ImagePath", &Data::expand_string(r"system32\drivers\csagent.sys"))
        .unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("SYSTEM");
    std::fs::write(&path, hive.to_bytes().unwrap()).unwrap();
    let script = folder.path().join("script");
    let commands = r"cd \ControlSet001\Services\csagent
lsval ImagePath
setval 1
Start
dword:1
add sub
commit
";
    std::fs::write(&script, commands).unwrap();
    let run = Command::new("hivexsh").arg("-w").arg("-f").arg(&script).arg(&path).output();
    let Ok(output) = run else {
        println!("skipped: `hivexsh` is not installed (Debian package libhivex-bin)");
        return;
    };
    assert!(output.status.success(), "hivexsh: {}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains(r"system32\drivers\csagent.sys"), "{text}");
    let hive = Hive::open(std::fs::read(&path).unwrap()).unwrap();
    assert_eq!(hive.get_dword(key, "Start").unwrap(), Some(1));
    assert_eq!(hive.key(key).unwrap().subkey_names().unwrap(), ["sub"]);
}

#[test]
fn hashes_are_those_that_windows_wrote() {
    let Some(bytes) = crate::artifacts::read("hives/system-win7sp1-x86.SYSTEM.xz") else { return };
    let hive = Hive::open(bytes).unwrap();
    let mut hashes = 0;
    for walked in hive.walk() {
        let node = walked.unwrap().key.node;
        for (name, beside, kind) in hive.list_for_test(&node) {
            if &kind == b"lh" {
                assert_eq!(name.hash(), beside, "{name}");
                hashes += 1;
            }
        }
    }
    assert!(hashes > 10_000, "{hashes} hashes");
}

/// Real hives, of both list formats: edits in the middle of what Windows wrote.
#[test]
fn edits_of_hives_that_windows_wrote() {
    for (file, key) in [
        ("hives/system-win7sp1-x86.SYSTEM.xz", r"ControlSet001\Services"),
        ("hives/yarp/ManySubkeysHive", "key_with_many_subkeys"),
        ("hives/plaso-100_sub_keys.hiv", "new"),
        ("hives/openvmm-imc.hiv", "CurrentControlSet"),
    ] {
        let Some(bytes) = crate::artifacts::read(file) else { return };
        let mut hive = Hive::open(bytes.clone()).unwrap();
        assert!(hive.to_bytes().unwrap() == bytes, "{file}: opened and written is the same");
        let sequence = hive.sequence_numbers().0;
        let lost = hive.cells.allocated_count() - check(&hive).unwrap().used.len();
        let mut model = contents(&hive);
        for number in 0..40 {
            let path = format!("{key}\\loopbreak{number}");
            apply(&mut hive, &mut model, &Edit::SetValue(path, "Start".into(), Data::dword(1)));
        }
        for number in (0..40).step_by(2) {
            apply(&mut hive, &mut model, &Edit::DeleteKey(format!("{key}\\LOOPBREAK{number}")));
        }
        let bytes = hive.to_bytes().unwrap();
        let again = Hive::open(bytes.clone()).unwrap();
        assert!(contents(&again) == model, "{file}");
        assert_eq!(again.sequence_numbers(), (sequence + 1, sequence + 1));
        let audit = check(&again).unwrap();
        assert_eq!(again.cells.allocated_count() - audit.used.len(), lost, "{file}: cells lost");
        hivexml(&bytes);
    }
}

/// ReactOS writes version 1.3 with no security descriptor at all.
#[test]
fn hives_without_security_descriptors_can_be_edited() {
    let (mut hive, mut model) = empty(Version::V1_3);
    let root = hive.root().unwrap().node;
    hive.put_u32(root.cell, super::key::field::SECURITY, super::cells::NONE).unwrap();
    hive.release(root.security).unwrap();
    let mut hive = Hive::open(hive.to_bytes().unwrap()).unwrap();
    apply(&mut hive, &mut model, &Edit::CreateKey(r"a\b\c".into()));
    apply(&mut hive, &mut model, &Edit::DeleteKey(r"a\b".into()));
    apply(&mut hive, &mut model, &Edit::SetValue(r"a\d".into(), "v".into(), Data::dword(1)));
    verify(&hive, &model);
    for walked in hive.walk() {
        let walked = walked.unwrap();
        assert_eq!(walked.key.node.security, super::cells::NONE, "{}", walked.path);
        assert_eq!(walked.key.security_descriptor().unwrap(), None);
    }
    assert!(check(&hive).unwrap().users.is_empty());
    hivexml(&hive.to_bytes().unwrap());
}

#[test]
fn names_and_depths_beyond_the_limits_change_nothing() {
    let (mut hive, model) = empty(Version::V1_5);
    let before = hive.to_bytes().unwrap();
    let long = "n".repeat(256);
    for path in [long.as_str(), "a\0b", &format!(r"x\{long}")] {
        let error = hive.create_key(path).unwrap_err();
        assert!(matches!(error, super::HiveError::BadName { kind: "key", .. }), "{error}");
    }
    let deep = ["d"; 512].join("\\");
    assert!(matches!(hive.create_key(deep), Err(super::HiveError::TooLarge { .. })));
    assert!(hive.set_value("a", "v".repeat(16_384), &Data::dword(1)).is_err());
    assert_eq!(hive.delete_key(""), Err(super::HiveError::RootKey));
    assert_eq!(hive.key("none").unwrap_err().to_string(), "no key `none` in the hive");
    verify(&hive, &model);
    assert!(hive.to_bytes().unwrap() == before);
    let deep = ["d"; 511].join("\\");
    hive.create_key(&deep).unwrap();
    let mut hive = Hive::open(hive.to_bytes().unwrap()).unwrap();
    assert_eq!(hive.walk().count(), 512);
    assert!(hive.delete_key("d").unwrap());
    verify(&hive, &model);
}

/// New keys share the descriptor of the key above them, and it counts them.
#[test]
fn security_descriptors_are_inherited_and_counted() {
    let Some(bytes) = crate::artifacts::read("hives/system-win7sp1-x86.SYSTEM.xz") else { return };
    let mut hive = Hive::open(bytes).unwrap();
    let users = |hive: &Hive, path: &str| {
        let cell = hive.key(path).unwrap().node.security;
        (cell, hive.security_count(cell).unwrap())
    };
    for above in [r"ControlSet001\services", r"ControlSet001\services\Tcpip", "Setup"] {
        let (cell, before) = users(&hive, above);
        let path = format!(r"{above}\loopbreak\below");
        hive.create_key(&path).unwrap();
        assert_eq!(users(&hive, &path), (cell, before + 2), "{above}");
        assert_eq!(check(&hive).unwrap().users[&cell], before + 2, "{above}");
        hive.delete_key(format!(r"{above}\loopbreak")).unwrap();
        assert_eq!(users(&hive, above), (cell, before), "{above}");
    }
    // The last user of a descriptor takes it along, and the ring closes.
    let audit = check(&hive).unwrap();
    let (&alone, _) = audit.users.iter().find(|(_, users)| **users == 1).unwrap();
    let path = hive
        .walk()
        .map(Result::unwrap)
        .find(|walked| walked.key.node.security == alone && walked.key.subkey_count() == 0)
        .map(|walked| walked.path);
    if let Some(path) = path {
        hive.delete_key(&path).unwrap();
        let audit = check(&hive).unwrap();
        assert!(!audit.users.contains_key(&alone));
        assert!(!hive.cells.is_allocated(alone));
    }
}

//! Stores that Windows wrote: read as an independent reader reads them, edited and put back, with every
//! other element as it was, byte for byte.
#![expect(clippy::unwrap_used, reason = "a helper's failure is the test's")]

use std::collections::BTreeMap;
use std::process::Command;

use proptest::prelude::*;
use winfmt::Guid;
use winfmt::bcd::{
    BcdStore, Device, DeviceKind, ElementFormat, ElementId, ElementValue, Located, ObjectType,
    known,
};
use winfmt::hive::{Data, Hive};

#[path = "../src/artifacts.rs"]
mod artifacts;

const STORES: [&str; 5] = [
    "bcd/ka-2022-03-01/BCD",
    "bcd/ka-2022-03-03/BCD",
    "bcd/win10-uefi-regipy.BCD",
    "bcd/ka-2022-03-01-recovery/BCD",
    "bcd/windeploy-bios.BCD",
];

/// Every value of a hive, by key and name.
fn values(bytes: &[u8]) -> BTreeMap<(String, String), Data> {
    let hive = Hive::open(bytes.to_vec()).unwrap();
    let mut values = BTreeMap::new();
    for walked in hive.walk() {
        let walked = walked.unwrap();
        for value in walked.key.values().unwrap() {
            values.insert((walked.path.to_string(), value.name.to_string()), value.data);
        }
    }
    values
}

/// What `hivexml` says of a hive, without times and places: those of a key that was touched differ.
/// `None`, with a word about it, where it is not installed.
fn hivexml(bytes: &[u8]) -> Option<String> {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), bytes).unwrap();
    let Ok(output) = Command::new("hivexml").arg(file.path()).output() else {
        println!("skipped: `hivexml` is not installed (Debian package libhivex-bin)");
        return None;
    };
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "hivexml: {said}");
    let mut text = String::from_utf8(output.stdout).unwrap();
    for (begin, end) in [("<mtime>", "</mtime>"), ("<byte_runs>", "</byte_runs>")] {
        while let Some(start) = text.find(begin) {
            let length = text[start..].find(end).unwrap() + end.len();
            text.replace_range(start..start + length, "");
        }
    }
    Some(text)
}

fn base64(text: &str) -> Vec<u8> {
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut bits = Vec::new();
    for own in text.bytes().filter(|own| !own.is_ascii_whitespace() && *own != b'=') {
        let digit = alphabet.iter().position(|known| *known == own).unwrap();
        bits.extend((0..6).rev().map(|bit| digit >> bit & 1));
    }
    bits.chunks_exact(8).map(|byte| byte.iter().fold(0, |sum, bit| sum << 1 | *bit as u8)).collect()
}

type Independent = BTreeMap<String, (u32, BTreeMap<u32, String>)>;

/// Objects with their types and elements as `hivexml` gives them, decoded here from the format of the
/// element's number alone.
fn independent(xml: &str) -> Independent {
    let document = roxmltree::Document::parse(xml).unwrap();
    let child = |node: roxmltree::Node<'_, '_>, name: &str| {
        node.children().find(|own| own.attribute("name") == Some(name)).map(|own| own.id())
    };
    let at = |id| document.get_node(id).unwrap();
    let root = document.root_element().children().find(|own| own.has_tag_name("node")).unwrap();
    let objects = at(child(root, "Objects").unwrap());
    let mut all = BTreeMap::new();
    for object in objects.children().filter(|own| own.has_tag_name("node")) {
        let kind = child(object, "Description").map_or(0, |description| {
            let mut values = at(description).children();
            let value = values.find(|own| own.attribute("key") == Some("Type")).unwrap();
            value.attribute("value").unwrap().parse().unwrap()
        });
        let mut elements = BTreeMap::new();
        let list = child(object, "Elements").map(at);
        for element in list.iter().flat_map(|list| list.children()) {
            let Some(name) = element.attribute("name") else { continue };
            let value = element.children().find(|own| own.has_tag_name("value")).unwrap();
            let plain = value.attribute("value").unwrap_or_default().to_owned();
            let text = match value.attribute("type").unwrap() {
                "binary" => {
                    base64(&plain).iter().map(|byte| format!("{byte:02x}")).collect::<String>()
                }
                "string-list" => {
                    let texts = value.children().filter(|own| own.has_tag_name("string"));
                    let texts: Vec<_> = texts.filter_map(|own| own.text()).collect();
                    texts.join(" ")
                }
                _ => plain,
            };
            elements.insert(u32::from_str_radix(name, 16).unwrap(), text);
        }
        all.insert(object.attribute("name").unwrap().to_owned(), (kind, elements));
    }
    all
}

/// A value in the form of [`independent`].
fn plain(value: &ElementValue) -> String {
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    match value {
        ElementValue::Device(device) => hex(device.bytes()),
        ElementValue::String(text) => text.clone(),
        ElementValue::Object(id) => id.to_string(),
        ElementValue::ObjectList(ids) => {
            ids.iter().map(Guid::to_string).collect::<Vec<_>>().join(" ")
        }
        ElementValue::Integer(number) => hex(&number.to_le_bytes()),
        ElementValue::Boolean(yes) => hex(&[u8::from(*yes)]),
        ElementValue::IntegerList(numbers) => {
            numbers.iter().map(|number| hex(&number.to_le_bytes())).collect()
        }
        ElementValue::Unknown(data) => hex(&data.bytes),
    }
}

#[test]
fn stores_are_read_as_an_independent_reader_reads_them() {
    for file in STORES {
        let Some(bytes) = artifacts::read(file) else { return };
        let Some(xml) = hivexml(&bytes) else { return };
        let theirs = independent(&xml);
        let store = BcdStore::open(bytes).unwrap();
        let ours: BTreeMap<_, _> = store
            .objects()
            .unwrap()
            .into_iter()
            .map(|object| {
                let elements =
                    object.elements.iter().map(|(id, value)| (id.0, plain(value))).collect();
                (object.id.to_string(), (object.kind.0, elements))
            })
            .collect();
        assert_eq!(ours, theirs, "{file}");
        let elements: usize =
            ours.values().map(|(_, elements): &(u32, BTreeMap<_, _>)| elements.len()).sum();
        println!("{file}: {} objects and {elements} elements as hivexml reads them", ours.len());
        assert!(elements > 20, "{file}: {elements}");
        // The listing for programs has all of them too.
        let listing = serde_json::to_value(store.listing().unwrap()).unwrap();
        let listed = listing["objects"].as_array().unwrap().iter();
        let listed: usize = listed.map(|own| own["elements"].as_array().unwrap().len()).sum();
        assert_eq!(listed, elements, "{file}");
    }
}

/// One store, the values of an element that it shall have one after the other; `None` deletes it.
fn passes(
    file: &str,
    bytes: &[u8],
    theirs: Option<&Independent>,
    object: Guid,
    element: ElementId,
    steps: &[Option<ElementValue>],
) {
    let place = format!("{file} {object} {element}");
    let key = format!("Objects\\{object}\\Elements\\{element}");
    let others = |bytes: &[u8]| {
        let mut values = values(bytes);
        values.retain(|(path, _), _| !path.eq_ignore_ascii_case(&key));
        values
    };
    let before = others(bytes);
    let mut current = bytes.to_vec();
    for step in steps {
        let mut store = BcdStore::open(current).unwrap();
        match step {
            Some(value) => store.set(object, element, value).unwrap(),
            None => assert!(store.delete(object, element).unwrap(), "{place}"),
        }
        current = store.to_bytes().unwrap();
        assert_eq!(
            BcdStore::open(current.clone()).unwrap().get(object, element).unwrap(),
            *step,
            "{place}"
        );
        assert!(others(&current) == before, "{place}: another element changed");
    }
    if let Some((old, new)) = theirs.zip(hivexml(&current)) {
        assert_eq!(old, &independent(&new), "{place}: hivexml");
    }
}

#[test]
fn every_element_can_be_changed_and_put_back() {
    for file in STORES {
        let Some(bytes) = artifacts::read(file) else { return };
        let store = BcdStore::open(bytes.clone()).unwrap();
        let theirs = hivexml(&bytes).map(|xml| independent(&xml));
        let mut count = 0;
        for object in store.objects().unwrap() {
            for (element, value) in &object.elements {
                let other = match value {
                    ElementValue::Boolean(yes) => ElementValue::Boolean(!yes),
                    ElementValue::Integer(number) => ElementValue::Integer(number ^ 0xff),
                    ElementValue::String(text) => ElementValue::String(format!("{text}, longer")),
                    ElementValue::Object(_) => ElementValue::Object(known::MEMORY_DIAGNOSTIC),
                    ElementValue::ObjectList(ids) => {
                        let mut ids = ids.clone();
                        ids.push(known::MEMORY_DIAGNOSTIC);
                        ElementValue::ObjectList(ids)
                    }
                    ElementValue::IntegerList(_) => ElementValue::IntegerList(vec![1, 2, 3]),
                    ElementValue::Device(_) => {
                        ElementValue::Device(Device::from_bytes(vec![7; 33]))
                    }
                    ElementValue::Unknown(_) => panic!("{file}: {element}"),
                };
                let steps = [Some(other), Some(value.clone()), None, Some(value.clone())];
                passes(file, &bytes, theirs.as_ref(), object.id, *element, &steps);
                count += 1;
            }
        }
        println!("{file}: {count} elements changed, put back, deleted and put back");
    }
}

#[test]
fn elements_and_objects_that_are_added_go_without_a_trace() {
    for file in STORES {
        let Some(bytes) = artifacts::read(file) else { return };
        let before = values(&bytes);
        let loader = BcdStore::open(bytes.clone()).unwrap().default_loader().unwrap().unwrap().id;
        let theirs = hivexml(&bytes).map(|xml| independent(&xml));
        let set = |element, value| {
            let steps = [Some(value), None];
            passes(file, &bytes, theirs.as_ref(), loader, element, &steps);
        };
        set(ElementId::BOOT_STATUS_POLICY, ElementValue::Integer(1));
        set(ElementId::SAFE_BOOT, ElementValue::Integer(0));
        set(ElementId(0x1f00_0001), ElementValue::Unknown(Data::binary([1, 2, 3])));

        let mut store = BcdStore::open(bytes.clone()).unwrap();
        let id = Guid::from_bytes([9; 16]);
        store.add_object(id, ObjectType::OS_LOADER).unwrap();
        let device = ElementValue::Device(Device::boot());
        store.set(id, ElementId::DEVICE, &device).unwrap();
        let mut store = BcdStore::open(store.to_bytes().unwrap()).unwrap();
        assert_eq!(store.get(id, ElementId::DEVICE).unwrap(), Some(device));
        assert!(store.delete_object(id).unwrap() && !store.delete_object(id).unwrap());
        assert!(values(&store.to_bytes().unwrap()) == before, "{file}");
    }
}

/// What is set to the value that it has keeps its bytes: Windows ends some strings twice.
#[test]
fn setting_what_is_there_changes_nothing() {
    for file in STORES {
        let Some(bytes) = artifacts::read(file) else { return };
        let mut store = BcdStore::open(bytes.clone()).unwrap();
        for object in store.objects().unwrap() {
            for (element, value) in &object.elements {
                store.set(object.id, *element, value).unwrap();
            }
        }
        assert!(store.to_bytes().unwrap() == bytes, "{file}");
    }
}

/// What is shown of an element is read back to the same value.
#[test]
fn values_are_read_back_as_they_are_shown() {
    for file in STORES {
        let Some(bytes) = artifacts::read(file) else { return };
        let store = BcdStore::open(bytes).unwrap();
        let default = store.default_loader().unwrap().map(|loader| loader.id);
        for object in store.objects().unwrap() {
            for (element, value) in &object.elements {
                let place = format!("{file} {} {element}", object.id);
                let shown = value.lines(*element, default);
                let read = store.parse_value(*element, object.kind, &shown).unwrap();
                match (&read, value) {
                    (ElementValue::Device(read), ElementValue::Device(own)) => {
                        assert_eq!(read.bytes(), own.bytes(), "{place}");
                    }
                    _ => assert_eq!(&read, value, "{place}"),
                }
                if let Some(name) = element.name_on(object.kind) {
                    assert_eq!(
                        store.element_named(name, object.kind).unwrap(),
                        *element,
                        "{place}"
                    );
                }
            }
        }
    }
}

fn small_store() -> (BcdStore, Guid) {
    let mut store = BcdStore::create(winfmt::FileTime::from_ticks(1)).unwrap();
    let id = Guid::from_bytes([3; 16]);
    store.add_object(id, ObjectType::OS_LOADER).unwrap();
    store.set(id, ElementId::OS_DEVICE, &ElementValue::Device(Device::boot())).unwrap();
    (store, id)
}

proptest! {
    /// A device of any bytes, as a newer Windows may write, or an attacker: kept, listed, shown.
    #[test]
    fn devices_that_nobody_understands_stay_as_they_are(
        head in prop::collection::vec(any::<u8>(), 0..24),
        words in prop::collection::vec(prop_oneof![0u32..9, any::<u32>()], 0..40),
    ) {
        let bytes: Vec<u8> =
            head.into_iter().chain(words.into_iter().flat_map(u32::to_le_bytes)).collect();
        let (mut store, id) = small_store();
        let device = ElementValue::Device(Device::from_bytes(bytes.clone()));
        store.set(id, ElementId::DEVICE, &device).unwrap();
        store.set(id, ElementId::NX, &ElementValue::Integer(2)).unwrap();
        let store = BcdStore::open(store.to_bytes().unwrap()).unwrap();
        let Some(ElementValue::Device(read)) = store.get(id, ElementId::DEVICE).unwrap() else {
            panic!("no device");
        };
        prop_assert_eq!(read.bytes(), &bytes);
        let listing = serde_json::to_value(store.object_listing(id).unwrap()).unwrap();
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        prop_assert_eq!(&listing["elements"][0]["value"]["hex"], &hex);
        let _ = store.render().unwrap();
        if !matches!(read.kind(), DeviceKind::Unknown | DeviceKind::Locate(Located::Element(_))) {
            prop_assert!(!Device::encode(Guid::ZERO, &read.kind()).bytes().is_empty());
        }
    }

    /// Whatever type and bytes an element's value has, the store can be listed and shown.
    #[test]
    fn elements_of_any_shape_are_listed(
        number in any::<u32>(), kind in 0u32..12, bytes in prop::collection::vec(any::<u8>(), 0..40),
    ) {
        let (store, id) = small_store();
        let mut hive = store.into_hive();
        let key = format!("Objects\\{id}\\Elements\\{number:08x}");
        let data = Data { kind: kind.into(), bytes };
        hive.set_value(key.as_str(), "Element", &data).unwrap();
        let store = BcdStore::open(hive.to_bytes().unwrap()).unwrap();
        let element = ElementId(number);
        let value = store.get(id, element).unwrap().unwrap();
        if element.format() == ElementFormat::Unknown {
            prop_assert_eq!(&value, &ElementValue::Unknown(data));
        }
        let _ = store.render().unwrap();
        let _ = serde_json::to_string(&store.object_listing(id).unwrap()).unwrap();
    }
}

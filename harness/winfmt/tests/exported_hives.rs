//! Exports of hives, read back and compared with those of another program (`hivexregedit`), key by key
//! and value by value.

#![expect(clippy::unwrap_used, reason = "a test: whatever fails shall stop it")]

use std::collections::BTreeMap;
use std::process::Command;

use winfmt::hive::{Hive, RegEncoding};

#[path = "../src/artifacts.rs"]
mod artifacts;

const ROOT: &str = r"HKEY_LOCAL_MACHINE\SYSTEM";

/// Keys and values by name; a value is type and bytes.
type Entries = BTreeMap<String, BTreeMap<String, (u32, Vec<u8>)>>;

/// Reads a `.reg` file, as the documentation of the format says it is.
fn parse(text: &str) -> Entries {
    let mut lines = text.lines().map(|line| line.trim_end_matches('\r'));
    assert_eq!(lines.next(), Some("Windows Registry Editor Version 5.00"));
    let mut entries = Entries::new();
    let mut key = String::new();
    while let Some(line) = lines.next() {
        if let Some(path) = line.strip_prefix('[') {
            // `hivexregedit` ends the root key with a backslash.
            key = path.strip_suffix(']').unwrap().trim_end_matches('\\').to_owned();
            assert!(entries.insert(key.clone(), BTreeMap::new()).is_none(), "{key} comes twice");
        } else if !line.is_empty() {
            let mut line = line.to_owned();
            while line.ends_with('\\') {
                line.pop();
                line += lines.next().unwrap().trim_start();
            }
            let (name, rest) = match line.strip_prefix('@') {
                Some(rest) => (String::new(), rest),
                None => quoted(&line),
            };
            let data = parse_data(rest.strip_prefix('=').unwrap());
            assert!(entries.get_mut(&key).unwrap().insert(name, data).is_none(), "{key}: {line}");
        }
    }
    entries
}

/// A text in quotes, and what follows it.
fn quoted(text: &str) -> (String, &str) {
    let text = text.strip_prefix('"').unwrap();
    let mut content = String::new();
    let mut letters = text.char_indices();
    while let Some((at, letter)) = letters.next() {
        match letter {
            '"' => return (content, &text[at + 1..]),
            '\\' => content.push(letters.next().unwrap().1),
            letter => content.push(letter),
        }
    }
    panic!("no closing quote: {text}");
}

fn parse_data(text: &str) -> (u32, Vec<u8>) {
    if let Some(number) = text.strip_prefix("dword:") {
        return (4, u32::from_str_radix(number, 16).unwrap().to_le_bytes().to_vec());
    }
    if text.starts_with('"') {
        let (content, rest) = quoted(text);
        assert_eq!(rest, "");
        return (1, content.encode_utf16().chain([0]).flat_map(u16::to_le_bytes).collect());
    }
    let (kind, bytes) = text.split_once(':').unwrap();
    let kind = match kind {
        "hex" => 3,
        kind => {
            let number = kind.strip_prefix("hex(").unwrap().strip_suffix(')').unwrap();
            u32::from_str_radix(number, 16).unwrap()
        }
    };
    let bytes = bytes.split(',').filter(|byte| !byte.is_empty());
    (kind, bytes.map(|byte| u8::from_str_radix(byte, 16).unwrap()).collect())
}

/// What the hive itself says, for names that a text file of theirs cannot hold.
fn own(hive: &Hive) -> Entries {
    hive.walk()
        .map(|walked| {
            let walked = walked.unwrap();
            let path = walked.path.to_string();
            let place = if path.is_empty() { ROOT.to_owned() } else { format!("{ROOT}\\{path}") };
            let values = walked.key.values().unwrap().into_iter();
            let values =
                values.map(|value| (value.name.text(), (value.data.kind.into(), value.data.bytes)));
            (place, values.collect())
        })
        .collect()
}

#[test]
fn exports_hold_what_another_program_exports() {
    let mut figures = Vec::new();
    for (file, logs) in [
        ("hives/system-win7sp1-x86.SYSTEM.xz", &[][..]),
        (
            "hives/ntuser-win10-logs/transactions_NTUSER.DAT.xz",
            &["hives/ntuser-win10-logs/transactions_ntuser.dat.log1.xz"][..],
        ),
        ("bcd/ka-2022-03-01/BCD", &[][..]),
        ("hives/yarp/StringValuesHive", &[][..]),
        ("hives/yarp/MultiSzHive", &[][..]),
        ("hives/yarp/BigDataHive", &[][..]),
        ("hives/yarp/ValuesOrderHive", &[][..]),
        ("hives/yarp/ManySubkeysHive", &[][..]),
    ] {
        if artifacts::folder().is_none() {
            return;
        }
        let logs: Vec<Vec<u8>> = logs.iter().map(|log| artifacts::read(log).unwrap()).collect();
        let logs: Vec<&[u8]> = logs.iter().map(Vec::as_slice).collect();
        let (hive, _) = Hive::recover(artifacts::read(file).unwrap(), &logs).unwrap();
        let utf8 = String::from_utf8(hive.export("", ROOT, RegEncoding::Utf8).unwrap()).unwrap();
        let ours = parse(&utf8);
        assert!(ours == own(&hive), "{file}: not what the hive holds");
        let long = utf8.lines().filter(|line| line.starts_with("  ")).map(str::len).max();
        assert!(long.is_none_or(|long| long <= 80), "{file}: a line of {long:?} columns");

        let utf16 = hive.export("", ROOT, RegEncoding::Utf16).unwrap();
        assert_eq!(utf16[..2], [0xff, 0xfe]);
        let units: Vec<u16> =
            utf16[2..].chunks_exact(2).map(|unit| u16::from_le_bytes([unit[0], unit[1]])).collect();
        assert!(parse(&String::from_utf16(&units).unwrap()) == ours, "{file}: UTF-16 differs");

        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("hive");
        std::fs::write(&path, hive.to_bytes().unwrap()).unwrap();
        let run = Command::new("hivexregedit")
            // Without this Perl writes some lines as Latin-1.
            .env("PERL_UNICODE", "O")
            .args(["--export", "--prefix", ROOT])
            .arg(&path)
            .arg("\\")
            .output();
        let Ok(output) = run else {
            println!("skipped: `hivexregedit` is not installed (Debian package libwin-hivex-perl)");
            return;
        };
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let theirs = parse(&String::from_utf8(output.stdout).unwrap());
        let keys = |entries: &Entries| entries.keys().cloned().collect::<Vec<_>>();
        assert_eq!(keys(&ours), keys(&theirs), "{file}");
        for (key, values) in &ours {
            assert_eq!(values, &theirs[key], "{file}: {key}");
        }
        let values = ours.values().map(BTreeMap::len).sum::<usize>();
        let texts = utf8.lines().filter(|line| line.contains("=\"")).count();
        figures.push((file, ours.len(), values, texts));
    }
    for (file, keys, values, texts) in figures {
        println!("{file}: {keys} keys, {values} values ({texts} as text): the same");
    }
}

/// Names that are no text survive in UTF-16.
#[test]
fn half_a_surrogate_pair_survives_in_utf_16() {
    let Some(bytes) = artifacts::read("hives/yarp/TruncatedPairHive") else { return };
    let hive = Hive::open(bytes).unwrap();
    let utf16 = hive.export("", ROOT, RegEncoding::Utf16).unwrap();
    let has = |wanted: u16| {
        utf16.chunks_exact(2).any(|unit| u16::from_le_bytes([unit[0], unit[1]]) == wanted)
    };
    let broken = hive
        .walk()
        .flat_map(|walked| walked.unwrap().key.name().units().to_vec())
        .find(|unit| (0xd800..0xe000).contains(unit))
        .unwrap();
    assert!(has(broken));
}

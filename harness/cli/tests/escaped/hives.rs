//! Hives: those of the test cases, and one with worse names.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;
use winfmt::hive::{Data, Hive, KeyPath, Name};

use crate::unpacked::case;
use crate::{ODD, SHOWN, loopbreak, says, text};

/// Everything of a hive, by the names that are shown.
fn walk(folder: &Path, file: &Path) {
    let hive = Hive::open(std::fs::read(file).unwrap()).unwrap();
    let file = text(file);
    let mut pending = vec![(KeyPath::default(), hive.root().unwrap())];
    while let Some((path, key)) = pending.pop() {
        let shown = path.to_string();
        says(folder, &["hive", "show", file, &shown]);
        let json = says(folder, &["hive", "show", file, &shown, "--json"]);
        let json: Value = serde_json::from_str(&json).unwrap();
        assert_eq!(json["name"], key.name().text(), "named by `{shown}`");
        says(folder, &["hive", "export", file, &shown, "-o", text(&folder.join("key.reg"))]);
        for value in key.values().unwrap() {
            let name = value.name.to_string();
            let json = says(folder, &["hive", "get", file, &shown, &name, "--json"]);
            let json: Value = serde_json::from_str(&json).unwrap();
            assert_eq!(json["name"], value.name.text(), "named by `{name}`");
        }
        loopbreak(folder, &["hive", "get", file, &shown, "no such value"]);
        loopbreak(folder, &["hive", "show", file, &format!("{shown}\\no such key")]);
        pending.extend(key.subkeys().unwrap().into_iter().map(|sub| (path.join(sub.name()), sub)));
    }
}

#[test]
fn names_with_escape_sequences_are_shown_escaped_and_can_be_named() {
    let folder = tempfile::tempdir().unwrap();
    let Some(file) = case("36-escape-names.hive", folder.path()) else { return };
    walk(folder.path(), &file);
    let shown = says(folder.path(), &["hive", "show", text(&file)]);
    assert!(shown.contains(r"  ev\x1b[31mil\x07 "), "{shown}");
    assert!(shown.contains(r"  rtl\u{202e}gnp.exe "), "{shown}");
    assert!(shown.contains(r" da\x1b]0;title\x07ta"), "{shown}");
}

#[test]
fn a_name_with_a_nul_is_shown_escaped_and_can_be_named() {
    let folder = tempfile::tempdir().unwrap();
    let Some(file) = case("11-nul-key.hive", folder.path()) else { return };
    walk(folder.path(), &file);
    let shown = says(folder.path(), &["hive", "show", text(&file)]);
    assert!(shown.contains("  zero\\x00key\\\n"), "{shown}");
    let key = says(folder.path(), &["hive", "show", text(&file), r"zero\x00key"]);
    assert!(key.starts_with("[zero\\x00key]\n"), "{key}");
}

/// A hive with odd names everywhere.
fn odd(folder: &Path) -> PathBuf {
    let mut hive = Hive::create("ROOT").unwrap();
    let key = KeyPath::from(vec![Name::from("Software"), Name::from(ODD)]);
    hive.set_value(&key, ODD, &Data::string(ODD)).unwrap();
    hive.set_value(&key, "list", &Data::multi_string([ODD, "b"])).unwrap();
    hive.set_value(&key, "", &Data::string(r"C:\new\x1b")).unwrap();
    hive.create_key(key.join(Name::from_units(vec![0x41, 0xd800]))).unwrap();
    let file = folder.join("odd.hive");
    std::fs::write(&file, hive.to_bytes().unwrap()).unwrap();
    file
}

#[test]
fn edits_say_what_they_did_in_escapes() {
    let folder = tempfile::tempdir().unwrap();
    let (state, file) = (folder.path(), odd(folder.path()));
    walk(state, &file);
    let (file, key) = (text(&file), format!(r"Software\{SHOWN}"));
    let shown = says(state, &["hive", "show", file, &key]);
    assert!(shown.contains(&format!("{SHOWN} | b\n")), "{shown}");
    assert!(shown.contains(r"C:\new\x1b"), "no backslash is doubled: {shown}");
    let said = says(state, &["hive", "set", file, &key, SHOWN, "sz", "new"]);
    assert_eq!(said, format!("{key}\\{SHOWN} = REG_SZ \"new\" (was REG_SZ \"{SHOWN}\")\n"));
    says(state, &["hive", "set", file, &format!(r"{key}\below"), "v", "multi-sz", ODD]);
    let said = says(state, &["hive", "delete", file, &key, SHOWN]);
    assert_eq!(said, format!("deleted {key}\\{SHOWN} = REG_SZ \"new\"\n"));
    let said = says(state, &["hive", "delete", file, &key]);
    assert!(said.starts_with(&format!("deleted {key}: 3 keys")), "{said}");
    says(state, &["hive", "recover", file]);
}

#[test]
fn a_pipe_gets_the_data_unchanged() {
    let folder = tempfile::tempdir().unwrap();
    let file = odd(folder.path());
    let run = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_loopbreak"));
        command.args(arguments).stdout(Stdio::piped()).output().unwrap().stdout
    };
    let key = format!(r"Software\{SHOWN}");
    let data = run(&["hive", "get", text(&file), &key, SHOWN]);
    assert_eq!(String::from_utf8(data).unwrap(), format!("{ODD}\n"));
    let data = run(&["hive", "export", text(&file), &key]);
    assert!(String::from_utf8(data).unwrap().contains(&format!("\\Software\\{ODD}]\n")));
}

//! Crash dumps.

use serde_json::Value;

use crate::unpacked::case;
use crate::{json, says, text};

fn dump(name: &str) -> Option<(Value, String)> {
    let folder = tempfile::tempdir().unwrap();
    let file = case(name, folder.path())?;
    let found = json(folder.path(), &["dump", "show", text(&file), "--json"]);
    Some((found, says(folder.path(), &["dump", "show", text(&file)])))
}

/// Offsets of x64 mean nothing on another machine.
#[test]
fn a_dump_of_another_machine_says_which() {
    let Some((found, page)) = dump("17b-arm64-type6.dmp") else { return };
    assert_eq!(found["machine"], "arm64");
    assert_eq!(found["bug_check"]["code"], 0x50);
    assert!(found["modules"].as_array().unwrap().is_empty() && found["module"].is_null());
    assert!(page.contains("machine      arm64"), "{page}");
}

#[test]
fn a_dump_of_32_bit_windows_gives_code_and_parameters() {
    let Some((found, _)) = dump("17c-x86-small.dmp") else { return };
    assert_eq!((&found["machine"], &found["kind"]), (&"x86".into(), &"small".into()));
    assert_eq!(found["bug_check"]["code"], 0xd1);
    let parameters = [0x11u32, 2, 0, 0x8b0a_1234].map(Value::from);
    assert_eq!(found["bug_check"]["parameters"].as_array().unwrap(), &parameters);
}

#[test]
fn a_summary_dump_gives_code_and_parameters() {
    let Some((found, _)) = dump("17d-type2-summary.dmp") else { return };
    assert_eq!(found["kind"], "summary");
    assert_eq!(found["bug_check"]["code"], 0x3b);
    assert_eq!(found["bug_check"]["parameters"][0], 0xc000_0005u32);
}

#[test]
fn a_dump_that_was_cut_off_says_what_is_left_and_what_is_missing() {
    let Some((found, page)) = dump("17h-header-only-type6.dmp") else { return };
    assert_eq!(found["bug_check"]["code"], 0x7e);
    assert_eq!(found["bug_check"]["parameters"][3], 4);
    assert!(page.contains("missing      what follows the header"), "{page}");
}

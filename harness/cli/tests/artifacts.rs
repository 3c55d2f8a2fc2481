//! The list of artifacts that tests read, and the script that checks a folder against it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// The SHA-256 of an empty file, which one of the artifacts is.
const EMPTY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The rows: file, repository, path, revision, licence, SHA-256, note.
fn listed() -> Vec<Vec<String>> {
    let list = workspace().join("tests/artifacts.tsv");
    let text = std::fs::read_to_string(list).expect("tests/artifacts.tsv");
    let rows = text.lines().skip(1);
    rows.map(|row| row.split('\t').map(str::to_owned).collect()).collect()
}

fn checked(folder: &Path) -> (Output, String) {
    let output = Command::new(workspace().join("scripts/artifacts"))
        .arg(folder)
        .output()
        .expect("scripts/artifacts runs");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    (output, said)
}

#[test]
fn every_artifact_says_where_it_comes_from() {
    let mut files = BTreeSet::new();
    for row in listed() {
        let [file, repository, path, revision, licence, sha256, note] = &row[..] else {
            panic!("seven columns: {row:?}");
        };
        let is_hex = |text: &str, length| {
            text.len() == length && text.bytes().all(|byte| byte.is_ascii_hexdigit())
        };
        assert!(files.insert(file.clone()), "{file} is listed twice");
        assert!(is_hex(sha256, 64), "{file}: {sha256}");
        if repository == "-" {
            assert!(note != "-", "{file}: what it is");
        } else {
            assert!(repository.split('/').count() == 2 && is_hex(revision, 40), "{row:?}");
            assert!(!path.is_empty() && licence != "-", "{row:?}");
        }
    }
    assert!(files.len() > 70, "{}", files.len());
}

#[test]
fn the_script_tells_what_is_missing_what_differs_and_where_to_get_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let rows = listed();
    let (output, said) = checked(folder.path());
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert_eq!(said.matches("missing: ").count(), rows.len(), "{said}");
    assert!(said.contains("from https://raw.githubusercontent.com/mkorman90/regipy/"), "{said}");

    let empty = rows.iter().find(|row| row[5] == EMPTY).expect("an empty file");
    let other = rows.iter().find(|row| row[5] != EMPTY && row[1] != "-").expect("another one");
    for row in [empty, other] {
        let path = folder.path().join(&row[0]);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        std::fs::write(path, "").expect("a file");
    }
    let (output, said) = checked(folder.path());
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(!said.contains(&format!(": {}\n", empty[0])), "{said}");
    assert!(said.contains(&format!("differs: {}\n", other[0])), "{said}");
    let last = said.lines().last().unwrap_or_default();
    assert!(last.starts_with(&format!("1 of {} artifacts", rows.len())), "{last}");

    let (output, _) = checked(&folder.path().join("none"));
    assert_eq!(output.status.code(), Some(2));
}

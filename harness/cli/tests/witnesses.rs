//! The harness reads profiles and evidence: no phrase by which an image of ours speaks is in its code.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::{Path, PathBuf};

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The tags that begin the lines of the understudy, such as `[bootmgr]`, from its profile.
fn tags(profile: &str) -> Vec<String> {
    let profile: toml::Table = profile.parse().unwrap();
    let lines = |list: &str, key: &str| -> Vec<String> {
        let entries = profile[list].as_array().unwrap().iter();
        entries.filter_map(|entry| Some(entry.get(key)?.as_str()?.replace('\\', ""))).collect()
    };
    let mut tags: Vec<String> = [lines("markers", "starts_with"), lines("witnesses", "line")]
        .concat()
        .iter()
        .filter_map(|line| {
            let inner = line.split_once('[')?.1.split_once(']')?.0;
            Some(format!("[{inner}]"))
        })
        .collect();
    tags.sort();
    tags.dedup();
    tags
}

/// The code of a file: without comments, and without the tests at its end.
fn code(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let end = text.find("#[cfg(test)]\nmod ").unwrap_or(text.len());
    let lines = text[..end].lines().enumerate();
    lines.filter(|(_, line)| !line.trim_start().starts_with("//"))
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs")
            // A module of tests in a file of its own is no more code than one at the end of a file.
            && !path.ends_with("tests.rs")
        {
            found.push(path);
        }
    }
}

#[test]
fn no_phrase_of_the_understudy_is_in_the_harness() {
    let profile = workspace().join("images/understudy/src/recipe/profile.toml");
    let mut phrases = tags(&std::fs::read_to_string(profile).unwrap());
    assert!(phrases.contains(&"[bootmgr]".to_owned()), "{phrases:?}");
    phrases
        .extend(["startup repair:", "quick machine recovery:", "stopped: 0x"].map(str::to_owned));
    let mut files = Vec::new();
    for part in std::fs::read_dir(workspace().join("harness")).unwrap() {
        let source = part.unwrap().path().join("src");
        if source.is_dir() {
            sources(&source, &mut files);
        }
    }
    assert!(files.len() > 300, "{} files", files.len());
    let mut wrong = Vec::new();
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        for (number, line) in code(&text) {
            if let Some(phrase) = phrases.iter().find(|phrase| line.contains(phrase.as_str())) {
                wrong.push(format!("{}:{}: {phrase}", file.display(), number + 1));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn code_is_told_from_comments_and_tests() {
    let text = "// [bootmgr]\nlet a;\n#[cfg(test)]\nmod tests { [bootmgr] }\n";
    assert_eq!(code(text).map(|(_, line)| line).collect::<Vec<_>>(), ["let a;"]);
}

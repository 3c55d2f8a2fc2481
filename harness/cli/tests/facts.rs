//! Comments and documents cite the facts about Windows by section, as in `windows-facts 3.1` or
//! `windows-facts 5.3 class 9`. What they cite has to be in `docs/windows-facts.md`.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// The document, by the number of each section.
struct Facts(BTreeMap<String, String>);

impl Facts {
    fn parse(document: &str) -> Self {
        let mut sections = BTreeMap::new();
        let mut current = String::new();
        for line in document.lines() {
            if line.starts_with('#') {
                let number = line.trim_start_matches('#').split_whitespace().next();
                current = number.unwrap_or_default().trim_end_matches('.').to_owned();
            }
            let text: &mut String = sections.entry(current.clone()).or_default();
            *text += line;
            text.push('\n');
        }
        Self(sections)
    }

    fn check(&self, citation: &Citation) -> Result<(), String> {
        let text = self.0.get(&citation.section).ok_or("there is no such section")?;
        for class in &citation.classes {
            let begins = [format!("\n{class} "), format!(" · {class} ")];
            if !begins.iter().any(|begin| text.contains(begin)) {
                return Err(format!("there is no class {class} in the section"));
            }
        }
        for row in &citation.rows {
            if !text.contains(&format!("\n| {row} |")) {
                return Err(format!("there is no row {row} in the section"));
            }
        }
        match &citation.quoted {
            Some(quoted) if !text.to_lowercase().contains(&quoted.to_lowercase()) => {
                Err(format!("the section does not say \"{quoted}\""))
            }
            _ => Ok(()),
        }
    }
}

/// One section that a text cites, and what of it.
#[derive(Debug, Default, PartialEq)]
struct Citation {
    section: String,
    classes: Vec<String>,
    rows: Vec<String>,
    quoted: Option<String>,
}

/// What a text cites, behind the name of the document: sections joined by commas, `and` and `to`, each
/// with its classes, rows or a heading in quotes.
fn citations(behind: &str) -> Vec<Citation> {
    let mut found: Vec<Citation> = Vec::new();
    let mut rest = behind;
    loop {
        let before = rest;
        rest = rest.trim_start_matches([',', ' ']);
        for word in ["sections ", "section ", "and ", "to "] {
            rest = rest.strip_prefix(word).unwrap_or(rest);
        }
        if let Some(cited) = found.last_mut() {
            if let Some((first, behind)) = word_behind(rest, &["classes ", "class "]) {
                cited.classes.push(first);
                rest = more(behind, &mut cited.classes, |next| !next.contains('.'));
                continue;
            }
            if let Some((first, behind)) = word_behind(rest, &["rows ", "row "]) {
                cited.rows.push(first);
                rest = more(behind, &mut cited.rows, |next| next.contains('-'));
                continue;
            }
            if let Some(quoted) = rest.strip_prefix('"')
                && let Some((quoted, behind)) = quoted.split_once('"')
            {
                cited.quoted = Some(quoted.to_owned());
                rest = behind;
                continue;
            }
        }
        let number = leading_number(rest);
        if number.is_empty() || (!found.is_empty() && before == rest) {
            return found;
        }
        found.push(Citation { section: number.to_owned(), ..Citation::default() });
        rest = &rest[number.len()..];
    }
}

/// ` and NEXT` after a class or a row, as long as it is another one.
fn more<'a>(rest: &'a str, list: &mut Vec<String>, is_one: impl Fn(&str) -> bool) -> &'a str {
    match word_behind(rest, &[" and ", ", "]) {
        Some((next, behind)) if next.starts_with(|c: char| c.is_ascii_digit()) && is_one(&next) => {
            list.push(next);
            more(behind, list, is_one)
        }
        _ => rest,
    }
}

fn word_behind<'a>(text: &'a str, leads: &[&str]) -> Option<(String, &'a str)> {
    let text = leads.iter().find_map(|lead| text.strip_prefix(lead))?;
    let is_end = |c: char| !(c.is_ascii_alphanumeric() || "-/.".contains(c));
    let word = &text[..text.find(is_end).unwrap_or(text.len())];
    let word = word.trim_end_matches('.');
    Some((word.to_owned(), &text[word.len()..]))
}

/// `4` or `3.1` at the beginning of a text.
fn leading_number(text: &str) -> &str {
    let end = text.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(text.len());
    text[..end].trim_end_matches('.')
}

/// The text with its comment marks and line breaks taken out, so that a citation may be broken.
fn in_one_line(text: &str) -> String {
    let bare = |line: &str| {
        let line = line.trim();
        let marks = ["///", "//!", "//", "#"];
        marks.iter().find_map(|mark| line.strip_prefix(mark)).unwrap_or(line).trim().to_owned()
    };
    let lines: Vec<String> = text.replace("\\n", "\n").lines().map(bare).collect();
    lines.join(" ")
}

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Every text of the project but the facts themselves.
fn texts() -> Vec<PathBuf> {
    let mut texts = Vec::new();
    let mut folders: Vec<PathBuf> =
        ["harness", "images", "scenarios", "tests"].map(|name| workspace().join(name)).into();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder of the project") {
            let path = entry.expect("an entry").path();
            let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
            if path.is_dir() {
                folders.push(path);
            } else if ["rs", "md", "toml", "json", "tsv"].contains(&ending) {
                texts.push(path);
            }
        }
    }
    for entry in fs::read_dir(workspace()).expect("the project") {
        let path = entry.expect("an entry").path();
        texts.extend(path.extension().is_some_and(|ending| ending == "md").then_some(path));
    }
    texts
}

#[test]
fn what_comments_and_documents_cite_is_there() {
    let document = workspace().join("docs/windows-facts.md");
    let facts = Facts::parse(&fs::read_to_string(document).expect("docs/windows-facts.md"));
    let (mut cited, mut wrong) = (0, Vec::new());
    for path in texts() {
        // This file cites what is not there, to show that it is noticed.
        if path.ends_with("cli/tests/facts.rs") {
            continue;
        }
        let text = in_one_line(&fs::read_to_string(&path).expect("a text"));
        let mut places: Vec<&str> = text.split("windows-facts").collect();
        let before = places.remove(0);
        let mut is_the_file = before.ends_with("docs/");
        let mut behind = Vec::new();
        for place in places {
            let place_behind = place.strip_prefix(".md").unwrap_or(place);
            behind.push((place_behind, is_the_file));
            is_the_file = place.ends_with("docs/");
        }
        // There, `facts 3.1` in a table is enough.
        if path.ends_with("FIDELITY.md") {
            let short = text.split("facts ").skip(1);
            behind.extend(
                short
                    .filter(|place| place.starts_with(|c: char| c.is_ascii_digit()))
                    .map(|place| (place, false)),
            );
        }
        for (behind, is_the_file) in behind {
            let found = citations(behind);
            let place = format!("{}: `{:.40}`", path.display(), behind.trim_start());
            if found.is_empty() && !is_the_file {
                wrong.push(format!("{place} names no section"));
            }
            for citation in found {
                cited += 1;
                if let Err(why) = facts.check(&citation) {
                    wrong.push(format!("{place}: {}: {why}", citation.section));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(cited > 200, "only {cited} citations were found");
}

#[test]
fn citations_are_read_as_they_are_written() {
    let cited = |text: &str| -> Vec<String> {
        citations(text).into_iter().map(|one| one.section).collect()
    };
    assert_eq!(cited(" 3.1)."), ["3.1"]);
    assert_eq!(cited(", section 0). Two"), ["0"]);
    assert_eq!(cited(" 0, 0.1, 4, 6 and 7."), ["0", "0.1", "4", "6", "7"]);
    assert_eq!(cited(" 3.3 to 3.5, 5.3)."), ["3.3", "3.5", "5.3"]);
    assert_eq!(cited(" 3.6, and logs that people published"), ["3.6"]);
    assert_eq!(cited(" is the document"), [""; 0]);
    let one = &citations(" 5.2, rows 2026-04 and 2026-05, 5.3 classes 4 and 9; [borncity].");
    assert_eq!(one[0].rows, ["2026-04", "2026-05"]);
    assert_eq!((one[1].section.as_str(), one[1].classes.join(" ")), ("5.3", "4 9".to_owned()));
    assert_eq!(citations(" 4, \"CrashControl\").")[0].quoted.as_deref(), Some("CrashControl"));
}

#[test]
fn what_is_not_there_is_noticed() {
    let facts = Facts::parse(
        "# Title\n## 4. A hive\ntext\n### 5.3 Classes\n1 a · 2 b\n### 5.2 Rows\n| 2013-04 | x |\n",
    );
    let check = |text: &str| citations(text).iter().try_for_each(|one| facts.check(one));
    for good in [" 4", " 5.3 classes 1 and 2", " 5.2, row 2013-04", " 4, \"TEXT\""] {
        assert_eq!(check(good), Ok(()), "{good}");
    }
    for bad in [" 4.1", " 9", " 5.3 class 3", " 5.2, row 2013", " 4, \"words\"", " 4, 7"] {
        assert!(check(bad).is_err(), "{bad}");
    }
}

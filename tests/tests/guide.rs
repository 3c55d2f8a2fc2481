//! The guide: its commands do what it says, its scenarios are sound, its generated pages are what the command says today,
//! and mdBook makes a book of it. Pages with commands that need a machine are followed by the end-to-end tests.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::fmt::Write as _;
use std::path::PathBuf;

use serde_json::Value;
use tests::guide::{Block, Place, pages};
use tests::workspace;

const RECOVERED: &str =
    include_str!("../../harness/timeline/tests/fixtures/recorded-channel-file-291.jsonl");
const STUCK: &str =
    include_str!("../../harness/timeline/tests/fixtures/recorded-channel-file-291-cloud-off.jsonl");

/// What the test needs of a place, which goes with it.
struct Own {
    folder: tempfile::TempDir,
    state: tempfile::TempDir,
    program: PathBuf,
}

impl Own {
    fn new() -> Self {
        let program = std::env::var_os("LOOPBREAK_BIN").map(PathBuf::from);
        let program = program.unwrap_or_else(|| workspace().join("target/release/loopbreak"));
        Self {
            folder: tempfile::tempdir().unwrap(),
            state: tempfile::tempdir().unwrap(),
            program: program.canonicalize().unwrap(),
        }
    }

    fn place(&self) -> Place<'_> {
        Place { folder: self.folder.path(), state: self.state.path(), program: &self.program }
    }

    /// What the command prints.
    fn says(&self, arguments: &str) -> String {
        let output = self.place().shell(&format!("loopbreak {arguments}")).unwrap();
        assert!(output.status.success(), "{arguments}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// A run of a recording, as it would lie in the state directory.
    fn record(&self, run: &str, began: &str, events: &str) {
        let directory = self.state.path().join("runs").join(run);
        std::fs::create_dir_all(&directory).unwrap();
        std::fs::write(directory.join("events.jsonl"), events).unwrap();
        let reference = "scenarios/channel-file-291/channel-file-291.understudy.snap";
        let record = serde_json::json!({
            "format": 1, "run": run, "scenario": "channel-file-291", "scenario-digest": "d",
            "reference": workspace().join(reference), "image": "understudy", "image-digest": "i",
            "began": began, "status": "complete",
        });
        std::fs::write(directory.join("run.json"), record.to_string()).unwrap();
    }
}

#[test]
fn commands_that_need_no_machine_do_what_the_guide_says() {
    let mut wrong = String::new();
    for page in pages(&workspace()).unwrap() {
        if !page.needs_machine() {
            let own = Own::new();
            own.record("20240719-040900-abcdef", "2024-07-19T04:09:00Z", RECOVERED);
            own.record("20240720-040900-bcdefg", "2024-07-20T04:09:00Z", STUCK);
            wrong += &own.place().follow(&page).unwrap();
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn commands_that_no_test_runs_are_ones_that_there_are() {
    let own = Own::new();
    let mut count = 0;
    for page in pages(&workspace()).unwrap() {
        for block in &page.blocks {
            let Block::Parsed(commands) = block else { continue };
            for command in commands.iter().filter(|it| it.line.starts_with("loopbreak ")) {
                count += 1;
                // `--help` is looked at in its turn: what stands before it has been parsed by then.
                let line = command.line.split([';', '>', '#']).next().unwrap();
                let output = own.place().shell(&format!("{line} --help")).unwrap();
                assert!(output.status.success(), "{}: {line}: {output:?}", page.name);
            }
        }
    }
    assert!(count > 5, "{count} commands");
    let unknown = own.place().shell("loopbreak run --nonsense --help").unwrap();
    assert!(!unknown.status.success(), "an option that there is not was taken");
}

#[test]
fn its_scenarios_are_sound() {
    let own = Own::new();
    let mut count = 0;
    for page in pages(&workspace()).unwrap() {
        for block in &page.blocks {
            let Block::Toml(text) = block else { continue };
            if text.contains("[[quarantine]]") || text.contains("[[markers]]") {
                continue;
            }
            count += 1;
            let name = if text.contains("[machine]") {
                "my-incident".to_owned()
            } else {
                format!("part-{count}")
            };
            let text = if text.contains("[machine]") { text.clone() } else { part(&name, text) };
            let folder = own.folder.path().join("own").join(name);
            std::fs::create_dir_all(&folder).unwrap();
            std::fs::write(folder.join("scenario.toml"), text).unwrap();
        }
    }
    assert!(count > 5, "{count} scenarios");
    own.says("--scenarios own scenario check");
}

/// A part of a scenario makes one of its own, of the whole one that the guide has.
fn part(name: &str, text: &str) -> String {
    let own: Vec<&str> = text.lines().filter(|line| !line.starts_with("extends")).collect();
    format!("extends = \"../my-incident\"\nformat = 1\nname = \"{name}\"\n{}\n", own.join("\n"))
}

#[test]
fn generated_pages_are_what_the_command_says_today() {
    let own = Own::new();
    let mut stale = Vec::new();
    for (name, text) in
        [("faults.md", faults(&own)), ("layers.md", layers(&own)), ("scenario-keys.md", keys(&own))]
    {
        let path = workspace().join("docs/guide").join(name);
        if std::fs::read_to_string(&path).is_ok_and(|there| there == text) {
            continue;
        }
        if std::env::var_os("LOOPBREAK_WRITE_GUIDE").is_some() {
            std::fs::write(&path, text).unwrap();
        } else {
            stale.push(name);
        }
    }
    assert!(
        stale.is_empty(),
        "{stale:?}: with LOOPBREAK_WRITE_GUIDE=1 this test writes them again"
    );
}

const GENERATED: &str = "<!-- Written by the test of the guide; see tests/tests/guide.rs. -->\n";

fn faults(own: &Own) -> String {
    let list = own.says("fault list");
    let mut text = format!("# Faults\n\n{GENERATED}\n```text\n{}\n```\n", list.trim_end());
    let kinds = list.lines().skip(1).take_while(|line| line.starts_with("  "));
    for kind in kinds.filter_map(|line| line.split_whitespace().next()) {
        let explained = own.says(&format!("fault explain {kind}"));
        write!(text, "\n## {kind}\n\n```text\n{}\n```\n", explained.trim_end()).unwrap();
    }
    text
}

fn layers(own: &Own) -> String {
    let mut text = format!("# Layers\n\n{GENERATED}");
    let schema: Value = serde_json::from_str(&own.says("scenario schema")).unwrap();
    let mut count = 0;
    for layer in schema["$defs"]["Layer"]["anyOf"].as_array().unwrap() {
        let name = layer["const"].as_str().unwrap();
        let explained = own.says(&format!("explain layer {name}"));
        write!(text, "\n## {name}\n\n```text\n{}\n```\n", explained.trim_end()).unwrap();
        count += 1;
    }
    assert!(count > 5, "{count} layers");
    text
}

fn keys(own: &Own) -> String {
    let schema: Value = serde_json::from_str(&own.says("scenario schema")).unwrap();
    let mut text = format!(
        "# Keys of a scenario\n\n{GENERATED}\nFrom the schema, which `loopbreak scenario schema` prints for editors.\n\n## scenario.toml\n\n"
    );
    table(&mut text, &schema);
    for (name, definition) in schema["$defs"].as_object().unwrap() {
        write!(text, "\n## {name}\n\n{}\n", words(definition)).unwrap();
        if definition["properties"].is_object() {
            text.push('\n');
            table(&mut text, definition);
        }
        for choice in definition["anyOf"].as_array().into_iter().flatten() {
            choices(&mut text, choice);
        }
    }
    text
}

/// One of several forms that a value can have.
fn choices(text: &mut String, choice: &Value) {
    if let Some(word) = choice["const"].as_str() {
        writeln!(text, "\n- `\"{word}\"`: {}", words(choice)).unwrap();
    } else if let Some(kind) = choice["properties"]["kind"]["const"].as_str() {
        write!(text, "\n### kind = \"{kind}\"\n\n{}\n\n", words(choice)).unwrap();
        table(text, choice);
    } else if let Some((key, value)) =
        choice["properties"].as_object().and_then(|it| it.iter().next())
    {
        writeln!(text, "\n- `{{ {key} = … }}`, {}: {}", kind_of(value), words(choice)).unwrap();
    } else {
        writeln!(text, "\n- {}: {}", kind_of(choice), words(choice)).unwrap();
    }
}

fn table(text: &mut String, object: &Value) {
    writeln!(text, "| key | value | what |\n|---|---|---|").unwrap();
    let required: Vec<&str> =
        object["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    for (key, value) in object["properties"].as_object().into_iter().flatten() {
        let mut what = words(value).replace('|', "\\|");
        if required.contains(&key.as_str()) {
            what += " Needed.";
        } else if !matches!(value["default"], Value::Null | Value::Array(_) | Value::Object(_)) {
            what += &format!(" Default: `{}`.", value["default"]);
        }
        writeln!(text, "| `{key}` | {} | {} |", kind_of(value), what.trim_start()).unwrap();
    }
}

/// What a value is, with a link to what is said of it.
fn kind_of(value: &Value) -> String {
    if let Some(name) = value["$ref"].as_str().and_then(|it| it.strip_prefix("#/$defs/")) {
        return format!("[{name}](#{})", name.to_lowercase());
    }
    if let Some(word) = value["const"].as_str() {
        return format!("`\"{word}\"`");
    }
    if let Some(several) = value["anyOf"].as_array() {
        let all: Vec<String> =
            several.iter().filter(|it| it["type"] != "null").map(kind_of).collect();
        return all.join(" or ");
    }
    let named = |name: &str| match name {
        "array" if value["items"].is_object() => format!("list of {}", kind_of(&value["items"])),
        "array" => "list".to_owned(),
        "object" => "table".to_owned(),
        "boolean" => "true or false".to_owned(),
        "integer" => "whole number".to_owned(),
        "string" => value["format"].as_str().unwrap_or("text").to_owned(),
        other => other.to_owned(),
    };
    match &value["type"] {
        Value::String(name) => named(name),
        Value::Array(names) => {
            let all: Vec<String> = names
                .iter()
                .filter_map(Value::as_str)
                .filter(|it| *it != "null")
                .map(named)
                .collect();
            all.join(" or ")
        }
        _ => "any value".to_owned(),
    }
}

/// What the schema says of it, as one line in which nothing is taken for HTML.
fn words(value: &Value) -> String {
    value["description"].as_str().unwrap_or_default().replace('\n', " ").replace('<', "&lt;")
}

#[test]
fn it_is_a_book_and_its_links_lead_somewhere() {
    let built = tempfile::tempdir().unwrap();
    let mut book = mdbook_driver::MDBook::load(workspace().join("docs")).unwrap();
    book.config.build.build_dir = built.path().to_path_buf();
    book.build().unwrap();
    let mut count = 0;
    for page in pages(&workspace()).unwrap() {
        let text = std::fs::read_to_string(built.path().join(&page.name).with_extension("html"));
        for link in text.unwrap().split("href=\"").skip(1).filter_map(|rest| rest.split('"').next())
        {
            let file = link.split('#').next().unwrap();
            if !file.is_empty() && !file.contains(':') {
                assert!(built.path().join(file).exists(), "{}: {link}", page.name);
                count += 1;
            }
        }
    }
    assert!(count > 50, "{count} links");
}

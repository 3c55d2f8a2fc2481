//! The help texts, and the README's list of commands, which has to be complete.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

/// Columns of help where there is no terminal.
const WIDTH: usize = 100;

fn help(command: &[String], flag: &str) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_loopbreak"))
        .args(command)
        .arg(flag)
        .env_remove("COLUMNS")
        .output()
        .unwrap();
    assert!(output.status.success(), "{command:?} {flag}");
    String::from_utf8(output.stdout).unwrap()
}

/// The lines below a heading of a help text, without their indentation.
fn section<'a>(help: &'a str, heading: &str) -> Option<Vec<&'a str>> {
    let mut lines = help.lines().skip_while(|line| *line != heading);
    lines.next()?;
    let lines = lines.take_while(|line| line.is_empty() || line.starts_with(' '));
    Some(lines.map(str::trim_end).filter(|line| !line.is_empty()).collect())
}

/// All commands that do something, from clap's own lists.
fn commands() -> BTreeSet<Vec<String>> {
    let (mut found, mut pending) = (BTreeSet::new(), vec![Vec::new()]);
    while let Some(command) = pending.pop() {
        let help = help(&command, "-h");
        let Some(lines) = section(&help, "Commands:") else {
            found.insert(command);
            continue;
        };
        // One that does something by itself says how it is called without a command below it.
        let alone = format!("Usage: loopbreak {} [OPTIONS]\n", command.join(" "));
        if help.contains(&alone) {
            found.insert(command.clone());
        }
        for line in lines {
            let name = line.split_whitespace().next().unwrap().to_owned();
            if name != "help" {
                pending.push([command.clone(), vec![name]].concat());
            }
        }
    }
    found
}

#[test]
fn the_readme_lists_every_command() {
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../README.md");
    let readme = std::fs::read_to_string(readme).unwrap();
    let (_, list) = readme.split_once("\n## Commands\n").unwrap();
    let list = list.split("\n## ").next().unwrap();
    let is_word = |word: &&str| word.chars().all(|c| c.is_ascii_lowercase() || c == '-');
    let listed: BTreeSet<Vec<String>> = list
        .lines()
        .filter_map(|line| line.strip_prefix("    loopbreak "))
        // A command ends where its arguments begin, or what it is for.
        .map(|line| {
            let end = line.find("  ").unwrap_or(line.len());
            line[..end].split(' ').take_while(is_word).map(str::to_owned).collect()
        })
        .collect();
    assert_eq!(listed, commands());
}

#[test]
fn every_command_shows_its_own_options_first() {
    for command in commands() {
        let long = help(&command, "--help");
        let at = |heading: &str| long.find(heading).unwrap_or_else(|| panic!("{heading}: {long}"));
        assert!(at("\nOptions:\n") < at("\nGlobal options:\n"), "{long}");
        let global = section(&long, "Global options:").unwrap().join("\n");
        for option in ["--state", "--scenarios", "--connect", "--verbose", "--color"] {
            assert!(global.contains(option), "{command:?}: {option}");
            assert_eq!(long.matches(&format!("{option} ")).count().max(1), 1, "{long}");
        }
    }
}

#[test]
fn short_help_has_one_line_an_option() {
    for command in commands() {
        let short = help(&command, "-h");
        assert!(short.lines().all(|line| line.chars().count() <= WIDTH), "{short}");
        for heading in ["Arguments:", "Options:", "Global options:"] {
            for line in section(&short, heading).unwrap_or_default() {
                let line = line.trim_start();
                let begins = line.starts_with(['-', '<', '[']);
                assert!(begins, "{command:?}: `{line}` is a further line of an option\n{short}");
                assert!(line.contains("  "), "{command:?}: `{line}` has no text\n{short}");
            }
        }
        assert!(short.lines().count() < help(&command, "--help").lines().count(), "{command:?}");
    }
}

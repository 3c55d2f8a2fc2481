//! Rollout files: what is wrong is said with its place, and each number can be changed.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use fleet::{PRESETS, RolloutError, load};
use proptest::prelude::*;

const JULY: &str = PRESETS[0].text;

fn problems(text: &str) -> String {
    load("mine.toml", text, &[]).unwrap_err().to_string()
}

#[test]
fn what_is_wrong_is_told_with_line_and_column() {
    let unknown = JULY.replacen("kilobytes = 40", "kilobites = 40", 1);
    let text = problems(&unknown);
    assert!(text.contains("unknown field `kilobites`"), "{text}");
    assert!(text.contains("--> mine.toml:") && text.contains("kilobites = 40"), "{text}");
    let line = unknown.lines().position(|line| line.starts_with("kilobites")).unwrap() + 1;
    assert!(text.contains(&format!("mine.toml:{line}:1")), "{text}");

    for (from, to, says) in [
        (
            "name = \"counter\"\nshare = 0.15",
            "name = \"counter\"\nshare = 0.25",
            "the shares of all classes add up to 1.1",
        ),
        ("breaks = 0.02", "breaks = 2", "`breaks` is 2"),
        ("more-than = 0.005", "more-than = 0.0", "`more-than` is 0"),
        ("spread = 3.0", "spread = 0.5", "this distribution cannot be"),
        ("classes = [\"cloud\"]", "classes = [\"clouds\"]", "there is no class `clouds`"),
        ("like = \"four-rings\"", "like = \"five\"", "there is no plan `five`"),
        ("horizon = \"336h\"", "horizon = \"961h\"", "it cannot be played for so long"),
        ("machines = 8_500_000", "machines = 0", "there are 0 machines"),
        ("share = 0.05", "share = 1.05", "`share` is 1.05"),
        ("name = \"counter\"", "name = \"office\"", "`office` cannot be the name of a class"),
        ("growth = [5.0,", "growth = [1.0,", "a growth cannot be"),
        ("format = 1", "format = 2", "`format` is 2"),
        ("share = 0.1 }, { utc = -5", "share = 0.2 }, { utc = -5", "these zones cannot be"),
        ("retry-after = \"2m\"", "retry-after = \"2h\"", "`update-service` cannot be"),
    ] {
        assert!(JULY.contains(from), "{from}");
        let changed = JULY.replacen(from, to, 1);
        let text = problems(&changed);
        assert!(text.contains(says), "{to}: {text}");
        assert!(text.contains("--> mine.toml:") && text.contains("= do: "), "{text}");
    }
}

#[test]
fn a_stop_rule_without_anything_to_do_is_refused() {
    let text = JULY.replace("halt = \"10m\"\nwithdraw = \"10m\"\n", "");
    assert_ne!(text, JULY);
    assert!(problems(&text).contains("nothing is stopped when a rule of `hasty-rings` says so"));
}

#[test]
fn every_assumption_can_be_set_by_its_path() {
    let rollout = load("july", JULY, &[]).unwrap();
    let all = fleet::assumptions(&rollout);
    assert!(all.len() > 60);
    let machines = all.iter().find(|it| it.path == "fleet.machines").unwrap();
    assert!(machines.source.as_ref().unwrap().contains("8.5 million devices"));
    let hands = all.iter().find(|it| it.path == "class.office.asks-every").unwrap();
    assert_eq!(hands.source, None);
    for it in &all {
        // Long lists are shortened for people; the rest is TOML.
        if !it.value.contains('×') {
            let changed = load("july", JULY, &[(it.path.clone(), it.value.clone())]).unwrap();
            let of_it = fleet::assumptions(&changed).into_iter().find(|own| own.path == it.path);
            assert_eq!(of_it.unwrap().source.unwrap(), "set by the user", "{}", it.path);
            let sources = rollout.sources.clone();
            assert_eq!(fleet::Rollout { sources, ..changed }, rollout, "{}", it.path);
        }
    }
    let set = |path: &str, value: &str| load("july", JULY, &[(path.to_owned(), value.to_owned())]);
    assert_eq!(set("class.office.asks-every", "2h").unwrap().class[0].asks_every.minutes(), 120);
    let error = set("class.offices.share", "1").unwrap_err().to_string();
    assert!(error.contains("cannot set `class.offices.share`"), "{error}");
    assert!(matches!(set("fleet.machines", "-1"), Err(RolloutError::Invalid { .. })));
    assert!(matches!(set("fleet.machinery", "1"), Err(RolloutError::Invalid { .. })));
}

#[test]
fn every_source_is_of_a_number_that_there_is() {
    let rollout = load("july", JULY, &[]).unwrap();
    let all = fleet::assumptions(&rollout);
    for path in rollout.sources.keys() {
        assert!(all.iter().any(|it| it.path.starts_with(path.as_str())), "{path}");
    }
}

#[test]
fn what_is_not_there_is_told_with_what_is() {
    let rollout = load("july", JULY, &[]).unwrap();
    let choice = fleet::Choice { plan: "five-rings".to_owned(), fault: None, seed: 1, threads: 1 };
    let error = fleet::simulate(&rollout, &choice).unwrap_err().to_string();
    assert!(error.contains("no plan `five-rings`") && error.contains("four-rings"), "{error}");
    assert!(fleet::preset("june-2024").unwrap_err().to_string().contains("july-2024"));
    let without = fleet::Rollout { search: None, ..rollout };
    assert!(fleet::recommend(&without, 1, 1).unwrap_err().to_string().contains("[search]"));
}

#[test]
fn the_checked_in_schema_is_current() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("rollout.schema.json");
    let checked_in = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        checked_in == fleet::schema_text(),
        "write it again: cargo run -p fleet --example rollout-schema > harness/fleet/rollout.schema.json"
    );
}

proptest! {
    #[test]
    fn a_damaged_file_never_panics(cuts in prop::collection::vec((0..JULY.len(), 0usize..40, ".{0,6}"), 1..4)) {
        let mut text = JULY.to_owned();
        for (at, length, by) in cuts {
            let start = (0..=at.min(text.len())).rev().find(|i| text.is_char_boundary(*i)).unwrap();
            let end = (start + length).min(text.len());
            let end = (end..=text.len()).find(|i| text.is_char_boundary(*i)).unwrap();
            text.replace_range(start..end, &by);
        }
        if let Err(error) = load("mine.toml", &text, &[]) {
            prop_assert!(error.to_string().contains("= do: "));
        }
    }
}

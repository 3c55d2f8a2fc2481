//! Entries of the quarantine, and what is wrong with them.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::path::Path;

use jiff::civil::{Date, date};
use scenario::{Quarantine, Scenario, parse_document};

const GOOD: &str = r#"format = 1

[[quarantine]]
scenario = "incident(kb5009624)"
reason = "the recovery environment's clock is wrong"
tracker = "https://example.org/issues/7"
expires = "2026-12-24"
"#;

fn scenario(name: &str) -> Scenario {
    serde_json::from_value(serde_json::json!({
        "format": 1, "name": name, "title": "t", "description": "d",
        "machine": { "image": "understudy" }, "expect": { "verdict": "hung" },
    }))
    .unwrap()
}

fn parse(text: &str) -> Result<Quarantine, String> {
    let path = Path::new("scenarios/quarantine.toml");
    Quarantine::parse(path, text).map_err(|error| error.to_string())
}

fn check(text: &str, today: Date) -> Result<(), String> {
    let all = [scenario("kb5009624/host-repair"), scenario("dat-5958")];
    parse(text)?.check(all.iter(), today).map_err(|error| error.to_string())
}

#[test]
fn an_entry_is_about_what_its_filter_chooses() {
    let quarantine = parse(GOOD).unwrap();
    let entry = quarantine.of(&scenario("kb5009624/host-repair")).unwrap();
    assert_eq!(entry.tracker, "https://example.org/issues/7");
    assert_eq!(entry.expires, date(2026, 12, 24));
    assert_eq!(quarantine.of(&scenario("dat-5958")), None);
    assert_eq!(check(GOOD, date(2026, 12, 23)), Ok(()));
    assert!(parse("format = 1\n").unwrap().of(&scenario("dat-5958")).is_none());
}

#[test]
fn an_entry_that_has_expired_or_is_about_nothing_is_an_error_with_its_place() {
    let expired = check(GOOD, date(2026, 12, 24)).unwrap_err();
    assert!(expired.contains("scenarios/quarantine.toml:7:11"), "{expired}");
    assert!(expired.contains("has expired: today is 2026-12-24"), "{expired}");
    let nothing = GOOD.replace("kb5009624", "kb5009625");
    let nothing = check(&nothing, date(2026, 12, 1)).unwrap_err();
    assert!(nothing.contains("scenarios/quarantine.toml:4:12"), "{nothing}");
    assert!(nothing.contains("no scenario is meant by this entry"), "{nothing}");
}

/// An entry for another image than the one of this run is about something nevertheless.
#[test]
fn an_entry_may_be_about_an_image_of_a_later_run() {
    let today = date(2026, 12, 1);
    let with = |filter: &str| check(&GOOD.replace("incident(kb5009624)", filter), today);
    assert_eq!(with("incident(kb5009624) & image(win11)"), Ok(()));
    assert_eq!(with("incident(kb5009624) - image(understudy)"), Ok(()));
    assert_eq!(with("image(win11) | incident(kb5009625)"), Ok(()));
    assert!(with("incident(kb5009625) & image(win11)").is_err());
    assert!(with("incident(kb5009625) - image(win11)").is_err());
}

#[test]
fn an_entry_without_reason_tracker_or_day_is_refused() {
    for key in ["scenario", "reason", "tracker", "expires"] {
        let without: String = GOOD
            .lines()
            .filter(|line| !line.starts_with(key))
            .map(|it| it.to_owned() + "\n")
            .collect();
        let error = parse(&without).unwrap_err();
        assert!(error.contains(&format!("`quarantine[1]` has no `{key}`")), "{error}");
        assert!(error.contains("quarantine.toml:3:1"), "{error}");
    }
    for (from, to, place, what) in [
        ("https://example.org/issues/7", "issue 7", "6:11", "is not the address of a tracker"),
        ("2026-12-24", "24.12.2026", "7:11", "`24.12.2026` is not a day"),
        ("\"2026-12-24\"", "2026-12-24", "7:11", "a TOML date"),
        ("incident(kb5009624)", "failed()", "4:12", "cannot depend on recorded runs"),
        ("incident(kb5009624)", "kb5009624", "4:12", "`kb5009624` stands alone"),
        ("the recovery environment's clock is wrong", " ", "5:10", "it is empty"),
        ("reason =", "raeson =", "5:1", "unknown key `raeson`"),
        ("format = 1", "format = 2", "1:10", "out of range"),
        ("format = 1", "format 1", "1:8", "key"),
    ] {
        let text = GOOD.replacen(from, to, 1);
        assert_ne!(text, GOOD);
        let error = parse(&text).unwrap_err();
        assert!(error.contains(&format!("quarantine.toml:{place}")), "{to}: {error}");
        assert!(error.contains(what), "{to}: {error}");
    }
}

#[test]
fn other_documents_are_called_by_their_own_name() {
    #[derive(Debug, serde::Deserialize, schemars::JsonSchema)]
    #[serde(deny_unknown_fields)]
    struct Small {
        #[expect(dead_code, reason = "it is only parsed")]
        jobs: Option<u32>,
    }
    let path = Path::new("small.toml");
    let error = parse_document::<Small>(path, "job = 2\n", "the settings").unwrap_err();
    let error = error.to_string();
    assert!(error.contains("unknown key `job` in the settings"), "{error}");
    assert!(error.contains("did you mean `jobs`?") && error.contains("small.toml:1:1"), "{error}");
}

//! What filters choose, and how they fail.

use proptest::prelude::*;

use super::{Filter, Recorded};
use crate::model::Scenario;

fn scenario(name: &str, layers: &[&str], tags: &[&str]) -> Scenario {
    serde_json::from_value(serde_json::json!({
        "format": 1, "name": name, "title": "t", "description": "d", "tags": tags,
        "machine": { "image": "understudy" },
        "fault": [{ "kind": "driver-file", "name": "a", "file": "a.sys" }],
        "expect": { "verdict": if layers.is_empty() { "hung" } else { "recovered" }, "layers": layers },
    }))
    .unwrap()
}

/// The names that a filter chooses out of a few scenarios.
fn chosen(filter: &str) -> Vec<String> {
    let all = [
        (scenario("kb5009624/host-repair", &["host-repair"], &["nightly"]), Recorded::default()),
        (
            scenario("kb5009624/quick-machine-recovery", &["quick-machine-recovery"], &[]),
            Recorded { failed: true, slow: true },
        ),
        (
            scenario("channel-file-291", &["quick-machine-recovery"], &["Nightly"]),
            Recorded::default(),
        ),
        (scenario("kb4493472/automatic-repair", &[], &[]), Recorded { failed: true, slow: false }),
    ];
    let filter: Filter = filter.parse().unwrap();
    let matching = all.iter().filter(|(scenario, recorded)| filter.matches(scenario, *recorded));
    matching.map(|(scenario, _)| scenario.name.clone()).collect()
}

#[test]
fn predicates_and_operators() {
    let both = ["kb5009624/host-repair", "kb5009624/quick-machine-recovery"];
    assert_eq!(chosen("incident(kb50*)"), both);
    assert_eq!(chosen("incident(kb50*) & layer(quick-machine-recovery) - slow()"), [""; 0]);
    assert_eq!(chosen("layer(quick-machine-recovery) - slow()"), ["channel-file-291"]);
    assert_eq!(chosen("tag(nightly)"), ["kb5009624/host-repair", "channel-file-291"]);
    assert_eq!(chosen("failed() and not slow()"), ["kb4493472/automatic-repair"]);
    assert_eq!(chosen("verdict(hung) | variant(host-*)").len(), 2);
    assert_eq!(chosen("!name(kb*)"), ["channel-file-291"]);
    assert_eq!(chosen("image(understudy) & fault(driver-*)").len(), 4);
    assert_eq!(chosen("none() + all() & name(*291)"), ["channel-file-291"]);
    // `&` and `-` bind tighter than `|`.
    assert_eq!(chosen("variant(host-repair) | all() - incident(kb*)").len(), 2);
    assert_eq!(chosen("(variant(host-repair) | all()) - incident(kb*)"), ["channel-file-291"]);
    assert_eq!(chosen("name(KB5009624/host-repai?)"), ["kb5009624/host-repair"]);
}

#[test]
fn an_error_points_at_its_place() {
    let shown = |filter: &str| filter.parse::<Filter>().unwrap_err().to_string();
    insta::assert_snapshot!(shown("all() &\n  incidnet(kb50*)"), @r"
    filter, line 2, column 3: there is no predicate `incidnet`; there are all, none, name, incident, variant, image, layer, verdict, fault, tag, failed, slow
        incidnet(kb50*)
        ^
    ");
    insta::assert_snapshot!(shown("name(ä*) kb50"), @r"
    filter, line 1, column 10: `kb50` stands alone; write a predicate, such as name(kb50*)
      name(ä*) kb50
               ^
    ");
    for (filter, at, what) in [
        ("", 0, "it is empty"),
        ("name(a", 4, "not closed"),
        ("(name(a)", 0, "not closed"),
        ("name(a))", 7, "never opened"),
        ("name(a) name(b)", 8, "an operator is missing"),
        ("name(a) & ", 9, "a predicate is missing"),
        ("& name(a)", 0, "a predicate is missing"),
        ("slow(x)", 5, "takes no pattern"),
        ("name()", 5, "needs a pattern"),
        ("layer(host-repare)", 6, "no layer is called `host-repare`; there are"),
        ("verdict(fine)", 8, "no verdict is called"),
        ("name(a) ; b", 8, "means nothing here"),
    ] {
        let error = filter.parse::<Filter>().unwrap_err();
        assert_eq!(error.at, at, "{filter}: {error}");
        assert!(error.what.contains(what), "{filter}: {error}");
    }
    let deep = format!("{}all(){}", "(".repeat(2000), ")".repeat(2000));
    assert!(deep.parse::<Filter>().unwrap_err().what.contains("nested deeper"));
}

proptest! {
    #[test]
    fn no_filter_is_too_odd(text in "\\PC{0,40}") {
        if let Err(error) = text.parse::<Filter>() {
            prop_assert!(error.to_string().contains('^'));
        }
    }

    #[test]
    fn no_filter_of_tokens_is_too_odd(parts in prop::collection::vec("name\\(a\\)|all\\(\\)|[&|+!()-]|not |é\\(", 0..20)) {
        let text = parts.concat();
        if let Err(error) = text.parse::<Filter>() {
            prop_assert!(text.is_char_boundary(error.at), "{error}");
        }
    }
}

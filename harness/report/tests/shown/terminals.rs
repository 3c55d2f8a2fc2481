//! The timeline in a terminal.

use std::path::PathBuf;

use report::{Comparison, Pending, Style, render_timeline};

use crate::{RECORDS, derived};

#[test]
fn every_record_is_shown() {
    for (name, _) in RECORDS {
        insta::assert_snapshot!(name, render_timeline(&derived(name), None, Style::plain()));
    }
}

#[test]
fn every_line_fits() {
    for (name, _) in RECORDS {
        for columns in [80, 100, 120] {
            let style = Style::detect(false, None, Some(columns));
            for line in render_timeline(&derived(name), None, style).lines() {
                // A path is one word and may be longer.
                let fits = line.chars().count() <= columns;
                assert!(fits || line.contains('\\'), "{name}, {columns}: {line}");
            }
        }
    }
}

#[test]
fn colour_changes_nothing_but_colour() {
    for (name, _) in RECORDS {
        let derived = derived(name);
        let coloured = render_timeline(&derived, None, Style::terminal(80));
        assert!(coloured.contains("\u{1b}["), "{name}");
        let mut plain = String::new();
        let mut rest = coloured.as_str();
        while let Some((before, after)) = rest.split_once('\u{1b}') {
            plain.push_str(before);
            rest = after.split_once('m').expect("the end of a colour").1;
        }
        plain.push_str(rest);
        assert_eq!(plain, render_timeline(&derived, None, Style::plain()), "{name}");
    }
}

#[test]
fn a_model_is_called_one() {
    let shown = render_timeline(&derived("channel-file-291"), None, Style::plain());
    assert!(shown.contains("understudy: a model, not Windows"), "{shown}");
    let shown = render_timeline(&derived("operator-power-cycle"), None, Style::plain());
    assert!(!shown.contains("a model"), "{shown}");
}

#[test]
fn what_a_guest_says_cannot_steer_the_terminal() {
    let text = RECORDS.iter().find(|(name, _)| *name == "channel-file-291-wrong-signature");
    let (_, text) = text.expect("a fixture");
    let hostile = text
        .replace("the signing certificate is not trusted", "\\u001b[2J\\u001b]0;owned\\u0007")
        .replace("remove-291", "x\\r\\nverdict     recovered");
    let events = timeline::read_events(&hostile).expect("a good record").events;
    let derived = timeline::derive(&events);
    let shown = render_timeline(&derived, None, Style::plain());
    assert!(!shown.contains(['\u{1b}', '\u{7}', '\r']), "{shown}");
    assert_eq!(shown.lines().filter(|line| line.starts_with("verdict")).count(), 1, "{shown}");
}

#[test]
fn the_comparison_is_shown_with_where_the_new_one_lies() {
    let reference = PathBuf::from("scenarios/a/a.snap");
    let pending = Pending::Written("scenarios/a/a@run-7.snap.new".into());
    let derived = derived("channel-file-291");
    let shown = |comparison: &Comparison| {
        let shown = render_timeline(&derived, Some(comparison), Style::plain());
        let at = shown.find("reference ").expect("a line on the reference");
        shown[at..].to_owned()
    };
    let same = Comparison::Same { reference: reference.clone() };
    assert_eq!(shown(&same), "reference   same as scenarios/a/a.snap\n");
    let missing = Comparison::Missing { reference: reference.clone(), pending };
    assert_eq!(
        shown(&missing),
        "reference   none yet at scenarios/a/a.snap\n            \
         pending: scenarios/a/a@run-7.snap.new\n"
    );
    let unwritten = Pending::NotWritten {
        path: "scenarios/a/a@run-7.snap.new".into(),
        why: "permission denied".into(),
    };
    let kept = Pending::Aside("/runs/run-7/a@run-7.snap.new".into());
    let aside = Comparison::Missing { reference: reference.clone(), pending: kept };
    let words = "kept in the run directory: /runs/run-7/a@run-7.snap.new\n";
    assert!(shown(&aside).contains(words), "{}", shown(&aside));
    let missing = Comparison::Missing { reference, pending: unwritten };
    assert!(shown(&missing).contains("not written"), "{}", shown(&missing));
}

//! Which frames of the display a report shows: of each boot the last one of each page that says something.

use std::collections::BTreeMap;

use timeline::{Body, Boot, BootKind, Derived, Event, ScreenKind};

/// More than any row of failures that somebody would look through; a loop shows the same page again and again.
const MOST: usize = 8;

/// A frame worth a look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    /// What it shows, for people.
    pub title: &'static str,
    /// The boot in which it was taken.
    pub boot: u32,
    /// Its file, as the event named it: relative to the machine's folder.
    pub file: String,
}

/// The frames of a run that a report shows, in their order; each picture once.
pub fn pictures(events: &[Event], derived: &Derived) -> Vec<Shown> {
    let mut digests: BTreeMap<&str, &str> = BTreeMap::new();
    let mut taken: BTreeMap<&str, u64> = BTreeMap::new();
    let mut kinds: BTreeMap<&str, ScreenKind> = BTreeMap::new();
    for event in events {
        match &event.body {
            Body::Frame { file, digest, .. } => {
                digests.insert(file, digest);
                taken.insert(file, event.seq);
            }
            // A frame may be read twice; the second time says more.
            Body::Screen { file, screen } => {
                kinds.insert(file, screen.kind);
            }
            _ => {}
        }
    }
    let boots = &derived.timeline.boots;
    let boot_of = |seq: u64, title: &str| {
        let at = boots.iter().rposition(|boot| boot.began.seq <= seq)?;
        // A display keeps its picture through a reset: a page that is not of this boot may be of the one before.
        let before = at.checked_sub(1).filter(|_| !shows(&boots[at], title));
        let at = before.filter(|at| shows(&boots[*at], title)).unwrap_or(at);
        Some(boots[at].number)
    };
    let mut last: BTreeMap<(u32, &'static str), (&str, u64)> = BTreeMap::new();
    for (file, kind) in &kinds {
        let (Some(title), Some(seq)) = (title(*kind), taken.get(file)) else { continue };
        let Some(boot) = boot_of(*seq, title) else { continue };
        let newest = last.entry((boot, title)).or_insert((file, *seq));
        if newest.1 < *seq {
            *newest = (file, *seq);
        }
    }
    let mut shown: Vec<(u64, Shown)> = last
        .into_iter()
        .map(|((boot, title), (file, seq))| (seq, Shown { title, boot, file: file.to_owned() }))
        .collect();
    shown.sort_by_key(|(seq, _)| *seq);
    let mut seen: Vec<&str> = Vec::new();
    shown.retain(|(_, shown)| {
        let digest = digests.get(shown.file.as_str()).copied().unwrap_or_default();
        let is_new = !seen.contains(&digest);
        seen.push(digest);
        is_new
    });
    shown.into_iter().map(|(_, shown)| shown).take(MOST).collect()
}

const STOP: &str = "stop screen";
const ERROR: &str = "boot error";
const RECOVERY: &str = "recovery environment";

/// Whether a boot is one in which such a page is shown.
fn shows(boot: &Boot, title: &str) -> bool {
    match title {
        STOP => boot.stop.is_some(),
        ERROR => boot.error.is_some(),
        RECOVERY => boot.kind() == BootKind::Recovery,
        _ => true,
    }
}

/// `None` for a page that says nothing about a failure or a repair.
fn title(kind: ScreenKind) -> Option<&'static str> {
    Some(match kind {
        ScreenKind::BlueStop | ScreenKind::BlackStop => STOP,
        ScreenKind::BootError => ERROR,
        ScreenKind::BootMenu => "boot menu",
        ScreenKind::Recovery => RECOVERY,
        ScreenKind::Desktop => "desktop",
        ScreenKind::Black | ScreenKind::Text | ScreenKind::Picture | ScreenKind::Unknown => {
            return None;
        }
    })
}

#[cfg(test)]
mod tests {
    use timeline::{Certainty, Screen};

    use super::*;

    /// What a frame of the recorded run shows, by its pixels.
    fn kind(digest: &str) -> ScreenKind {
        match &digest[..4] {
            "8349" | "c2c2" => ScreenKind::BlackStop,
            "3b3c" => ScreenKind::Recovery,
            "14fd" => ScreenKind::Black,
            _ => ScreenKind::Picture,
        }
    }

    #[test]
    fn each_page_of_a_recorded_loop_once() {
        let text = include_str!("../../timeline/tests/fixtures/recorded-channel-file-291.jsonl");
        let recorded = timeline::read_events(text).unwrap().events;
        let derived = timeline::derive(&recorded);
        let mut events = Vec::new();
        for event in recorded {
            let read = match &event.body {
                Body::Frame { file, digest, .. } => Some(Body::Screen {
                    file: file.clone(),
                    screen: Screen {
                        kind: kind(digest),
                        certainty: Certainty::Sure,
                        evidence: Vec::new(),
                        stop: None,
                        status: None,
                    },
                }),
                _ => None,
            };
            let read = read.map(|body| Event { body, ..event.clone() });
            events.push(event);
            events.extend(read);
        }
        let shown = pictures(&events, &derived);
        let shown: Vec<_> =
            shown.iter().map(|shown| (shown.boot, shown.title, shown.file.as_str())).collect();
        // The second boot ends with the same page as the first.
        assert_eq!(
            shown,
            [
                (1, "stop screen", "frames/00002.png"),
                (3, "recovery environment", "frames/00010.png"),
            ]
        );
        assert!(pictures(&[], &derived).is_empty());
    }
}

//! The table of the fault catalogue: what each fault did in a real run, against what it is to do.

use serde::Serialize;
use timeline::{BootKind, BootOutcome, End, Outcome};

use crate::text::{self, clean};

/// A consequence in a line: module names are a guest's.
const LINE: usize = 300;

/// One row: a fault that was run for real, its inert control, and its reversal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Proof {
    /// The example's name.
    pub fault: String,
    /// The kind that it shows.
    pub kind: String,
    /// The faults of the example that were read back from where they were put; all of them, where it is
    /// as it ought to be.
    pub landed: Vec<String>,
    /// Those that were not.
    pub missing: Vec<String>,
    /// What happened, in one line.
    pub seen: String,
    /// What is to happen.
    pub expected: String,
    /// In what they differ; empty where they do not.
    pub differs: Vec<String>,
    /// What the inert control did, in one line.
    pub inert: String,
    /// True where that is nothing.
    pub inert_healthy: bool,
    /// How undoing it went.
    pub reversal: Reversed,
    /// Run directories: of the fault, of the control.
    pub runs: [String; 2],
}

/// How undoing a fault went.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reversed {
    /// It changes nothing on the disk, so there is nothing to undo there.
    NothingOnTheDisk,
    /// So many changes were undone, and the disk is as it was before.
    Clean {
        /// How many.
        changes: usize,
    },
    /// The disk differs from before.
    Differs {
        /// Where.
        objects: Vec<String>,
    },
}

impl Proof {
    /// True where everything in the row is as it ought to be.
    pub fn holds(&self) -> bool {
        self.missing.is_empty()
            && !self.landed.is_empty()
            && self.differs.is_empty()
            && self.inert_healthy
            && !matches!(self.reversal, Reversed::Differs { .. })
    }
}

/// The rows as a table in Markdown, with a line of counts below it.
pub fn proof_table(rows: &[Proof]) -> String {
    let mut text = "| fault | landed | consequence seen | expected | inert control | reversed |\n\
                    |---|---|---|---|---|---|\n"
        .to_owned();
    for row in rows {
        let landed = match row.missing.as_slice() {
            [] => "yes".to_owned(),
            missing => format!("**no: {}**", missing.join(", ")),
        };
        let seen = match row.differs.as_slice() {
            [] => row.seen.clone(),
            differs => format!("**{}** ({})", row.seen, differs.join("; ")),
        };
        let inert =
            if row.inert_healthy { row.inert.clone() } else { format!("**{}**", row.inert) };
        let reversed = match &row.reversal {
            Reversed::NothingOnTheDisk => "nothing on the disk".to_owned(),
            Reversed::Clean { changes: 1 } => "yes, one change".to_owned(),
            Reversed::Clean { changes } => format!("yes, {changes} changes"),
            Reversed::Differs { objects } => format!("**no: {}**", objects.join(", ")),
        };
        let cells = [&row.fault, &landed, &seen, &row.expected, &inert, &reversed];
        let cells = cells.map(|cell| cell.replace('|', "\\|"));
        text += &format!("| {} |\n", cells.join(" | "));
    }
    let holding = rows.iter().filter(|row| row.holds()).count();
    text + &format!("\n{holding} of {} as they ought to be.\n", rows.len())
}

/// What happened in a run, in one line: its boots, a row of like ones told once, and the verdict.
pub fn consequence(outcome: &Outcome) -> String {
    let mut told: Vec<(String, usize)> = Vec::new();
    for boot in &outcome.boots {
        let text = boot_in_words(boot);
        match told.last_mut() {
            Some((last, count)) if *last == text => *count += 1,
            _ => told.push((text, 1)),
        }
    }
    let boots: Vec<String> = told
        .into_iter()
        .map(|(text, count)| if count == 1 { text } else { format!("{text} ({count} times)") })
        .collect();
    let by = match outcome.brought_back_by {
        Some(layer) => format!(" by {layer}"),
        None => String::new(),
    };
    clean(&format!("{}: {}{by}", boots.join(", "), outcome.verdict), LINE)
}

fn boot_in_words(boot: &BootOutcome) -> String {
    if let Some(stop) = &boot.stop {
        let code = stop.code.map_or_else(|| "a stop".to_owned(), |code| format!("0x{:X}", code.0));
        let module = stop.module.as_deref().map(|m| format!(" in {m}")).unwrap_or_default();
        let stands = if boot.end == End::HaltedAtStopScreen { ", stands there" } else { "" };
        return format!("{code}{module}{stands}");
    }
    match (boot.kind, boot.end) {
        (BootKind::Recovery, End::Reset) => "recovery environment".to_owned(),
        (BootKind::Recovery, end) => format!("recovery environment {end}"),
        (BootKind::Windows, End::StillUp) => "healthy".to_owned(),
        (BootKind::Windows, End::ShutDown) => "healthy, shut down".to_owned(),
        (BootKind::Windows, end) => format!("{end} in {}", text::phase(boot.reached)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REFERENCE: &str =
        include_str!("../../../scenarios/channel-file-291/channel-file-291.understudy.snap");

    fn outcome() -> Outcome {
        // After the header of insta's format.
        let text = REFERENCE.splitn(3, "---\n").nth(2).unwrap();
        Outcome::parse(text).unwrap()
    }

    #[test]
    fn like_boots_are_told_once() {
        assert_eq!(
            consequence(&outcome()),
            "0x50 in csagent.sys (2 times), recovery environment, healthy: recovered by \
             quick-machine-recovery"
        );
    }

    #[test]
    fn a_row_that_does_not_hold_says_where() {
        let good = Proof {
            fault: "driver-null-read".to_owned(),
            kind: "driver".to_owned(),
            landed: vec!["bad".to_owned()],
            missing: Vec::new(),
            seen: "0x7E in bad.sys | so".to_owned(),
            expected: "0x7E".to_owned(),
            differs: Vec::new(),
            inert: "healthy: unaffected".to_owned(),
            inert_healthy: true,
            reversal: Reversed::Clean { changes: 6 },
            runs: [String::new(), String::new()],
        };
        let bad = Proof {
            missing: vec!["bad".to_owned()],
            landed: Vec::new(),
            differs: vec!["verdict is hung, expected looping".to_owned()],
            inert_healthy: false,
            reversal: Reversed::Differs { objects: vec![r"C:\x".to_owned()] },
            ..good.clone()
        };
        assert!(good.holds() && !bad.holds());
        insta::assert_snapshot!(proof_table(&[good, bad]), @r"
        | fault | landed | consequence seen | expected | inert control | reversed |
        |---|---|---|---|---|---|
        | driver-null-read | yes | 0x7E in bad.sys \| so | 0x7E | healthy: unaffected | yes, 6 changes |
        | driver-null-read | **no: bad** | **0x7E in bad.sys \| so** (verdict is hung, expected looping) | 0x7E | **healthy: unaffected** | **no: C:\x** |

        1 of 2 as they ought to be.
        ");
    }
}

//! A diagnosis for people.

use std::fmt::Write;

use jiff::Timestamp;
use scenario::{RegistryData, RepairAction};
use words::escaped;

use crate::diagnose::Diagnosis;
use crate::statement::{Statement, Stop};
use crate::suspects::Suspect;

/// The page of a diagnosis: the answer first, then what a support engineer would look at, in order.
pub fn render(diagnosis: &Diagnosis) -> String {
    let mut page = Page::default();
    answer(&mut page, diagnosis);
    section(&mut page, "Last starts", &diagnosis.starts, true);
    stops(&mut page, &diagnosis.stops);
    section(&mut page, "What changed before it began, the latest first", &diagnosis.changes, true);
    section(&mut page, "What recovery tried", &diagnosis.tried, true);
    section(&mut page, "Can recovery work at all?", &diagnosis.recovery, false);
    suspects(&mut page, &diagnosis.suspects);
    page.0
}

/// A page of lines. Nearly all that it shows comes from a guest, so every line is escaped.
#[derive(Default)]
struct Page(String);

impl Page {
    fn line(&mut self, indent: usize, text: impl std::fmt::Display) {
        let _ = writeln!(self.0, "{:indent$}{}", "", escaped(text));
    }

    fn heading(&mut self, text: &str) {
        let _ = writeln!(self.0, "\n{text}");
    }

    fn statement(&mut self, indent: usize, statement: &Statement, timed: bool) {
        match (statement.time, timed) {
            (Some(at), _) => self.line(indent, format_args!("{}  {}", time(at), statement.text)),
            // As wide as a time, so that the texts stand below each other.
            (None, true) => self.line(indent, format_args!("{:19}  {}", "", statement.text)),
            (None, false) => self.line(indent, &statement.text),
        }
        let indent = if timed { indent + 21 } else { indent };
        self.line(indent, format_args!("  from {}", statement.source));
    }
}

fn answer(page: &mut Page, diagnosis: &Diagnosis) {
    let system = diagnosis.system.as_deref().unwrap_or("this disk");
    page.line(0, format_args!("{system}: {}", diagnosis.condition.words()));
    for statement in &diagnosis.because {
        page.statement(2, statement, false);
    }
    match (diagnosis.suspects.as_slice(), diagnosis.has_stopped()) {
        ([first, ..], _) => {
            page.line(
                2,
                format_args!(
                    "first suspect: {} {} ({})",
                    first.what,
                    first.name,
                    first.weight.words()
                ),
            );
        }
        ([], true) => page.line(2, "no file, driver or service is suspect"),
        ([], false) => {}
    }
}

fn section(page: &mut Page, heading: &str, statements: &[Statement], timed: bool) {
    if statements.is_empty() {
        return;
    }
    page.heading(heading);
    let timed = timed && statements.iter().any(|statement| statement.time.is_some());
    for statement in statements {
        page.statement(2, statement, timed);
    }
}

fn stops(page: &mut Page, stops: &[Stop]) {
    if stops.is_empty() {
        return;
    }
    page.heading("Stops");
    for stop in stops {
        let at = stop.time.map_or_else(|| "at an unknown time".to_owned(), time);
        let module = match &stop.module {
            Some(module) => format!("{module} is blamed"),
            None => "no module is blamed".to_owned(),
        };
        let over = if stop.over == Some(true) { "; Windows has started well since" } else { "" };
        page.line(2, format_args!("{at:19}  {}, {module}{over}", stop.title()));
        if !stop.parameters.is_empty() {
            let parameters: Vec<String> =
                stop.parameters.iter().map(|one| format!("{one:#x}")).collect();
            page.line(23, format_args!("  parameters {}", parameters.join(", ")));
        }
        page.line(23, format_args!("  from {}", stop.source));
    }
}

fn suspects(page: &mut Page, suspects: &[Suspect]) {
    if suspects.is_empty() {
        return;
    }
    page.heading("Suspects");
    for (index, suspect) in suspects.iter().enumerate() {
        page.line(
            2,
            format_args!(
                "{}. {} {} ({}, {} points)",
                index + 1,
                suspect.what,
                suspect.name,
                suspect.weight.words(),
                suspect.weight.0
            ),
        );
        for reason in &suspect.reasons {
            let against = if reason.weight.0 < 0 { "against it: " } else { "" };
            let text = format!("{against}{}", reason.statement.text);
            page.statement(5, &Statement { text, time: None, ..reason.statement.clone() }, false);
        }
        for action in &suspect.repair {
            page.line(5, format_args!("repair: {}", repair(action)));
        }
        if let Some(otherwise) = &suspect.otherwise {
            page.line(5, format_args!("repair: {otherwise}"));
        }
    }
}

/// An action of the layer `host-repair` in words.
fn repair(action: &RepairAction) -> String {
    match action {
        RepairAction::Delete(delete) => format!("delete {}", delete.path),
        RepairAction::Copy(copy) => format!("copy {} to {}", copy.from, copy.to),
        RepairAction::Restore(path) => format!("bring {path} back as it is in the image"),
        RepairAction::Write(write) => format!("write {}", write.path),
        RepairAction::Registry(change) => {
            let to = match &change.to {
                RegistryData::Dword(number) => format!("set {} to {number}", change.value),
                RegistryData::Text(text) | RegistryData::ExpandText(text) => {
                    format!("set {} to `{text}`", change.value)
                }
                RegistryData::MultiText(texts) => {
                    format!("set {} to {}", change.value, texts.join(", "))
                }
                RegistryData::Removed => format!("take {} out", change.value),
            };
            format!("{to}, in {}", change.key)
        }
        RepairAction::BootEntry(entry) => match entry.remove_safe_boot {
            true => "take `safeboot` out of the default entry".to_owned(),
            false => "change the default entry".to_owned(),
        },
    }
}

fn time(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M:%S").to_string()
}

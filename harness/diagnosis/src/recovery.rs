//! What recovery tried, and whether it can work at all.

use inspect::{Answer, CheckName, Inspection, Known, qualify};

use crate::statement::{Statement, on_c};

/// Sessions of Startup Repair that are told, the latest.
const SESSIONS: usize = 4;

/// What Startup Repair tried.
pub(crate) fn tried(inspection: &Inspection) -> Vec<Statement> {
    let facts = match &inspection.history.startup_repair {
        Known::Known(facts) => facts,
        Known::Absent => {
            return vec![Statement::new(
                "Startup Repair has left no log",
                "no SrtTrail.txt on the disk",
            )];
        }
        Known::Unknown(reason) => {
            let text = format!("Startup Repair's log cannot be read: {reason}");
            return vec![Statement::new(text, "SrtTrail.txt")];
        }
    };
    let source = on_c(&facts.path);
    let sessions = &facts.log.sessions;
    let mut statements = Vec::new();
    let count = match sessions.len() {
        1 => "Startup Repair worked once".to_owned(),
        count => format!("Startup Repair worked {count} times"),
    };
    statements.push(Statement::new(count, source.clone()).at(facts.modified));
    let first = sessions.len().saturating_sub(SESSIONS);
    for (index, session) in sessions.iter().enumerate().skip(first) {
        let source = format!("{source}, session {}", index + 1);
        for cause in &session.root_causes {
            let repairs: Vec<String> = cause
                .repairs
                .iter()
                .map(|step| match step.code {
                    0 => format!("{}: done", step.name),
                    code => format!("{}: failed with {code:#x}", step.name),
                })
                .collect();
            let came = if repairs.is_empty() {
                "nothing was tried".to_owned()
            } else {
                repairs.join(", ")
            };
            let text = format!("it found: {} {came}", sentence(&cause.text));
            statements.push(Statement::new(text, source.clone()));
        }
        if session.root_causes.is_empty() {
            statements.push(Statement::new("it found no cause", source.clone()));
        }
    }
    statements
}

fn sentence(text: &str) -> String {
    if text.ends_with(['.', '!', '?', '。']) { text.to_owned() } else { format!("{text}.") }
}

/// What recovery without a person rests on.
const CHECKS: [CheckName; 7] = [
    CheckName::RecoveryEnabled,
    CheckName::BootStatusPolicy,
    CheckName::AutomaticRestart,
    CheckName::RecoveryImage,
    CheckName::RecoveryImageBuild,
    CheckName::RecoveryReachable,
    CheckName::QuickMachineRecovery,
];

/// Whether recovery can work at all: the checks of `image qualify`.
pub(crate) fn can_work(inspection: &Inspection) -> Vec<Statement> {
    let qualification = qualify(inspection);
    let mut statements = Vec::new();
    let mut nothing_against = true;
    for check in CHECKS.iter().filter_map(|name| qualification.check(*name)) {
        nothing_against &= !matches!(check.answer, Answer::Fail | Answer::Unknown);
        let answer = match check.answer {
            Answer::Pass => continue,
            Answer::Warn => "with a reservation",
            Answer::Fail => "no",
            Answer::Unknown => "not known",
            Answer::NotApplicable => "does not apply",
        };
        let text = format!("{answer}: {}", check.evidence);
        statements.push(Statement::new(text, format!("check {}", check.name)));
    }
    if nothing_against {
        let text = "it can start by itself after failed starts";
        statements.insert(0, Statement::new(text, "checks of `image qualify`"));
    }
    statements
}

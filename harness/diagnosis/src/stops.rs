//! Stops: from dumps and from the event log, and which of them are over.

use inspect::event_log::{Event, EventKind};
use inspect::traces::Traces;
use inspect::{Inspection, Known};
use jiff::Timestamp;

use crate::statement::{Statement, Stop, on_c};

/// Until when Windows is known to have run well, and by what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LastGood {
    pub(crate) time: Timestamp,
    pub(crate) text: &'static str,
    pub(crate) source: String,
}

/// The last clean shutdown of the System log; where the boot status has the last start as a good one, the boot log's
/// time of that start.
pub(crate) fn last_good(inspection: &Inspection) -> Option<LastGood> {
    let history = &inspection.history;
    let events = history.events.known().map_or(&[][..], |log| &log.events);
    let closed = events.iter().rev().find(|event| event.kind == EventKind::LogStopped);
    let shut_down = closed.and_then(|event| {
        let source = record(event);
        Some(LastGood { time: event.time?, text: "Windows was shut down cleanly", source })
    });
    let started = history.boot_status.known().filter(|status| status.last_boot_succeeded);
    let started = started.filter(|_| was_windows_last(inspection) == Some(true));
    let start = started.and(history.boot_log.known()).and_then(|log| {
        let time = log.iter().filter_map(|record| record.time).max()?;
        let source = "BOOTSTAT.DAT beside the boot manager, bootstat.dat".to_owned();
        Some(LastGood { time, text: "the last start that is recorded was a good one", source })
    });
    [shut_down, start].into_iter().flatten().max_by_key(|good| good.time)
}

/// Whether what was started last is Windows: the recovery environment has a boot status of its own in the same place,
/// and it ends well where Windows did not. By the boot log, which names what was started. Without one: nothing is known
/// where Startup Repair has been at work and no later event of Windows is recorded. `None`: it is not known.
pub(crate) fn was_windows_last(inspection: &Inspection) -> Option<bool> {
    let history = &inspection.history;
    let log = history.boot_log.known().map_or(&[][..], Vec::as_slice);
    if let Some(path) = log.iter().rev().find_map(|record| record.path.as_deref()) {
        let bcd = inspection.boot.known().and_then(|boot| boot.bcd());
        let loader = bcd.and_then(|bcd| bcd.default.known()?.path.known());
        return loader.map(|loader| loader.eq_ignore_ascii_case(path));
    }
    match &history.startup_repair {
        Known::Absent => Some(true),
        Known::Unknown(_) => None,
        Known::Known(repair) => {
            let events = history.events.known().map_or(&[][..], |log| &log.events);
            let started = events.iter().rev().find(|event| event.kind == EventKind::LogStarted);
            (started?.time? > repair.modified?).then_some(true)
        }
    }
}

/// All stops, the oldest first, each once: what the event log reports of one with a dump is left out.
pub(crate) fn stops(
    inspection: &Inspection,
    traces: &Traces,
    good: Option<&LastGood>,
) -> Vec<Stop> {
    let over = |time: Option<Timestamp>| Some(good?.time >= time?);
    let stop = |code, parameters: &[u64], module, time, source| Stop {
        code,
        name: winfmt::bugcheck::name(code),
        parameters: parameters.to_vec(),
        module,
        time,
        over: over(time),
        source,
    };
    let mut stops: Vec<Stop> = Vec::new();
    for dump in traces.dumps.known().into_iter().flatten() {
        let Known::Known(found) = &dump.stop else { continue };
        let module = found.module.as_ref().map(|name| name.to_lowercase());
        let same = |stop: &&mut Stop| {
            stop.time == found.time
                && stop.code == found.code
                && stop.parameters == found.parameters
        };
        // A stop leaves a small dump and a large one.
        if let Some(known) = stops.iter_mut().find(same) {
            known.module = known.module.take().or(module);
            known.source += &format!(", {}", on_c(&dump.path));
            continue;
        }
        let source = on_c(&dump.path);
        stops.push(stop(found.code, &found.parameters, module, found.time, source));
    }
    for event in inspection.history.events.known().map_or(&[][..], |log| &log.events) {
        let (code, parameters) = match &event.kind {
            EventKind::BugcheckReported { bugcheck_code: Some(code), parameters, .. }
            | EventKind::UnexpectedRestart { bugcheck_code: Some(code), parameters, .. }
                if *code != 0 =>
            {
                (*code, parameters)
            }
            _ => continue,
        };
        let code = winfmt::bugcheck::plain_code(code);
        let known = |stop: &Stop| {
            winfmt::bugcheck::plain_code(stop.code) == code && stop.parameters == *parameters
        };
        if !stops.iter().any(known) {
            stops.push(stop(code, parameters, None, event.time, record(event)));
        }
    }
    stops.sort_by_key(|stop| stop.time);
    stops
}

/// A record of the System log, as a source.
pub(crate) fn record(event: &Event) -> String {
    let provider = event.provider.trim_start_matches("Microsoft-Windows-");
    format!("System log, record {}: {provider} {}", event.record, event.id)
}

/// Records of the boot log, and events, that are told: the latest.
const TOLD: usize = 8;

/// The last starts, from every record of them.
pub(crate) fn starts(inspection: &Inspection, traces: &Traces) -> Vec<Statement> {
    let history = &inspection.history;
    let mut statements = Vec::new();
    match &history.boot_status {
        Known::Known(status) => {
            let text = format!(
                "the last start was {}; {}; {} attempts are counted",
                if status.last_boot_succeeded { "a good one" } else { "not a good one" },
                if status.last_boot_shut_down {
                    "Windows was shut down"
                } else {
                    "Windows was not shut down"
                },
                status.attempts
            );
            statements.push(Statement::new(text, r"C:\Windows\bootstat.dat"));
        }
        Known::Absent => {
            statements.push(Statement::new("there is no boot status", r"C:\Windows\bootstat.dat"))
        }
        Known::Unknown(reason) => {
            let text = format!("the boot status cannot be read: {reason}");
            statements.push(Statement::new(text, r"C:\Windows\bootstat.dat"));
        }
    }
    let log = history.boot_log.known().map_or(&[][..], Vec::as_slice);
    for record in &log[log.len().saturating_sub(TOLD)..] {
        let text = match &record.path {
            Some(path) => format!("{}: {path}", record.event),
            None => record.event.clone(),
        };
        statements
            .push(Statement::new(text, "BOOTSTAT.DAT beside the boot manager").at(record.time));
    }
    let events = history.events.known().map_or(&[][..], |log| &log.events);
    for event in &events[events.len().saturating_sub(TOLD)..] {
        statements.push(Statement::new(words_of(&event.kind), record(event)).at(event.time));
    }
    for (what, source, known) in [
        ("the boot log", "BOOTSTAT.DAT beside the boot manager", history.boot_log.reason()),
        ("the event log", "System log", history.events.reason()),
        ("crash dumps", "the folders of crash dumps", traces.dumps.reason()),
    ] {
        if let Some(reason) = known {
            statements.push(Statement::new(format!("{what} cannot be read: {reason}"), source));
        }
    }
    for dump in traces.dumps.known().into_iter().flatten() {
        if let Known::Unknown(reason) = &dump.stop {
            statements
                .push(Statement::new(format!("a dump cannot be read: {reason}"), on_c(&dump.path)));
        }
    }
    statements
}

fn words_of(kind: &EventKind) -> String {
    let code = |code: &Option<u32>| match code {
        Some(0) => "without a stop: power lost, reset, or hung".to_owned(),
        Some(code) => format!("after the stop {code:#x}"),
        None => "for a reason that it does not give".to_owned(),
    };
    match kind {
        EventKind::UnexpectedRestart { bugcheck_code, .. } => {
            format!("Windows started again {}", code(bugcheck_code))
        }
        EventKind::BugcheckReported { bugcheck_code: Some(code), .. } => {
            format!("the stop {code:#x} was reported")
        }
        EventKind::BugcheckReported { .. } => "a stop was reported".to_owned(),
        EventKind::DirtyShutdown { .. } => "the shutdown before was not a clean one".to_owned(),
        EventKind::LogStarted => "Windows started".to_owned(),
        EventKind::LogStopped => "Windows was shut down cleanly".to_owned(),
        EventKind::BootEntries { count } => match count {
            Some(count) => format!("the boot manager has {count} entries"),
            None => "the boot manager counted its entries".to_owned(),
        },
        EventKind::LastBoot { shutdown_good, boot_good } => {
            let word = |good: &Option<bool>| match good {
                Some(true) => "good",
                Some(false) => "not good",
                None => "not known",
            };
            format!(
                "the boot manager has the last start as {}, the last shutdown as {}",
                word(boot_good),
                word(shutdown_good)
            )
        }
        EventKind::BootType { number } => match number {
            Some(0) => "Windows started from power-on".to_owned(),
            Some(1) => "Windows started by fast startup".to_owned(),
            Some(2) => "Windows resumed from hibernation".to_owned(),
            _ => "Windows started".to_owned(),
        },
        EventKind::StartFailed { service, display_name, .. } => {
            format!("{} did not start", service.as_ref().unwrap_or(display_name))
        }
        EventKind::DriversNotLoaded { names } => {
            format!("these drivers were not loaded: {}", names.join(", "))
        }
        EventKind::ServiceInstalled { name, .. } => format!("the service {name} was installed"),
        EventKind::UpdateInstalled { title } => format!("Windows Update installed {title}"),
    }
}

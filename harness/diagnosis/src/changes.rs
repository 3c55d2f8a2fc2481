//! What changed shortly before the first failure.

use inspect::event_log::EventKind;
use inspect::traces::Traces;
use inspect::{Inspection, Known};
use jiff::{SignedDuration, Timestamp};

use crate::statement::{Statement, on_c};
use crate::stops::record;

/// What came longer before the first failure is not told.
const WINDOW: SignedDuration = SignedDuration::from_hours(7 * 24);
/// What changes together with so many others is an update of Windows, or its set-up.
const MANY: usize = 10;
/// Changes so near to each other were made together.
const TOGETHER: SignedDuration = SignedDuration::from_mins(10);
/// Changes that are told, the latest.
const TOLD: usize = 24;

/// What a change is of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Subject {
    /// A file, from the root of the system's volume.
    File(String),
    /// A service, by its name.
    Service(String),
    /// An INF, by its name in lower case.
    Inf(String),
    /// Something else.
    Other,
}

/// A change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Change {
    pub(crate) subject: Subject,
    pub(crate) time: Timestamp,
    pub(crate) statement: Statement,
}

/// When it began to fail, and since when a change may have to do with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Period {
    /// The first failure; absent where no record has its time.
    pub(crate) end: Option<Timestamp>,
}

impl Period {
    /// Whether a change at that time may have to do with the failure.
    fn holds(self, time: Timestamp, newest: Timestamp) -> bool {
        let end = self.end.unwrap_or(newest);
        time <= end && end.duration_since(time) <= WINDOW
    }
}

/// Changes in the week before the first failure, the latest first. Where its time is not known, in the week before the
/// latest change.
pub(crate) fn changes(inspection: &Inspection, traces: &Traces, period: Period) -> Vec<Change> {
    let mut all = Vec::new();
    all.extend(files(traces));
    all.extend(services(traces));
    all.extend(packages(traces));
    all.extend(installs(traces));
    all.extend(events(inspection));
    let Some(newest) = all.iter().map(|change| change.time).max() else { return Vec::new() };
    all.retain(|change| period.holds(change.time, newest));
    all.sort_by_key(|change| std::cmp::Reverse(change.time));
    all
}

/// What of them is told.
pub(crate) fn told(changes: &[Change], inspection: &Inspection, traces: &Traces) -> Vec<Statement> {
    let mut statements: Vec<Statement> =
        changes.iter().take(TOLD).map(|change| change.statement.clone()).collect();
    if changes.len() > TOLD {
        let text = format!("and {} more, older ones", changes.len() - TOLD);
        statements.push(Statement::new(text, "the same sources"));
    }
    if let Some(updates) = inspection.pending.updates.known() {
        let source = r"hive SOFTWARE and C:\Windows\WinSxS\pending.xml";
        statements.extend(updates.signs().into_iter().map(|sign| Statement::new(sign, source)));
    }
    for (what, source, reason) in [
        ("driver files", r"C:\Windows\System32\drivers", traces.driver_files.reason()),
        ("services", "hive SYSTEM", traces.services.reason()),
        ("packages", "hive SOFTWARE", traces.packages.reason()),
        ("installed devices", r"C:\Windows\INF\setupapi.dev.log", traces.setup_log.reason()),
        ("events", "System log", inspection.history.events.reason()),
    ] {
        if let Some(reason) = reason {
            statements.push(Statement::new(format!("{what} cannot be read: {reason}"), source));
        }
    }
    statements
}

/// Those that did not change together with many others.
fn alone<T>(items: &[T], time: impl Fn(&T) -> Option<Timestamp>) -> Vec<(&T, Timestamp)> {
    let mut all: Vec<(&T, Timestamp)> =
        items.iter().filter_map(|item| Some((item, time(item)?))).collect();
    all.sort_by_key(|(_, at)| *at);
    let times: Vec<Timestamp> = all.iter().map(|(_, at)| *at).collect();
    let near = |at: Timestamp| {
        let from = times.partition_point(|other| at.duration_since(*other) > TOGETHER);
        let to = times.partition_point(|other| other.duration_since(at) <= TOGETHER);
        to - from
    };
    all.retain(|(_, at)| near(*at) < MANY);
    all
}

fn files(traces: &Traces) -> Vec<Change> {
    let files = traces.driver_files.known().map_or(&[][..], Vec::as_slice);
    let change = |(file, time): (&inspect::traces::FileTrace, Timestamp)| Change {
        subject: Subject::File(file.path.clone()),
        time,
        statement: Statement::new(
            format!("the file {} was written", file.name()),
            format!("time of {}", on_c(&file.path)),
        )
        .at(Some(time)),
    };
    alone(files, |file| file.changed).into_iter().map(change).collect()
}

fn services(traces: &Traces) -> Vec<Change> {
    let services = traces.services.known().map_or(&[][..], Vec::as_slice);
    let change = |(service, time): (&inspect::traces::ServiceTrace, Timestamp)| Change {
        subject: Subject::Service(service.name.clone()),
        time,
        statement: Statement::new(
            format!("the service {} was registered or changed", service.name),
            format!(r"hive SYSTEM, time of the key Services\{}", service.name),
        )
        .at(Some(time)),
    };
    alone(services, |service| service.written).into_iter().map(change).collect()
}

fn packages(traces: &Traces) -> Vec<Change> {
    let packages = traces.packages.known().into_iter().flatten();
    packages
        .filter_map(|package| {
            let time = package.installed?;
            let text = format!("the package {} was installed", package.name);
            let source = "hive SOFTWARE, Component Based Servicing";
            let statement = Statement::new(text, source).at(Some(time));
            Some(Change { subject: Subject::Other, time, statement })
        })
        .collect()
}

fn installs(traces: &Traces) -> Vec<Change> {
    let (Known::Known(log), Known::Known(bias)) = (&traces.setup_log, &traces.minutes_to_utc)
    else {
        return Vec::new();
    };
    let minutes = SignedDuration::from_mins(i64::from(*bias));
    log.installs
        .iter()
        .filter_map(|install| {
            let local = install.began?.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp();
            let time = local.checked_add(minutes).ok()?;
            let came = match install.succeeded {
                Some(true) => "",
                Some(false) => ", and it failed",
                None => ", and the log does not say how it ended",
            };
            let source = format!("{}, line {}", on_c(&log.path), install.line);
            let statement =
                Statement::new(format!("{}{came}", install.title), source).at(Some(time));
            let subject = install.inf().map_or(Subject::Other, Subject::Inf);
            Some(Change { subject, time, statement })
        })
        .collect()
}

fn events(inspection: &Inspection) -> Vec<Change> {
    let events = inspection.history.events.known().map_or(&[][..], |log| &log.changes);
    events
        .iter()
        .filter_map(|event| {
            let (subject, text) = match &event.kind {
                EventKind::ServiceInstalled { name, file } => {
                    let file = file.as_deref().unwrap_or("a file that it does not name");
                    (
                        Subject::Service(name.clone()),
                        format!("the service {name} was installed, for {file}"),
                    )
                }
                EventKind::UpdateInstalled { title } => {
                    (Subject::Other, format!("Windows Update installed {title}"))
                }
                _ => return None,
            };
            let time = event.time?;
            let statement = Statement::new(text, record(event)).at(Some(time));
            Some(Change { subject, time, statement })
        })
        .collect()
}

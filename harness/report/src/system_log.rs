//! What the System log of the machine says, as lines.

use timeline::{LogEntry, Logged, Signature, StopCode};

use crate::text::{self, GUEST_TEXT, clean};

/// More than this are counted.
const LINES: usize = 8;

/// A line for each thing that the log tells, in its order; what comes again is counted.
pub(crate) fn lines(log: &[Logged]) -> Vec<String> {
    let mut told: Vec<(String, usize)> = Vec::new();
    for line in log.iter().filter_map(|logged| words(&logged.entry)) {
        match told.iter_mut().find(|(known, _)| *known == line) {
            Some((_, count)) => *count += 1,
            None => told.push((line, 1)),
        }
    }
    let more = told.len().saturating_sub(LINES);
    let line = |(line, count): &(String, usize)| match count {
        1 => line.clone(),
        count => format!("{line}; {count} times"),
    };
    let mut lines: Vec<String> = told.iter().take(LINES).map(line).collect();
    if more > 0 {
        lines.push(format!("and {more} more"));
    }
    lines
}

/// `None` where an entry is nothing that a report has to say.
fn words(entry: &LogEntry) -> Option<String> {
    let stop = |code: u64| {
        text::stop(&Signature { code: Some(StopCode(code)), module: None, access: None })
    };
    Some(match entry {
        LogEntry::Started => return None,
        LogEntry::StartFailed { name, error } => {
            let error = error.map_or_else(String::new, |error| format!(": Windows error {error}"));
            format!("{} did not start{error}", clean(name, GUEST_TEXT))
        }
        LogEntry::NotLoaded { names } => {
            format!("not loaded: {}", clean(&names.join(", "), GUEST_TEXT))
        }
        LogEntry::UnexpectedRestart { bug_check: Some(bug_check) } => {
            format!("started again after the stop {}", stop(bug_check.code))
        }
        LogEntry::UnexpectedRestart { bug_check: None } => {
            "started again without having been shut down, and without a stop".to_owned()
        }
        LogEntry::BugCheckReported { bug_check: Some(bug_check), .. } => {
            format!("reported the stop {}", stop(bug_check.code))
        }
        LogEntry::BugCheckReported { bug_check: None, .. } => "reported a stop".to_owned(),
        LogEntry::DirtyShutdown => "the shutdown before was not a clean one".to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use timeline::{BugCheck, Confidence};

    use super::*;

    #[test]
    fn what_comes_again_is_counted() {
        let logged = |entry| Logged { seq: 0, record: 0, confidence: Confidence::GuestSays, entry };
        let failed =
            |name: &str| logged(LogEntry::StartFailed { name: name.to_owned(), error: Some(577) });
        let bug_check = BugCheck { code: 0x50, parameters: [0; 4] };
        let mut log = vec![
            logged(LogEntry::Started),
            failed("csagent"),
            failed("csagent"),
            logged(LogEntry::NotLoaded { names: vec!["a\u{1b}[31m".to_owned(), "b".to_owned()] }),
            logged(LogEntry::UnexpectedRestart { bug_check: Some(bug_check) }),
        ];
        let told = lines(&log);
        assert_eq!(told[0], "csagent did not start: Windows error 577; 2 times");
        assert!(told[1].starts_with("not loaded: a") && !told[1].contains('\u{1b}'), "{told:?}");
        assert_eq!(told[2], "started again after the stop 0x50 PAGE_FAULT_IN_NONPAGED_AREA");
        assert_eq!(told.len(), 3);
        log.extend((0..20).map(|number| failed(&number.to_string())));
        let told = lines(&log);
        assert_eq!((told.len(), told[LINES].as_str()), (LINES + 1, "and 15 more"));
    }
}

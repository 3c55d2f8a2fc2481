//! What the disk told after the run, and how dumps find their boots.

use std::collections::BTreeMap;

use crate::{Body, Boot, BootKind, BugCheck, DumpSeen, End, Event, ForcedStop, Logged, StopCode};

/// A dump, as found.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Dump {
    /// The event.
    pub seq: u64,
    /// Path within Windows.
    pub path: String,
    /// Copy within the run directory.
    pub file: String,
    /// `kernel`, `full`, `small`, …
    pub kind: String,
    /// From its header.
    pub bug_check: BugCheck,
    /// The module it blames, lower case.
    pub module: Option<String>,
    /// The guest's time, RFC 3339.
    pub time: String,
    /// The boot that wrote it, where one was found.
    pub boot: Option<u32>,
}

/// Observations of the disk. They count whenever they come: the machine is off by then.
#[derive(Debug, Clone, Default)]
pub(crate) struct Findings {
    pub(crate) dumps: Vec<Dump>,
    /// Path to kind of change.
    pub(crate) changes: BTreeMap<String, String>,
    /// Path to intact.
    pub(crate) canaries: BTreeMap<String, bool>,
    /// What the System log says, each entry once.
    pub(crate) log: Vec<Logged>,
}

impl Findings {
    pub(crate) fn take(&mut self, event: &Event) {
        match &event.body {
            Body::Dump { path, file, kind, bug_check, module, time } => self.dumps.push(Dump {
                seq: event.seq,
                path: path.clone(),
                file: file.clone(),
                kind: kind.clone(),
                bug_check: *bug_check,
                module: module.as_ref().map(|module| module.to_ascii_lowercase()),
                time: time.clone(),
                boot: None,
            }),
            Body::DiskChange { path, change } => {
                self.changes.insert(path.clone(), change.clone());
            }
            Body::Canary { path, intact } => {
                // Once found damaged is damaged, whatever a later look says.
                let known = self.canaries.entry(path.clone()).or_insert(true);
                *known &= intact;
            }
            Body::SystemLog { record, entry, .. } => {
                let (seq, confidence) = (event.seq, event.confidence());
                let logged = Logged { seq, record: *record, confidence, entry: entry.clone() };
                if !self.log.iter().any(|known| known.record == *record) {
                    self.log.push(logged);
                }
            }
            _ => {}
        }
    }
}

/// Gives each dump to the boot that wrote it, and tells the boots.
///
/// Windows keeps one kernel or full dump, which each stop overwrites, and every small one. So dumps of a
/// kind are in order of their time those of the stops in order, where the counts agree; where there are
/// fewer, they are those of the last stops. A dump whose time cannot be read keeps its place in the
/// list. Those of a stop that the harness made go to that, and none of the others to a boot whose stop is known to have
/// another code: what was written last was not written by a boot.
pub(crate) fn match_dumps(
    boots: &mut [Boot],
    dumps: &[Dump],
    mut forced: Option<&mut ForcedStop>,
) -> Vec<Dump> {
    let code_of = |boot: &Boot| boot.stop.as_ref().and_then(|stop| stop.signature().code);
    let mut matched = dumps.to_vec();
    if let Some(forced) = &mut forced {
        // Where a boot stopped in the same way, nothing tells whose a dump is.
        let boots_own = |dump: &Dump| {
            let code = Some(StopCode(dump.bug_check.code));
            boots.iter().any(|boot| code_of(boot) == code)
        };
        let own = matched.extract_if(.., |dump| forced.fits(dump) && !boots_own(dump));
        forced.dumps = own.map(|dump| Dump { boot: Some(forced.boot), ..dump }).collect();
    }
    let stopped: Vec<usize> = boots
        .iter()
        .enumerate()
        .filter(|(_, boot)| {
            boot.kind() == BootKind::Windows
                && (boot.stop.is_some() || matches!(boot.end, End::BugCheck))
        })
        .map(|(index, _)| index)
        .collect();
    let mut by_kind: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    let told = |dump: &Dump| forced.as_ref().is_none_or(|forced| !forced.fits(dump));
    for (index, dump) in matched.iter().enumerate().filter(|(_, dump)| told(dump)) {
        by_kind.entry(dump.kind.clone()).or_default().push(index);
    }
    for indices in by_kind.values_mut() {
        indices.sort_by_key(|&index| {
            let dump = &matched[index];
            (dump.time.parse::<jiff::Timestamp>().ok(), dump.seq)
        });
        for (&dump, &boot) in indices.iter().rev().zip(stopped.iter().rev()) {
            let (dump, boot) = (&mut matched[dump], &mut boots[boot]);
            if forced.is_some() && code_of(boot) != Some(StopCode(dump.bug_check.code)) {
                continue;
            }
            dump.boot = Some(boot.number);
            let seen = boot.stop.get_or_insert_default();
            let blames = seen.dump.as_ref().and_then(|dump| dump.module.clone());
            seen.dump = Some(DumpSeen {
                seq: dump.seq,
                bug_check: dump.bug_check,
                module: dump.module.clone().or(blames),
            });
            boot.note(dump.seq, crate::Confidence::Observed, format!("{} dump", dump.kind));
        }
    }
    matched
}

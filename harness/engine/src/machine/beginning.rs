//! The beginning of a run, kept for runs that go the same way until their machine is given up.
//!
//! What one layer does to a machine and what another does are different runs of the same loop. The loop is driven once:
//! the run that comes first keeps its machine, switched off, as it was given up; the others start from a copy of it,
//! with the events until then as the beginning of their own record.

use std::path::Path;
use std::time::Duration;

use timeline::{Body, Event, Observation, RunFacts, Source, Verdict, Watcher};

use crate::error::RunError;
use crate::offline::{Before, MachineFiles, copy_directory, copy_writable};
use crate::record::{CAPTURE, CAPTURE_OF_THE_BEGINNING};

/// A machine as it was given up for the first time, and how it got there.
#[derive(Debug)]
pub(crate) struct Beginning {
    /// The run that it is the beginning of.
    run: String,
    /// Its disk, variables, TPM state and evidence; gone with this.
    folder: tempfile::TempDir,
    before: Before,
    /// From `run-started` to the event with which the machine was given up, and lines that came late.
    events: Vec<Event>,
    /// The event with which it was given up.
    given_up: usize,
    /// How it was switched off, and what came late.
    afterwards: Vec<Observation>,
    /// So much of its time the host gave its emulator no processor.
    kept_waiting: Duration,
}

/// What a run that begins with it needs besides the files.
#[derive(Debug)]
pub(crate) struct TakenOver {
    /// The run that it is the beginning of.
    pub(crate) run: String,
    /// From the first event after `run-started` to the one with which the machine was given up.
    pub(crate) events: Vec<Event>,
    /// How the machine was switched off, and what came late: to be said in the record when its turn comes.
    pub(crate) afterwards: Vec<Observation>,
    /// How long it had been running, on the host's clock.
    pub(crate) lasted: Duration,
    /// What of that counts against limits.
    pub(crate) spent: Duration,
}

impl TakenOver {
    /// Frames whose content was not known yet.
    pub(crate) fn not_looked_at(&self) -> impl Iterator<Item = &str> {
        let bodies = || self.events.iter().map(|event| &event.body);
        let bodies = move || bodies().chain(self.afterwards.iter().map(|seen| &seen.body));
        let known = move |frame: &str| {
            bodies().any(|body| matches!(body, Body::Screen { file, .. } if file == frame))
        };
        self.events.iter().filter_map(move |event| match &event.body {
            Body::Frame { file, .. } if !known(file) => Some(file.as_str()),
            _ => None,
        })
    }
}

impl Beginning {
    /// Keeps a machine that is off, in `folder`. `record` is the run's `events.jsonl`, `evidence` its folder `machine`.
    ///
    /// `None` where the record does not end with a machine that was given up for the first time, or where it had
    /// spoken with a service of the harness, whose memory is not kept.
    pub(crate) fn keep(
        run: &str,
        folder: tempfile::TempDir,
        files: &MachineFiles,
        (record, evidence): (&Path, &Path),
        before: Before,
        kept_waiting: Duration,
    ) -> Result<Option<Self>, RunError> {
        let text = fs_err::read_to_string(record)?;
        // The last line may be only half written; it is not part of the beginning then.
        let Ok(read) = timeline::read_events(&text) else { return Ok(None) };
        let mut events = read.events;
        let Some(facts) = events.first().and_then(facts_of) else { return Ok(None) };
        let Some(last) = given_up_at(facts.clone(), &events) else { return Ok(None) };
        // What was asked until it was off is remembered as well.
        if events.iter().any(|event| matches!(event.body, Body::Service { .. })) {
            return Ok(None);
        }
        let mut later = events.split_off(last + 1);
        // A reset may overtake the stop line that belongs before it; the watcher gives it back.
        let late = later.extract_if(.., |event| matches!(event.body, Body::SerialLine { .. }));
        events.extend(late);
        for (seq, event) in events.iter_mut().enumerate() {
            event.seq = seq as u64;
        }
        let seen = |file: &str| {
            let is =
                |event: &Event| matches!(&event.body, Body::Frame { file: of, .. } if of == file);
            events.iter().any(is)
        };
        let afterwards = later.into_iter().filter(|event| match &event.body {
            Body::Screen { file, .. } => seen(file),
            _ => event.source == Source::Hypervisor,
        });
        let afterwards: Vec<Observation> =
            afterwards.map(|Event { source, body, .. }| Observation { source, body }).collect();
        // Else it could not be said that it is off.
        if !afterwards.iter().any(|seen| matches!(seen.body, Body::MachineStopped { .. })) {
            return Ok(None);
        }
        copy_files(files, &kept(folder.path(), files))?;
        copy_evidence(evidence, &folder.path().join("machine"))?;
        Ok(Some(Self {
            run: run.to_owned(),
            folder,
            before,
            events,
            given_up: last,
            afterwards,
            kept_waiting,
        }))
    }

    /// True where a run with these facts goes this way too: nothing else would have been done to its machine until it
    /// is given up, and then it is.
    pub(crate) fn leads_to(&self, facts: &RunFacts) -> bool {
        given_up_at(facts.clone(), &self.events) == Some(self.given_up)
    }

    /// Makes a machine of it: its files, and what was seen of it in the folder `evidence`.
    pub(crate) fn take_over(
        &self,
        files: &MachineFiles,
        evidence: &Path,
    ) -> Result<(Before, TakenOver), RunError> {
        copy_files(&kept(self.folder.path(), files), files)?;
        copy_evidence(&self.folder.path().join("machine"), evidence)?;
        let events = self.events.iter().skip(1).cloned().collect();
        let lasted = self.events.last().map_or(0, |event| event.at_us);
        let lasted = Duration::from_micros(lasted);
        let taken_over = TakenOver {
            run: self.run.clone(),
            events,
            afterwards: self.afterwards.clone(),
            lasted,
            spent: lasted.saturating_sub(self.kept_waiting),
        };
        Ok((self.before.clone(), taken_over))
    }
}

fn facts_of(event: &Event) -> Option<&RunFacts> {
    match &event.body {
        Body::RunStarted { facts } => Some(facts),
        _ => None,
    }
}

/// The first event after which the machine is given up, for good or to a layer, in a run with these facts. `None`
/// where something else is to be done to it before, or where it is never given up.
fn given_up_at(facts: RunFacts, events: &[Event]) -> Option<usize> {
    let hopeless = [Verdict::Looping, Verdict::StuckInRecovery, Verdict::Hung];
    let mut watcher = Watcher::new();
    for (index, event) in events.iter().enumerate() {
        match index {
            0 => watcher.feed(&Event {
                body: Body::RunStarted { facts: Box::new(facts.clone()) },
                ..event.clone()
            }),
            _ => watcher.feed(event),
        }
        if watcher.awaits_layer().is_some() {
            return Some(index);
        }
        if let Some(conclusion) = watcher.conclusion() {
            return hopeless.contains(&conclusion.verdict).then_some(index);
        }
    }
    None
}

/// Where the files of a machine lie in a folder of their own.
fn kept(folder: &Path, files: &MachineFiles) -> MachineFiles {
    let part = |name: &str| folder.join(name);
    MachineFiles {
        disk: part("disk.qcow2"),
        variables: files.variables.as_ref().map(|_| part("vars.fd")),
        tpm: files.tpm.as_ref().map(|_| part("tpm")),
    }
}

fn copy_files(from: &MachineFiles, to: &MachineFiles) -> Result<(), RunError> {
    // An overlay names what lies below it by a whole path, so it can lie anywhere.
    fs_err::copy(&from.disk, &to.disk)?;
    if let (Some(from), Some(to)) = (&from.variables, &to.variables) {
        copy_writable(from, to)?;
    }
    if let (Some(from), Some(to)) = (&from.tpm, &to.tpm) {
        copy_directory(from, to)?;
    }
    Ok(())
}

/// Copies frames, serial logs and capture. Nothing is linked: the other run goes on writing into its own.
fn copy_evidence(from: &Path, to: &Path) -> Result<(), RunError> {
    copy_directory(from, to)?;
    let frames = from.join("frames");
    if frames.is_dir() {
        copy_directory(&frames, &to.join("frames"))?;
    }
    let capture = to.join(CAPTURE);
    if capture.is_file() {
        // The other run's network begins a capture of its own.
        fs_err::rename(&capture, to.join(CAPTURE_OF_THE_BEGINNING))?;
    }
    Ok(())
}

//! The recorder: the one place where observations of all sources become a numbered, stamped, durable
//! stream of events.
//!
//! Emitters call a [`Sink`] from whatever thread they are on; the time is taken in that call. A single
//! task puts the observations in order, appends each to `events.jsonl`, feeds the timeline's watcher and
//! wakes whoever waits for the machine to get somewhere. So there is one order of events, and the live
//! decision rests on exactly what is recorded.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Instant;

use timeline::{Body, Conclusion, Event, Observation, Phase, RunFacts, Sink, Source, Watcher};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

/// Writing the events failed.
#[derive(Debug, thiserror::Error)]
#[error("the events cannot be written to {path}: {source}; is the disk full?")]
pub struct RecordError {
    path: PathBuf,
    source: std::io::Error,
}

enum Message {
    Observed(Instant, Observation),
    Finish,
}

/// Records one run.
pub struct Recorder {
    sender: mpsc::UnboundedSender<Message>,
    progress: watch::Receiver<Progress>,
    task: JoinHandle<Result<Vec<Event>, RecordError>>,
}

/// Where the run stands after the latest event. Whoever waits for something waits on this.
#[derive(Debug, Clone, Default)]
pub struct Progress {
    /// The boot that is going on, from 1; 0 while the machine is off.
    pub boot: u32,
    /// The furthest phase of that boot.
    pub phase: Option<Phase>,
    /// The boot in which only staying healthy can decide; see [`Watcher::settling`].
    pub settling: Option<u32>,
    /// The verdict, as soon as it can no longer change.
    pub conclusion: Option<Conclusion>,
    /// True once the machine was reported to be off.
    pub off: bool,
    /// Number of events so far.
    pub events: u64,
    /// What was recorded last that a person would want to read.
    pub latest: String,
    /// True once the recorder cannot write any more.
    pub broken: bool,
}

impl Recorder {
    /// Begins `events.jsonl` at `path`, which must not exist, with the `run-started` event.
    pub fn begin(path: &Path, facts: RunFacts) -> Result<Self, RecordError> {
        let failed = |source| RecordError { path: path.to_path_buf(), source };
        let file =
            std::fs::OpenOptions::new().create_new(true).append(true).open(path).map_err(failed)?;
        let (sender, receiver) = mpsc::unbounded_channel();
        let (announce, progress) = watch::channel(Progress::default());
        let start = Instant::now();
        let first = Observation {
            source: Source::Harness,
            body: Body::RunStarted { facts: Box::new(facts) },
        };
        let mut writer = Writer {
            path: path.to_path_buf(),
            file,
            start,
            events: Vec::new(),
            watcher: Watcher::new(),
            progress: Progress::default(),
            announce,
        };
        writer.record(start, first)?;
        let task = tokio::spawn(writer.run(receiver));
        Ok(Self { sender, progress, task })
    }

    /// Where observations go.
    pub fn sink(&self) -> Sink {
        let sender = self.sender.clone();
        Sink::new(move |observation| {
            // After the recorder has finished there is nobody left who could want the observation.
            let _ = sender.send(Message::Observed(Instant::now(), observation));
        })
    }

    /// Follows the run.
    pub fn progress(&self) -> watch::Receiver<Progress> {
        self.progress.clone()
    }

    /// Writes `run-ended` and gives the events back.
    pub async fn finish(self) -> Result<Vec<Event>, RecordError> {
        self.sink().emit(Source::Harness, Body::RunEnded);
        let _ = self.sender.send(Message::Finish);
        match self.task.await {
            Ok(result) => result,
            Err(panic) => std::panic::resume_unwind(panic.into_panic()),
        }
    }
}

struct Writer {
    path: PathBuf,
    file: std::fs::File,
    start: Instant,
    events: Vec<Event>,
    watcher: Watcher,
    progress: Progress,
    announce: watch::Sender<Progress>,
}

impl Writer {
    async fn run(
        mut self,
        mut receiver: mpsc::UnboundedReceiver<Message>,
    ) -> Result<Vec<Event>, RecordError> {
        while let Some(message) = receiver.recv().await {
            match message {
                Message::Observed(at, observation) => {
                    if let Err(error) = self.record(at, observation) {
                        self.progress.broken = true;
                        self.announce.send_replace(self.progress.clone());
                        return Err(error);
                    }
                }
                Message::Finish => break,
            }
        }
        let path = self.path;
        self.file.sync_all().map_err(|source| RecordError { path, source })?;
        Ok(self.events)
    }

    fn record(&mut self, at: Instant, observation: Observation) -> Result<(), RecordError> {
        // Two threads may take their times in one order and arrive in the other; the record never runs
        // backwards.
        let at_us = u64::try_from(at.saturating_duration_since(self.start).as_micros())
            .unwrap_or(u64::MAX)
            .max(self.events.last().map_or(0, |event| event.at_us));
        let event = Event {
            seq: self.events.len() as u64,
            at_us,
            source: observation.source,
            body: observation.body,
        };
        let mut line = serde_json::to_string(&event).expect("an event is plain data");
        line.push('\n');
        self.file
            .write_all(line.as_bytes())
            .map_err(|source| RecordError { path: self.path.clone(), source })?;
        self.watcher.feed(&event);
        // Not `Watcher::current`: for the timeline a boot is over with the conclusion, but the machine is
        // still in it, and a healthy one is shut down.
        self.progress.phase = self.watcher.phase();
        let boot = self.watcher.boots().last().filter(|_| self.progress.phase.is_some());
        self.progress.boot = boot.map_or(0, |boot| boot.number);
        self.progress.settling = self.watcher.settling();
        self.progress.conclusion = self.watcher.conclusion();
        self.progress.events = event.seq + 1;
        match &event.body {
            Body::MachineStarted { .. } => self.progress.off = false,
            Body::MachineStopped { .. } => self.progress.off = true,
            _ => {}
        }
        if let Body::SerialLine { text, .. } = &event.body {
            self.progress.latest.clone_from(text);
        } else if let Body::Step { name, .. } = &event.body {
            self.progress.latest.clone_from(name);
        }
        self.events.push(event);
        self.announce.send_replace(self.progress.clone());
        Ok(())
    }
}

//! The recorder: the one place where observations of all sources become a numbered, stamped, durable
//! stream of events.
//!
//! Emitters call a [`Sink`] from whatever thread they are on; the time is taken in that call. A single
//! task puts the observations in order, appends each to `events.jsonl`, feeds the timeline's watcher and
//! wakes whoever waits for the machine to get somewhere. So there is one order of events, and the live
//! decision rests on exactly what is recorded. Frames of the display are looked at beside it, and what they
//! show is recorded as an observation like any other.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Instant;

use timeline::{
    Body, Conclusion, Event, ForcedStop, Layer, Observation, OwnStart, Phase, RunFacts, Sink,
    Source, Verdict, Watcher,
};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use super::frame_reader::FrameReader;
use crate::host_disk::advice;

/// Writing the events failed.
#[derive(Debug, thiserror::Error)]
#[error("the events cannot be written to {path}: {source}; {advice}")]
pub struct RecordError {
    path: PathBuf,
    source: std::io::Error,
    advice: String,
}

impl RecordError {
    fn new(path: &Path, source: std::io::Error) -> Self {
        Self { path: path.to_path_buf(), source, advice: advice(path) }
    }
}

enum Message {
    Observed(Instant, Box<Observation>),
    /// Where the files of frames go from now on; `None`: nowhere.
    Frames(Option<mpsc::UnboundedSender<String>>),
    Finish,
}

/// Records one run.
pub struct Recorder {
    sender: mpsc::UnboundedSender<Message>,
    progress: watch::Receiver<Progress>,
    task: JoinHandle<Result<Vec<Event>, RecordError>>,
    frame_reader: Option<FrameReader>,
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
    /// True where that boot has stopped.
    pub stopped: bool,
    /// True while its display shows a stop screen.
    pub at_stop_screen: bool,
    /// The boot that stands at its stop screen until the scenario's operator comes; see
    /// [`Watcher::awaits_power_cycle`].
    pub awaits_power_cycle: Option<u32>,
    /// The layer that is to be worked; see [`Watcher::awaits_layer`].
    pub awaits_layer: Option<Layer>,
    /// How the start of that layer stands; see [`Watcher::own_start`].
    pub own_start: Option<OwnStart>,
    /// The machine is to be started once more; see [`Watcher::awaits_second_start`].
    pub awaits_second_start: bool,
    /// True once the watch has ended.
    pub watch_ended: bool,
    /// The boot that hangs then; see [`Watcher::hangs`].
    pub hangs: Option<u32>,
    /// The stop that the harness made of that machine; see [`Watcher::forced_stop`].
    pub forced_stop: Option<ForcedStop>,
    /// True once the machine was reported to be off.
    pub off: bool,
    /// Number of events so far.
    pub events: u64,
    /// What was recorded last that a person would want to read.
    pub latest: String,
    /// True once the recorder cannot write any more.
    pub broken: bool,
}

impl Progress {
    /// True once nothing can be said about the machine any more, because the harness or the host failed.
    pub(crate) fn has_failed(&self) -> bool {
        self.conclusion.as_ref().is_some_and(|end| end.verdict == Verdict::Infrastructure)
    }
}

impl Recorder {
    /// Begins `events.jsonl` at `path`, which must not exist, with the `run-started` event.
    pub fn begin(path: &Path, facts: RunFacts) -> Result<Self, RecordError> {
        Self::begin_with(path, facts, &[])
    }

    /// As [`begin`](Self::begin), with what another run recorded after its own `run-started`: the record goes on from
    /// there, at its time.
    pub fn begin_with(
        path: &Path,
        facts: RunFacts,
        beginning: &[Event],
    ) -> Result<Self, RecordError> {
        let failed = |source| RecordError::new(path, source);
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
            offset_us: 0,
            events: Vec::new(),
            watcher: Watcher::new(),
            progress: Progress::default(),
            announce,
            frames: None,
        };
        writer.record(start, first)?;
        for event in beginning {
            writer.append(event.clone())?;
        }
        writer.offset_us = writer.events.last().map_or(0, |event| event.at_us);
        let task = tokio::spawn(writer.run(receiver));
        Ok(Self { sender, progress, task, frame_reader: None })
    }

    /// Looks at the frames that are recorded from now on: files below `evidence`.
    pub fn look_at_frames(&mut self, evidence: &Path) {
        let frame_reader = FrameReader::begin(evidence.to_path_buf(), self.sink());
        let _ = self.sender.send(Message::Frames(Some(frame_reader.frames())));
        self.frame_reader = Some(frame_reader);
    }

    /// Looks at a frame that was recorded before.
    pub fn look_at(&self, frame: &str) {
        if let Some(frame_reader) = &self.frame_reader {
            // Nobody looks any more: the recorder is about to finish.
            let _ = frame_reader.frames().send(frame.to_owned());
        }
    }

    /// Where observations go.
    pub fn sink(&self) -> Sink {
        let sender = self.sender.clone();
        Sink::new(move |observation| {
            // After the recorder has finished there is nobody left who could want the observation.
            let _ = sender.send(Message::Observed(Instant::now(), Box::new(observation)));
        })
    }

    /// Follows the run.
    pub fn progress(&self) -> watch::Receiver<Progress> {
        self.progress.clone()
    }

    /// Writes `run-ended` and gives the events back.
    pub async fn finish(mut self) -> Result<Vec<Event>, RecordError> {
        let _ = self.sender.send(Message::Frames(None));
        if let Some(frame_reader) = self.frame_reader.take() {
            frame_reader.end().await;
        }
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
    /// When it began, in the time of the record.
    offset_us: u64,
    events: Vec<Event>,
    watcher: Watcher,
    progress: Progress,
    announce: watch::Sender<Progress>,
    frames: Option<mpsc::UnboundedSender<String>>,
}

impl Writer {
    async fn run(
        mut self,
        mut receiver: mpsc::UnboundedReceiver<Message>,
    ) -> Result<Vec<Event>, RecordError> {
        while let Some(message) = receiver.recv().await {
            match message {
                Message::Observed(at, observation) => {
                    if let Err(error) = self.record(at, *observation) {
                        self.progress.broken = true;
                        self.announce.send_replace(self.progress.clone());
                        return Err(error);
                    }
                }
                Message::Frames(frames) => self.frames = frames,
                Message::Finish => break,
            }
        }
        self.file.sync_all().map_err(|source| RecordError::new(&self.path, source))?;
        Ok(self.events)
    }

    fn record(&mut self, at: Instant, observation: Observation) -> Result<(), RecordError> {
        // Two threads may take their times in one order and arrive in the other; the record never runs
        // backwards.
        let at_us = u64::try_from(at.saturating_duration_since(self.start).as_micros())
            .unwrap_or(u64::MAX)
            .saturating_add(self.offset_us)
            .max(self.events.last().map_or(0, |event| event.at_us));
        let Observation { source, body } = observation;
        self.append(Event { seq: self.events.len() as u64, at_us, source, body })
    }

    fn append(&mut self, event: Event) -> Result<(), RecordError> {
        let mut line = serde_json::to_string(&event).expect("an event is plain data");
        line.push('\n');
        self.file
            .write_all(line.as_bytes())
            .map_err(|source| RecordError::new(&self.path, source))?;
        self.watcher.feed(&event);
        // Not `Watcher::current`: for the timeline a boot is over with the conclusion, but the machine is
        // still in it, and a healthy one is shut down.
        self.progress.phase = self.watcher.phase();
        let boot = self.watcher.boots().last().filter(|_| self.progress.phase.is_some());
        self.progress.boot = boot.map_or(0, |boot| boot.number);
        self.progress.stopped = self.watcher.has_stopped();
        self.progress.at_stop_screen = self.watcher.at_stop_screen();
        self.progress.awaits_power_cycle = self.watcher.awaits_power_cycle();
        self.progress.awaits_layer = self.watcher.awaits_layer();
        self.progress.own_start = self.watcher.own_start();
        self.progress.awaits_second_start = self.watcher.awaits_second_start();
        self.progress.settling = self.watcher.settling();
        self.progress.conclusion = self.watcher.conclusion();
        self.progress.hangs = self.watcher.hangs();
        self.progress.forced_stop = self.watcher.forced_stop().cloned();
        self.progress.events = event.seq + 1;
        match &event.body {
            Body::MachineStarted { .. } => self.progress.off = false,
            Body::MachineStopped { .. } => self.progress.off = true,
            Body::WatchEnded { .. } => self.progress.watch_ended = true,
            Body::Frame { file, .. } => {
                if let Some(frames) = &self.frames {
                    // Nobody looks any more: the recorder is about to finish.
                    let _ = frames.send(file.clone());
                }
            }
            Body::SerialLine { text, .. } => self.progress.latest.clone_from(text),
            Body::Step { name, .. } => self.progress.latest.clone_from(name),
            Body::Screen { screen, .. } if screen.is_stop() => {
                "the display shows a stop screen".clone_into(&mut self.progress.latest);
            }
            _ => {}
        }
        self.events.push(event);
        self.announce.send_replace(self.progress.clone());
        Ok(())
    }
}

//! What a person sees while a run is under way.

use std::sync::{Arc, Mutex, PoisonError};

use scenario::Scenario;
use timeline::Phase;

use super::recorder::Progress;

/// Where one run stands.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Status {
    /// The scenario.
    pub scenario: String,
    /// The image that it runs on.
    pub image: String,
    /// What the harness does: `staging`, `taking a checkpoint`, `watching`, …
    pub doing: String,
    /// What it waits for.
    pub waits_for: String,
    /// The boot under way, from 1; 0 before the first.
    pub boot: u32,
    /// The phase it has reached.
    pub phase: Option<Phase>,
    /// The latest line worth reading.
    pub latest: String,
    /// True once the run is over.
    pub done: bool,
}

/// Takes every change of a run's status. Must not block.
pub type StatusSink = Arc<dyn Fn(&Status) + Send + Sync>;

/// Reports one run. Clones share its status.
#[derive(Clone)]
pub(crate) struct Reporter {
    status: Arc<Mutex<Status>>,
    sink: StatusSink,
}

impl Reporter {
    pub(crate) fn new(scenario: &Scenario, sink: StatusSink) -> Self {
        let (name, image) = (scenario.name.clone(), scenario.machine.image.clone());
        let status = Status { scenario: name, image, ..Status::default() };
        Self { status: Arc::new(Mutex::new(status)), sink }
    }

    pub(crate) fn doing(&self, what: &str) {
        self.change(|status| {
            what.clone_into(&mut status.doing);
            status.waits_for.clear();
        });
    }

    pub(crate) fn waits_for(&self, what: &str) {
        self.change(|status| what.clone_into(&mut status.waits_for));
    }

    pub(crate) fn follow(&self, progress: &Progress) {
        self.change(|status| {
            status.boot = progress.boot;
            status.phase = progress.phase;
            status.latest.clone_from(&progress.latest);
        });
    }

    pub(crate) fn done(&self) {
        self.change(|status| status.done = true);
    }

    fn change(&self, change: impl FnOnce(&mut Status)) {
        let mut status = self.status.lock().unwrap_or_else(PoisonError::into_inner);
        let before = status.clone();
        change(&mut status);
        if *status != before {
            (self.sink)(&status);
        }
    }
}

//! A machine that hangs writes a dump before it is switched off, where its image says that it does so at a non-maskable
//! interrupt (windows-facts 6.7): the dump is evidence of why it hung.
//!
//! The watch has ended by then. Nothing of this changes the verdict: a machine that does not answer is a failed step of
//! the record and no failure of the run.

use hypervisor::Machine;
use timeline::steps::FORCE_STOP;
use timeline::{Body, ForcedStop, Source, StepState};

use super::controller::MachineController;
use super::limits::{FORCED_DUMP, FORCED_DUMP_STANDS, FORCED_STOP};
use crate::record::Progress;

impl MachineController<'_> {
    /// Makes the machine stop, if it hangs and its image has a use for that, and waits for its dump.
    pub(super) async fn force_stop(&self, machine: &dyn Machine) {
        if !self.context.prepared.profile.hang.nmi {
            return;
        }
        let early = self.watch.ended_early();
        tokio::select! {
            biased;
            _ = early => {
                if self.watch.progress().borrow().forced_stop.is_some() {
                    self.force_stop_is(StepState::Failed, "the command is to end");
                }
            }
            () = self.stop_and_dump(machine) => {}
        }
    }

    async fn stop_and_dump(&self, machine: &dyn Machine) {
        let mut progress = self.watch.progress();
        // What was emitted is not recorded yet.
        let judged = progress.wait_for(|progress| progress.watch_ended || progress.broken).await;
        if !judged.is_ok_and(|progress| progress.hangs.is_some() && !progress.off) {
            return;
        }
        self.context.reporter.doing("making the machine that hangs write a dump");
        self.force_stop_is(StepState::Started, "");
        if let Err(error) = machine.inject_nmi().await {
            self.force_stop_is(StepState::Failed, &error.to_string());
            return;
        }
        let clock = self.watch.clock();
        let is = |what: fn(&ForcedStop) -> bool| {
            move |progress: &Progress| progress.forced_stop.as_ref().is_some_and(what)
        };
        let began = clock.now();
        let stopped = tokio::select! {
            biased;
            stopped = progress.wait_for(is(ForcedStop::is_seen)) => stopped.is_ok(),
            () = clock.has_had(FORCED_STOP, began) => false,
        };
        if !stopped {
            let seconds = FORCED_STOP.as_secs();
            let told = format!("within {seconds} s the machine was not seen to stop");
            self.force_stop_is(StepState::Failed, &told);
            return;
        }
        let over = is(|forced| forced.over);
        let began = clock.now();
        let detail = loop {
            if over(&progress.borrow_and_update()) {
                break "it stopped, and restarted or went off by itself: what it writes is written";
            }
            let quiet_since = clock.now();
            tokio::select! {
                biased;
                changed = progress.changed() => if changed.is_err() {
                    break "it stopped, and the events cannot be followed any more";
                },
                () = clock.has_had(FORCED_DUMP_STANDS, quiet_since) => {
                    break "it stopped, and stands there: what it writes is written";
                }
                () = clock.has_had(FORCED_DUMP, began) => {
                    break "it stopped, and its dump took too long";
                }
            }
        };
        self.force_stop_is(StepState::Done, detail);
    }

    fn force_stop_is(&self, state: StepState, detail: &str) {
        let (name, detail) = (FORCE_STOP.to_owned(), detail.to_owned());
        self.sink.emit(Source::Harness, Body::Step { name, state, detail });
    }
}

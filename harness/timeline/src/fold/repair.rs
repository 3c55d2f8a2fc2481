//! The repair of the disk from the host: it comes in the place of a verdict that gives the machine up.

use super::happening::What;
use super::watcher::Watcher;
use crate::{Body, Conclusion, Event, Layer, ResetBy, StepState, Verdict, steps};

impl Watcher {
    /// True where a machine of this verdict is repaired from the host before it is given up.
    pub(super) fn is_repaired_first(&self, verdict: Verdict) -> bool {
        let hopeless = [Verdict::Looping, Verdict::StuckInRecovery, Verdict::Hung];
        let declared = self.facts.as_ref().is_some_and(|facts| facts.host_repair);
        declared && self.repaired_after.is_none() && hopeless.contains(&verdict)
    }

    /// The boot in which the machine is given up to the repair ends here, whenever it is switched off.
    pub(super) fn give_up_boot(&mut self, event: &Event) {
        self.finish(event, false);
        if let Some(boot) = self.boots.last_mut().filter(|boot| boot.ended.is_none()) {
            (boot.ended, boot.reset_by) = (Some(event.into()), Some(ResetBy::Harness));
        }
    }

    /// Until the repair is done only it counts, and what was said before and comes late.
    pub(super) fn during_the_repair(&mut self, event: &Event) {
        let Body::Step { name, state, detail } = &event.body else {
            return self.after_the_watch(event);
        };
        if name.strip_prefix(steps::LAYER) != Some(Layer::HostRepair.name()) {
            return;
        }
        self.layers(event, None);
        match state {
            StepState::Started => {}
            StepState::Done => {
                self.repaired_after = self.boots.last().map(|boot| boot.number);
                self.to_repair = None;
                self.late_lines = false;
            }
            StepState::Failed => {
                let (name, detail) = (name.clone(), detail.clone());
                self.happen(event, What::StepFailed { name, detail });
                let given_up = self.to_repair.take();
                self.conclusion =
                    given_up.map(|given_up| Conclusion { moment: event.into(), ..given_up });
            }
        }
    }
}

//! Conclusions, and the layers that the harness works itself: they come in the place of a verdict that gives the
//! machine up.

use super::happening::What;
use super::own_start::{Again, LayerStart, OwnStart};
use super::watcher::Watcher;
use crate::conclusion::{Trigger, conclude};
use crate::{Body, Conclusion, Event, Layer, Moment, ResetBy, StepState, Verdict, steps};

impl Watcher {
    /// The layer that the harness is to work, while the machine would else be given up. The engine switches it off
    /// and does the step `layer NAME`; what the machine does until then is no part of the outcome.
    pub fn awaits_layer(&self) -> Option<Layer> {
        let waits = self.to_help.is_some() && self.watch_ended.is_none();
        self.next_layer().filter(|_| waits)
    }

    /// Concludes, where something follows from what has just happened. True where the boot is over by it.
    pub(super) fn conclude(&mut self, trigger: &Trigger<'_>, moment: Moment) -> bool {
        let nobodys = matches!(trigger, Trigger::HarnessFailed(_) | Trigger::ModelLacks(_));
        if self.in_own_start() && !nobodys {
            return self.own_start_moves(trigger);
        }
        let Some((verdict, mut because)) = conclude(self, trigger) else { return false };
        if self.is_proved_by_a_second_start(verdict) {
            self.again = Again::Awaited;
            return true;
        }
        if verdict == Verdict::Recovered && self.is_second_start() {
            because += ", and once more when it was started again";
        }
        let conclusion = Conclusion { verdict, because, moment };
        if self.is_helped_first(verdict) {
            self.to_help = Some(conclusion);
            return true;
        }
        self.conclusion = Some(conclusion);
        true
    }

    /// The layer that is worked before a machine of this verdict is given up.
    pub(super) fn is_helped_first(&self, verdict: Verdict) -> bool {
        let hopeless = [Verdict::Looping, Verdict::StuckInRecovery, Verdict::Hung];
        self.next_layer().is_some() && hopeless.contains(&verdict)
    }

    /// The first of the layers that was not tried yet.
    pub(super) fn next_layer(&self) -> Option<Layer> {
        self.facts.as_ref()?.driven.get(self.layers_tried).copied()
    }

    /// The boot in which the machine is given up to the layer ends here, whenever it is switched off.
    pub(super) fn give_up_boot(&mut self, event: &Event) {
        self.finish(event, false);
        if let Some(boot) = self.boots.last_mut().filter(|boot| boot.ended.is_none()) {
            (boot.ended, boot.reset_by) = (Some(event.into()), Some(ResetBy::Harness));
        }
    }

    /// Until the layer is through only it counts, and what was said before and comes late.
    pub(super) fn during_a_layer(&mut self, event: &Event) {
        let Body::Step { name, state, detail } = &event.body else {
            return self.after_the_watch(event);
        };
        if let Some(layer) = self.next_layer()
            && name.strip_prefix(steps::OWN_START) == Some(layer.name())
        {
            self.layer_start = Some(LayerStart { layer, stands: OwnStart::Begun });
            return;
        }
        let next = self.next_layer().map(Layer::name);
        if next.is_none() || name.strip_prefix(steps::LAYER) != next {
            return;
        }
        self.layers(event, None);
        if *state != StepState::Started {
            self.finish(event, false);
            self.layer_start = None;
        }
        match state {
            StepState::Started => {}
            StepState::Done => {
                self.layers_tried += 1;
                self.helped_after = self.boots.last().map(|boot| boot.number);
                self.again = Again::NotYet;
                self.to_help = None;
                self.late_lines = false;
            }
            StepState::Failed => {
                self.layers_tried += 1;
                let (name, detail) = (name.clone(), detail.clone());
                self.happen(event, What::StepFailed { name, detail });
                // The next one has its turn; after the last the machine is given up.
                if self.next_layer().is_none() {
                    let given_up = self.to_help.take();
                    self.conclusion =
                        given_up.map(|given_up| Conclusion { moment: event.into(), ..given_up });
                }
            }
        }
    }
}

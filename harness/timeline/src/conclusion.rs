//! When to stop watching, and with which verdict.
//!
//! Every conclusion is reached at an event, never at a time, so that a faster host concludes at the same
//! place. Before all faults are armed nothing is concluded about the product: a machine that fails by
//! then says nothing about recovery, and the run is `infrastructure`.

use crate::fold::Watcher;
use crate::{Boot, BootKind, Moment, Phase, Verdict};

/// The verdict of a run, reached while it was still watched.
///
/// The outcome's verdict may still differ from it in two ways, because the disk has the last word: data
/// may turn out to be lost, and a layer that was not expected may turn out to be the one that helped.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Conclusion {
    /// What it is.
    pub verdict: Verdict,
    /// Why, for people. Free of times and addresses.
    pub because: String,
    /// The event by which it was reached.
    pub moment: Moment,
}

/// What has just happened that may decide.
pub(crate) enum Trigger<'a> {
    /// The current boot reached a phase.
    Reached(Phase),
    /// A boot ended by a reset; the next has not begun.
    BootEnded,
    /// The machine went off.
    WentOff { by_itself: bool },
    /// The engine says that the machine stayed healthy for the settle time.
    Settled,
    /// The engine says that the machine is silent.
    Silent,
    /// The harness failed.
    HarnessFailed(&'a str),
    /// The image is a model and lacks what something on it needs.
    ModelLacks(&'a str),
}

/// What can be seen of a run after its faults were armed.
pub(crate) struct Standing<'a> {
    /// Windows boots that failed since the first fault was armed.
    pub(crate) failed: Vec<&'a Boot>,
    /// Boots of the recovery environment since then, or since a layer of the harness was done.
    pub(crate) rounds: usize,
    /// Those of the failed boots since the last of these, or since the first fault, that count towards
    /// a loop.
    pub(crate) since_recovery: usize,
    /// The event by which the last fault was armed.
    last_armed: u64,
}

impl<'a> Standing<'a> {
    pub(crate) fn of(watcher: &'a Watcher) -> Self {
        // A boot that is going on is not after a fault yet by its own mark: nobody has closed it.
        let current = watcher.current().map(|boot| boot.number);
        let armed = !watcher.armed.is_empty();
        let after: Vec<&Boot> = watcher
            .boots
            .iter()
            .filter(|boot| boot.after_fault || (armed && Some(boot.number) == current))
            .collect();
        let failed: Vec<&Boot> = after.iter().copied().filter(|boot| boot.failed()).collect();
        let is_recovery = |boot: &&Boot| boot.kind() == BootKind::Recovery && boot.during.is_none();
        let last_recovery = after.iter().copied().filter(is_recovery).map(|b| b.number).max();
        // What follows help from outside is a new try.
        let helped = watcher.helped_after;
        let tried_anew = last_recovery.max(helped);
        let since_recovery = failed
            .iter()
            .filter(|boot| boot.counts_towards_a_loop() && Some(boot.number) > tried_anew)
            .count();
        let new = |boot: &&Boot| Some(boot.number) > helped;
        let rounds = after.iter().copied().filter(is_recovery).filter(new).count();
        let last_armed = watcher.armed.values().map(|moment| moment.seq).max().unwrap_or(0);
        Self { failed, rounds, since_recovery, last_armed }
    }

    /// True where being healthy is by itself a change for the better: something failed since the last
    /// fault was armed before it was healthy, and nothing failed in a boot that had come up again.
    fn healthy_is_proof(&self) -> bool {
        let early = self.failed.iter().any(|boot| {
            let since = boot.ended.is_some_and(|ended| ended.seq > self.last_armed);
            since && !boot.has_reached(Phase::Healthy)
        });
        let came_up_and_fell = self
            .failed
            .iter()
            .any(|boot| boot.began_after_all_faults && boot.has_reached(Phase::Healthy));
        early && !came_up_and_fell
    }
}

/// Windows goes to the recovery environment after two failed starts. So a row of `loop_after` failures
/// is a loop, but only after twice as many without recovery in between is it clear that none comes.
const PATIENCE: usize = 2;

pub(crate) fn conclude(watcher: &Watcher, trigger: &Trigger<'_>) -> Option<(Verdict, String)> {
    if let Trigger::HarnessFailed(reason) = trigger {
        return Some((Verdict::Infrastructure, format!("the harness failed: {reason}")));
    }
    if let Trigger::ModelLacks(reason) = trigger {
        return Some((Verdict::Infrastructure, (*reason).to_owned()));
    }
    let facts = watcher.facts.as_ref()?;
    let loop_after = facts.loop_after.max(1) as usize;
    let nobody = !facts.operator;
    if watcher.armed.is_empty() {
        return baseline(watcher, trigger, loop_after, nobody);
    }
    let standing = Standing::of(watcher);
    let failures = standing.failed.len();
    let settled = || match failures {
        0 => (Verdict::Unaffected, "healthy with all faults in place, and it stayed so".to_owned()),
        n => (Verdict::Recovered, format!("healthy after {}, and it stayed so", failed_boots(n))),
    };
    match trigger {
        Trigger::Reached(Phase::Healthy) => (watcher.all_armed() && standing.healthy_is_proof())
            .then(|| (Verdict::Recovered, format!("healthy after {}", failed_boots(failures)))),
        Trigger::Settled => watcher.settling().map(|_| settled()),
        Trigger::Reached(Phase::RecoveryPrompt) if nobody => Some((
            Verdict::StuckInRecovery,
            "the recovery environment waits for a person, and the scenario has none".to_owned(),
        )),
        Trigger::Reached(Phase::RecoveryKey) if nobody => Some(match watcher.current()?.kind() {
            BootKind::Windows => (Verdict::Hung, asks_for_the_key("boot manager")),
            BootKind::Recovery => {
                (Verdict::StuckInRecovery, asks_for_the_key("recovery environment"))
            }
        }),
        Trigger::Reached(Phase::Recovery) => {
            // From one recovery boot straight into the next, without trying Windows.
            let rounds = facts.recovery_rounds as usize;
            (rounds > 0 && standing.rounds > rounds).then(|| {
                let because = format!("recovery was entered {} times in vain", standing.rounds);
                (Verdict::StuckInRecovery, because)
            })
        }
        Trigger::BootEnded => {
            watcher.boots.last().filter(|boot| boot.failed())?;
            let rounds = facts.recovery_rounds as usize;
            if rounds > 0 && standing.rounds >= rounds {
                let because = format!(
                    "Windows failed again after the recovery environment had run {}",
                    times(standing.rounds)
                );
                return Some((Verdict::StuckInRecovery, because));
            }
            let row = watcher.current_row().map_or(0, |row| row.boots.len());
            let row = row.min(standing.since_recovery);
            if row >= loop_after.max(2) * PATIENCE {
                let because = format!("{row} boots in a row failed alike, and no recovery came");
                return Some((Verdict::Looping, because));
            }
            // Each time in another way: no loop by the rule, but no less hopeless.
            let any = standing.since_recovery;
            (any >= loop_after.max(2) * PATIENCE * 2).then(|| {
                let because = format!("{any} boots in a row failed, and no recovery came");
                (Verdict::Looping, because)
            })
        }
        Trigger::WentOff { by_itself: true } if nobody && watcher.all_armed() => {
            let last = watcher.boots.last()?;
            if last.kind() == BootKind::Recovery {
                let because = "the recovery environment switched the machine off";
                return Some((Verdict::StuckInRecovery, because.to_owned()));
            }
            if last.failed() {
                let because = "the machine switched itself off before it was healthy";
                return Some((Verdict::Hung, because.to_owned()));
            }
            Some(match failures {
                0 => (Verdict::Unaffected, "healthy, and then shut down".to_owned()),
                n => {
                    let because = format!("healthy after {}, and then shut down", failed_boots(n));
                    (Verdict::Recovered, because)
                }
            })
        }
        Trigger::Silent if nobody => {
            let boot = watcher.current()?;
            if boot.kind() == BootKind::Recovery {
                let because = "the recovery environment went silent".to_owned();
                return Some((Verdict::StuckInRecovery, because));
            }
            if boot.has_stopped() {
                return stands_at_a_stop_screen(watcher, loop_after);
            }
            Some((Verdict::Hung, "the machine went silent before it was healthy".to_owned()))
        }
        _ => None,
    }
}

/// What becomes of a machine that stands at a stop screen, or at an error screen of boot manager or
/// loader: whoever switches it off and on again goes on, until he has done so often enough. Then, and where there is nobody, it stands there for good: it hangs. But
/// where it stood there alike each time that somebody had started it again, it was in a loop.
fn stands_at_a_stop_screen(watcher: &Watcher, loop_after: usize) -> Option<(Verdict, String)> {
    if watcher.somebody_comes() {
        return None;
    }
    let error = watcher.current().filter(|boot| boot.stop.is_none()).and_then(|boot| boot.error);
    let screen = match error.map(|error| error.status) {
        None => "a stop screen".to_owned(),
        Some(None) => "an error screen of boot manager or loader".to_owned(),
        Some(Some(status)) => format!("the boot error {status}"),
    };
    if watcher.power_cycles == 0 {
        return Some((Verdict::Hung, format!("it stands at {screen}, and nobody is there")));
    }
    let row = watcher.row_with_current();
    let again = times(watcher.power_cycles as usize);
    if row >= loop_after {
        let because = format!(
            "{row} boots in a row ended at {screen}, and nobody comes after having switched it off \
             and on again {again}"
        );
        return Some((Verdict::Looping, because));
    }
    let because = format!(
        "it stands at {screen}, and nobody comes after having switched it off and on again {again}"
    );
    Some((Verdict::Hung, because))
}

/// Before any fault was armed: the image must come up by itself, or the run says nothing.
fn baseline(
    watcher: &Watcher,
    trigger: &Trigger<'_>,
    loop_after: usize,
    nobody: bool,
) -> Option<(Verdict, String)> {
    let because = match trigger {
        Trigger::BootEnded => {
            let failed = watcher.boots.iter().filter(|boot| boot.failed()).count();
            (failed >= loop_after)
                .then(|| format!("the image failed to start {}", times(failed)))?
        }
        Trigger::Reached(Phase::RecoveryPrompt) if nobody => {
            "the image came up in its recovery environment".to_owned()
        }
        Trigger::Reached(Phase::RecoveryKey) if nobody => {
            "the image came up asking for its recovery key".to_owned()
        }
        Trigger::Silent if nobody => "the image went silent before it was healthy".to_owned(),
        _ => return None,
    };
    Some((Verdict::Infrastructure, format!("{because}, before any fault was armed")))
}

fn asks_for_the_key(who: &str) -> String {
    format!("the {who} asks for the recovery key, and the scenario has nobody to enter it")
}

fn failed_boots(count: usize) -> String {
    if count == 1 { "one failed boot".to_owned() } else { format!("{count} failed boots") }
}

fn times(count: usize) -> String {
    match count {
        1 => "once".to_owned(),
        2 => "twice".to_owned(),
        n => format!("{n} times"),
    }
}

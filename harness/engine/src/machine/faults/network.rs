//! What is wrong with the network and the update service that a machine is plugged into. Troubles are
//! injected like any fault, hold for boots or requests, and are lifted when those are over.
//!
//! [`conditions`] decides; it is a pure function of what is armed and of the boot that is going on.

use std::convert::Infallible;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use network::{Conditions, Loss, Names, NetworkHandle};
use recovery::{RemediationService, Trouble};
use scenario::{Chance, LateLink, NetworkFault, NetworkTrouble, ServiceFault, Span};
use timeline::steps::LIFT;
use timeline::{Body, Sink, Source, StepState};
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use crate::record::Progress;

/// What is wrong with a network.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Wrong {
    Network(NetworkTrouble),
    /// A service of this name refuses connections.
    Down(&'static str),
}

/// When a trouble is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Over {
    Never,
    /// With the beginning of this boot.
    AtBoot(u32),
    /// Once so many connections were turned away, counted from the beginning.
    AfterTurnedAway(u64),
}

/// A trouble that was armed.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Armed {
    name: String,
    wrong: Wrong,
    /// The first boot that a late link concerns.
    first_boot: u32,
    over: Over,
}

/// Where the machine stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Standing {
    /// The boot that is going on, or went on last; 0 before the first.
    boot: u32,
    /// For how long.
    since: Duration,
    time_scale: u32,
}

/// What the network is like with all that is armed, and how long that holds if nothing happens.
fn conditions(armed: &[Armed], standing: Standing) -> (Conditions, Option<Duration>) {
    let mut conditions = Conditions::default();
    let mut holds: Option<Duration> = None;
    for armed in armed {
        match &armed.wrong {
            Wrong::Down(service) => {
                conditions.down.insert((*service).to_owned());
            }
            Wrong::Network(trouble) => match trouble {
                NetworkTrouble::NoLink => conditions.link = false,
                NetworkTrouble::LateLink(late) if standing.boot >= armed.first_boot => {
                    let left = lateness(late, standing).saturating_sub(standing.since);
                    if !left.is_zero() {
                        conditions.link = false;
                        holds = Some(holds.map_or(left, |other| other.min(left)));
                    }
                }
                NetworkTrouble::LateLink(_) => {}
                NetworkTrouble::NoDhcp => conditions.dhcp = false,
                NetworkTrouble::NoDns => conditions.names = Names::Unanswered,
                NetworkTrouble::WrongDns => conditions.names = Names::Astray,
                NetworkTrouble::CaptivePortal => conditions.portal = true,
                NetworkTrouble::Latency(latency) => conditions.latency += latency.delay.duration(),
                NetworkTrouble::Loss(loss) => {
                    conditions.loss = Some(Loss { percent: loss.percent, seed: loss.seed });
                }
            },
        }
    }
    (conditions, holds)
}

/// How late the link comes in this boot.
fn lateness(late: &LateLink, standing: Standing) -> Duration {
    match late.chance {
        Some(chance) if !is_late(chance, standing.boot) => Duration::ZERO,
        _ => late.after.duration() / standing.time_scale.max(1),
    }
}

/// Whether a boot is one of those on which it is late: the same seed gives the same boots.
fn is_late(chance: Chance, boot: u32) -> bool {
    let drawn = blake3::hash(&[chance.seed.to_le_bytes(), boot.to_le_bytes()].concat());
    let number =
        drawn.as_bytes().iter().fold(0_u32, |sum, byte| (sum * 256 + u32::from(*byte)) % 100);
    number < chance.percent
}

fn is_over(over: Over, boot: u32, turned_away: u64) -> bool {
    match over {
        Over::Never => false,
        Over::AtBoot(first) => boot >= first,
        Over::AfterTurnedAway(count) => turned_away >= count,
    }
}

struct State {
    armed: Vec<Armed>,
    boot: u32,
    began: Instant,
}

/// The troubles of a machine's network and services, while it runs.
pub(crate) struct NetworkFaults<'a> {
    network: &'a NetworkHandle,
    update_service: Option<RemediationService>,
    progress: watch::Receiver<Progress>,
    sink: Sink,
    time_scale: u32,
    state: Mutex<State>,
    armed: Notify,
}

impl<'a> NetworkFaults<'a> {
    pub(crate) fn new(
        network: &'a NetworkHandle,
        update_service: Option<RemediationService>,
        progress: watch::Receiver<Progress>,
        sink: Sink,
        time_scale: u32,
    ) -> Self {
        let state = State { armed: Vec::new(), boot: 0, began: Instant::now() };
        Self {
            network,
            update_service,
            progress,
            sink,
            time_scale,
            state: Mutex::new(state),
            armed: Notify::new(),
        }
    }

    /// What goes over the network.
    pub(crate) fn network_report(&self) -> watch::Receiver<network::Report> {
        self.network.report()
    }

    /// Arms trouble on the network. Gives what the running network says of itself then.
    pub(crate) fn trouble(&self, fault: &NetworkFault) -> Vec<String> {
        if !fault.inert {
            let boot = self.progress.borrow().boot;
            let over = fault
                .boots
                .map_or(Over::Never, |boots| Over::AtBoot(boot.max(1).saturating_add(boots)));
            // A link that is up already cannot come late.
            self.arm(&fault.name, Wrong::Network(fault.trouble.clone()), boot + 1, over);
        }
        let mut proof = describe(&self.network.conditions());
        if let (false, NetworkTrouble::LateLink(late)) = (fault.inert, &fault.trouble) {
            let span = Span::from_secs(late.after.duration().as_secs());
            proof.push(format!("at each boot: no link for {span} of documented time"));
        }
        if let (false, Some(boots)) = (fault.inert, fault.boots) {
            proof.push(format!("boots: {boots}"));
        }
        proof
    }

    /// Arms trouble at the update service. Gives what the service and the network say of themselves then.
    pub(crate) fn service_trouble(&self, fault: &ServiceFault) -> Vec<String> {
        let Some(service) = &self.update_service else {
            return vec!["there is no update service".to_owned()];
        };
        let requests = fault.requests;
        if !fault.inert {
            match Trouble::declared(&fault.trouble) {
                Some(trouble) => service.arm(&fault.name, trouble, requests),
                None => {
                    let met = self.network.report().borrow().turned_away;
                    let over = requests.map_or(Over::Never, |requests| {
                        Over::AfterTurnedAway(met.saturating_add(u64::from(requests)))
                    });
                    self.arm(&fault.name, Wrong::Down(recovery::service::SERVICE), 0, over);
                }
            }
        }
        let troubles = service.troubles();
        let mut proof: Vec<String> = troubles
            .iter()
            .map(|(name, left)| match left {
                Some(left) => format!("update service: {name}, for {left} requests"),
                None => format!("update service: {name}"),
            })
            .collect();
        if troubles.is_empty() {
            proof.push("update service: answers rightly".to_owned());
        }
        proof.extend(describe(&self.network.conditions()).pop());
        proof
    }

    fn arm(&self, name: &str, wrong: Wrong, first_boot: u32, over: Over) {
        let armed = Armed { name: name.to_owned(), wrong, first_boot, over };
        self.state().armed.push(armed);
        self.settle();
        self.armed.notify_one();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lifts what is over and sets what is left. Gives how long that holds if nothing happens.
    fn settle(&self) -> Option<Duration> {
        let boot = self.progress.borrow().boot;
        let turned_away = self.network.report().borrow().turned_away;
        let mut state = self.state();
        // Between two boots, and while the machine is off, nothing changes.
        if boot > state.boot {
            (state.boot, state.began) = (boot, Instant::now());
        }
        let boot = state.boot;
        state.armed.retain(|armed| {
            let over = is_over(armed.over, boot, turned_away);
            if over {
                let name = format!("{LIFT}{}", armed.name);
                let detail = format!("in boot {boot}");
                let lifted = Body::Step { name, state: StepState::Done, detail };
                self.sink.emit(Source::Harness, lifted);
            }
            !over
        });
        let since = state.began.elapsed();
        let standing = Standing { boot, since, time_scale: self.time_scale };
        let (wanted, holds) = conditions(&state.armed, standing);
        if self.network.conditions() != wanted {
            self.network.set_conditions(wanted);
        }
        holds
    }

    /// Keeps the network as it has to be, from boot to boot and from request to request.
    pub(crate) async fn keep(&self) -> Infallible {
        let (mut progress, mut report) = (self.progress.clone(), self.network.report());
        loop {
            progress.mark_unchanged();
            report.mark_unchanged();
            let holds = self.settle();
            tokio::select! {
                Ok(()) = progress.changed() => {}
                Ok(()) = report.changed() => {}
                () = self.armed.notified() => {}
                () = tokio::time::sleep(holds.unwrap_or_default()), if holds.is_some() => {}
            }
        }
    }
}

/// A network as a proof tells it, one line each.
fn describe(conditions: &Conditions) -> Vec<String> {
    let line = |what: &str, how: String| format!("{what}: {how}");
    let yes =
        |yes: bool, one: &str, other: &str| if yes { one.to_owned() } else { other.to_owned() };
    let names = match (conditions.names, conditions.portal) {
        (Names::Unanswered, _) => "no answer",
        (Names::Astray, _) => "all lead to where nobody is",
        (Names::Right, true) => "all lead to the portal",
        (Names::Right, false) => "those of the services",
    };
    let loss = conditions.loss.map_or("none".to_owned(), |loss| {
        format!("{} of 100 frames, seed {}", loss.percent, loss.seed)
    });
    let latency = match conditions.latency {
        Duration::ZERO => "none".to_owned(),
        latency => format!("{} ms each way", latency.as_millis()),
    };
    let down: Vec<&str> = conditions.down.iter().map(String::as_str).collect();
    vec![
        line("link", yes(conditions.link, "up", "down")),
        line("addresses", yes(conditions.dhcp, "handed out", "nobody hands them out")),
        line("names", names.to_owned()),
        line("latency", latency),
        line("loss", loss),
        line("services that refuse connections", yes(down.is_empty(), "none", &down.join(", "))),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn armed(trouble: NetworkTrouble, first_boot: u32) -> Armed {
        let (name, wrong) = ("trouble".to_owned(), Wrong::Network(trouble));
        Armed { name, wrong, first_boot, over: Over::Never }
    }

    fn at(boot: u32, seconds: u64) -> Standing {
        Standing { boot, since: Duration::from_secs(seconds), time_scale: 60 }
    }

    #[test]
    fn a_late_link_comes_at_each_boot_anew() {
        let late = LateLink { after: Span::from_secs(10 * 60), chance: None };
        let armed = [armed(NetworkTrouble::LateLink(late), 1)];
        for boot in 1..4 {
            let (then, holds) = conditions(&armed, at(boot, 4));
            assert!(!then.link);
            assert_eq!(holds, Some(Duration::from_secs(6)));
            let (then, holds) = conditions(&armed, at(boot, 10));
            assert!(then.link);
            assert_eq!(holds, None);
        }
    }

    #[test]
    fn a_link_that_is_up_already_is_late_from_the_next_boot_on() {
        let late = LateLink { after: Span::from_secs(60), chance: None };
        let armed = [armed(NetworkTrouble::LateLink(late), 2)];
        assert!(conditions(&armed, at(1, 0)).0.link);
        assert!(!conditions(&armed, at(2, 0)).0.link);
    }

    #[test]
    fn a_seed_chooses_the_boots_on_which_the_link_is_late() {
        let late = |seed| {
            let chance = Chance { percent: 50, seed };
            (1..=100).filter(|boot| is_late(chance, *boot)).collect::<Vec<_>>()
        };
        assert_eq!(late(7), late(7));
        assert_ne!(late(7), late(8));
        assert!((30..=70).contains(&late(7).len()), "{}", late(7).len());
    }

    #[test]
    fn troubles_add_up_and_none_is_none() {
        assert_eq!(conditions(&[], at(1, 0)), (Conditions::default(), None));
        let down = Armed {
            name: "down".to_owned(),
            wrong: Wrong::Down("remediation"),
            first_boot: 0,
            over: Over::AfterTurnedAway(2),
        };
        let both = [armed(NetworkTrouble::NoDns, 1), down];
        let (found, _) = conditions(&both, at(1, 0));
        assert_eq!(found.names, Names::Unanswered);
        assert!(found.down.contains("remediation") && found.link && found.dhcp);
    }

    #[test]
    fn a_trouble_is_over_with_its_boots_or_requests() {
        assert!(!is_over(Over::AtBoot(3), 2, 99));
        assert!(is_over(Over::AtBoot(3), 3, 0));
        assert!(!is_over(Over::AfterTurnedAway(2), 9, 1));
        assert!(is_over(Over::AfterTurnedAway(2), 1, 2));
        assert!(!is_over(Over::Never, u32::MAX, u64::MAX));
    }
}

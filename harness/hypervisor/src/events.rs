//! From what libvirt and QEMU report to what the timeline records. Pure: state and event in, state and
//! observations out.

use std::time::Duration;

use serde_json::{Value, json};
use timeline::{Body, BugCheck, ResetBy};
use virt::sys;

use crate::ffi::{DomainEvent, DomainEventKind};

/// One reboot gives up to three RESET events: a guest tries several ways (three within 30 ms,
/// windows-facts.md section 0), and SeaBIOS answers a reset with one of its own (130 to 160 ms later on
/// a busy host under software emulation). No firmware is through with a boot in this time.
const BURST: Duration = Duration::from_millis(500);

/// Something that the translator must know of.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Raw {
    /// An event of QEMU's monitor.
    Monitor {
        name: String,
        /// QEMU's own clock, since 1970.
        at: Duration,
        data: Value,
    },
    /// A libvirt lifecycle event.
    Lifecycle { event: i32, detail: i32 },
    /// Nothing will be heard of it any more.
    ConnectionLost,
    /// We are about to have it destroyed.
    EndAsked,
    /// We are about to press the reset button for somebody.
    Announced(ResetBy),
    /// We did not press it after all.
    Withdrawn,
}

impl From<DomainEvent> for Raw {
    fn from(event: DomainEvent) -> Self {
        match event.kind {
            DomainEventKind::Lifecycle { event, detail } => Self::Lifecycle { event, detail },
            DomainEventKind::ConnectionLost => Self::ConnectionLost,
            DomainEventKind::Monitor { name, seconds, micros, data } => Self::Monitor {
                name,
                at: Duration::from_secs(seconds.unsigned_abs())
                    + Duration::from_micros(u64::from(micros)),
                data: data.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or(Value::Null),
            },
        }
    }
}

/// What the translator remembers between events, and what the machine's other parts must know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Watch {
    announced: Option<ResetBy>,
    last_reset: Option<Duration>,
    watchdog_reset: Option<Duration>,
    shutdown_reason: Option<String>,
    end_asked: bool,
    /// Number of resets (bursts) so far.
    pub(crate) resets: u64,
    /// The guest panicked and was not reset since.
    pub(crate) stopped_at_panic: bool,
    /// The guest panicked at least once, after which libvirt's idea of its state is wrong.
    pub(crate) panicked_ever: bool,
    /// The guest agent's port is open in the guest.
    pub(crate) agent_port_open: bool,
    /// How the machine ended.
    pub(crate) ended: Option<String>,
}

/// The end of what can be known of a machine, which may well be running.
const CONNECTION_LOST: &str = "connection-lost";

impl Watch {
    /// True where the machine may be running although nothing more will be heard of it.
    pub(crate) fn is_lost(&self) -> bool {
        self.ended.as_deref() == Some(CONNECTION_LOST)
    }

    /// Of a machine just started. After a restore the port's state is not reported, so it is taken for
    /// open.
    pub(crate) fn new(restored: bool) -> Self {
        Self {
            announced: None,
            last_reset: None,
            watchdog_reset: None,
            shutdown_reason: None,
            end_asked: false,
            resets: 0,
            stopped_at_panic: false,
            panicked_ever: false,
            agent_port_open: restored,
            ended: None,
        }
    }
}

/// One step. `agent_port` is QEMU's id of the guest agent's port.
pub(crate) fn translate(mut watch: Watch, raw: Raw, agent_port: &str) -> (Watch, Vec<Body>) {
    let mut out = Vec::new();
    match raw {
        Raw::Announced(by) => watch.announced = Some(by),
        Raw::Withdrawn => watch.announced = None,
        Raw::EndAsked => watch.end_asked = true,
        Raw::ConnectionLost if watch.ended.is_none() => {
            end(&mut watch, CONNECTION_LOST, &mut out);
        }
        Raw::ConnectionLost => {}
        Raw::Lifecycle { event, detail } => lifecycle(&mut watch, event, detail, &mut out),
        Raw::Monitor { name, at, data } => match name.as_str() {
            "RESET" => reset(&mut watch, at, &data, &mut out),
            "GUEST_PANICKED" => {
                watch.stopped_at_panic = true;
                watch.panicked_ever = true;
                out.push(Body::Panicked {
                    action: word(&data, "action"),
                    bug_check: hyperv_bug_check(&data),
                });
            }
            "WATCHDOG" => {
                let action = word(&data, "action");
                watch.watchdog_reset = (action == "reset").then_some(at);
                out.push(Body::Watchdog { action });
            }
            "BLOCK_IO_ERROR" => out.push(Body::BlockIoError {
                device: match word(&data, "node-name") {
                    name if name.is_empty() => word(&data, "device"),
                    name => name,
                },
                operation: word(&data, "operation"),
                reason: word(&data, "reason"),
            }),
            _ => {
                match name.as_str() {
                    // The first one: after the guest's own libvirt ends the emulator by a signal.
                    "SHUTDOWN" => {
                        watch.shutdown_reason.get_or_insert_with(|| word(&data, "reason"));
                    }
                    "VSERPORT_CHANGE" if word(&data, "id") == agent_port => {
                        watch.agent_port_open = data.get("open") == Some(&Value::Bool(true));
                    }
                    _ => {}
                }
                out.push(Body::Monitor { name, data });
            }
        },
    }
    (watch, out)
}

fn reset(watch: &mut Watch, at: Duration, data: &Value, out: &mut Vec<Body>) {
    let reason = word(data, "reason");
    // A reset that was announced is never part of a burst; whatever follows it may be.
    let announced = if reason == "host-qmp-system-reset" { watch.announced.take() } else { None };
    // From the first of the burst, so that a guest that resets itself without end is still counted.
    // QEMU's clock is the host's and may be set back; the distance counts, not the direction.
    if announced.is_none() && watch.last_reset.is_some_and(|first| at.abs_diff(first) < BURST) {
        return;
    }
    watch.last_reset = Some(at);
    let by = if let Some(by) = announced {
        by
    } else if watch.watchdog_reset.take().is_some_and(|watchdog| at.abs_diff(watchdog) < BURST) {
        ResetBy::Hypervisor
    } else if data.get("guest") == Some(&Value::Bool(true)) {
        ResetBy::Guest
    } else {
        ResetBy::Hypervisor
    };
    watch.resets += 1;
    watch.stopped_at_panic = false;
    out.push(Body::Reset { by, reason });
}

fn end(watch: &mut Watch, reason: &str, out: &mut Vec<Body>) {
    watch.ended = Some(reason.to_owned());
    out.push(Body::MachineStopped { reason: reason.to_owned() });
}

fn lifecycle(watch: &mut Watch, event: i32, detail: i32, out: &mut Vec<Body>) {
    let event = u32::try_from(event).unwrap_or(u32::MAX);
    let detail = u32::try_from(detail).unwrap_or(u32::MAX);
    if event == sys::VIR_DOMAIN_EVENT_STOPPED {
        if watch.ended.is_none() {
            let reason = match detail {
                _ if watch.announced == Some(ResetBy::Power) => "power-cut".to_owned(),
                sys::VIR_DOMAIN_EVENT_STOPPED_SHUTDOWN => watch
                    .shutdown_reason
                    .clone()
                    .filter(|reason| !reason.is_empty())
                    .unwrap_or_else(|| "shutdown".to_owned()),
                sys::VIR_DOMAIN_EVENT_STOPPED_DESTROYED if watch.end_asked => {
                    "destroyed".to_owned()
                }
                sys::VIR_DOMAIN_EVENT_STOPPED_DESTROYED => "destroyed-by-others".to_owned(),
                sys::VIR_DOMAIN_EVENT_STOPPED_CRASHED => "crashed".to_owned(),
                sys::VIR_DOMAIN_EVENT_STOPPED_MIGRATED => "migrated".to_owned(),
                sys::VIR_DOMAIN_EVENT_STOPPED_SAVED => "saved".to_owned(),
                sys::VIR_DOMAIN_EVENT_STOPPED_FAILED => "emulator-failed".to_owned(),
                _ => "stopped".to_owned(),
            };
            end(watch, &reason, out);
        }
        return;
    }
    let name = match event {
        sys::VIR_DOMAIN_EVENT_DEFINED => "defined",
        sys::VIR_DOMAIN_EVENT_UNDEFINED => "undefined",
        sys::VIR_DOMAIN_EVENT_STARTED => "started",
        sys::VIR_DOMAIN_EVENT_SUSPENDED => "suspended",
        sys::VIR_DOMAIN_EVENT_RESUMED => "resumed",
        sys::VIR_DOMAIN_EVENT_SHUTDOWN => "shutdown",
        sys::VIR_DOMAIN_EVENT_PMSUSPENDED => "pm-suspended",
        sys::VIR_DOMAIN_EVENT_CRASHED => "crashed",
        _ => "unknown",
    };
    out.push(Body::Monitor {
        name: "libvirt-lifecycle".to_owned(),
        data: json!({ "event": name, "detail": detail }),
    });
}

/// QMP `GUEST_PANICKED` with `info.type` `hyper-v`: arg1 is the stop code, arg2 to arg5 the parameters
/// (windows-facts.md 6.1).
fn hyperv_bug_check(data: &Value) -> Option<BugCheck> {
    let info = data.get("info")?;
    if info.get("type")?.as_str()? != "hyper-v" {
        return None;
    }
    let argument = |name: &str| info.get(name).and_then(number);
    Some(BugCheck {
        code: argument("arg1")?,
        parameters: [argument("arg2")?, argument("arg3")?, argument("arg4")?, argument("arg5")?],
    })
}

/// libvirt's JSON writer may show an unsigned value above the signed range as a negative one.
fn number(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| value.as_i64().map(i64::cast_unsigned))
}

fn word(data: &Value, key: &str) -> String {
    data.get(key).and_then(Value::as_str).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PORT: &str = "agent";

    fn monitor(name: &str, millis: u64, data: Value) -> Raw {
        Raw::Monitor { name: name.to_owned(), at: Duration::from_millis(millis), data }
    }

    fn run(raws: impl IntoIterator<Item = Raw>) -> (Watch, Vec<Body>) {
        let mut watch = Watch::new(false);
        let mut all = Vec::new();
        for raw in raws {
            let (next, bodies) = translate(watch, raw, PORT);
            watch = next;
            all.extend(bodies);
        }
        (watch, all)
    }

    fn guest_reset(millis: u64) -> Raw {
        monitor("RESET", millis, json!({"guest": true, "reason": "guest-reset"}))
    }

    fn host_reset(millis: u64) -> Raw {
        monitor("RESET", millis, json!({"guest": false, "reason": "host-qmp-system-reset"}))
    }

    fn who(bodies: &[Body]) -> Vec<ResetBy> {
        let by = |body: &Body| match body {
            Body::Reset { by, .. } => Some(*by),
            _ => None,
        };
        bodies.iter().filter_map(by).collect()
    }

    #[test]
    fn a_burst_of_resets_is_one() {
        let (watch, bodies) =
            run([guest_reset(1000), guest_reset(1012), guest_reset(1160), guest_reset(4000)]);
        assert_eq!(who(&bodies), [ResetBy::Guest, ResetBy::Guest]);
        assert_eq!(watch.resets, 2);
    }

    #[test]
    fn a_very_fast_loop_is_still_counted() {
        let (watch, _) = run((0..100).map(|count| guest_reset(10_000 + count * 300)));
        assert_eq!(watch.resets, 50);
    }

    #[test]
    fn an_announced_reset_is_never_swallowed() {
        let (_, bodies) = run([
            Raw::Announced(ResetBy::Harness),
            host_reset(1000),
            guest_reset(1140),
            Raw::Announced(ResetBy::Operator),
            host_reset(1300),
            guest_reset(1440),
        ]);
        assert_eq!(who(&bodies), [ResetBy::Harness, ResetBy::Operator]);
    }

    #[test]
    fn who_pressed_the_button() {
        let (_, bodies) = run([
            host_reset(0),
            Raw::Announced(ResetBy::Harness),
            host_reset(1000),
            Raw::Announced(ResetBy::Operator),
            host_reset(2000),
            Raw::Announced(ResetBy::Harness),
            Raw::Withdrawn,
            host_reset(3000),
            monitor("WATCHDOG", 4000, json!({"action": "reset"})),
            guest_reset(4001),
            guest_reset(5000),
        ]);
        use ResetBy::{Guest, Harness, Hypervisor, Operator};
        assert_eq!(who(&bodies), [Hypervisor, Harness, Operator, Hypervisor, Hypervisor, Guest]);
    }

    #[test]
    fn a_guest_reset_does_not_use_up_an_announcement() {
        let (_, bodies) =
            run([Raw::Announced(ResetBy::Harness), guest_reset(1000), host_reset(2000)]);
        assert_eq!(who(&bodies), [ResetBy::Guest, ResetBy::Harness]);
    }

    #[test]
    fn a_panic_carries_the_stop_code() {
        let info = json!({"type": "hyper-v", "arg1": 0x50, "arg2": -1_i64, "arg3": 0,
                          "arg4": 18_446_735_290_000_000_000_u64, "arg5": 2});
        let (watch, bodies) =
            run([monitor("GUEST_PANICKED", 5, json!({"action": "run", "info": info}))]);
        let parameters = [u64::MAX, 0, 18_446_735_290_000_000_000, 2];
        assert_eq!(
            bodies,
            [Body::Panicked {
                action: "run".to_owned(),
                bug_check: Some(BugCheck { code: 0x50, parameters }),
            }]
        );
        assert!(watch.stopped_at_panic && watch.panicked_ever);
        let (watch, _) = translate(watch, guest_reset(9), PORT);
        assert!(!watch.stopped_at_panic && watch.panicked_ever);
    }

    #[test]
    fn a_panic_without_arguments() {
        let (_, bodies) = run([monitor("GUEST_PANICKED", 5, json!({"action": "run"}))]);
        assert_eq!(bodies, [Body::Panicked { action: "run".to_owned(), bug_check: None }]);
    }

    #[test]
    fn the_end_has_one_reason() {
        let stopped = |detail| Raw::Lifecycle { event: 5, detail };
        let off = monitor("SHUTDOWN", 1, json!({"guest": true, "reason": "guest-shutdown"}));
        let (watch, bodies) = run([off, stopped(0), stopped(1)]);
        assert_eq!(watch.ended.as_deref(), Some("guest-shutdown"));
        assert_eq!(bodies.len(), 2);
        let reason = |raws: Vec<Raw>| run(raws).0.ended.unwrap_or_default();
        let shutdown = |by: &str| monitor("SHUTDOWN", 1, json!({"guest": false, "reason": by}));
        let guests = monitor("SHUTDOWN", 1, json!({"guest": true, "reason": "guest-shutdown"}));
        assert_eq!(reason(vec![guests, shutdown("host-signal"), stopped(0)]), "guest-shutdown");
        assert_eq!(reason(vec![shutdown("host-signal"), stopped(0)]), "host-signal");
        assert_eq!(reason(vec![stopped(4)]), "saved");
        assert_eq!(reason(vec![Raw::EndAsked, stopped(1)]), "destroyed");
        assert_eq!(reason(vec![stopped(1)]), "destroyed-by-others");
        assert_eq!(reason(vec![Raw::ConnectionLost]), "connection-lost");
        assert_eq!(reason(vec![stopped(5), Raw::ConnectionLost]), "emulator-failed");
    }

    #[test]
    fn only_our_port_is_the_agents() {
        let change =
            |id: &str, open: bool| monitor("VSERPORT_CHANGE", 1, json!({"id": id, "open": open}));
        assert!(!run([change("other", true)]).0.agent_port_open);
        assert!(run([change(PORT, true)]).0.agent_port_open);
        assert!(!run([change(PORT, true), change(PORT, false)]).0.agent_port_open);
    }

    #[test]
    fn strange_data_is_kept_and_harmless() {
        let (_, bodies) = run([
            monitor("RESET", 0, Value::Null),
            monitor("BLOCK_IO_ERROR", 0, json!([1])),
            monitor("NEVER_HEARD_OF", 0, json!({"x": 1})),
            Raw::Lifecycle { event: -5, detail: -1 },
        ]);
        assert_eq!(bodies.len(), 4);
    }
}

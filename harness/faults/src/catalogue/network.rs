//! The network and its services.

use super::{Example, KindInfo};

/// A machine that crashes at every start, whose Quick Machine Recovery finds help where it can ask for it;
/// then the trouble, and what comes of it.
macro_rules! asks_for_help {
    ($trouble:literal, $total:literal, $expect:literal) => {
        concat!(
            r#"
[[given]]
name = "sensor"
kind = "content-driver"
driver = "csagent.sys"
content-folder = 'C:\Windows\System32\drivers\CrowdStrike'
start = "system"

[[fault]]
name = "bad-content"
kind = "content-file"
path = 'C:\Windows\System32\drivers\CrowdStrike\C-00000291-00000000-00000032.sys'
content = { channel-file = { fields = 21, patterns = { 21 = '\\.\pipe\*' } } }

[[fault]]
name = "trouble"
"#,
            $trouble,
            r#"

[recovery.quick-machine-recovery]
cloud-remediation = true
auto-remediation = true
wait-interval = "1m"
total-wait-time = ""#,
            $total,
            r#""

[update-service]

[[update-service.remediation]]
id = "channel-file-291"
title = "Remove channel file 291"
target = { module = "csagent.sys", bug-check = 0x50 }
delete = { path = 'C:\Windows\System32\drivers\CrowdStrike\C-00000291*.sys' }

[expect]
stop = { bug-check = 0x50, module = "csagent.sys" }
"#,
            $expect,
            r#"

[limits]
time = "8m"
recovery-rounds = 1
"#
        )
    };
}

/// Never helped: one round of recovery, in which it asks for about two seconds of the host's time.
macro_rules! stays_stuck {
    ($trouble:literal) => {
        asks_for_help!($trouble, "4m", "verdict = \"stuck-in-recovery\"")
    };
}

/// Helped in the end.
macro_rules! comes_back {
    ($trouble:literal) => {
        asks_for_help!(
            $trouble,
            "120m",
            "verdict = \"recovered\"\nlayers = [\"quick-machine-recovery\"]\nupdate-service = \"applied\""
        )
    };
}

const STUCK: &str = "0x50 in csagent.sys at each start; recovery asks in vain and is stuck";
const BACK: &str = "0x50 in csagent.sys twice; recovery asks again until it is helped";

const fn example(name: &'static str, scenario: &'static str, consequence: &'static str) -> Example {
    Example { name, machine: "", scenario, consequence }
}

pub(super) const KINDS: &[KindInfo] = &[
    KindInfo {
        name: "network",
        title: "trouble on the machine's network",
        what: "No link, a link that comes up late at each boot or at some, no DHCP server, no DNS or wrong \
               answers from it, a captive portal, latency, packet loss by a seed; for ever, or for a number \
               of boots.",
        lands: "The harness is the machine's network: from power-on, or once the machine is up, it behaves \
                that way, and reports what it does from then on. Frames, requests and names that meet the \
                trouble are recorded as refused.",
        undone: "The trouble is lifted after its boots, or with the end of the run. Nothing on the disk was \
                 changed.",
        inert: "The same network without the trouble.",
        images: "Any, on a hypervisor that the harness's cable reaches: the embedded driver, or libvirt on \
                 the same host. Windows' recovery environment needs a driver for the network card in its \
                 image.",
        expect: "A healthy machine is not affected. One that needs its update service cannot reach \
                 it: Quick Machine Recovery retries until its time is up, and the machine is stuck, \
                 unless the trouble ends before that.",
        examples: &[
            example(
                "network-no-link",
                stays_stuck!("kind = \"network\"\ntrouble = \"no-link\""),
                STUCK,
            ),
            example(
                "network-no-link-ends",
                comes_back!("kind = \"network\"\ntrouble = \"no-link\"\nboots = 2"),
                BACK,
            ),
            example(
                "network-late-link",
                comes_back!("kind = \"network\"\ntrouble = { late-link = { after = \"20m\" } }"),
                BACK,
            ),
            example(
                "network-no-dhcp",
                stays_stuck!("kind = \"network\"\ntrouble = \"no-dhcp\""),
                STUCK,
            ),
            example(
                "network-no-dns",
                stays_stuck!("kind = \"network\"\ntrouble = \"no-dns\""),
                STUCK,
            ),
            example(
                "network-wrong-dns",
                stays_stuck!("kind = \"network\"\ntrouble = \"wrong-dns\""),
                STUCK,
            ),
            example(
                "network-captive-portal",
                stays_stuck!("kind = \"network\"\ntrouble = \"captive-portal\""),
                STUCK,
            ),
            example(
                "network-latency",
                comes_back!("kind = \"network\"\ntrouble = { latency = { delay = \"200ms\" } }"),
                BACK,
            ),
            example(
                "network-loss",
                comes_back!("kind = \"network\"\ntrouble = { loss = { percent = 20, seed = 7 } }"),
                BACK,
            ),
        ],
    },
    KindInfo {
        name: "service",
        title: "trouble at the update service",
        what: "The service is down (it refuses connections), slow, answers 503, with or without the time after \
               which it may be asked again, shows a certificate for another name or one that has expired; its \
               downloads end in the middle or are changed on the way, or come with another key's signature, \
               after their time, or as an older manifest that is replayed; for ever, or for a number of \
               requests that met it.",
        lands: "From power-on, or once the machine is up, the service behaves that way, and reports what \
                is wrong with it. Each request that meets the trouble is recorded, with the trouble as the answer.",
        undone: "The trouble is lifted after its requests, or with the end of the run. Nothing on the disk \
                 was changed.",
        inert: "The same service without the trouble.",
        images: "Those whose update client speaks the protocol of the harness's update service: the \
                 understudy. Windows Update's own protocol in recovery is not public; Windows asks, and \
                 what it makes of the answers is its own.",
        expect: "Quick Machine Recovery does not trust, does not get or does not accept what it needs, retries \
                 until its time is up, and the machine is stuck, unless the trouble ends before that.",
        examples: &[
            example("service-down", stays_stuck!("kind = \"service\"\ntrouble = \"down\""), STUCK),
            example(
                "service-down-ends",
                comes_back!("kind = \"service\"\ntrouble = \"down\"\nrequests = 2"),
                BACK,
            ),
            example(
                "service-slow",
                comes_back!("kind = \"service\"\ntrouble = { slow = { delay = \"3s\" } }"),
                BACK,
            ),
            example(
                "service-unavailable",
                stays_stuck!("kind = \"service\"\ntrouble = \"unavailable\""),
                STUCK,
            ),
            example(
                "service-unavailable-ends",
                comes_back!("kind = \"service\"\ntrouble = \"unavailable\"\nrequests = 2"),
                BACK,
            ),
            example(
                "service-busy",
                comes_back!(
                    "kind = \"service\"\ntrouble = { busy = { retry-after = \"5m\" } }\nrequests = 1"
                ),
                BACK,
            ),
            example(
                "service-wrong-certificate",
                stays_stuck!("kind = \"service\"\ntrouble = \"wrong-certificate\""),
                STUCK,
            ),
            example(
                "service-expired-certificate",
                stays_stuck!("kind = \"service\"\ntrouble = \"expired-certificate\""),
                STUCK,
            ),
            example(
                "service-truncated-download",
                stays_stuck!("kind = \"service\"\ntrouble = \"truncated-download\""),
                STUCK,
            ),
            example(
                "service-tampered-download",
                asks_for_help!(
                    "kind = \"service\"\ntrouble = \"tampered-download\"",
                    "4m",
                    "verdict = \"stuck-in-recovery\"\nupdate-service = \"refused\""
                ),
                "0x50 in csagent.sys at each start; recovery refuses the remediation and is stuck",
            ),
            example(
                "service-untrusted-signature",
                asks_for_help!(
                    "kind = \"service\"\ntrouble = \"untrusted-signature\"",
                    "4m",
                    "verdict = \"stuck-in-recovery\"\nupdate-service = \"refused\""
                ),
                "0x50 in csagent.sys at each start; recovery refuses the remediation and is stuck",
            ),
            example(
                "service-expired-manifest",
                asks_for_help!(
                    "kind = \"service\"\ntrouble = \"expired-manifest\"",
                    "4m",
                    "verdict = \"stuck-in-recovery\"\nupdate-service = \"refused\""
                ),
                "0x50 in csagent.sys at each start; recovery refuses the remediation and is stuck",
            ),
            example(
                "service-replayed-manifest",
                asks_for_help!(
                    "kind = \"service\"\ntrouble = \"replayed-manifest\"",
                    "4m",
                    "verdict = \"stuck-in-recovery\"\nupdate-service = \"refused\""
                ),
                "0x50 in csagent.sys at each start; recovery refuses the remediation and is stuck",
            ),
        ],
    },
    KindInfo {
        name: "clock",
        title: "a clock that is wrong",
        what: "The machine's clock chip has the wrong time at power-on, as after its battery has \
               died. What was on the disk before keeps its right times.",
        lands: "The machine is powered on with that time in its clock chip.",
        undone: "The next machine starts with the right time. Nothing on the disk was changed.",
        inert: "The right time.",
        images: "Any.",
        expect: "Whoever checks certificates refuses those that are not valid yet, or not any more: Quick \
                 Machine Recovery cannot speak with its service, and the machine is stuck.",
        examples: &[
            example(
                "clock-past",
                stays_stuck!("kind = \"clock\"\nto = \"2002-01-01T00:00:00Z\""),
                "0x50 in csagent.sys at each start; the service's certificate is not valid yet, and \
                 recovery is stuck",
            ),
            example(
                "clock-future",
                stays_stuck!("kind = \"clock\"\nto = \"2060-01-01T00:00:00Z\""),
                "0x50 in csagent.sys at each start; the service's certificate is not valid any more, and \
                 recovery is stuck",
            ),
        ],
    },
];

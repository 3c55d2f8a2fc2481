//! Events: what was observed, when, by whom, and how sure that observer is.
//!
//! Everything that touches the world (hypervisor, network, services, offline disk reads, the engine's
//! own steps) emits [`Observation`]s into a [`Sink`]. The engine stamps each one and appends it to
//! `events.jsonl` as an [`Event`]. Everything that is derived afterwards is derived from those lines.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use words::{ImageLine, ServiceAnswer, Verdict};

use crate::{ExpectedStop, Layer, LayerResult, LogEntry, Screen, ScreenKind, Witness};

/// Version of the `events.jsonl` format. A reader refuses a newer one.
pub const EVENT_FORMAT: u32 = 1;

/// Where an emitter puts what it saw. Cheap to clone, callable from any thread, never blocks.
#[derive(Clone)]
pub struct Sink(Arc<dyn Fn(Observation) + Send + Sync>);

impl Sink {
    /// Wraps a function that takes each observation at the moment it was made.
    pub fn new(take: impl Fn(Observation) + Send + Sync + 'static) -> Self {
        Self(Arc::new(take))
    }

    /// Hands over one observation. The receiver stamps the time, so call it at once.
    pub fn emit(&self, source: Source, body: Body) {
        (self.0)(Observation { source, body });
    }
}

impl std::fmt::Debug for Sink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Sink")
    }
}

/// An event before it has a time and a number.
#[derive(Debug, Clone, PartialEq)]
pub struct Observation {
    /// Who saw it.
    pub source: Source,
    /// What was seen.
    pub body: Body,
}

/// One line of `events.jsonl`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// Number within the run, from 0, without gaps.
    pub seq: u64,
    /// Microseconds since the run began, monotonic.
    pub at_us: u64,
    /// Who saw it.
    pub source: Source,
    /// What was seen.
    #[serde(flatten)]
    pub body: Body,
}

impl Event {
    /// How sure it is: as its source is, but a log that the guest keeps is the guest's word wherever it is read.
    pub fn confidence(&self) -> Confidence {
        match self.body {
            Body::SystemLog { .. } => Confidence::GuestSays,
            _ => self.source.confidence(),
        }
    }
}

/// Who made an observation. The order of trust is in [`Source::confidence`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    /// libvirt or the QEMU monitor: outside the guest, not forgeable by it.
    Hypervisor,
    /// The harness's own network and services: what really came over the wire.
    Network,
    /// The disk, read offline after the machine was off.
    Disk,
    /// A frame of the display.
    Screen,
    /// The guest agent's answer.
    Agent,
    /// The guest's serial line.
    Serial,
    /// The harness itself: its steps, its decisions.
    Harness,
}

/// How much weight an observation carries when two disagree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Confidence {
    /// The guest says so.
    GuestSays,
    /// Inferred from a picture or from silence.
    Inferred,
    /// Seen from outside the guest.
    Observed,
}

impl Source {
    /// How sure an observation from this source is.
    pub fn confidence(self) -> Confidence {
        match self {
            Self::Hypervisor | Self::Network | Self::Disk | Self::Harness => Confidence::Observed,
            Self::Screen => Confidence::Inferred,
            Self::Agent | Self::Serial => Confidence::GuestSays,
        }
    }
}

/// Who caused a reset. Only what the guest (or an operator) did counts towards a loop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ResetBy {
    /// The guest reset itself (QEMU reason `guest-reset`, `guest-panic`).
    Guest,
    /// The harness asked for it (`host-qmp-system-reset`, announced beforehand by a `step`).
    Harness,
    /// A scenario's operator pressed the button.
    Operator,
    /// The hypervisor by itself, for example its watchdog.
    Hypervisor,
    /// Power was cut and came back, or a power fault of the scenario pressed the reset button.
    Power,
}

/// How a machine came to run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StartedFrom {
    /// Power-on with a powered-off disk.
    Cold,
    /// Restored from a RAM checkpoint; the boot was already good when it was taken.
    Checkpoint,
}

/// The phases of a boot, in order. `Recovery*` belong to a boot of the recovery environment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// UEFI or BIOS.
    Firmware,
    /// The boot manager reads the BCD and decides.
    BootManager,
    /// The OS loader reads the SYSTEM hive and loads boot-start drivers.
    Loader,
    /// The kernel initialises drivers.
    Kernel,
    /// Services start.
    Session,
    /// The boot was marked good; the machine is in use.
    Healthy,
    /// The recovery environment runs.
    Recovery,
    /// The recovery environment waits for a person.
    RecoveryPrompt,
    /// Boot manager or recovery environment ask for the recovery key of an encrypted volume.
    RecoveryKey,
}

/// A stop code with its four parameters, as Windows shows them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct BugCheck {
    /// For example 0x50.
    pub code: u64,
    /// The four parameters.
    pub parameters: [u64; 4],
}

/// One way in which a text line, a picture or the agent tells the phase. Part of an image's machine profile,
/// copied into the first event, so that a recorded run can be read without the image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Marker {
    /// `serial`, `agent` or `screen`.
    pub source: Source,
    /// For `serial`: the line starts with this. Ignored elsewhere: of the agent any first answer counts.
    #[serde(default)]
    pub starts_with: String,
    /// For `screen`: the display shows this. A phase that lasts, [`Phase::Healthy`], is reached only once the
    /// display has stood still for as long as a machine may be silent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub screen: Option<ScreenKind>,
    /// The phase that is reached.
    pub phase: Phase,
}

/// What the timeline needs to know that is not an observation. The body of the first event.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunFacts {
    /// [`EVENT_FORMAT`].
    pub format: u32,
    /// The scenario's name.
    pub scenario: String,
    /// The image's name, for people (`understudy`).
    pub image: String,
    /// Which line of systems the image is of; absent in records of before there were lines.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_line: Option<ImageLine>,
    /// True where the image is a model and not Windows. Reports must say so.
    pub image_is_model: bool,
    /// Minutes of documented waiting pass this many times faster.
    pub time_scale: u32,
    /// How phases are recognised.
    pub markers: Vec<Marker>,
    /// How further lines of the serial port are understood.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub witnesses: Vec<Witness>,
    /// Resets of this image that are normal and never count towards a loop, per run.
    #[serde(default)]
    pub expected_resets: u32,
    /// A loop: this many boots in a row ended the same way in the same phase with the same signature.
    pub loop_after: u32,
    /// Stuck: the recovery environment was entered this often and Windows still does not start.
    pub recovery_rounds: u32,
    /// The layers that the scenario expects to bring the machine back, in order.
    pub expected_layers: Vec<Layer>,
    /// What is expected to come of layers, whether they help or not.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub expected_results: BTreeMap<Layer, LayerResult>,
    /// The verdict that the scenario expects. `None`: `recovered` where a layer is expected, else nothing is held
    /// against the run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected_verdict: Option<Verdict>,
    /// The stop with which failing boots are expected to end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected_stop: Option<ExpectedStop>,
    /// The NTSTATUS on the error screen of boot manager or loader with which they are expected to end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected_boot_error: Option<u32>,
    /// The drivers and services that are expected not to start, or whose process ends.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub expected_failures: Vec<String>,
    /// The drivers that somebody brought to see them run. That one of them was not loaded or did not start is never a
    /// pass, unless just that is expected.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub drivers: Vec<crate::BroughtDriver>,
    /// The files of drivers that are made to need what no Windows has: that the image lacks it is the fault itself.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub made_to_lack: Vec<String>,
    /// True where the run is expected to end with the recovery key being asked for.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub expects_recovery_key: bool,
    /// What the update service is expected to see and to answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected_answer: Option<ServiceAnswer>,
    /// The names of all faults of the scenario. Nothing is concluded for the product before each of
    /// them was armed. Empty: the first fault that is armed is taken to be the only one.
    #[serde(default)]
    pub faults: Vec<String>,
    /// True where the scenario has somebody who acts on a machine that waits, hangs or stands at a stop
    /// screen. Without one, such a machine is a conclusion.
    #[serde(default)]
    pub operator: bool,
    /// Where the scenario has somebody who does nothing but switch a machine that stands at a stop screen
    /// off and on again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub power_cycles: Option<PowerCycles>,
    /// The layers that the harness works itself, one turn each and in this order, when the machine would else be given
    /// up. Older records have `host_repair`, which is true or left out.
    #[serde(
        default,
        alias = "host_repair",
        deserialize_with = "driven",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub driven: Vec<Layer>,
    /// True where a machine that one of these brought back has to come up healthy once more.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub second_start: bool,
}

fn driven<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<Layer>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Driven {
        Layers(Vec<Layer>),
        HostRepair(bool),
    }
    Ok(match Driven::deserialize(deserializer)? {
        Driven::Layers(layers) => layers,
        Driven::HostRepair(true) => vec![Layer::HostRepair],
        Driven::HostRepair(false) => Vec::new(),
    })
}

impl RunFacts {
    /// The phase that a serial line, or the agent's first answer, stands for by the image's profile.
    pub fn phase_of(&self, source: Source, text: Option<&str>) -> Option<Phase> {
        let matches = |marker: &&Marker| {
            marker.source == source
                && text.is_none_or(|text| {
                    // An empty prefix would make every line a sign.
                    !marker.starts_with.is_empty() && text.starts_with(&marker.starts_with)
                })
        };
        // Of several that match, the longest says most (`[session]`, `[session] boot marked good`).
        let best = self.markers.iter().filter(matches).max_by_key(|one| one.starts_with.len());
        best.map(|marker| marker.phase)
    }

    /// The phase that a picture stands for by the image's profile.
    pub fn phase_of_screen(&self, kind: ScreenKind) -> Option<Phase> {
        let shows =
            |marker: &&Marker| marker.source == Source::Screen && marker.screen == Some(kind);
        self.markers.iter().find(shows).map(|marker| marker.phase)
    }
}

/// Somebody who switches a machine that stands at a stop screen off and on again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PowerCycles {
    /// So often, and then no more. Absent: as long as it takes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_most: Option<u32>,
}

/// What was seen. One flat enum: `{"event":"reset", …}`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Body {
    /// First event of a run.
    RunStarted {
        /// See [`RunFacts`].
        facts: Box<RunFacts>,
    },
    /// The machine was powered on or restored.
    MachineStarted {
        /// Cold or from a checkpoint.
        from: StartedFrom,
    },
    /// The machine is off or gone.
    MachineStopped {
        /// libvirt's or QEMU's words, for example `guest-shutdown`, `destroyed`.
        reason: String,
    },
    /// A burst of QEMU RESET events (one reboot gives up to three within 30 ms), counted once.
    Reset {
        /// Who did it.
        by: ResetBy,
        /// QEMU's reason, for example `guest-reset`.
        reason: String,
    },
    /// QEMU's GUEST_PANICKED.
    Panicked {
        /// QEMU's action, `run` where the guest goes on to write its dump.
        action: String,
        /// The Hyper-V crash arguments, where the panic device carries them.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        bug_check: Option<BugCheck>,
    },
    /// QEMU's WATCHDOG.
    Watchdog {
        /// What QEMU did.
        action: String,
    },
    /// QEMU's BLOCK_IO_ERROR.
    BlockIoError {
        /// QEMU's node or device.
        device: String,
        /// `read` or `write`.
        operation: String,
        /// QEMU's reason.
        reason: String,
    },
    /// Any other monitor or lifecycle event, kept for the researcher.
    Monitor {
        /// QEMU's or libvirt's event name.
        name: String,
        /// Its data.
        data: serde_json::Value,
    },
    /// One line of a serial port.
    SerialLine {
        /// 0 is COM1.
        port: u32,
        /// Without line end; bytes that are not UTF-8 are replaced; at most 4096 characters.
        text: String,
    },
    /// The display changed.
    Frame {
        /// File within the run directory.
        file: String,
        /// BLAKE3 of the pixels, hex.
        digest: String,
        /// Pixels.
        width: u32,
        /// Pixels.
        height: u32,
        /// Why it was taken: `poll`, `panic`, `step`.
        why: String,
    },
    /// What a frame shows. A frame may be read twice, and the second time say more: reading its text
    /// takes longer than looking at it.
    Screen {
        /// The frame's file, as its event named it.
        file: String,
        /// What it shows.
        #[serde(flatten)]
        screen: Screen,
    },
    /// The guest agent answered for the first time since the last reset.
    AgentUp,
    /// A step of the scenario, by the harness.
    Step {
        /// For example `inject bad-channel-file`.
        name: String,
        /// How it stands.
        state: StepState,
        /// For people.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        detail: String,
    },
    /// A fault was read back from where it was put.
    FaultLanded {
        /// The fault's name in the scenario.
        fault: String,
        /// What was read back, one line each: path, size, digest; key, value.
        proof: Vec<String>,
    },
    /// A request to one of the scenario's services, and the answer.
    Service {
        /// The service's name, for example `remediation`.
        service: String,
        /// What it means in the service's own terms: `scan`, `download`, `report`.
        request: String,
        /// What was answered: `no-match`, `offered`, `served`, `accepted`.
        answer: String,
        /// Further facts, for example the signature that was asked for.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        facts: BTreeMap<String, String>,
    },
    /// Something on the wire that no service of the scenario answers; dropped.
    Refused {
        /// `udp`, `tcp`, `icmp`, `arp`, …
        protocol: String,
        /// Where it was meant to go.
        to: String,
        /// How often until now (reported at 1, 10, 100, …).
        count: u64,
    },
    /// A crash dump was found on the disk.
    Dump {
        /// Path within Windows, for example `C:\Windows\MEMORY.DMP`.
        path: String,
        /// Copy within the run directory.
        file: String,
        /// `kernel`, `full`, `small`, …
        kind: String,
        /// Code and parameters from its header.
        bug_check: BugCheck,
        /// The module that the dump blames, lower case.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        module: Option<String>,
        /// The guest's time in the header, RFC 3339.
        time: String,
    },
    /// A file differs from what it was before the faults were armed. Noise (page file, dumps, logs,
    /// hives' own housekeeping) is left out by the image's profile.
    DiskChange {
        /// Path within Windows.
        path: String,
        /// `added`, `removed`, `changed`.
        change: String,
    },
    /// A file of the user's data was checked.
    Canary {
        /// Path within Windows.
        path: String,
        /// True where its digest is what it was.
        intact: bool,
    },
    /// A log or report of the recovery environment was found on the disk.
    RecoveryLog {
        /// Path within Windows.
        path: String,
        /// Copy within the run directory.
        file: String,
    },
    /// The log of a layer says what the layer did, in one of its sessions. Sessions that were in the log before
    /// the run are no events.
    LayerReport {
        /// Which layer.
        layer: Layer,
        /// What came of it.
        result: LayerResult,
        /// Why.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
        /// The log, a path within Windows.
        path: String,
    },
    /// The System log of the machine has an entry that was not there before the run.
    SystemLog {
        /// The entry's number in the log.
        record: u64,
        /// The log, a path within Windows.
        path: String,
        /// What it says.
        entry: LogEntry,
    },
    /// Harness or host failed; the verdict is `infrastructure`.
    HarnessFailed {
        /// What failed, for people.
        reason: String,
    },
    /// Why watching ended, after which only disk observations follow.
    WatchEnded {
        /// `concluded`, `time-limit`, `interrupted`, `failed`.
        why: String,
        /// For people.
        detail: String,
    },
    /// Last event of a complete run.
    RunEnded,
}

/// How a step stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StepState {
    /// Begun.
    Started,
    /// Done.
    Done,
    /// Failed.
    Failed,
}

//! The scenario as a whole.

use std::collections::BTreeMap;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use words::{CheckName, Span};

use crate::expect::Expect;
use crate::fault::Fault;
use crate::host_repair::HostRepair;
use crate::ladder::{LastKnownGood, Reboots, SafeMode};
use crate::network::{LateLink, NetworkTrouble};
use crate::network_services::{ContentService, UpdateService};
use crate::restore_point::RestorePoint;
use crate::rollback::Rollback;
use crate::uninstall_update::UninstallUpdate;
use words::WindowsPath;

/// A scenario: image, what was there, what goes wrong, what may bring it back, what is expected.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
#[schemars(title = "loopbreak scenario")]
pub struct Scenario {
    /// Version of this format: 1.
    #[schemars(range(min = 1, max = 1))]
    pub format: u32,
    /// The name; also the name of the folder that the file lies in. Of a variant, as it is loaded:
    /// `folder/variant`.
    pub name: String,
    /// One line for people.
    pub title: String,
    /// What happened, why, and what this scenario shows.
    pub description: String,
    /// Words by which filters find it: `run -E 'tag(nightly)'`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// The machine.
    pub machine: Machine,
    /// What is on the machine before anything goes wrong. Staged before power-on; the machine has to
    /// come up healthy with it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub given: Vec<Fault>,
    /// What goes wrong, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fault: Vec<Fault>,
    /// Files of the user's data that have to survive.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub canary: Vec<Canary>,
    /// Settings of the machine's own recovery. What is left out stays as the image has it.
    #[serde(default)]
    pub recovery: Recovery,
    /// The update service, where there is one. Without it its name does not resolve.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub update_service: Option<UpdateService>,
    /// The vendor's content service, where there is one. Without it its name does not resolve.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_service: Option<ContentService>,
    /// The machine is switched off and on, each time that it would be given up, before any other layer. Without it
    /// nobody does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reboots: Option<Reboots>,
    /// A start with the last known good control set, when the machine would be given up; after `reboots`. Without it
    /// there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_known_good: Option<LastKnownGood>,
    /// A repair in safe mode, when the machine would be given up; after `last-known-good`. Without it there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub safe_mode: Option<SafeMode>,
    /// An update, a driver package or a half-done update is taken back when the machine would be given up; after
    /// `safe-mode`. Without it nothing is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uninstall_update: Option<UninstallUpdate>,
    /// Registry and system files go back to an earlier point when the machine would be given up; after
    /// `uninstall-update`. Without it they do not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restore_point: Option<RestorePoint>,
    /// What is done to the disk from the host when the machine would be given up; after `restore-point`. Without it
    /// nothing is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host_repair: Option<HostRepair>,
    /// Back to an earlier state of the machine, when it would be given up; after `host-repair`, where both are
    /// there. Without it nothing is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollback: Option<Rollback>,
    /// Somebody at the machine. Without this table nobody is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operator: Option<Operator>,
    /// What has to come out.
    pub expect: Expect,
    /// When watching ends.
    #[serde(default)]
    pub limits: Limits,
    /// Bytes of the files that the scenario names, by the name it uses. Read by `load`.
    #[serde(skip)]
    pub files: BTreeMap<String, Vec<u8>>,
}

impl Scenario {
    /// The scenario with another seed for everything that chance decides in it.
    pub fn with_seed(&self, seed: u64) -> Self {
        let mut scenario = self.clone();
        for fault in scenario.given.iter_mut().chain(&mut scenario.fault) {
            match fault {
                Fault::Power(power) => power.seed = seed,
                Fault::Driver(driver) => {
                    if let Some(chance) = &mut driver.chance {
                        chance.set_seed(seed);
                    }
                }
                Fault::Network(network) => match &mut network.trouble {
                    NetworkTrouble::Loss(loss) => loss.seed = seed,
                    NetworkTrouble::LateLink(LateLink { chance: Some(chance), .. }) => {
                        chance.set_seed(seed);
                    }
                    _ => {}
                },
                _ => {}
            }
        }
        scenario
    }

    /// The scenario on another image than its own.
    pub fn on_image(&self, image: &str) -> Self {
        let mut scenario = self.clone();
        image.clone_into(&mut scenario.machine.image);
        scenario
    }

    /// The name of its folder.
    pub fn folder_name(&self) -> &str {
        self.name.split_once('/').map_or(&self.name, |(folder, _)| folder)
    }

    /// The first part of the name of its references: the variant's name, or the scenario's own.
    pub fn reference_name(&self) -> &str {
        self.name.rsplit('/').next().unwrap_or(&self.name)
    }

    /// One line for a list: what it is and what it expects.
    pub fn describe(&self) -> String {
        let by = match self.expect.layers.as_slice() {
            [] => String::new(),
            layers => {
                let names: Vec<&str> = layers.iter().map(|layer| layer.name()).collect();
                format!(" by {}", names.join(", then "))
            }
        };
        let verdict = self.expect.verdict.name();
        format!("{} (on {}; expected: {verdict}{by})", self.title, self.machine.image)
    }

    /// BLAKE3 over the canonical form and the files it names, hex. Comments and layout of the source do
    /// not change it.
    pub fn digest(&self) -> String {
        let canonical = serde_json::to_string(self)
            .expect("a scenario holds only strings, numbers and string-keyed maps");
        self.digest_with(&canonical)
    }

    /// The digest of a canonical form, with the files that the scenario names.
    pub(crate) fn digest_with(&self, canonical: &str) -> String {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&(canonical.len() as u64).to_le_bytes());
        hasher.update(canonical.as_bytes());
        for (name, bytes) in &self.files {
            hasher.update(&(name.len() as u64).to_le_bytes());
            hasher.update(name.as_bytes());
            hasher.update(&(bytes.len() as u64).to_le_bytes());
            hasher.update(bytes);
        }
        hasher.finalize().to_hex().to_string()
    }
}

/// The machine that is broken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Machine {
    /// Name of the image in the store; `run --image` takes another one instead.
    pub image: String,
    /// How it comes to run.
    #[serde(default)]
    pub start: Start,
    /// Where its clock starts; without it, the host's time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clock: Option<Timestamp>,
    /// Documented minutes of waiting pass this many times faster, on an image that can do so. On another one they
    /// pass as they do; a scenario that has to wait for minutes is not applicable to it.
    #[serde(default = "one")]
    #[schemars(range(min = 1, max = 3600))]
    pub time_scale: u32,
    /// What the image has to be able to do, besides what follows from the recovery and the stop that the
    /// scenario declares. On an image that cannot, the scenario is not applicable; nothing is started.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub needs: Vec<CheckName>,
    /// What the image must not be able to do, because that is what the scenario tests.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lacks: Vec<CheckName>,
}

fn one() -> u32 {
    1
}

/// How a machine comes to run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Start {
    /// From power-on.
    #[default]
    Cold,
    /// From a RAM checkpoint of the healthy machine with all that is given; the first run takes it.
    Checkpoint,
}

/// A file of the user's data.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Canary {
    /// Where it lies.
    pub path: WindowsPath,
    /// What is in it, as UTF-8.
    pub text: String,
}

/// Somebody at the machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Operator {
    /// What they do with a machine that stands at a stop screen and does not restart by itself.
    pub at_stop_screen: AtStopScreen,
    /// So often, and no more. Without it: as long as it takes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100))]
    pub times: Option<u32>,
}

/// What somebody does with a machine that stands at a stop screen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum AtStopScreen {
    /// Switches it off and on again.
    PowerCycle,
    /// Leaves it standing.
    Leave,
}

/// Settings of the machine's own recovery.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Recovery {
    /// Restarts after a stop (`CrashControl\AutoReboot`, "Automatically restart"). Off: the machine stands
    /// at the stop screen until somebody switches it off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub automatic_restart: Option<bool>,
    /// Quick Machine Recovery.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quick_machine_recovery: Option<QuickMachineRecovery>,
}

/// The documented settings of Quick Machine Recovery (windows-facts 1.4). All are written, because the
/// defaults differ between editions and versions (1.3).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct QuickMachineRecovery {
    /// Asks the update service. Off: only the local Startup Repair.
    pub cloud_remediation: bool,
    /// Goes on without a person.
    pub auto_remediation: bool,
    /// Asks again until this much time has passed, then restarts. Whole minutes, 1 to 4320.
    #[serde(default = "default_total_wait_time")]
    pub total_wait_time: Span,
    /// Waits this long between two questions. Whole minutes, 0 to 4320; 0 asks once.
    #[serde(default = "default_wait_interval")]
    pub wait_interval: Span,
}

// The example of Microsoft's own documentation: 2400 and 120 minutes.
pub(crate) fn default_total_wait_time() -> Span {
    Span::from_secs(2400 * 60)
}

fn default_wait_interval() -> Span {
    Span::from_secs(120 * 60)
}

/// When watching ends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Limits {
    /// For the whole watch, on the host's clock, without the time for which the host gave the machine's emulator no
    /// processor, and at most four times as long with it. Reaching it is a failure of the infrastructure or a
    /// hang, never a result by itself.
    #[serde(default = "default_time")]
    pub time: Span,
    /// A machine that is on its way and of which nothing is seen for this long, on the same clock, stands still. What it is told to wait in recovery comes on top.
    #[serde(default = "default_silence")]
    pub silence: Span,
    /// A loop: this many boots in a row that ended the same way.
    #[serde(default = "default_loop_after")]
    #[schemars(range(min = 2, max = 100))]
    pub loop_after: u32,
    /// Stuck: the recovery environment was entered this often and the system still does not start.
    #[serde(default = "default_recovery_rounds")]
    #[schemars(range(min = 1, max = 100))]
    pub recovery_rounds: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            time: default_time(),
            silence: default_silence(),
            loop_after: default_loop_after(),
            recovery_rounds: default_recovery_rounds(),
        }
    }
}

fn default_time() -> Span {
    Span::from_secs(15 * 60)
}

// Far more than any phase takes between two signs of life, under software emulation too.
fn default_silence() -> Span {
    Span::from_secs(180)
}

fn default_loop_after() -> u32 {
    3
}

fn default_recovery_rounds() -> u32 {
    2
}

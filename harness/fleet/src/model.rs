//! The rollout file: what people write.

use std::collections::BTreeMap;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use words::{Layer, Span, Touch};

use crate::distribution::Distribution;

/// Version of the file.
pub const ROLLOUT_FORMAT: u32 = 1;

/// A rollout: an update, the machines that it goes to, how it is stopped, and plans to compare.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Rollout {
    /// Version of the file: 1.
    pub format: u32,
    /// Its name.
    pub name: String,
    /// What it is about, for people.
    #[serde(default)]
    pub about: String,
    /// When the update is published: it decides which hour and day it is where the machines are.
    pub begins: Timestamp,
    /// For how long it is played, at most 960 hours.
    pub horizon: Span,
    /// Of the random numbers. The same seed gives the same result.
    #[serde(default = "one_u64")]
    pub seed: u64,
    /// What is rolled out.
    pub update: Update,
    /// How many machines there are.
    pub fleet: Fleet,
    /// Kinds of machines.
    pub class: Vec<Class>,
    /// What may be wrong with the update. One of them is played; `recommend` weighs all by their chance.
    pub fault: Vec<Fault>,
    /// The service that gives out the update.
    pub update_service: Service,
    /// The service that Quick Machine Recovery asks. Without it the update service answers.
    pub remediation_service: Option<Service>,
    /// What brings a broken machine back, in the order in which it is tried.
    #[serde(default)]
    pub layer: Vec<LayerPlan>,
    /// Who repairs the rest.
    pub help_desk: Option<HelpDesk>,
    /// What is heard of the machines.
    pub signals: Signals,
    /// What is done when a stop rule says so.
    #[serde(default)]
    pub at_stop: AtStop,
    /// How a fault is found where no rule finds it.
    pub found_otherwise: Option<FoundOtherwise>,
    /// Ways to roll it out, to be compared.
    pub plan: Vec<Plan>,
    /// What a loss is counted as.
    #[serde(default)]
    pub costs: Costs,
    /// Where `recommend` looks.
    pub search: Option<Search>,
    /// What real machines are played with. Only `fleet play` needs it.
    pub real: Option<Real>,
    /// Where numbers are from: the path of a key, or the beginning of one, and its source. All others are assumptions.
    #[serde(default)]
    pub sources: BTreeMap<String, String>,
}

/// What is rolled out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Update {
    /// Its name.
    pub name: String,
    /// What it is.
    pub kind: UpdateKind,
    /// How much a machine fetches.
    #[serde(default = "one_u64")]
    pub kilobytes: u64,
}

/// Kinds of updates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum UpdateKind {
    /// Takes effect at the next start.
    Driver,
    /// Takes effect as soon as it is there.
    Content,
    /// Takes effect at the next start.
    Package,
}

/// How many machines.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Fleet {
    /// All of them, at most 50 million.
    pub machines: u32,
    /// Only machines count that were on, and would have asked, within this time from the beginning: for an incident
    /// of which only the number of broken machines is known.
    pub asks_within: Option<Span>,
}

/// A kind of machine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Class {
    /// Its name.
    pub name: String,
    /// Its part of the fleet. Those of all classes add up to 1.
    pub share: f64,
    /// The share that is switched on, for each hour of a working day where the machine is. Nothing: always on.
    pub on: Option<Vec<f64>>,
    /// The same for Saturday and Sunday. Nothing: as on working days.
    pub on_weekend: Option<Vec<f64>>,
    /// Where the machines are. Nothing: all at UTC.
    #[serde(default)]
    pub zones: Vec<Zone>,
    /// How often a machine that is on asks for updates. One that is switched on asks within an hour.
    pub asks_every: Span,
    /// Time between two restarts.
    pub restarts_every: Distribution,
    /// The share with an encrypted system volume (BitLocker).
    #[serde(default)]
    pub encrypted: f64,
    /// The share of these machines that a fault can hit, of those that it hits elsewhere.
    #[serde(default = "one")]
    pub exposed: f64,
}

/// A time zone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Zone {
    /// Hours before (positive) or after UTC.
    pub utc: f64,
    /// The share of the class that is there. Those of all zones add up to 1.
    pub share: f64,
}

/// What may be wrong with the update.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Fault {
    /// Its name.
    pub name: String,
    /// How likely it is against the other faults of the file.
    #[serde(default = "one")]
    pub chance: f64,
    /// The share of exposed machines that it breaks.
    pub breaks: f64,
    /// How many starts go well before the one that fails: as observed, each as likely. For content that is loaded at
    /// once, 0 breaks the machine in the minute in which it comes.
    #[serde(default = "at_once")]
    pub good_starts: Vec<u32>,
}

/// A service that machines ask.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Service {
    /// How many requests it answers in a minute, if each is answered with content.
    pub requests_a_minute: f64,
    /// What an answer without content costs it, a refusal (503) or "nothing new", as a share of one with content.
    #[serde(default = "light")]
    pub light_answer: f64,
    /// What its line carries.
    pub megabits: Option<f64>,
    /// What it says in `Retry-After`.
    pub retry_after: Span,
    /// By how much a machine waits longer after each further refusal.
    #[serde(default = "two")]
    pub backoff: f64,
    /// The longest wait.
    pub longest_wait: Span,
}

/// A rung of the recovery ladder, as often as it is there and helps.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct LayerPlan {
    /// Its name, where a layer is there more than once. Nothing: the layer's.
    pub name: Option<String>,
    /// Which.
    pub layer: Layer,
    /// Classes that have it. Nothing: all.
    pub classes: Option<Vec<String>>,
    /// The share of these machines on which it is set up.
    #[serde(default = "one")]
    pub available: f64,
    /// What has to be there before it can help.
    #[serde(default)]
    pub needs: Needs,
    /// How likely one try helps, if what it needs is there.
    pub helps: f64,
    /// The same on an encrypted machine. Nothing: as on others.
    pub helps_encrypted: Option<f64>,
    /// How long one try takes, with the starts that fail before it.
    pub takes: Distribution,
    /// How often it is tried.
    #[serde(default = "one_u8")]
    pub tries: u8,
    /// Whether somebody's hands are needed for each try. Nothing: as the layer has it.
    pub touch: Option<Touch>,
}

impl LayerPlan {
    /// As reports call it.
    pub fn label(&self) -> &str {
        self.name.as_deref().unwrap_or(self.layer.name())
    }
}

/// What a layer needs of others.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Needs {
    /// Nothing.
    #[default]
    Nothing,
    /// That good content is given out (`publish-remediation`).
    GoodContent,
    /// That the remediation service answers, and has the remediation.
    Remediation,
}

/// People who repair machines by hand. What they do helps.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct HelpDesk {
    /// How many machines are repaired at the same time, day and night.
    pub hands: u32,
    /// How long it takes until somebody asks for help once nothing else helped.
    pub called_after: Distribution,
    /// How long one repair takes.
    pub takes: Distribution,
    /// How much longer on an encrypted machine: the recovery key has to be found and typed.
    pub encrypted_takes_more: Option<Span>,
}

/// What is heard of the machines.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Signals {
    /// The share of broken machines that get a crash report out although they are broken.
    pub reports_while_broken: f64,
    /// How late a crash report comes.
    pub crash_report_delay: Distribution,
    /// The share of good machines that report a crash of some other cause.
    #[serde(default)]
    pub other_crashes: f64,
    /// How long it takes until it is known of a watched machine that it is broken.
    #[serde(default = "no_time")]
    pub canary_delay: Span,
    /// How late the report of a healthy start comes.
    pub healthy_delay: Distribution,
    /// The share of machines that never report.
    #[serde(default)]
    pub mute: f64,
    /// A machine is silent if nothing is heard of it for so long after it took the update, or after it last started
    /// well.
    pub silent_after: Span,
}

/// What is done at a stop, each so long after the alarm. What is not named is not done.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct AtStop {
    /// No further ring begins.
    pub halt: Option<Span>,
    /// The update is no longer given out.
    pub withdraw: Option<Span>,
    /// Good content and the remediation are given out.
    pub publish_remediation: Option<Span>,
    /// Machines that have the update and still run get the version before it when they next ask.
    pub roll_back: Option<Span>,
}

/// How people find a fault that no rule finds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct FoundOtherwise {
    /// So many machines have to be broken before anybody notices.
    pub machines: u32,
    /// From then to the alarm.
    pub after: Span,
}

/// A way to roll an update out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Plan {
    /// Its name.
    pub name: String,
    /// Its rings, in order.
    pub ring: Vec<Ring>,
    /// What stops it.
    #[serde(default)]
    pub stop: Vec<StopRule>,
}

/// A ring.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Ring {
    /// Its name.
    pub name: String,
    /// Its part of all machines. With neither share nor count it is all that are left.
    pub share: Option<f64>,
    /// How many machines it has.
    pub count: Option<u32>,
    /// How long to wait before the next ring.
    #[serde(default = "no_time")]
    pub wait: Span,
    /// The next ring also waits until this share of all machines that took the update has reported a healthy start.
    pub healthy: Option<f64>,
    /// Classes of machines in it. Nothing: all.
    pub classes: Option<Vec<String>>,
    /// Its machines are watched: whether they are broken is known after `canary-delay`, of each of them.
    #[serde(default)]
    pub canary: bool,
}

/// A rule that stops the rollout.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct StopRule {
    /// What it looks at.
    pub signal: Signal,
    /// The share of machines that is put up with. The alarm is given when it is certain that there are more.
    pub more_than: f64,
    /// How certain: 0.999 gives the alarm in at most one of a thousand rollouts with no more than that share, however
    /// often it is looked.
    pub confidence: f64,
}

/// What a stop rule looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Signal {
    /// Crash reports, of all machines that took the update.
    CrashReports,
    /// Machines that fell silent, of all that took the update and should have been heard of by now.
    Silent,
    /// Broken machines among the watched ones that took the update.
    Canaries,
}

impl Signal {
    /// As files and reports write it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::CrashReports => "crash-reports",
            Self::Silent => "silent",
            Self::Canaries => "canaries",
        }
    }
}

/// What a loss is counted as. A plan's loss is the sum.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Costs {
    /// An hour in which a machine was broken and would have been on.
    pub machine_hour: f64,
    /// A touch: one try of a layer that needs hands, or one repair by the help desk.
    pub touch: f64,
    /// In what it is counted.
    pub unit: String,
}

impl Default for Costs {
    fn default() -> Self {
        Self { machine_hour: 1.0, touch: 1.0, unit: "machine-hours".to_owned() }
    }
}

/// Where `recommend` looks: each first ring with each growth and each wait, and everything at once.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Search {
    /// The plan whose stop rules are taken; where its first ring is watched, so is the first ring of each plan.
    pub like: String,
    /// Shares of the first ring.
    pub first: Vec<f64>,
    /// By how much each ring is larger than the one before.
    pub growth: Vec<f64>,
    /// Waits between rings.
    pub wait: Vec<Span>,
    /// A plan is as fast as this share of all machines has a good update.
    #[serde(default = "most")]
    pub reach: f64,
    /// The chance that an update is bad: the loss of a bad one times this is what is expected.
    pub bad: f64,
}

/// What real machines are played with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Real {
    /// The scenario, by name, as `folder` or `folder/variant`: its faults are the update, its layers are what a machine
    /// has to come back by.
    pub scenario: String,
    /// The image, instead of the scenario's own.
    pub image: Option<String>,
}

const fn one() -> f64 {
    1.0
}

const fn two() -> f64 {
    2.0
}

const fn light() -> f64 {
    0.05
}

const fn most() -> f64 {
    0.95
}

const fn one_u8() -> u8 {
    1
}

const fn one_u64() -> u64 {
    1
}

const fn no_time() -> Span {
    Span::from_secs(0)
}

fn at_once() -> Vec<u32> {
    vec![0]
}

//! Trouble on the network and at the services that a machine needs.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use words::Span;

use crate::driver::Chance;
use crate::moment::Moment;

/// Trouble on the machine's network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct NetworkFault {
    /// Unique within the scenario.
    pub name: String,
    /// `staged`: from power-on; `healthy`: once the machine is up.
    #[serde(default)]
    pub when: Moment,
    /// What goes wrong.
    pub trouble: NetworkTrouble,
    /// It is over after this many boots, the one in which it begins included [default: it stays].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100))]
    pub boots: Option<u32>,
    /// The same machinery without the trouble. For comparison.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub inert: bool,
}

/// What goes wrong on a network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum NetworkTrouble {
    /// No frame passes.
    NoLink,
    /// Frames pass only after this long, at every boot.
    LateLink(LateLink),
    /// Nobody hands out addresses.
    NoDhcp,
    /// Names are not resolved: no answer comes.
    NoDns,
    /// Every name is resolved to an address where nobody is.
    WrongDns,
    /// Every name leads to a page that wants a login first; what speaks TLS gets a certificate for another
    /// name.
    CaptivePortal,
    /// Every frame takes longer.
    Latency(Latency),
    /// Some frames are lost.
    Loss(Loss),
}

/// A link that comes late.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct LateLink {
    /// So long after each boot begins, in the machine's documented time: divided by the time scale.
    pub after: Span,
    /// Late on some boots only, and there from the beginning on the others. Which ones follows from the
    /// seed and the number of the boot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chance: Option<Chance>,
}

/// A slow network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Latency {
    /// So much longer takes each frame, in each direction. Not divided by the time scale: neither is the
    /// patience of the protocols.
    pub delay: Span,
}

/// A network that loses frames.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Loss {
    /// How many, in hundredths.
    #[schemars(range(min = 1, max = 99))]
    pub percent: u32,
    /// Chooses which.
    #[serde(default)]
    pub seed: u64,
}

/// Trouble at the update service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct ServiceFault {
    /// Unique within the scenario.
    pub name: String,
    /// `staged`: from power-on; `healthy`: once the machine is up.
    #[serde(default)]
    pub when: Moment,
    /// What goes wrong.
    pub trouble: ServiceTrouble,
    /// It is over after this many requests that met it [default: it stays].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000))]
    pub requests: Option<u32>,
    /// The same machinery without the trouble. For comparison.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub inert: bool,
}

/// What goes wrong at a service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ServiceTrouble {
    /// Connections are refused.
    Down,
    /// Every answer takes longer.
    Slow(SlowService),
    /// Every answer is 503.
    Unavailable,
    /// Every answer is 503, with the time after which it may be asked again.
    Busy(BusyService),
    /// Its certificate is for another name.
    WrongCertificate,
    /// Its certificate has expired.
    ExpiredCertificate,
    /// Downloads end in the middle.
    TruncatedDownload,
    /// Downloads are changed on the way: their signature does not fit.
    TamperedDownload,
    /// Manifests are signed with a key that no machine trusts.
    UntrustedSignature,
    /// Manifests come whose time is over.
    ExpiredManifest,
    /// An older manifest comes in the place of the one that is offered.
    ReplayedManifest,
}

/// A service that wants to be asked later.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct BusyService {
    /// After so long, of documented time: a machine waits so long divided by the time scale.
    pub retry_after: Span,
}

/// A slow service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct SlowService {
    /// So much longer takes each answer. Not divided by the time scale.
    pub delay: Span,
}

/// The machine's clock is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct ClockFault {
    /// Unique within the scenario.
    pub name: String,
    /// Only `staged`: it is what the clock chip says at power-on.
    #[serde(default)]
    pub when: Moment,
    /// What it says.
    pub to: Timestamp,
    /// The clock is right. For comparison.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub inert: bool,
}

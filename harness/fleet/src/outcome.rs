//! What a rollout came to.

use serde::{Deserialize, Serialize};

use crate::model::Costs;

/// Version of the document.
pub const OUTCOME_FORMAT: u32 = 1;

/// What a rollout came to. Everything in it is the same for the same file, changes and seed, with any number of
/// threads. All times are minutes from the beginning.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Outcome {
    /// [`OUTCOME_FORMAT`].
    pub format: u32,
    /// The rollout's name.
    pub rollout: String,
    /// The plan's name.
    pub plan: String,
    /// The fault that was played; nothing for a good update.
    pub fault: Option<String>,
    /// Of the random numbers.
    pub seed: u64,
    /// All machines.
    pub machines: u64,
    /// Machines that took the update.
    pub took: u64,
    /// Machines that broke.
    pub broke: u64,
    /// How often a machine broke that had broken before.
    pub broke_again: u64,
    /// How often which layer brought a machine back; the help desk is the last.
    pub recovered: Vec<(String, u64)>,
    /// Machines that were saved before they broke.
    pub rolled_back: u64,
    /// Machines that were broken at the end.
    pub still_broken: u64,
    /// Minutes in which machines were broken and would have been on, all together.
    pub lost_minutes: u64,
    /// Whose hands were needed how often.
    pub touches: Touches,
    /// Requests that a service refused.
    pub refusals: u64,
    /// The most machines that waited for hands at the same time.
    pub longest_queue: u64,
    /// The alarm that stopped it.
    pub alarm: Option<Alarm>,
    /// When what happened.
    pub milestones: Milestones,
    /// Each ring.
    pub rings: Vec<RingOutcome>,
    /// The course of it.
    pub course: Vec<Observed>,
}

/// Whose hands were needed how often: tries of layers, and repairs of the help desk.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Touches {
    /// An administrator's, who may be far away.
    pub remote: u64,
    /// Somebody's at the machine.
    pub console: u64,
    /// An operator's of the hypervisor.
    pub host: u64,
}

impl Touches {
    /// All together.
    pub const fn total(self) -> u64 {
        self.remote + self.console + self.host
    }
}

/// An alarm.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Alarm {
    /// The signal of the rule; nothing where people found it otherwise.
    pub rule: Option<String>,
    /// When.
    pub minute: u32,
    /// The last ring that had begun, from 0.
    pub ring: usize,
    /// Machines that showed the sign.
    pub hits: u64,
    /// Of so many.
    pub tries: u64,
    /// At least so many do, with the rule's confidence, if it had been looked at this once (Clopper and Pearson).
    pub at_least: f64,
    /// Machines that were broken until then.
    pub broke: u64,
}

/// When what happened.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Milestones {
    /// The first machine broke.
    pub first_broke: Option<u32>,
    /// No further ring.
    pub halted: Option<u32>,
    /// No longer given out.
    pub withdrawn: Option<u32>,
    /// Good content and the remediation are given out.
    pub remediation: Option<u32>,
    /// The version before it is given out.
    pub rolled_back: Option<u32>,
    /// Half of the machines that broke were back.
    pub half_back: Option<u32>,
    /// 97 of 100 were back.
    pub nearly_all_back: Option<u32>,
    /// All were back.
    pub all_back: Option<u32>,
    /// The share of machines that counts as all of them had the update.
    pub reached: Option<u32>,
}

/// A ring.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct RingOutcome {
    /// Its name.
    pub name: String,
    /// Its machines.
    pub machines: u64,
    /// When it began; nothing if it never did.
    pub began: Option<u32>,
    /// Machines that were broken when it began.
    pub broke_before: u64,
    /// Crash reports that had come by then.
    pub crash_reports_before: u64,
}

/// A moment in the course.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Observed {
    /// When.
    pub minute: u32,
    /// Machines that had taken the update.
    pub took: u64,
    /// Machines that are broken.
    pub broken: u64,
    /// Of those, machines that wait for hands.
    pub waiting: u64,
}

impl Outcome {
    /// Hours in which machines were broken and would have been on, all together.
    pub fn machine_hours(&self) -> f64 {
        self.lost_minutes as f64 / 60.0
    }

    /// What was lost, in the unit of the costs.
    pub fn loss(&self, costs: &Costs) -> f64 {
        self.machine_hours() * costs.machine_hour + self.touches.total() as f64 * costs.touch
    }

    /// As JSON, for machines and to be compared byte by byte.
    pub fn to_json(&self) -> String {
        let mut text = serde_json::to_string_pretty(self)
            .expect("an outcome has nothing that JSON has not, and text keys");
        text.push('\n');
        text
    }
}

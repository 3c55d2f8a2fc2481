//! Waiting that is documented in minutes: it passes faster on an image that can do so, and else as it does.

use std::time::Duration;

use hypervisor::MachineProfile;
use scenario::{Fault, LateLink, NetworkTrouble, Scenario};

use super::not_applicable::Lack;

/// How many times faster documented minutes pass on a machine of this profile.
pub(crate) fn time_scale(scenario: &Scenario, profile: &MachineProfile) -> u32 {
    if profile.time_scale.is_some() { scenario.machine.time_scale } else { 1 }
}

/// What the image lacks where the scenario would wait for longer than it is watched.
pub(super) fn lack(scenario: &Scenario, profile: &MachineProfile) -> Option<Lack> {
    let scale = scenario.machine.time_scale;
    let waits = documented(scenario);
    if scale <= 1 || profile.time_scale.is_some() || waits.is_zero() {
        return None;
    }
    Some(Lack::new(
        "time-scale",
        format!(
            "the scenario waits up to {} minutes {scale} times faster, and waiting on this image cannot be shortened",
            waits.as_secs().div_ceil(60)
        ),
        format!(
            "for such an image, leave `time-scale = {scale}` out, and give `limits.time` that much more"
        ),
    ))
}

/// Minutes that the scenario may make the machine wait, by the documentation.
fn documented(scenario: &Scenario) -> Duration {
    let asks_again = scenario
        .recovery
        .quick_machine_recovery
        .as_ref()
        // An interval of 0 asks once and waits for nothing (windows-facts 1.4).
        .filter(|settings| {
            settings.cloud_remediation && !settings.wait_interval.duration().is_zero()
        })
        .map_or(Duration::ZERO, |settings| settings.total_wait_time.duration());
    let rounds = scenario.limits.recovery_rounds;
    let late = scenario.fault.iter().map(|fault| match fault {
        Fault::Network(network) if !network.inert => match &network.trouble {
            NetworkTrouble::LateLink(LateLink { after, .. }) => after.duration(),
            _ => Duration::ZERO,
        },
        _ => Duration::ZERO,
    });
    asks_again * rounds + late.sum::<Duration>()
}

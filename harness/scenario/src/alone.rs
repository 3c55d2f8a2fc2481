//! An incident with one layer of the ladder and no other: what a scenario has for it, or what can be made of what it
//! has for others.

use words::{Layer, Verdict};

use crate::boot_configuration::SafeBootMode;
use crate::content::Content;
use crate::expect::Expect;
use crate::fault::Fault;
use crate::host_repair::{FileWrite, HostRepair, RepairAction};
use crate::ladder::{LastKnownGood, Reboots, SafeMode, SafeModeAction};
use crate::model::{QuickMachineRecovery, Scenario, Start, default_total_wait_time};
use crate::moment::Moment;
use crate::network_services::{Available, Signature, UpdateService, default_update_host};
use crate::restore_point::RestorePoint;
use crate::rollback::{Rollback, RollbackTo};
use crate::uninstall_update::{LATEST, UninstallUpdate};
use words::Span;

/// The layers that an incident can be held against, in the order of the ladder.
pub const LAYERS_ALONE: [Layer; 9] = [
    Layer::Reboots,
    Layer::AutomaticRepair,
    Layer::QuickMachineRecovery,
    Layer::LastKnownGood,
    Layer::SafeMode,
    Layer::UninstallUpdate,
    Layer::RestorePoint,
    Layer::HostRepair,
    Layer::Rollback,
];

/// So often somebody switches the machine off and on, where the scenario does not say. Microsoft's advice of 2024 was
/// up to 15 times (windows-facts 5.1, remedy a); each of them is the same loop once more.
const RESTARTS: u32 = 3;

/// An incident with one layer.
#[derive(Debug, Clone)]
pub struct Alone {
    /// What is run.
    pub scenario: Scenario,
    /// False where a variant of the incident says it; true where it was made of the others.
    pub made: bool,
}

/// The incident with this layer alone. `variants` are all scenarios of its folder.
///
/// # Errors
/// Why it cannot be made, for people.
pub fn alone(variants: &[Scenario], layer: Layer) -> Result<Alone, String> {
    if let Some(own) = variants.iter().find(|scenario| scenario.layer_alone() == Some(layer)) {
        return Ok(Alone { scenario: own.clone(), made: false });
    }
    let Some(first) = variants.first() else {
        return Err("it has no scenario".to_owned());
    };
    // What there is of the machine's own recovery and nothing else: the other layers start from there.
    let local = variants.iter().find(|one| one.layer_alone() == Some(Layer::AutomaticRepair));
    let mut scenario = local.unwrap_or(first).clone();
    scenario.name = format!("{}/{layer}", first.folder_name());
    (scenario.reboots, scenario.last_known_good, scenario.safe_mode) = (None, None, None);
    (scenario.uninstall_update, scenario.restore_point) = (None, None);
    (scenario.host_repair, scenario.rollback) = (None, None);
    match &mut scenario.recovery.quick_machine_recovery {
        Some(settings) => settings.cloud_remediation = false,
        // The image's own settings decide: without a service it finds nothing.
        None => scenario.update_service = None,
    }
    match layer {
        Layer::Reboots => scenario.reboots = Some(Reboots { times: RESTARTS }),
        Layer::AutomaticRepair => {}
        Layer::QuickMachineRecovery => {
            let settings = scenario.recovery.quick_machine_recovery.as_mut();
            match settings {
                Some(settings) => settings.cloud_remediation = true,
                None => scenario.recovery.quick_machine_recovery = Some(asks_once()),
            }
            let service = variants.iter().find_map(|scenario| scenario.update_service.clone());
            scenario.update_service = Some(service.unwrap_or_else(|| UpdateService {
                host: default_update_host(),
                group: None,
                remediation: Vec::new(),
            }));
        }
        Layer::LastKnownGood => scenario.last_known_good = Some(LastKnownGood { enabled: true }),
        Layer::SafeMode => scenario.safe_mode = Some(in_safe_mode(variants)?),
        Layer::UninstallUpdate => scenario.uninstall_update = Some(uninstalled(&scenario)?),
        Layer::RestorePoint => {
            if scenario.starts_twice() {
                let why = "the machine starts once before anything goes wrong, and the point would be without that";
                return Err(why.to_owned());
            }
            scenario.restore_point = Some(RestorePoint { files: true });
        }
        Layer::HostRepair => {
            scenario.host_repair = Some(repair(variants)?);
        }
        Layer::Rollback => {
            let healthy = |scenario: &Scenario| {
                scenario.fault.iter().all(|fault| fault.when() == Moment::Healthy)
            };
            if !healthy(&scenario) {
                let why = "its faults are on the disk before the first start, so there is no checkpoint from before";
                return Err(why.to_owned());
            }
            scenario.machine.start = Start::Checkpoint;
            scenario.rollback = Some(Rollback { to: RollbackTo::Checkpoint });
        }
        other => return Err(format!("nothing here works {other}")),
    }
    // What is expected is not held against it, but has to be possible.
    let nothing_published =
        layer == Layer::QuickMachineRecovery && repairs_published(&scenario) == 0;
    scenario.expect = Expect {
        verdict: if nothing_published { Verdict::StuckInRecovery } else { Verdict::Recovered },
        layers: if nothing_published { Vec::new() } else { vec![layer] },
        layer_results: Default::default(),
        update_service: None,
        recovery_key: false,
        ..scenario.expect
    };
    Ok(Alone { scenario, made: true })
}

/// How many remediations a machine would take.
fn repairs_published(scenario: &Scenario) -> usize {
    let remediations = scenario.update_service.iter().flat_map(|service| &service.remediation);
    let taken = remediations.filter(|remediation| {
        remediation.signature == Signature::Trusted && remediation.available != Available::Never
    });
    taken.count()
}

/// The documented settings, with one question to the update service.
fn asks_once() -> QuickMachineRecovery {
    QuickMachineRecovery {
        cloud_remediation: true,
        auto_remediation: true,
        total_wait_time: default_total_wait_time(),
        wait_interval: Span::from_secs(0),
    }
}

/// What is done to the disk: what a variant says for the host, or else what the vendor's remediation does.
fn repair(variants: &[Scenario]) -> Result<HostRepair, String> {
    if let Some(repair) = variants.iter().find_map(|scenario| scenario.host_repair.clone()) {
        return Ok(repair);
    }
    let services = variants.iter().filter_map(|scenario| scenario.update_service.as_ref());
    let remediations = services.flat_map(|service| &service.remediation);
    let sound = remediations.filter(|remediation| remediation.signature == Signature::Trusted);
    let mut action: Vec<RepairAction> = Vec::new();
    for remediation in sound {
        let delete = remediation.delete.clone().map(RepairAction::Delete);
        let write = remediation.write.clone().map(|write| {
            RepairAction::Write(FileWrite { path: write.path, content: Content::Text(write.text) })
        });
        for done in delete.into_iter().chain(write) {
            if !action.contains(&done) {
                action.push(done);
            }
        }
    }
    match action.is_empty() {
        true => Err("the scenario says no repair".to_owned()),
        false => Ok(HostRepair { action }),
    }
}

/// What came with an update can be uninstalled: what goes wrong says what that is.
fn uninstalled(scenario: &Scenario) -> Result<UninstallUpdate, String> {
    let mut uninstall = UninstallUpdate::default();
    for fault in &scenario.fault {
        match fault {
            Fault::QualityUpdate(_) => uninstall.package = Some(LATEST.to_owned()),
            Fault::DriverPackage(package) => {
                let name = package.inf.rsplit('/').next().unwrap_or_default();
                uninstall.driver = Some(name.to_owned());
            }
            Fault::ServicingTransaction(_) => uninstall.pending_actions = true,
            _ => {}
        }
    }
    match uninstall == UninstallUpdate::default() {
        true => Err("nothing that goes wrong came with an update or a driver package".to_owned()),
        false => Ok(uninstall),
    }
}

/// The files that a repair deletes can be deleted in safe mode, too.
fn in_safe_mode(variants: &[Scenario]) -> Result<SafeMode, String> {
    let action = repair(variants)?.action.into_iter().map(|action| match action {
        RepairAction::Delete(delete) => Ok(SafeModeAction::Delete(delete)),
        _ => Err("its repair is more than deleting files, which is what is done in safe mode here"),
    });
    Ok(SafeMode { mode: SafeBootMode::Minimal, action: action.collect::<Result<_, _>>()? })
}

impl Scenario {
    /// The one layer that can bring its machine back; `None` where there are several.
    pub fn layer_alone(&self) -> Option<Layer> {
        let mut driven = self.driven_layers();
        driven.dedup();
        let settings = self.recovery.quick_machine_recovery.as_ref();
        let cloud = settings.is_some_and(|settings| settings.cloud_remediation);
        match driven.as_slice() {
            [] if cloud => Some(Layer::QuickMachineRecovery),
            // The settings of the image decide.
            [] if settings.is_none() => None,
            [] => Some(Layer::AutomaticRepair),
            [layer] if !cloud && (settings.is_some() || self.update_service.is_none()) => {
                Some(*layer)
            }
            _ => None,
        }
    }
}

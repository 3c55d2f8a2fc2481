//! Making the plan of a run, from the same parts as the run itself.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use disk::Store;
use faults::{Origin, StagePlan};
use hypervisor::{Accelerator, definition};
use jiff::Timestamp;
use recovery::Authority;
use scenario::{
    AtStopScreen, LATEST, Reboots, RestorePoint, Rollback, RollbackTo, Scenario, Start,
    UninstallUpdate,
};
use timeline::Layer;

use super::document::{
    Done, ImageUsed, OfflineEdits, PLAN_FORMAT, ReferenceUsed, RunPlan, Rung, WhileItRuns,
};
use crate::error::RunError;
use crate::machine::{Places, agent_commands, waits};
use crate::offline::MachineFiles;
use crate::preflight::{Prepared, Preparing, prepare};
use crate::runs::reference_path;
use crate::state_dir::StateDir;

/// What stands for the name of the run.
const RUN: &str = "RUN";

/// What a plan cannot know without a hypervisor, and how the run is to be done.
#[derive(Debug, Clone, Copy)]
pub struct PlanOptions {
    /// What runs the machine's code. A run finds out which one works.
    pub accelerator: Accelerator,
    /// How the machine comes to run, where it is not what the scenario says.
    pub start: Option<Start>,
}

/// Says what a run of `scenario` would do. No hypervisor is touched; the offline edits are done to a copy of the
/// image's disk, which is thrown away. `folder` is where the scenario's references lie.
///
/// # Errors
/// As for the run, before its machine: [`RunError::NotApplicable`] among them.
pub fn plan_run(
    state: &StateDir,
    scenario: &Scenario,
    folder: &Path,
    options: PlanOptions,
) -> Result<RunPlan, RunError> {
    let preparing = Preparing {
        by_hand: false,
        state: state.clone(),
        store: Store::open(state.root())?,
        authority: Arc::new(Authority::open_or_create(&state.authority())?),
        known: Arc::default(),
        emulator: String::new(),
    };
    let prepared = prepare(&preparing, scenario, options.start)?;
    let plan = &prepared.plan;
    let reference = reference_path(folder, scenario, &plan.image_line);
    Ok(RunPlan {
        format: PLAN_FORMAT,
        scenario: scenario.name.clone(),
        image: ImageUsed {
            name: plan.image.clone(),
            digest: plan.image_digest.clone(),
            line: plan.image_line.clone(),
            is_model: prepared.profile.is_model,
        },
        not_known: prepared.unknown.clone(),
        start: plan.start,
        time_scale: plan.time_scale,
        clock: plan.clock.and_then(time),
        clock_chip: plan.clock_chip.and_then(time),
        offline: offline(scenario, &prepared)?,
        faults: prepared.stage.online.iter().map(while_it_runs).collect(),
        services: services(scenario),
        layers: layers(scenario, &prepared),
        expected_resets: prepared.profile.expected_resets,
        waits: waits(scenario, &prepared),
        expect: scenario.expect.clone(),
        reference: ReferenceUsed {
            exists: reference.is_file(),
            path: reference.display().to_string(),
        },
        domain_xml: domain_xml(state, &prepared, options.accelerator)?,
    })
}

fn time(seconds: u64) -> Option<Timestamp> {
    Timestamp::from_second(i64::try_from(seconds).ok()?).ok()
}

fn domain_xml(
    state: &StateDir,
    prepared: &Prepared,
    accelerator: Accelerator,
) -> Result<String, RunError> {
    let places = Places {
        name: Places::name(RUN, "m"),
        work: state.work().join(format!("{RUN}-m")),
        sockets: PathBuf::from("/tmp").join(format!("lb-{RUN}")),
        evidence: state.runs().join(RUN).join("machine"),
    };
    let mut spec = prepared.spec(places);
    if prepared.serves_the_disk() {
        spec.disk_socket = Some(Places::disk_socket(&spec));
    }
    Ok(definition(&spec, accelerator)?)
}

/// The edits, done to a copy and read back there.
fn offline(scenario: &Scenario, prepared: &Prepared) -> Result<OfflineEdits, RunError> {
    let (now, later) = match scenario.starts_twice() {
        true => prepared.stage.clone().before_and_after_a_start(),
        false => (prepared.stage.clone(), StagePlan::default()),
    };
    let scratch = tempfile::Builder::new().prefix("lb-").tempdir()?;
    let parts = MachineFiles {
        disk: scratch.path().join("disk.qcow2"),
        variables: prepared.image.firmware_vars().map(|_| scratch.path().join("vars.fd")),
        tpm: prepared.profile.tpm.map(|_| scratch.path().join("tpm")),
    };
    prepared.lay_out(&parts)?;
    let (_, landed) = prepared.stage_onto(&now, &parts, scratch.path())?;
    let done = landed
        .into_iter()
        .map(|(origin, changes)| Done { what_for: origin.to_string(), changes })
        .collect();
    Ok(OfflineEdits { done, after_a_first_start: objects(&later) })
}

/// What a plan changes, without what it comes to on a disk.
fn objects(stage: &StagePlan) -> Vec<Done> {
    let mut all: Vec<(&Origin, Vec<String>)> = Vec::new();
    for staged in &stage.staged {
        let object = staged.change.object();
        match all.iter_mut().find(|(origin, _)| *origin == &staged.origin) {
            Some((_, changes)) => changes.push(object),
            None => all.push((&staged.origin, vec![object])),
        }
    }
    all.into_iter()
        .map(|(origin, changes)| Done { what_for: origin.to_string(), changes })
        .collect()
}

fn while_it_runs(online: &faults::Online) -> WhileItRuns {
    WhileItRuns {
        fault: online.fault().to_owned(),
        when: online.when(),
        about: online.about(),
        agent: agent_commands::described(online),
    }
}

fn services(scenario: &Scenario) -> Vec<String> {
    let update = scenario.update_service.iter().map(|service| {
        let ids: Vec<&str> = service.remediation.iter().map(|one| one.id.as_str()).collect();
        let published = if ids.is_empty() { "nothing".to_owned() } else { ids.join(", ") };
        format!("update service at {}, which publishes {published}", service.host)
    });
    let content = scenario.content_service.iter();
    let content = content
        .map(|service| format!("content service at {}, with {}", service.host, service.file));
    update.chain(content).collect()
}

fn layers(scenario: &Scenario, prepared: &Prepared) -> Vec<Rung> {
    let expected = |layer| scenario.expect.layers.contains(&layer);
    let mut rungs = Vec::new();
    let mut rung = |layer: Layer, does| {
        rungs.push(Rung { layer: layer.name(), expected: expected(layer), does });
    };
    let scale = prepared.plan.time_scale.max(1);
    match &scenario.recovery.quick_machine_recovery {
        Some(settings) => {
            let auto = settings.auto_remediation;
            rung(Layer::AutomaticRepair, vec![format!("goes on without a person: {auto}")]);
            if settings.cloud_remediation {
                let (total, interval) = (settings.total_wait_time, settings.wait_interval);
                let seconds = |span: scenario::Span| (span.duration() / scale).as_secs_f64();
                rung(
                    Layer::QuickMachineRecovery,
                    vec![
                        format!("goes on without a person: {auto}"),
                        format!(
                            "asks the update service every {interval} for {total}; that is {} s for {} s on this \
                             machine",
                            seconds(interval),
                            seconds(total)
                        ),
                    ],
                );
            }
        }
        None => rung(Layer::AutomaticRepair, vec!["as the image has it".to_owned()]),
    }
    if let Some(Reboots { times }) = scenario.reboots {
        let often = if times == 1 { "once".to_owned() } else { format!("{times} times at most") };
        rung(Layer::Reboots, vec![format!("switches the machine off and on again, {often}")]);
    }
    if scenario.last_known_good.is_some() {
        let (before, after) = (faults::into_last_known_good(), faults::out_of_last_known_good());
        let what = "`lastknowngood` of the default entry is set for one start".to_owned();
        let reads = "reads `Select` before and after".to_owned();
        rung(Layer::LastKnownGood, [vec![what, reads], own_start(&before, &after)].concat());
    }
    if let Some(safe) = &scenario.safe_mode {
        let (before, after) = (faults::safe_mode_edits(safe), faults::out_of_safe_mode(&[]));
        let mode = safe.mode.key();
        let what = format!("`safeboot` ({mode}) of the default entry is set for one start");
        let acts: Vec<String> = safe.action.iter().map(described).collect();
        rung(Layer::SafeMode, [vec![what], acts, own_start(&before, &after)].concat());
    }
    if let Some(uninstall) = &scenario.uninstall_update {
        let UninstallUpdate { pending_actions, package, driver } = uninstall;
        let pending =
            pending_actions.then(|| "what an update left to be done is given up".to_owned());
        let package = package.iter().map(|package| match package.as_str() {
            LATEST => "the update that was installed last is uninstalled".to_owned(),
            article => format!("{article} is uninstalled"),
        });
        let driver = driver.iter().map(|inf| format!("the driver package {inf} is uninstalled"));
        rung(Layer::UninstallUpdate, pending.into_iter().chain(package).chain(driver).collect());
    }
    if let Some(RestorePoint { files }) = scenario.restore_point {
        let registry = "the registry goes back to what it is before the first fault".to_owned();
        let files = files.then(|| "system files go back, too, by their endings".to_owned());
        rung(Layer::RestorePoint, [registry].into_iter().chain(files).collect());
    }
    if let Some(repair) = &scenario.host_repair {
        rung(Layer::HostRepair, repair.action.iter().map(described).collect());
    }
    if let Some(Rollback { to }) = &scenario.rollback {
        let does = match to {
            RollbackTo::Checkpoint => "back to the checkpoint that the machine started from",
        };
        rung(Layer::Rollback, vec![does.to_owned()]);
    }
    if let Some(operator) = &scenario.operator {
        let does = match operator.at_stop_screen {
            AtStopScreen::PowerCycle => "switches a machine at a stop screen off and on again",
            AtStopScreen::Leave => "leaves a machine at a stop screen standing",
        };
        rungs.push(Rung { layer: "operator", expected: false, does: vec![does.to_owned()] });
    }
    rungs
}

/// An action as the scenario has it.
fn described(action: &impl serde::Serialize) -> String {
    serde_json::to_string(action).unwrap_or_else(|error| error.to_string())
}

/// A layer with a start of its own: what is edited before it and after it.
fn own_start(before: &StagePlan, after: &StagePlan) -> Vec<String> {
    let edits = |plan: &StagePlan, when: &str| -> Vec<String> {
        let objects = plan.staged.iter().map(|staged| staged.change.object());
        objects.map(|object| format!("offline, {when} that start: {object}")).collect()
    };
    [edits(before, "before"), edits(after, "after")].concat()
}

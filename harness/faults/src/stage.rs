//! From a scenario to what has to be done to its machine.

use scenario::{
    ContentDriver, DriverSignature, ErrorControl, Fault, Moment, Scenario, WindowsPath,
};
use winfmt::certificates::{self, Store};
use winfmt::recovery_settings::{AutoRemediation, RecoverySettings};

use crate::boot_configuration;
use crate::content::bytes_of;
use crate::driver::{self, ContentDriverOptions, DriverKind};
use crate::ladder;
use crate::placing::on_drive;
use crate::plan::{
    Act, Change, Edit, HiveName, InterruptedWrite, Online, OnlineAct, OnlineWrite, Origin,
    RegistryValue, StagePlan, StagedEdit, VolumeRole,
};
use crate::quality_update;
use crate::registry;
use crate::service::{DriverService, nt_path};
use crate::servicing;
use crate::signing::Authority;
use crate::stage_error::StageError;
use crate::updater;
use crate::user_mode;
use crate::vendor;

/// What a machine trusts: the certificates of the update service, in DER.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trust {
    /// The root that the update service's TLS certificate comes from.
    pub root: Vec<u8>,
    /// The signer of remediations that the machine accepts.
    pub publisher: Vec<u8>,
}

/// Plans everything that is done to the scenario's machine. The same scenario and certificates always
/// give the same plan.
///
/// # Errors
/// A fault cannot be made or placed. [`Scenario::load`] finds most such mistakes earlier and says where.
pub fn stage(scenario: &Scenario, trust: &Trust) -> Result<StagePlan, StageError> {
    stage_signed(scenario, trust, None, None)
}

/// True where a driver is to be signed, which needs an authority.
pub fn signs(scenario: &Scenario) -> bool {
    scenario.given.iter().chain(&scenario.fault).any(|fault| match fault {
        Fault::Driver(driver) => driver.signature != DriverSignature::None,
        _ => false,
    })
}

/// As [`stage`], with the authority that signs drivers. A scenario without a signed driver does not
/// need one. `build` is that of the system, where it is known: packages may have a section for it.
///
/// # Errors
/// As [`stage`].
pub fn stage_signed(
    scenario: &Scenario,
    trust: &Trust,
    authority: Option<&Authority>,
    build: Option<u32>,
) -> Result<StagePlan, StageError> {
    let mut plan = StagePlan::default();
    for given in &scenario.given {
        let origin = Origin::Given(given.name().to_owned());
        add(&mut plan, scenario, given, origin, authority, build)?;
    }
    updates(&mut plan, scenario, &scenario.given, Origin::Given)?;
    for canary in &scenario.canary {
        let path = on_drive(&canary.path);
        let bytes = canary.text.clone().into_bytes();
        push(&mut plan, Origin::Canary, file(path, bytes, scenario.machine.clock));
    }
    recovery_settings(&mut plan, scenario);
    services(&mut plan, scenario, trust);
    // Faults last: what is staged before them is what a healthy machine has.
    for fault in &scenario.fault {
        let origin = Origin::Fault(fault.name().to_owned());
        add(&mut plan, scenario, fault, origin, authority, build)?;
    }
    updates(&mut plan, scenario, &scenario.fault, Origin::Fault)?;
    Ok(plan)
}

/// The records of updates, which need to know what they bring.
fn updates(
    plan: &mut StagePlan,
    scenario: &Scenario,
    faults: &[Fault],
    of: fn(String) -> Origin,
) -> Result<(), StageError> {
    for fault in faults {
        if let Fault::QualityUpdate(update) = fault {
            quality_update::record(plan, update, of, scenario.machine.clock)?;
        }
    }
    Ok(())
}

fn push(plan: &mut StagePlan, origin: Origin, change: impl Into<Change>) {
    plan.staged.push(StagedEdit { origin, change: change.into() });
}

fn file(path: String, bytes: Vec<u8>, modified: Option<jiff::Timestamp>) -> Edit {
    Edit::WriteFile { volume: VolumeRole::Windows, path, bytes, modified }
}

fn add(
    plan: &mut StagePlan,
    scenario: &Scenario,
    fault: &Fault,
    origin: Origin,
    authority: Option<&Authority>,
    build: Option<u32>,
) -> Result<(), StageError> {
    match (fault, fault.when()) {
        (Fault::ContentDriver(driver), Moment::Staged) => {
            for edit in install(driver, scenario.machine.clock)? {
                push(plan, origin.clone(), edit);
            }
        }
        (Fault::ContentFile(content), Moment::Staged) => {
            let path = on_drive(&content.path);
            let modified = content.modified.or(scenario.machine.clock);
            push(
                plan,
                origin,
                file(path, bytes_of(scenario, &content.name, &content.content)?, modified),
            );
        }
        (Fault::ContentFile(content), Moment::Healthy) => {
            plan.online.push(Online::Write(OnlineWrite {
                fault: content.name.clone(),
                path: content.path.clone(),
                bytes: bytes_of(scenario, &content.name, &content.content)?,
            }));
        }
        (Fault::ContentUpdater(updater), Moment::Staged) => {
            for edit in updater::install(updater, scenario)? {
                push(plan, origin.clone(), edit);
            }
        }
        (Fault::Driver(driver), Moment::Staged) => {
            for edit in vendor::driver(driver, scenario, authority)? {
                push(plan, origin.clone(), edit);
            }
        }
        (Fault::DriverFile(driver), Moment::Staged) => {
            for edit in vendor::driver_file(driver, scenario)? {
                push(plan, origin.clone(), edit);
            }
        }
        (Fault::DriverPackage(package), Moment::Staged) => {
            for change in vendor::driver_package(package, scenario, build)? {
                push(plan, origin.clone(), change);
            }
        }
        (Fault::Update(update), Moment::Staged) => {
            for (path, bytes) in vendor::update(update, scenario)? {
                let path = on_drive(&path);
                push(plan, origin.clone(), file(path, bytes, scenario.machine.clock));
            }
        }
        (Fault::Update(update), Moment::Healthy) => {
            for (path, bytes) in vendor::update(update, scenario)? {
                let fault = update.name.clone();
                plan.online.push(Online::Write(OnlineWrite { fault, path, bytes }));
            }
        }
        (
            Fault::ContentDriver(_)
            | Fault::ContentUpdater(_)
            | Fault::Driver(_)
            | Fault::DriverFile(_)
            | Fault::DriverPackage(_)
            | Fault::QualityUpdate(_)
            | Fault::ServicingTransaction(_)
            | Fault::BootConfiguration(_)
            | Fault::Registry(_)
            | Fault::Clock(_)
            | Fault::Encryption(_)
            | Fault::Trust(_),
            Moment::Healthy,
        ) => {
            let (fault, kind) = (fault.name().to_owned(), fault.kind());
            return Err(StageError::NotOnline { fault, kind });
        }
        // Recorded once all that it brings is planned.
        (Fault::QualityUpdate(_), Moment::Staged) => {}
        (Fault::ServicingTransaction(fault), Moment::Staged) => {
            for change in servicing::transaction(fault, scenario.machine.clock)? {
                push(plan, origin.clone(), change);
            }
        }
        (Fault::FileVersion(fault), Moment::Staged) => {
            push(plan, origin, servicing::version(fault)?);
        }
        (Fault::FileVersion(fault), Moment::Healthy) => {
            plan.online.push(servicing::version_online(fault)?);
        }
        (Fault::FileLoss(fault), Moment::Staged) => {
            for change in servicing::loss(fault)? {
                push(plan, origin.clone(), change);
            }
        }
        (Fault::FileLoss(fault), Moment::Healthy) => {
            plan.online.extend(servicing::loss_online(fault)?);
        }
        (Fault::InterruptedWrite(write), _) => {
            plan.online.push(Online::InterruptedWrite(InterruptedWrite {
                fault: write.name.clone(),
                path: if write.inert { in_temp(&write.name) } else { write.path.clone() },
                bytes: bytes_of(scenario, &write.name, &write.content)?,
                percent: write.percent,
                inert: write.inert,
            }));
        }
        (Fault::BootConfiguration(fault), Moment::Staged) => {
            for change in boot_configuration::changes(fault) {
                push(plan, origin.clone(), change);
            }
        }
        (Fault::Registry(fault), Moment::Staged) => {
            for change in registry::changes(fault) {
                push(plan, origin.clone(), change);
            }
        }
        (Fault::ProcessDeath(death), Moment::Healthy) => {
            let what = Act::EndProcess { program: user_mode::ends(death).to_owned() };
            plan.online.push(Online::Act(OnlineAct { fault: death.name.clone(), what }));
        }
        (Fault::ProcessDeath(_), Moment::Staged) => {
            let (fault, kind) = (fault.name().to_owned(), fault.kind());
            return Err(StageError::OnlyOnline { fault, kind });
        }
        (Fault::Storage(fault), _) => plan.online.push(Online::Storage(fault.clone())),
        (Fault::Power(fault), _) => plan.online.push(Online::Power(fault.clone())),
        (Fault::Network(fault), _) => plan.online.push(Online::Network(fault.clone())),
        (Fault::Service(fault), _) => plan.online.push(Online::Service(fault.clone())),
        (Fault::Clock(fault), Moment::Staged) => plan.online.push(Online::Clock(fault.clone())),
        (Fault::Encryption(given), Moment::Staged) => {
            push(plan, origin, crate::trust::encryption(given));
        }
        (Fault::Trust(trust), Moment::Staged) => {
            for change in crate::trust::changes(trust) {
                push(plan, origin.clone(), change);
            }
        }
    }
    Ok(())
}

/// Where nothing reads it.
fn in_temp(name: &str) -> WindowsPath {
    format!("C:\\Windows\\Temp\\{name}-inert")
        .parse()
        .expect("a scenario's names hold letters, digits and hyphens only")
}

fn install(
    driver: &ContentDriver,
    modified: Option<jiff::Timestamp>,
) -> Result<Vec<Edit>, StageError> {
    let failed = |source| StageError::Driver { fault: driver.name.clone(), source };
    let image = driver::build(&DriverKind::ContentDriver(ContentDriverOptions {
        file_name: driver.driver.clone(),
        version: driver::parse_version(&driver.version).map_err(failed)?,
        content_pattern: driver.content_pattern.clone(),
        first_look: driver.trigger,
    }))
    .map_err(failed)?;
    let folder = RegistryValue::Text(nt_path(&driver.content_folder));
    let service = DriverService {
        name: None,
        file_name: &driver.driver,
        runs_in: driver.runs_in,
        start: driver.start,
        error_control: ErrorControl::Normal,
        group: Some(&driver.group),
        modified,
        parameters: vec![("ContentFolder", folder)],
    };
    Ok(service.install(Some(image)))
}

/// The settings on `C:` and their mirror on the recovery volume, which is the copy that counts in the
/// recovery environment (windows-facts 1.6).
fn recovery_settings(plan: &mut StagePlan, scenario: &Scenario) {
    if let Some(restart) = scenario.recovery.automatic_restart {
        let edit = Edit::SetValue {
            hive: HiveName::System,
            key: "CurrentControlSet\\Control\\CrashControl".to_owned(),
            name: "AutoReboot".to_owned(),
            value: RegistryValue::Dword(u32::from(restart)),
        };
        push(plan, Origin::Recovery, edit);
    }
    for change in scenario.last_known_good.into_iter().flat_map(ladder::keeps_last_known_good) {
        push(plan, Origin::Recovery, change);
    }
    let Some(quick) = &scenario.recovery.quick_machine_recovery else { return };
    let settings = RecoverySettings {
        cloud_remediation: Some(quick.cloud_remediation),
        auto_remediation: Some(AutoRemediation {
            enabled: quick.auto_remediation,
            total_wait: Some(quick.total_wait_time.duration()),
            wait_interval: Some(quick.wait_interval.duration()),
        }),
        ..RecoverySettings::default()
    };
    let copies = [
        (VolumeRole::Windows, "Windows\\System32\\Recovery\\SrSettings.ini"),
        (VolumeRole::Recovery, "Recovery\\WindowsRE\\SrSettings.ini"),
    ];
    for (volume, path) in copies {
        let bytes = settings.to_xml().into_bytes();
        let modified = scenario.machine.clock;
        let edit = Edit::WriteFile { volume, path: path.to_owned(), bytes, modified };
        push(plan, Origin::Recovery, edit);
    }
}

/// The update service's address, and the certificates that vouch for the services and for what is published.
fn services(plan: &mut StagePlan, scenario: &Scenario, trust: &Trust) {
    let mut set = |key: &str, name: &str, value| {
        let edit = Edit::SetValue {
            hive: HiveName::Software,
            key: key.to_owned(),
            name: name.to_owned(),
            value,
        };
        push(plan, Origin::UpdateService, edit);
    };
    let mut stores = Vec::new();
    if let Some(service) = &scenario.update_service {
        // The documented policy "Specify intranet Microsoft update service location": its address and
        // the switch without which Windows does not look at it.
        let policy = "Policies\\Microsoft\\Windows\\WindowsUpdate";
        set(policy, "WUServer", RegistryValue::Text(format!("https://{}", service.host)));
        set(&format!("{policy}\\AU"), "UseWUServer", RegistryValue::Dword(1));
        if let Some(group) = &service.group {
            // The documented policy "Enable client-side targeting".
            set(policy, "TargetGroup", RegistryValue::Text(group.clone()));
            set(policy, "TargetGroupEnabled", RegistryValue::Dword(1));
        }
        stores = vec![(Store::Root, &trust.root), (Store::TrustedPublisher, &trust.publisher)];
    } else if scenario.content_service.is_some() {
        stores = vec![(Store::Root, &trust.root)];
    }
    for (store, der) in stores {
        let blob = RegistryValue::Binary(certificates::encode(der));
        set(&store.certificate_key(der), "Blob", blob);
    }
}

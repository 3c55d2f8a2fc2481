//! The recovery environment from its start to its end.

use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use volume::Volume;
use winfmt::certificates::{Store, installed};
use winfmt::hive::Hive;
use winfmt::recovery_settings::RecoverySettings;
use words::WindowsBuild;

use super::apply::apply;
use super::crash::{self, CrashSignature};
use super::remediation::{Envelope, Machine, Manifest, Offer, Refusal, ScanAnswer, ScanRequest};
use super::repair::repair;
use super::scan::{self, Applied, Patience, ScanEnd, Told, World};
use super::seen;
use super::service::{NoAnswer, UpdateService};
use super::startup_repair::{self, Findings};
use crate::bootmgr::Reason;
use crate::encryption::Lock;
use crate::machine::{self, Wish, Wishes};
use crate::storage::{Drive, Registry, SOFTWARE_HIVE, SYSTEM_HIVE, control_set, load_hive};
use crate::{say, screen, session, sys};

/// The settings on the recovery partition, which are the ones that count (windows-facts.md 1.6).
const SETTINGS: &str = "\\Recovery\\WindowsRE\\SrSettings.ini";
/// Quick Machine Recovery's own log. The real one's is not documented.
const LOG: &str = "\\Windows\\System32\\LogFiles\\Srt\\QuickMachineRecovery.log";
/// How long one try to get the network up may take.
const NETWORK_PATIENCE: Duration = Duration::from_secs(10);
/// Where the settings say nothing (windows-facts.md 1.4, the CSP's defaults of 2025).
const DEFAULT_TOTAL: Duration = Duration::from_secs(180 * 60);
const DEFAULT_INTERVAL: Duration = Duration::from_secs(30 * 60);

/// What the recovery environment knows of the Windows that it is for.
#[derive(Debug, Default)]
struct Target {
    computer_name: String,
    build: Option<WindowsBuild>,
    group: Option<String>,
    service: Option<String>,
    roots: Vec<Vec<u8>>,
    publishers: Vec<Vec<u8>>,
}

/// Runs it. The machine then restarts, or waits for a person.
pub fn run(
    mut recovery: Box<dyn Volume>,
    mut esp: Box<dyn Volume>,
    drive: Option<Arc<Drive>>,
    lock: &Lock,
    reason: Reason,
) -> ! {
    say!("[recovery] recovery environment started");
    screen::show_recovery("Preparing Automatic Repair");
    let wishes = Wishes::listen();
    if let Some(key_id) = lock.key_for_recovery() {
        // Neither Startup Repair nor anything else can do a thing without the volume.
        screen::show_recovery_key(key_id);
        say!("[recovery] waiting for the recovery key {key_id}");
        machine::obey(None, wishes.wait());
    }
    let settings = read_settings(&mut *recovery);
    let crash = drive.as_deref().and_then(crash::newest);
    match &crash {
        Some(crash) => say!(
            "[recovery] crash signature: bug check 0x{:X}, {}",
            crash.bug_check,
            crash.module.as_deref().unwrap_or("no module")
        ),
        None => say!("[recovery] crash signature: no dump was found"),
    }
    let auto = settings.auto_remediation.as_ref();
    let automatic = auto.is_some_and(|auto| auto.enabled);
    if settings.cloud_remediation != Some(true) {
        say!("[recovery] quick machine recovery: cloud remediation is off");
    } else if !automatic {
        say!("[recovery] quick machine recovery: automatic remediation is off");
    } else if reason == Reason::Asked {
        // Somebody sits in front of it: the menu, not the automatic course.
        say!("[recovery] quick machine recovery: started by hand, not automatic");
    } else {
        let patience = Patience {
            total: auto.and_then(|auto| auto.total_wait).unwrap_or(DEFAULT_TOTAL),
            interval: auto.and_then(|auto| auto.wait_interval).unwrap_or(DEFAULT_INTERVAL),
        };
        match quick_machine_recovery(drive.as_ref(), crash.as_ref(), patience, &wishes) {
            ScanEnd::Applied { id, .. } => {
                say!("[recovery] remediation {id} applied: restarting");
                machine::obey(drive.as_ref(), Wish::Restart);
            }
            ScanEnd::TimeOver => {
                say!("[recovery] quick machine recovery: time is over: restarting");
                machine::obey(drive.as_ref(), Wish::Restart);
            }
            ScanEnd::Interrupted => machine::obey(drive.as_ref(), Wish::PowerOff),
            ScanEnd::OneScan => {}
        }
    }
    if startup_repair(drive.as_deref(), &mut *esp, crash) {
        say!("[recovery] startup repair: repaired: restarting");
        machine::obey(drive.as_ref(), Wish::Restart);
    }
    screen::show_recovery("Automatic Repair couldn't repair your PC");
    say!("[recovery] waiting for a person");
    machine::obey(drive.as_ref(), wishes.wait())
}

fn read_settings(recovery: &mut dyn Volume) -> RecoverySettings {
    let parsed = recovery
        .read(SETTINGS)
        .map_err(|error| error.to_string())
        .and_then(|bytes| RecoverySettings::parse(&bytes).map_err(|error| error.to_string()));
    match parsed {
        Ok(settings) => settings,
        Err(error) => {
            say!("[recovery] {SETTINGS}: {error}; taken as switched off");
            RecoverySettings::default()
        }
    }
}

/// Startup Repair: looks, repairs what it can, writes its log. True if everything that it found wrong
/// was repaired, and that was something.
fn startup_repair(
    drive: Option<&Drive>,
    esp: &mut dyn Volume,
    crash: Option<CrashSignature>,
) -> bool {
    say!("[recovery] startup repair: diagnosing");
    let findings = Findings {
        volume_readable: drive.is_some_and(|drive| drive.list("\\Windows").is_ok()),
        system_hive_readable: drive.is_some_and(|drive| load_hive(drive, SYSTEM_HIVE).is_ok()),
        software_hive_readable: drive.is_some_and(|drive| load_hive(drive, SOFTWARE_HIVE).is_ok()),
        crash,
    };
    let diagnosis = startup_repair::diagnose(&findings);
    let repairs = drive.map(|drive| repair(drive, esp)).unwrap_or_default();
    for repair in &repairs {
        say!("[recovery] startup repair: root cause: {}", repair.cause);
        say!("[recovery] startup repair: {}: error code 0x{:x}", repair.action, repair.error_code);
    }
    if repairs.is_empty() {
        let cause = diagnosis.root_cause.as_deref().unwrap_or("none");
        say!("[recovery] startup repair: root cause: {cause}");
        say!("[recovery] startup repair: nothing that it can repair");
    }
    if let Some(drive) = drive {
        let text = startup_repair::trail(&diagnosis, &repairs, Timestamp::now());
        if let Err(error) =
            drive.append(startup_repair::TRAIL, text.as_bytes()).and_then(|()| drive.flush())
        {
            say!("[recovery] startup repair: its log cannot be written: {error}");
        }
    }
    !repairs.is_empty() && repairs.iter().all(|repair| repair.error_code == 0)
}

/// What the broken Windows says of itself. What cannot be read is missing, and so is trust.
fn read_target(drive: &Drive) -> Target {
    let mut target = Target { computer_name: "UNDERSTUDY".to_owned(), ..Target::default() };
    if let Ok(system) = load_hive(drive, SYSTEM_HIVE)
        && let Some(set) = control_set(&system)
        && let Ok(Some(name)) =
            system.get_string(format!("{set}\\Control\\ComputerName\\ComputerName"), "ComputerName")
    {
        target.computer_name = name;
    }
    let software = match load_hive(drive, SOFTWARE_HIVE) {
        Ok(software) => software,
        Err(error) => {
            say!("[recovery] {error}");
            return target;
        }
    };
    target.service = software.get_string(Registry::UPDATE_POLICY, "WUServer").ok().flatten();
    target.build = build(&software);
    // The documented policy "Enable client-side targeting": the group, and the switch without which it does not count
    // (windows-facts.md 1.9).
    let targeted = software.get_dword(Registry::UPDATE_POLICY, "TargetGroupEnabled").ok().flatten();
    if targeted == Some(1) {
        target.group = software.get_string(Registry::UPDATE_POLICY, "TargetGroup").ok().flatten();
    }
    for (store, into) in
        [(Store::Root, &mut target.roots), (Store::TrustedPublisher, &mut target.publishers)]
    {
        match installed(&software, store) {
            Ok(certificates) => *into = certificates,
            Err(error) => say!("[recovery] certificates: {error}"),
        }
    }
    target
}

/// `CurrentBuild` and `UBR`.
fn build(software: &Hive) -> Option<WindowsBuild> {
    const VERSION: &str = "Microsoft\\Windows NT\\CurrentVersion";
    let build = software.get_string(VERSION, "CurrentBuild").ok()??.parse().ok()?;
    let revision = software.get_dword(VERSION, "UBR").ok()??;
    Some(WindowsBuild { build, revision })
}

fn quick_machine_recovery(
    drive: Option<&Arc<Drive>>,
    crash: Option<&CrashSignature>,
    patience: Patience,
    wishes: &Wishes,
) -> ScanEnd {
    screen::show_recovery("Looking for a solution online");
    say!(
        "[recovery] quick machine recovery: scanning every {} minutes for {} minutes",
        patience.interval.as_secs() / 60,
        patience.total.as_secs() / 60
    );
    let Some(drive) = drive else {
        say!("[recovery] quick machine recovery: there is no Windows volume");
        return ScanEnd::OneScan;
    };
    let target = read_target(drive);
    let mut world = RealWorld {
        drive: Arc::clone(drive),
        wishes,
        begun: Instant::now(),
        scale: sys::time_scale(),
        network: false,
        computer_name: target.computer_name.clone(),
        service: target.service,
        roots: target.roots,
    };
    let machine = Machine {
        name: &target.computer_name,
        crash,
        build: target.build,
        group: target.group.as_deref(),
        publishers: &target.publishers,
    };
    scan::run(&mut world, &machine, patience)
}

/// Network, disk and clock of the machine.
struct RealWorld<'w> {
    drive: Arc<Drive>,
    wishes: &'w Wishes,
    begun: Instant,
    scale: f64,
    network: bool,
    computer_name: String,
    service: Option<String>,
    roots: Vec<Vec<u8>>,
}

impl RealWorld<'_> {
    fn service(&mut self) -> Result<UpdateService, String> {
        if !self.network {
            let lease = session::bring_up(&self.computer_name, NETWORK_PATIENCE)
                .map_err(|error| error.to_string())?;
            self.say(&format!("network: {} from {}", lease.address, lease.server));
            self.network = true;
        }
        let base = self.service.as_deref().ok_or("no update service is set (WUServer)")?;
        UpdateService::new(base, &self.roots).map_err(|error| error.to_string())
    }
}

impl World for RealWorld<'_> {
    fn scan(&mut self, request: &ScanRequest<'_>) -> Result<ScanAnswer, NoAnswer> {
        Ok(self.service()?.scan(request)?)
    }

    fn manifest(&mut self, offer: &Offer) -> Result<Envelope, NoAnswer> {
        Ok(self.service()?.manifest(&offer.manifest_url)?)
    }

    fn seen(&mut self, id: &str) -> u32 {
        seen::seen(&self.drive, id)
    }

    fn apply(&mut self, manifest: &Manifest) -> Result<Applied, Refusal> {
        apply(&self.drive, manifest)
    }

    fn report(&mut self, id: &str, told: Told<'_>) -> bool {
        let name = self.computer_name.clone();
        let sent = self
            .service()
            .and_then(|service| service.report(&name, id, told).map_err(|error| error.to_string()));
        let heard = sent.is_ok();
        match sent {
            Ok(result) => self.say(&format!("remediation {id}: reported {result}")),
            Err(error) => self.say(&format!("remediation {id}: report failed: {error}")),
        }
        heard
    }

    fn say(&mut self, text: &str) {
        say!("[recovery] quick machine recovery: {text}");
        let line = format!("{} {text}\r\n", Timestamp::now());
        if let Err(error) =
            self.drive.append(LOG, line.as_bytes()).and_then(|()| self.drive.flush())
        {
            say!("[recovery] C:{LOG}: {error}");
        }
    }

    fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    fn elapsed(&self) -> Duration {
        self.begun.elapsed().mul_f64(self.scale)
    }

    fn wait(&mut self, span: Duration) -> bool {
        self.wishes.wait_for(span.div_f64(self.scale)).is_none()
    }
}

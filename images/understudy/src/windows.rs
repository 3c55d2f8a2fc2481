//! Windows, from the loader to the end of the session.

use std::sync::Arc;
use std::time::Duration;

use crate::agent::{self, Agent};
use crate::bootmgr::{BootError, BootRecord, Entry, Status, StatusFile};
use crate::kernel::{Driver, Kernel, KernelHost, LoadError, StopReport};
use crate::loader::{self, ErrorControl, SafeMode, Service, StartPlan};
use crate::machine::{self, Wish, Wishes};
use crate::session;
use crate::storage::{Drive, Host, Registry, RegistryError, SOFTWARE_HIVE, SYSTEM_HIVE, load_hive};
use crate::{say, stop, sys};

/// How long the session waits for the network before it goes on without.
const NETWORK_PATIENCE: Duration = Duration::from_secs(6);
/// How long the agent's port may take to appear.
const PORT_PATIENCE: Duration = Duration::from_secs(2);
/// A start that is still up after this time has settled (windows-facts.md 3.1). Not scaled: it is a
/// rule about crashes, not a wait.
const SETTLED: Duration = Duration::from_secs(120);

/// The service without which the network stays down.
const DHCP_SERVICE: &str = "Dhcp";
/// The service behind which the guest agent stands.
const AGENT_SERVICE: &str = "QEMU-GA";

/// Drivers without which the system disk cannot be reached.
const DISK_DRIVERS: [&str; 5] = ["viostor", "disk", "partmgr", "volmgr", "Ntfs"];
/// `INACCESSIBLE_BOOT_DEVICE`.
const INACCESSIBLE_BOOT_DEVICE: u32 = 0x7B;
/// `CRITICAL_SERVICE_FAILED`.
const CRITICAL_SERVICE_FAILED: u32 = 0x5A;

/// What the loader found.
struct Loaded {
    registry: Arc<Registry>,
    plan: StartPlan,
}

/// Starts Windows and runs it to its end.
pub fn run(entry: &Entry, drive: &Arc<Drive>, record: BootRecord) -> ! {
    let loaded = match load(entry, drive) {
        Ok(loaded) => loaded,
        Err(error) => machine::halt(&error),
    };
    let Loaded { registry, plan } = loaded;
    let status = StatusFile::new(Arc::clone(drive), record);
    let crash_control = stop::crash_control(&registry);
    let host: Arc<dyn KernelHost> = Arc::new(Host::new(Arc::clone(drive), Arc::clone(&registry)));
    let stopper = stop::Stopper::new(Arc::clone(drive), crash_control);
    let on_stop = stopper.clone();
    let kernel = match Kernel::start(host, Box::new(move |report| on_stop.stop(&report))) {
        Ok(kernel) => kernel,
        Err(error) => {
            say!("[kernel] {error}");
            machine::halt(&BootError::new(Status::NO_FILE, "\\Windows\\System32\\ntoskrnl.exe"));
        }
    };
    stopper.know_kernel(kernel.pid());
    say!("[kernel] started, control set {}", registry.control_set());
    start_drivers(&kernel, drive, &plan, &stopper);
    say!("[kernel] {} drivers loaded", kernel.modules().len().saturating_sub(2));
    let wish = run_session(drive, &registry, &plan, &status, &kernel);
    say!("[session] shutting down");
    status.change(BootRecord::shut_down);
    // Nothing may change the volume after its last flush: neither the agent nor a driver.
    machine::freeze();
    kernel.freeze();
    machine::obey(Some(drive), wish)
}

/// The loader: hives, control set, plan, and the files that must be there.
fn load(entry: &Entry, drive: &Arc<Drive>) -> Result<Loaded, BootError> {
    say!("[loader] {}", entry.path);
    let hive = |path| {
        load_hive(drive, path).map_err(|error| {
            say!("[loader] {error}");
            match error {
                RegistryError::Read { source, .. } if source.is_not_found() => {
                    BootError::new(Status::NO_FILE, path)
                }
                _ => BootError::new(Status::REGISTRY_CORRUPT, path),
            }
        })
    };
    let system = hive(SYSTEM_HIVE)?;
    let software = hive(SOFTWARE_HIVE)?;
    let damaged = |error: &dyn std::fmt::Display| {
        say!("[loader] {error}");
        BootError::new(Status::REGISTRY_CORRUPT, SYSTEM_HIVE)
    };
    let control_set = crate::storage::control_set(&system, entry.last_known_good)
        .ok_or_else(|| damaged(&RegistryError::NoControlSet))?;
    let safe_mode = SafeMode::from_element(entry.safe_boot);
    if let Some(mode) = safe_mode {
        say!("[loader] safe mode: {mode:?}");
    }
    let plan = loader::plan(&system, &control_set, safe_mode).map_err(|error| damaged(&error))?;
    for file in ["\\Windows\\System32\\ntoskrnl.exe", "\\Windows\\System32\\hal.dll"] {
        check_image(drive, file)?;
    }
    for service in &plan.boot {
        let file = service.image_file();
        match check_image(drive, &file) {
            Ok(()) => {}
            Err(error) if service.error_control == ErrorControl::Critical => return Err(error),
            Err(error) => say!("[loader] {}: {} ({file}), going on", service.name, error.status),
        }
    }
    say!(
        "[loader] {control_set}: {} boot drivers, {} system drivers",
        plan.boot.len(),
        plan.system.len()
    );
    let registry = Registry::mount(Arc::clone(drive), system, software, control_set);
    Ok(Loaded { registry: Arc::new(registry), plan })
}

/// An image that the loader must find: there, and for this machine.
fn check_image(drive: &Drive, file: &str) -> Result<(), BootError> {
    let bytes = drive.read(file).map_err(|_| BootError::new(Status::NO_FILE, file))?;
    let parsed = object::read::pe::PeFile64::parse(&*bytes);
    let machine = parsed
        .map(|image| image.nt_headers().file_header.machine.get(object::LittleEndian))
        .map_err(|_| BootError::new(Status::INVALID_IMAGE, file))?;
    if machine == object::pe::IMAGE_FILE_MACHINE_AMD64 {
        Ok(())
    } else {
        Err(BootError::new(Status::INVALID_IMAGE, file))
    }
}

/// Loads boot drivers, then system drivers. Does not return if one of them stops the system.
fn start_drivers(kernel: &Kernel, drive: &Drive, plan: &StartPlan, stopper: &stop::Stopper) {
    let mut running = Vec::new();
    for (service, at_boot) in
        plan.boot.iter().map(|s| (s, true)).chain(plan.system.iter().map(|s| (s, false)))
    {
        if load_driver(kernel, drive, service, at_boot, stopper) {
            running.push(service.name.to_ascii_lowercase());
        }
    }
    let missing = DISK_DRIVERS.iter().find(|name| !running.contains(&name.to_ascii_lowercase()));
    if let Some(name) = missing {
        say!("[kernel] the system disk cannot be reached without {name}");
        stopper.stop(&StopReport::raised(INACCESSIBLE_BOOT_DEVICE, [0; 4], kernel.modules()));
    }
}

/// Loads one driver. True if it runs.
fn load_driver(
    kernel: &Kernel,
    drive: &Drive,
    service: &Service,
    check_checksum: bool,
    stopper: &stop::Stopper,
) -> bool {
    let file = service.image_file();
    let name = service.image_name();
    let failure = match drive.read(&file) {
        Err(error) if error.is_not_found() => "the file is missing".to_owned(),
        Err(error) => error.to_string(),
        Ok(image) => {
            let driver = Driver {
                name: name.clone(),
                path: nt_image_path(&file),
                service_key: format!(
                    "\\Registry\\Machine\\System\\CurrentControlSet\\Services\\{}",
                    service.name
                ),
                image,
                check_checksum,
            };
            match kernel.load_driver(&driver) {
                Ok(outcome) if outcome.status.is_success() => {
                    say!("[kernel] {name} loaded");
                    return true;
                }
                Ok(outcome) => match outcome.reason {
                    Some(reason) => format!("{}: {reason}", outcome.status),
                    None => outcome.status.to_string(),
                },
                // The stop handler has it on another thread; this one has nothing left to do.
                Err(LoadError::Stopped { .. }) => sys::stand_still(),
                Err(error) => error.to_string(),
            }
        }
    };
    say!("[kernel] {name} failed to load: {failure}");
    if service.error_control == ErrorControl::Critical {
        stopper.stop(&StopReport::raised(CRITICAL_SERVICE_FAILED, [0; 4], kernel.modules()));
    }
    false
}

/// `\Windows\…` as the kernel names it.
fn nt_image_path(file: &str) -> String {
    match file.get(.."\\Windows".len()) {
        Some(head) if head.eq_ignore_ascii_case("\\Windows") => {
            format!("\\SystemRoot{}", &file[head.len()..])
        }
        _ => format!("\\??\\C:{file}"),
    }
}

/// The session: network, services, agent, the good word; then whatever is wished for.
fn run_session(
    drive: &Arc<Drive>,
    registry: &Arc<Registry>,
    plan: &StartPlan,
    status: &StatusFile,
    kernel: &Kernel,
) -> Wish {
    let computer_name = registry
        .control_string("Control\\ComputerName\\ComputerName", "ComputerName")
        .unwrap_or_else(|| "UNDERSTUDY".to_owned());
    say!("[session] {computer_name} starting");
    let wishes = Wishes::listen();
    let starts =
        |name: &str| plan.automatic.iter().any(|service| service.name.eq_ignore_ascii_case(name));
    if starts(DHCP_SERVICE) {
        match session::bring_up(&computer_name, NETWORK_PATIENCE) {
            Ok(lease) => say!("[session] network: {} from {}", lease.address, lease.server),
            Err(error) => say!("[session] no network: {error}"),
        }
    }
    session::start_services(drive, &plan.automatic, kernel);
    if starts(AGENT_SERVICE) {
        start_agent(drive, registry, computer_name, &wishes);
    }
    status.change(BootRecord::good);
    say!("[session] boot marked good");
    if let Some(wish) = wishes.wait_for(SETTLED) {
        return wish;
    }
    machine::while_running(|| status.change(BootRecord::settled));
    wishes.wait()
}

fn start_agent(
    drive: &Arc<Drive>,
    registry: &Arc<Registry>,
    computer_name: String,
    wishes: &Wishes,
) {
    let Some(port) = agent::find_port(PORT_PATIENCE) else {
        say!("[session] no guest agent: the machine has no port for it");
        return;
    };
    let mut agent = Agent::new(Arc::clone(drive), Arc::clone(registry), computer_name);
    let sender = wishes.sender();
    std::thread::spawn(move || {
        match agent::serve(&mut agent, &port) {
            Ok(wish) => {
                // Nobody listens any more: the machine is on its way already.
                let _ = sender.send(match wish {
                    agent::Wish::PowerDown => Wish::PowerOff,
                    agent::Wish::Reboot => Wish::Restart,
                    agent::Wish::Halt => Wish::Halt,
                });
            }
            Err(error) => say!("[session] {error}"),
        }
    });
    say!("[session] guest agent listening");
}

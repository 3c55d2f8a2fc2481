//! Windows, from the loader to the end of the session.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use winfmt::hive::Hive;

use crate::agent::{self, Agent, EndProcess};
use crate::bootmgr::{BootError, BootRecord, Entry, Status, StatusFile};
use crate::drivers::Starter;
use crate::encryption;
use crate::kernel::stop::lacks;
use crate::kernel::{
    Kernel, KernelHost, Module, NtStatus, StopReport, check_boot_image, check_imports,
};
use crate::loader::{self, SafeMode, Service, StartPlan};
use crate::machine::{self, Wish, Wishes};
use crate::session::processes::{self, Failure};
use crate::session::servicing::{self, Operation};
use crate::session::{self, Services};
use crate::signatures::Signatures;
use crate::storage::{
    Drive, Host, Registry, RegistryError, SOFTWARE_HIVE, SYSTEM_HIVE, fall_back, load_hive,
};
use crate::sys::Power;
use crate::{say, stop};

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

/// `STATUS_CANNOT_LOAD_REGISTRY_FILE`: a hive other than SYSTEM cannot be loaded.
const CANNOT_LOAD_REGISTRY_FILE: u32 = 0xC000_0218;
/// The program behind which the service of remote procedure calls stands.
const SERVICE_HOST: &str = "svchost.exe";
/// That service.
const RPC_SERVICE: &str = "RpcSs";

/// What the loader found.
struct Loaded {
    registry: Arc<Registry>,
    plan: StartPlan,
    signatures: Signatures,
    /// The SOFTWARE hive, which the kernel needs, could not be loaded.
    without_software: bool,
}

/// Starts Windows and runs it to its end.
pub fn run(entry: &Entry, drive: &Arc<Drive>, record: BootRecord) -> ! {
    let loaded = match load(entry, drive) {
        Ok(loaded) => loaded,
        Err(error) => machine::halt(&error),
    };
    let Loaded { registry, plan, signatures, without_software } = loaded;
    let status = StatusFile::new(Arc::clone(drive), record);
    let crash_control = stop::crash_control(&registry);
    let host: Arc<dyn KernelHost> = Arc::new(Host::new(Arc::clone(drive), Arc::clone(&registry)));
    let stopper = stop::Stopper::new(Arc::clone(drive), crash_control);
    let on_stop = stopper.clone();
    let kernel =
        match Kernel::start(Arc::clone(&host), Box::new(move |report| on_stop.stop(&report))) {
            Ok(kernel) => kernel,
            Err(error) => {
                say!("[kernel] {error}");
                machine::halt(&BootError::new(
                    Status::NO_FILE,
                    "\\Windows\\System32\\ntoskrnl.exe",
                ));
            }
        };
    stopper.know_kernel(kernel.pid());
    say!("[kernel] started, control set {}", registry.control_set());
    if without_software {
        stopper.stop(&StopReport::raised(CANNOT_LOAD_REGISTRY_FILE, [0; 4], kernel.modules()));
    }
    let starter = Starter {
        kernel: &kernel,
        drive,
        registry: &registry,
        signatures: &signatures,
        stopper: &stopper,
    };
    starter.start(&plan);
    say!("[kernel] {} drivers loaded", kernel.modules().len().saturating_sub(2));
    let session = Session {
        drive,
        registry: &registry,
        plan: &plan,
        signatures: &signatures,
        kernel: &kernel,
        host: &host,
        stopper,
    };
    let wish = session.run(&status);
    machine::while_running(|| ());
    say!("[session] shutting down");
    status.change(BootRecord::shut_down);
    // Nothing may change the volume after its last flush: neither the agent nor a driver.
    machine::freeze();
    kernel.freeze();
    session::freeze_services();
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
                RegistryError::Read { source, .. } => {
                    BootError::unreadable(&source, Status::REGISTRY_CORRUPT, path)
                }
                _ => BootError::new(Status::REGISTRY_CORRUPT, path),
            }
        })
    };
    let mut system = hive(SYSTEM_HIVE)?;
    let software = load_hive(drive, SOFTWARE_HIVE);
    let without_software = software.is_err();
    let software = match software {
        Ok(software) => software,
        Err(error) => {
            say!("[loader] {error}");
            // Never read: the kernel stops before anybody asks.
            Hive::create("ROOT")
                .map_err(|_| BootError::new(Status::REGISTRY_CORRUPT, SOFTWARE_HIVE))?
        }
    };
    let damaged = |error: &dyn std::fmt::Display| {
        say!("[loader] {error}");
        BootError::new(Status::REGISTRY_CORRUPT, SYSTEM_HIVE)
    };
    let chosen = |system: &Hive| {
        crate::storage::control_set(system).ok_or_else(|| damaged(&RegistryError::NoControlSet))
    };
    let mut control_set = chosen(&system)?;
    if entry.last_known_good
        && fall_back(&mut system, &control_set).map_err(|error| damaged(&error))?
    {
        let bytes = system.to_bytes().map_err(|error| damaged(&error))?;
        if let Err(error) = drive.write(SYSTEM_HIVE, &bytes) {
            say!("[loader] {error}");
        }
        control_set = chosen(&system)?;
        say!("[loader] the last known good control set is taken: {control_set}");
    }
    let safe_mode = SafeMode::from_element(entry.safe_boot);
    if let Some(mode) = safe_mode {
        say!("[loader] safe mode: {mode:?}");
    }
    let plan = loader::plan(&system, &control_set, safe_mode).map_err(|error| damaged(&error))?;
    for file in ["\\Windows\\System32\\ntoskrnl.exe", "\\Windows\\System32\\hal.dll"] {
        check_image(drive, file)?;
    }
    let signatures = Signatures::read(entry, drive, &software);
    for service in &plan.boot {
        let file = service.image_file();
        let Err(error) = check_driver(drive, &file, &signatures) else { continue };
        if !service.error_control.falls_back() {
            say!("[loader] {}: {} ({file}), going on", service.name, error.status);
            continue;
        }
        if fall_back(&mut system, &control_set).map_err(|error| damaged(&error))? {
            say!("[loader] {}: {} ({file})", service.name, error.status);
            say!("[loader] starting again with the last known good control set");
            let bytes = system.to_bytes().map_err(|error| damaged(&error))?;
            if drive.write(SYSTEM_HIVE, &bytes).is_ok() {
                machine::leave(Some(drive), Power::Reset);
            }
        }
        return Err(error);
    }
    say!(
        "[loader] {control_set}: {} boot drivers, {} system drivers",
        plan.boot.len(),
        plan.system.len()
    );
    let registry =
        Registry::mount(Arc::clone(drive), system, software, control_set).in_safe_mode(safe_mode);
    Ok(Loaded { registry: Arc::new(registry), plan, signatures, without_software })
}

/// An image that the loader must find: there, and for this machine.
fn check_image(drive: &Drive, file: &str) -> Result<(), BootError> {
    let bytes =
        drive.read(file).map_err(|error| BootError::unreadable(&error, Status::NO_FILE, file))?;
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

/// A boot driver's image: there, for this machine, sound, signed, and with everything that it imports.
fn check_driver(drive: &Drive, file: &str, signatures: &Signatures) -> Result<(), BootError> {
    let image =
        drive.read(file).map_err(|error| BootError::unreadable(&error, Status::NO_FILE, file))?;
    let refused = |why: &dyn std::fmt::Display, status: NtStatus| {
        say!("[loader] {file}: {why}");
        BootError::new(Status(status.0), file)
    };
    check_boot_image(&image).map_err(|error| refused(&error, error.status()))?;
    signatures.check(&image).map_err(|refusal| refused(&refusal, refusal.status()))?;
    check_imports(&image).map_err(|error| {
        if let Some(lack) = error.lack() {
            say!("{}", lacks(file.rsplit('\\').next().unwrap_or(file), &lack));
        }
        refused(&error, error.status())
    })
}

/// What the session has to do with.
struct Session<'a> {
    drive: &'a Arc<Drive>,
    registry: &'a Arc<Registry>,
    plan: &'a StartPlan,
    signatures: &'a Signatures,
    kernel: &'a Kernel,
    host: &'a Arc<dyn KernelHost>,
    stopper: stop::Stopper,
}

impl Session<'_> {
    /// Network, services, agent, the good word; then whatever is wished for.
    fn run(&self, status: &StatusFile) -> Wish {
        let registry = self.registry;
        let computer_name = registry
            .control_string("Control\\ComputerName\\ComputerName", "ComputerName")
            .unwrap_or_else(|| "UNDERSTUDY".to_owned());
        self.finish_update();
        if let Some(failure) = processes::check(|path| self.drive.read(path).ok()) {
            fail(&self.stopper, &failure, self.kernel.modules());
        }
        say!("[session] {computer_name} starting");
        let wishes = Wishes::listen();
        let starts = |name: &str| {
            self.plan.automatic.iter().any(|service| service.name.eq_ignore_ascii_case(name))
        };
        if starts(DHCP_SERVICE) {
            match session::bring_up(&computer_name, NETWORK_PATIENCE) {
                Ok(lease) => say!("[session] network: {} from {}", lease.address, lease.server),
                Err(error) => say!("[session] no network: {error}"),
            }
        }
        let services = Services {
            drive: self.drive,
            registry,
            computer_name: &computer_name,
            signatures: self.signatures,
            kernel: self.kernel,
            host: self.host,
            wishes: wishes.sender(),
        };
        services.start(&self.plan.automatic);
        if starts(AGENT_SERVICE) {
            self.start_agent(computer_name, &wishes);
        }
        match machine::while_running(|| encryption::seal(self.drive)) {
            Ok(true) => say!("[session] drive C: its key is sealed to this start"),
            Ok(false) => {}
            Err(error) => say!("[session] drive C: its key is not sealed: {error}"),
        }
        machine::while_running(|| status.change(BootRecord::good));
        if self.registry.safe_mode().is_none()
            && machine::while_running(|| self.registry.keep_last_known_good())
        {
            say!("[session] the control set is kept as the last known good one");
        }
        say!("[session] boot marked good");
        self.kernel.begin_session();
        if let Some(wish) = wishes.wait_for(SETTLED) {
            return wish;
        }
        machine::while_running(|| status.change(BootRecord::settled));
        wishes.wait()
    }

    /// Carries out an update that is half done, as the session manager has it done.
    fn finish_update(&self) {
        let lines = self.registry.control_list(servicing::MANAGER, servicing::SETUP_EXECUTE);
        if !servicing::is_due(&lines) {
            return;
        }
        let Ok(list) = self.drive.read(servicing::PENDING) else {
            say!("[session] servicing: there is no pending.xml, nothing is done");
            return;
        };
        match self.carry_out(&list) {
            Ok(count) => say!("[session] servicing: {count} files put in place"),
            Err(why) => {
                let failure = Failure {
                    code: processes::SYSTEM_PROCESS_TERMINATED,
                    parameters: [0, 0xFFFF_FFFF_C000_0001, 0, 0],
                    why: format!("servicing failed: {why}"),
                };
                fail(&self.stopper, &failure, self.kernel.modules());
            }
        }
    }

    fn carry_out(&self, list: &[u8]) -> Result<usize, String> {
        let text = |error: volume::VolumeError| error.to_string();
        let operations = servicing::read(list).map_err(|error| error.to_string())?;
        servicing::check(&operations, |path| self.drive.exists(path).unwrap_or(false))
            .map_err(|error| error.to_string())?;
        for operation in &operations {
            let (Operation::Move { source, destination } | Operation::Link { source, destination }) =
                operation;
            let bytes = self.drive.read(source).map_err(text)?;
            self.drive.write(destination, &bytes).map_err(text)?;
            if matches!(operation, Operation::Move { .. }) {
                self.drive.remove_file(source).map_err(text)?;
            }
        }
        self.drive.remove_file(servicing::PENDING).map_err(text)?;
        let key = format!("\\Registry\\Machine\\System\\CurrentControlSet\\{}", servicing::MANAGER);
        self.registry
            .delete_value(&key, servicing::SETUP_EXECUTE)
            .map_err(|status| status.to_string())?;
        self.drive.flush().map_err(text)?;
        Ok(operations.len())
    }

    /// What ends processes by name for the agent.
    fn end_process(&self, wishes: &Wishes) -> EndProcess {
        let stopper = self.stopper.clone();
        let modules = self.kernel.modules();
        let services: Vec<Service> = self.plan.automatic.clone();
        let wishes = std::sync::Mutex::new(wishes.sender());
        EndProcess::new(move |name| {
            if let Some(failure) = processes::died(name) {
                fail(&stopper, &failure, modules.clone());
            }
            // Of all that one host serves, only the loss of RPC has consequences.
            let host = name.eq_ignore_ascii_case(SERVICE_HOST);
            let lost = services.iter().find(|service| match host {
                true => service.name == RPC_SERVICE,
                false => service.program().is_some_and(|file| {
                    file.rsplit('\\').next().is_some_and(|file| file.eq_ignore_ascii_case(name))
                }),
            });
            let Some(service) = lost.cloned() else { return false };
            say!("[session] service {} ended: its process was ended", service.name);
            let wishes = wishes.lock().unwrap_or_else(PoisonError::into_inner).clone();
            session::service_ended(service, wishes);
            true
        })
    }

    fn start_agent(&self, computer_name: String, wishes: &Wishes) {
        let Some(port) = agent::find_port(PORT_PATIENCE) else {
            say!("[session] no guest agent: the machine has no port for it");
            return;
        };
        let (drive, registry) = (Arc::clone(self.drive), Arc::clone(self.registry));
        let mut agent = Agent::new(drive, registry, computer_name, self.end_process(wishes));
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
}

/// Stops the system because a process is gone.
fn fail(stopper: &stop::Stopper, failure: &Failure, modules: Vec<Module>) -> ! {
    say!("[session] {}", failure.why);
    stopper.stop(&StopReport::raised(failure.code, failure.parameters, modules))
}

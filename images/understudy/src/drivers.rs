//! Boot and system drivers are started, and what follows where one is not.

use std::sync::Arc;

use crate::kernel::stop::lacks;
use crate::kernel::{Driver, Kernel, LoadError, StopReport};
use crate::loader::{ErrorControl, Filter, Service, StartPlan};
use crate::machine;
use crate::signatures::Signatures;
use crate::storage::{Drive, Registry};
use crate::sys::{self, Power};
use crate::{say, stop};

/// Drivers without which the system disk cannot be reached.
const DISK_DRIVERS: [&str; 5] = ["viostor", "disk", "partmgr", "volmgr", "Ntfs"];
/// `INACCESSIBLE_BOOT_DEVICE`.
const INACCESSIBLE_BOOT_DEVICE: u32 = 0x7B;
/// `CRITICAL_SERVICE_FAILED`.
const CRITICAL_SERVICE_FAILED: u32 = 0x5A;
/// `Start` of a driver that is loaded when a device needs it.
const ON_DEMAND: u32 = 3;

/// What starts drivers.
pub(crate) struct Starter<'a> {
    pub(crate) kernel: &'a Kernel,
    pub(crate) drive: &'a Arc<Drive>,
    pub(crate) registry: &'a Registry,
    pub(crate) signatures: &'a Signatures,
    pub(crate) stopper: &'a stop::Stopper,
}

impl Starter<'_> {
    /// Loads boot drivers, then system drivers. Does not return if one of them stops the system.
    pub(crate) fn start(&self, plan: &StartPlan) {
        let mut running = Vec::new();
        for service in &plan.boot {
            self.try_one(service, true, &mut running);
        }
        for filter in &plan.filters {
            if let Some(service) = filter.service.as_ref()
                && service.start == ON_DEMAND
            {
                self.try_one(service, false, &mut running);
            }
        }
        for service in &plan.system {
            self.try_one(service, false, &mut running);
        }
        if let Some(lack) = lacking(&running, &plan.filters) {
            say!("[kernel] the system disk cannot be reached without {lack}");
            self.stop(INACCESSIBLE_BOOT_DEVICE);
        }
    }

    fn try_one(&self, service: &Service, at_boot: bool, running: &mut Vec<String>) {
        if self.load(service, at_boot) {
            running.push(service.name.to_ascii_lowercase());
        }
    }

    fn stop(&self, code: u32) -> ! {
        self.stopper.stop(&StopReport::raised(code, [0; 4], self.kernel.modules()))
    }

    /// Loads one driver. True if it runs.
    fn load(&self, service: &Service, check_checksum: bool) -> bool {
        let name = service.image_name();
        let ran = run(self.kernel, self.drive, self.signatures, service, check_checksum);
        let failure = match ran {
            Ok(()) => {
                say!("[kernel] {name} loaded");
                return true;
            }
            Err(failure) => failure,
        };
        say!("[kernel] {name} failed to load: {failure}");
        failure.tell(&name);
        if service.error_control.falls_back() && self.registry.fall_back() {
            say!("[kernel] {name} is needed: starting again with the last known good control set");
            machine::leave(Some(self.drive), Power::Reset);
        }
        if service.error_control == ErrorControl::Critical {
            self.stop(CRITICAL_SERVICE_FAILED);
        }
        false
    }
}

/// The driver or filter that is missing on the way to the system disk.
fn lacking<'n>(running: &[String], filters: &'n [Filter]) -> Option<&'n str> {
    let runs = |name: &str| running.iter().any(|running| running.eq_ignore_ascii_case(name));
    let filters = filters.iter().map(|filter| filter.name.as_str());
    DISK_DRIVERS.into_iter().chain(filters).find(|name| !runs(name))
}

/// Why a driver does not run, for the log.
#[derive(Debug, Default)]
pub(crate) struct Failure {
    why: String,
    /// What it needs and the model has not.
    lack: Option<String>,
}

impl Failure {
    /// Says what the model lacks, if that is it.
    pub(crate) fn tell(&self, name: &str) {
        if let Some(lack) = &self.lack {
            say!("{}", lacks(name, lack));
        }
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.why)
    }
}

impl From<String> for Failure {
    fn from(why: String) -> Self {
        Self { why, lack: None }
    }
}

/// Runs a driver's image, whatever its start type. What went wrong is for the log.
pub(crate) fn run(
    kernel: &Kernel,
    drive: &Drive,
    signatures: &Signatures,
    service: &Service,
    check_checksum: bool,
) -> Result<(), Failure> {
    let file = service.image_file();
    let image = drive.read(&file).map_err(|error| {
        if error.is_not_found() { "the file is missing".to_owned() } else { error.to_string() }
    })?;
    signatures.check(&image).map_err(|refusal| format!("{}: {refusal}", refusal.status()))?;
    let driver = Driver {
        name: service.image_name(),
        path: nt_image_path(&file),
        service_key: format!(
            "\\Registry\\Machine\\System\\CurrentControlSet\\Services\\{}",
            service.name
        ),
        image,
        check_checksum,
    };
    match kernel.load_driver(&driver) {
        Ok(outcome) if outcome.status.is_success() => Ok(()),
        Ok(outcome) => Err(Failure {
            why: match outcome.reason {
                Some(reason) => format!("{}: {reason}", outcome.status),
                None => outcome.status.to_string(),
            },
            lack: outcome.lack,
        }),
        // The stop handler has it on another thread; this one has nothing left to do.
        Err(LoadError::Stopped { .. }) => sys::stand_still(),
        Err(error) => Err(error.to_string().into()),
    }
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

#[cfg(test)]
mod tests {
    use super::{DISK_DRIVERS, Filter, lacking};

    #[test]
    fn the_disk_needs_its_drivers_and_its_filters() {
        let mut running: Vec<String> = DISK_DRIVERS.iter().map(|n| n.to_lowercase()).collect();
        assert_eq!(lacking(&running, &[]), None);
        let filters = [Filter { name: "gone".to_owned(), service: None }];
        assert_eq!(lacking(&running, &filters), Some("gone"));
        running.retain(|name| name != "viostor");
        assert_eq!(lacking(&running, &filters), Some("viostor"));
    }
}

//! On which buses this Windows would find the disk that it lies on: else it stops with 0x7B.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::Known;
use crate::filters::Filters;
use crate::finding::Finding;
use crate::inspection::Inspection;
use crate::services::{Service, Services, Start};

/// What stands between the loader and the system's own disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct BootDisk {
    /// Each bus that a disk can be on.
    pub buses: Vec<Bus>,
    /// What stands against it whatever the bus is: the class driver of disks, and class filters.
    pub troubles: Vec<String>,
}

/// A bus, and whether a driver for its controllers starts with the loader.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Bus {
    /// As a machine profile calls it: `virtio`, `scsi`, `sata`, `ide`; and `nvme`, which no machine here has.
    pub bus: String,
    /// Whether it would start from it.
    pub starts: bool,
    /// By which driver, or why by none.
    pub why: String,
}

/// Drivers for the controllers that the machines here have, and for NVMe.
const DRIVERS: [(&str, &[&str]); 5] = [
    ("virtio", &["viostor"]),
    ("scsi", &["vioscsi"]),
    ("sata", &["storahci", "msahci"]),
    ("ide", &["atapi", "intelide", "pciide", "uniata"]),
    ("nvme", &["stornvme"]),
];

/// Classes on the way to a disk, by GUID: disks, SCSI and RAID controllers, IDE controllers, volumes.
const CLASSES: [&str; 4] = [
    "{4d36e967-e325-11ce-bfc1-08002be10318}",
    "{4d36e97b-e325-11ce-bfc1-08002be10318}",
    "{4d36e96a-e325-11ce-bfc1-08002be10318}",
    "{71a27cdd-812a-11d0-bec7-08002be2092f}",
];

/// Decides from the services and the filters.
pub(crate) fn read(services: &Known<Services>, filters: &Known<Filters>) -> Known<BootDisk> {
    services.as_ref().map(|services| {
        let buses = DRIVERS.iter().map(|(bus, drivers)| of_bus(services, bus, drivers));
        let buses = buses.collect();
        let mut troubles: Vec<String> = match state(services, "disk") {
            Ok(()) => Vec::new(),
            Err(why) => vec![why],
        };
        let classes = filters.known().map(|filters| filters.classes.as_slice()).unwrap_or_default();
        for class in classes {
            if !CLASSES.iter().any(|own| own.eq_ignore_ascii_case(&class.class)) {
                continue;
            }
            let name = class.name.as_deref().unwrap_or(&class.class);
            for filter in class.upper.iter().chain(&class.lower) {
                if let Err(why) = state(services, filter) {
                    troubles.push(format!("filter of class {name}: {why}"));
                }
            }
        }
        BootDisk { buses, troubles }
    })
}

fn of_bus(services: &Services, bus: &str, drivers: &[&str]) -> Bus {
    let mut why = Vec::new();
    for driver in drivers {
        match state(services, driver) {
            Ok(()) => {
                let (bus, why) = (bus.to_owned(), (*driver).to_owned());
                return Bus { bus, starts: true, why };
            }
            Err(reason) if services.service(driver).is_some() => why.push(reason),
            Err(_) => {}
        }
    }
    if why.is_empty() {
        why.push(format!("{} is not installed", drivers.join(" or ")));
    }
    Bus { bus: bus.to_owned(), starts: false, why: why.join(", ") }
}

/// Whether the loader brings a driver into memory; else why not.
fn state(services: &Services, name: &str) -> Result<(), String> {
    let Some(service) = services.service(name) else {
        return Err(format!("{name} is not installed"));
    };
    starts_with_the_loader(service)
}

/// Whether the loader brings a driver into memory; else why not. `StartOverride` outweighs `Start`
/// (windows-facts.md 4).
pub(crate) fn starts_with_the_loader(service: &Service) -> Result<(), String> {
    let name = &service.name;
    match (service.starts(), service.start_override) {
        (Start::Boot, _) => {}
        (start, Some(_)) => return Err(format!("{name} has a StartOverride: {start}")),
        (start, None) => return Err(format!("{name} starts otherwise: {start}")),
    }
    match &service.file {
        Known::Known(_) => Ok(()),
        Known::Absent => Err(format!("the file of {name} is missing")),
        Known::Unknown(reason) => Err(format!("the file of {name} cannot be read: {reason}")),
    }
}

impl fmt::Display for BootDisk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let buses = self.buses.iter().map(|bus| {
            let yes = if bus.starts { "yes" } else { "no" };
            format!("{} {yes} ({})", bus.bus, bus.why)
        });
        let all: Vec<String> = buses.chain(self.troubles.iter().cloned()).collect();
        f.write_str(&all.join("; "))
    }
}

/// Whether it would find its own disk on a bus that a machine here can have.
pub(crate) fn check(inspection: &Inspection) -> Finding {
    let disk = match &inspection.boot_disk {
        Known::Known(disk) => disk,
        Known::Absent => return Finding::not_applicable("no system is found on the disk"),
        Known::Unknown(reason) => return Finding::unknown("which drivers start", reason),
    };
    let starts = disk.buses.iter().any(|bus| bus.starts && bus.bus != "nvme");
    if starts && disk.troubles.is_empty() {
        return Finding::pass(disk.to_string());
    }
    Finding::fail(format!("it stops with 0x7B: {disk}")).remedy(
        "put back what is missing; for another bus, let Windows start once with a second disk on it, so that it \
         installs the driver and starts it with the loader",
    )
}

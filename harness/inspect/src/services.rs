//! Services and drivers, with their files.

use serde::{Deserialize, Serialize};

use crate::Known;

/// The services of the current control set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Services {
    /// Those with a start type, by name. Keys without one (`.NET CLR Data` and the like) are no services.
    pub services: Vec<Service>,
    /// Keys below `Services` in all.
    pub keys: usize,
    /// `ServiceGroupOrder\List`.
    pub group_order: Known<Vec<String>>,
}

impl Services {
    /// One by name. Case does not matter.
    pub fn service(&self, name: &str) -> Option<&Service> {
        self.services.iter().find(|service| service.name.eq_ignore_ascii_case(name))
    }

    /// Those that start at a moment, in the order of the hive.
    pub fn starting(&self, start: Start) -> impl Iterator<Item = &Service> {
        self.services.iter().filter(move |service| service.start == start)
    }

    /// Drivers of others than Microsoft that start with the system.
    pub fn third_party_drivers(&self) -> impl Iterator<Item = &Service> {
        self.services.iter().filter(|service| {
            service.is_driver()
                && matches!(service.start, Start::Boot | Start::System)
                && service.maker == Known::Known(Maker::ThirdParty)
        })
    }
}

/// One service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Service {
    /// Its key's name.
    pub name: String,
    /// `Type`, as stored: 1 kernel driver, 2 file system driver, 0x10 own process, 0x20 shared process.
    #[serde(rename = "type")]
    pub kind: u32,
    /// When it starts.
    pub start: Start,
    /// `ErrorControl`: 0 ignore, 1 normal, 2 severe, 3 critical.
    pub error_control: Known<u32>,
    /// `Group`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// `Tag`: the place within its group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tag: Option<u32>,
    /// `ImagePath`, as stored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_path: Option<String>,
    /// The file, from the root of the Windows volume. Absent: the path names none that is there.
    pub file: Known<String>,
    /// Who made it.
    pub maker: Known<Maker>,
    /// What the file says of itself; read for drivers that start with the system, and for all that come
    /// from a driver package of their own.
    pub image: Known<ServiceImage>,
}

impl Service {
    /// Whether it runs in the kernel.
    pub fn is_driver(&self) -> bool {
        matches!(self.kind, 1 | 2 | 8)
    }
}

/// When a service starts (windows-facts.md 4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Start {
    /// 0: loaded by the boot loader.
    Boot,
    /// 1: while the kernel starts.
    System,
    /// 2: by the service manager, by itself.
    Automatic,
    /// 3: when asked for.
    Demand,
    /// 4: never.
    Disabled,
    /// Any other number.
    Other(u32),
}

impl From<u32> for Start {
    fn from(number: u32) -> Self {
        match number {
            0 => Self::Boot,
            1 => Self::System,
            2 => Self::Automatic,
            3 => Self::Demand,
            4 => Self::Disabled,
            other => Self::Other(other),
        }
    }
}

/// Who made a driver.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Maker {
    /// Microsoft, as part of Windows.
    Microsoft,
    /// Somebody else.
    ThirdParty,
}

/// What a service's file says of itself. None of it is verified.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ServiceImage {
    /// Bytes.
    pub size: u64,
    /// Instruction set.
    pub architecture: String,
    /// Four numbers.
    pub version: Known<String>,
    /// `CompanyName`.
    pub company: Known<String>,
    /// The name on the certificate of the embedded signature. Absent: none is embedded; a catalog may
    /// still cover the file.
    pub signer: Known<String>,
}

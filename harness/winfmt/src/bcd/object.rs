//! Objects: a GUID, a type, elements.

use std::fmt;

use super::{ElementId, ElementValue, known};
use crate::Guid;

/// What an object is.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ObjectType(pub u32);

impl ObjectType {
    /// The firmware's boot manager.
    pub const FIRMWARE_BOOT_MANAGER: ObjectType = ObjectType(0x1010_0001);
    /// The Windows boot manager.
    pub const BOOT_MANAGER: ObjectType = ObjectType(0x1010_0002);
    /// An entry of the firmware that is not Windows'.
    pub const FIRMWARE_APPLICATION: ObjectType = ObjectType(0x101f_ffff);
    /// A Windows loader.
    pub const OS_LOADER: ObjectType = ObjectType(0x1020_0003);
    /// A resume application.
    pub const RESUME_LOADER: ObjectType = ObjectType(0x1020_0004);
    /// A memory tester.
    pub const MEMORY_TESTER: ObjectType = ObjectType(0x1020_0005);
    /// The loader of Windows XP and before.
    pub const LEGACY_LOADER: ObjectType = ObjectType(0x1030_0006);
    /// A boot sector.
    pub const BOOT_SECTOR: ObjectType = ObjectType(0x1040_0008);
    /// Settings that any application may inherit.
    pub const INHERITED_SETTINGS: ObjectType = ObjectType(0x2010_0000);
    /// Settings that Windows loaders inherit.
    pub const LOADER_SETTINGS: ObjectType = ObjectType(0x2020_0003);
    /// Settings that resume applications inherit.
    pub const RESUME_SETTINGS: ObjectType = ObjectType(0x2020_0004);
    /// Options of a device, such as a RAM disk.
    pub const DEVICE_OPTIONS: ObjectType = ObjectType(0x3000_0000);

    /// The heading that `bcdedit` prints above most objects of the type.
    pub fn heading(self) -> &'static str {
        match self {
            ObjectType::FIRMWARE_BOOT_MANAGER => "Firmware Boot Manager",
            ObjectType::BOOT_MANAGER => "Windows Boot Manager",
            ObjectType::FIRMWARE_APPLICATION => "Firmware Application (101fffff)",
            ObjectType::OS_LOADER => "Windows Boot Loader",
            ObjectType::RESUME_LOADER => "Resume from Hibernate",
            ObjectType::MEMORY_TESTER => "Windows Memory Tester",
            ObjectType::LEGACY_LOADER => "Windows Legacy OS Loader",
            ObjectType::BOOT_SECTOR => "Real-mode Boot Sector",
            ObjectType::LOADER_SETTINGS => "Boot Loader Settings",
            ObjectType::RESUME_SETTINGS => "Resume Loader Settings",
            ObjectType::INHERITED_SETTINGS => "Global Settings",
            ObjectType::DEVICE_OPTIONS => "Device options",
            _ => "Unknown object",
        }
    }
}

impl fmt::Display for ObjectType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", self.0)
    }
}

impl fmt::Debug for ObjectType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// An object as it stood in the store when it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    /// Its id.
    pub id: Guid,
    /// What it is.
    pub kind: ObjectType,
    /// Its own elements, by id. What it inherits is not among them.
    pub elements: Vec<(ElementId, ElementValue)>,
}

impl Object {
    /// One of its own elements.
    pub fn element(&self, id: ElementId) -> Option<&ElementValue> {
        self.elements.iter().find(|(own, _)| *own == id).map(|(_, value)| value)
    }

    /// A string element of its own.
    pub fn string(&self, id: ElementId) -> Option<&str> {
        match self.element(id)? {
            ElementValue::String(text) => Some(text),
            _ => None,
        }
    }

    /// A device element of its own.
    pub fn device(&self, id: ElementId) -> Option<&super::Device> {
        match self.element(id)? {
            ElementValue::Device(device) => Some(device),
            _ => None,
        }
    }

    /// The heading that `bcdedit` prints above it: some settings have one of their own.
    pub fn heading(&self) -> &'static str {
        match self.id {
            known::EMS_SETTINGS => "EMS Settings",
            known::DEBUGGER_SETTINGS => "Debugger Settings",
            known::BAD_MEMORY => "RAM Defects",
            known::HYPERVISOR_SETTINGS => "Hypervisor Settings",
            _ => self.kind.heading(),
        }
    }

    /// What people call it.
    pub fn description(&self) -> Option<&str> {
        self.string(ElementId::DESCRIPTION)
    }

    /// Whether it is a loader of Windows PE, as the recovery environment is.
    pub fn is_win_pe(&self) -> bool {
        self.element(ElementId::WIN_PE) == Some(&ElementValue::Boolean(true))
    }
}

//! Ids of elements and objects, and their names.
//!
//! Source: windows-facts.md 3.3 and 3.4 (ReactOS `boot/environ/include/bcd.h`, mattifestation/BCD), the
//! names as `bcdedit` prints them.

use std::fmt;

use crate::Guid;

/// Well-known objects.
pub mod known {
    use crate::Guid;

    /// The Windows boot manager.
    pub const BOOT_MANAGER: Guid = Guid::from_fields(
        0x9dea862c,
        0x5cdd,
        0x4e70,
        [0xac, 0xc1, 0xf3, 0x2b, 0x34, 0x4d, 0x47, 0x95],
    );
    /// The firmware's own boot manager (UEFI).
    pub const FIRMWARE_BOOT_MANAGER: Guid = Guid::from_fields(
        0xa5a30fa2,
        0x3d06,
        0x4e9f,
        [0xb5, 0xf4, 0xa0, 0x1d, 0xf9, 0xd1, 0xfc, 0xba],
    );
    /// The memory tester.
    pub const MEMORY_DIAGNOSTIC: Guid = Guid::from_fields(
        0xb2721d73,
        0x1db4,
        0x4c62,
        [0xbf, 0x78, 0xc5, 0x48, 0xa8, 0x80, 0x14, 0x2d],
    );
    /// The loader of Windows XP and before.
    pub const LEGACY_LOADER: Guid = Guid::from_fields(
        0x466f5a88,
        0x0af2,
        0x4f76,
        [0x90, 0x38, 0x09, 0x5b, 0x17, 0x0d, 0xc2, 0x1c],
    );
    /// Settings that every application inherits.
    pub const GLOBAL_SETTINGS: Guid = Guid::from_fields(
        0x7ea2e1ac,
        0x2e61,
        0x4728,
        [0xaa, 0xa3, 0x89, 0x6d, 0x9d, 0x0a, 0x9f, 0x0e],
    );
    /// Settings that every Windows loader inherits.
    pub const BOOT_LOADER_SETTINGS: Guid = Guid::from_fields(
        0x6efb52bf,
        0x1766,
        0x41db,
        [0xa6, 0xb3, 0x0e, 0xe5, 0xef, 0xf7, 0x2b, 0xd7],
    );
    /// Settings that every resume application inherits.
    pub const RESUME_LOADER_SETTINGS: Guid = Guid::from_fields(
        0x1afa9c49,
        0x16ab,
        0x4a5c,
        [0x90, 0x1b, 0x21, 0x28, 0x02, 0xda, 0x94, 0x60],
    );
    /// Kernel debugger settings.
    pub const DEBUGGER_SETTINGS: Guid = Guid::from_fields(
        0x4636856e,
        0x540f,
        0x4170,
        [0xa1, 0x30, 0xa8, 0x47, 0x76, 0xf4, 0xc6, 0x54],
    );
    /// Emergency management settings.
    pub const EMS_SETTINGS: Guid = Guid::from_fields(
        0x0ce4991b,
        0xe6b3,
        0x4b16,
        [0xb2, 0x3c, 0x5e, 0x0d, 0x92, 0x50, 0xe5, 0xd9],
    );
    /// The list of bad memory pages.
    pub const BAD_MEMORY: Guid = Guid::from_fields(
        0x5189b25c,
        0x5558,
        0x4bf2,
        [0xbc, 0xa4, 0x28, 0x9b, 0x11, 0xbd, 0x29, 0xe2],
    );
    /// Hypervisor settings.
    pub const HYPERVISOR_SETTINGS: Guid = Guid::from_fields(
        0x7ff607e0,
        0x4395,
        0x11db,
        [0xb0, 0xde, 0x08, 0x00, 0x20, 0x0c, 0x9a, 0x66],
    );
    /// Settings of a RAM disk that starts from the network or removable media.
    pub const RAMDISK_OPTIONS: Guid = Guid::from_fields(
        0xae5534e0,
        0xa924,
        0x466c,
        [0xb8, 0x36, 0x75, 0x85, 0x39, 0xa3, 0xee, 0x3a],
    );
    /// Kernel debugger settings that Windows loaders inherit.
    pub const KERNEL_DEBUGGER_SETTINGS: Guid = Guid::from_fields(
        0x313e8eed,
        0x7098,
        0x4586,
        [0xa9, 0xbf, 0x30, 0x9c, 0x61, 0xf8, 0xd4, 0x49],
    );
    /// In place of "the entry that was started".
    pub const CURRENT: Guid = Guid::from_fields(
        0xfa926493,
        0x6f1c,
        0x4193,
        [0xa4, 0x14, 0x58, 0xf0, 0xb2, 0x45, 0x6d, 0x1e],
    );
    /// In place of "the entry that the boot manager starts by default".
    pub const DEFAULT: Guid = Guid::from_fields(
        0x1cae1eb7,
        0xa0df,
        0x4d4d,
        [0x98, 0x51, 0x48, 0x60, 0xe3, 0x4e, 0xf5, 0x35],
    );

    /// Each well-known object with the alias that `bcdedit` uses.
    pub const ALIASES: [(&str, Guid); 17] = [
        ("bootmgr", BOOT_MANAGER),
        ("fwbootmgr", FIRMWARE_BOOT_MANAGER),
        ("memdiag", MEMORY_DIAGNOSTIC),
        ("ntldr", LEGACY_LOADER),
        ("globalsettings", GLOBAL_SETTINGS),
        ("bootloadersettings", BOOT_LOADER_SETTINGS),
        ("resumeloadersettings", RESUME_LOADER_SETTINGS),
        ("dbgsettings", DEBUGGER_SETTINGS),
        ("kerneldbgsettings", KERNEL_DEBUGGER_SETTINGS),
        ("emssettings", EMS_SETTINGS),
        ("badmemory", BAD_MEMORY),
        ("hypervisorsettings", HYPERVISOR_SETTINGS),
        ("ramdiskoptions", RAMDISK_OPTIONS),
        ("current", CURRENT),
        ("default", DEFAULT),
        // Other names that `bcdedit` takes; the first of an object is the one that it shows.
        ("legacy", LEGACY_LOADER),
        ("eventsettings", DEBUGGER_SETTINGS),
    ];

    /// The alias of a well-known object, without braces.
    pub fn alias_of(id: Guid) -> Option<&'static str> {
        ALIASES.iter().find(|(_, guid)| *guid == id).map(|(alias, _)| *alias)
    }

    /// The well-known object of an alias, with or without braces, in any case.
    pub fn by_alias(alias: &str) -> Option<Guid> {
        let bare = alias.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')).unwrap_or(alias);
        ALIASES.iter().find(|(name, _)| name.eq_ignore_ascii_case(bare)).map(|(_, guid)| *guid)
    }
}

/// An element's id: class, format and number packed in 32 bits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ElementId(pub u32);

/// How an element's value is stored: bits 24 to 27 of its id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ElementFormat {
    /// A device description, binary.
    Device,
    /// A string.
    String,
    /// One object's GUID, as a string.
    Object,
    /// Objects' GUIDs, as a multi-string.
    ObjectList,
    /// 64 bits, little-endian, binary.
    Integer,
    /// One byte, binary.
    Boolean,
    /// 64-bit numbers, binary.
    IntegerList,
    /// A format that this program does not know.
    Unknown,
}

impl fmt::Display for ElementFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ElementFormat::Device => "device",
            ElementFormat::String => "string",
            ElementFormat::Object => "object",
            ElementFormat::ObjectList => "object-list",
            ElementFormat::Integer => "integer",
            ElementFormat::Boolean => "boolean",
            ElementFormat::IntegerList => "integer-list",
            ElementFormat::Unknown => "unknown",
        })
    }
}

impl ElementId {
    /// Where an application lies.
    pub const DEVICE: ElementId = ElementId(0x1100_0001);
    /// The application's path on its device.
    pub const PATH: ElementId = ElementId(0x1200_0002);
    /// What people read.
    pub const DESCRIPTION: ElementId = ElementId(0x1200_0004);
    /// The language of menus.
    pub const LOCALE: ElementId = ElementId(0x1200_0005);
    /// Objects whose elements count where this one has none.
    pub const INHERIT: ElementId = ElementId(0x1400_0006);
    /// What to start when this entry fails.
    pub const RECOVERY_SEQUENCE: ElementId = ElementId(0x1400_0008);
    /// Whether the recovery sequence is used.
    pub const RECOVERY_ENABLED: ElementId = ElementId(0x1600_0009);
    /// Options for the kernel.
    pub const LOAD_OPTIONS: ElementId = ElementId(0x1200_0030);
    /// Always show the advanced options menu.
    pub const ADVANCED_OPTIONS: ElementId = ElementId(0x1600_0040);
    /// Do not check signatures of boot drivers.
    pub const NO_INTEGRITY_CHECKS: ElementId = ElementId(0x1600_0048);
    /// Accept test signatures.
    pub const TEST_SIGNING: ElementId = ElementId(0x1600_0049);
    /// Which message the menu shows: 3 is "Recovery" (a loader of the recovery environment).
    pub const DISPLAY_MESSAGE: ElementId = ElementId(0x1500_0065);
    /// The message shown instead when the loader failed.
    pub const DISPLAY_MESSAGE_OVERRIDE: ElementId = ElementId(0x1500_0066);
    /// Loader settings are this entry's own.
    pub const ISOLATED_CONTEXT: ElementId = ElementId(0x1600_0060);
    /// Elements that may be changed in memory under Secure Boot.
    pub const ALLOWED_IN_MEMORY_SETTINGS: ElementId = ElementId(0x1700_0077);
    /// The volume of Windows.
    pub const OS_DEVICE: ElementId = ElementId(0x2100_0001);
    /// The folder of Windows on it.
    pub const SYSTEM_ROOT: ElementId = ElementId(0x2200_0002);
    /// Of the boot manager: the entry to start.
    pub const DEFAULT_OBJECT: ElementId = ElementId(0x2300_0003);
    /// Of a loader: its resume application. The number is that of [`ElementId::DEFAULT_OBJECT`].
    pub const RESUME_OBJECT: ElementId = ElementId(0x2300_0003);
    /// Of the boot manager: the menu.
    pub const DISPLAY_ORDER: ElementId = ElementId(0x2400_0001);
    /// Of the boot manager: what to start at the next boot only.
    pub const BOOT_SEQUENCE: ElementId = ElementId(0x2400_0002);
    /// Of the boot manager: the tools menu.
    pub const TOOLS_DISPLAY_ORDER: ElementId = ElementId(0x2400_0010);
    /// Of the boot manager: seconds that the menu waits.
    pub const TIMEOUT: ElementId = ElementId(0x2500_0004);
    /// Of the boot manager: show the menu even if there is nothing to choose.
    pub const DISPLAY_BOOT_MENU: ElementId = ElementId(0x2600_0020);
    /// Of the boot manager: keep the boot sequence.
    pub const PERSIST_BOOT_SEQUENCE: ElementId = ElementId(0x2600_0031);
    /// Execution protection of data: 0 opt in, 1 opt out, 2 off, 3 on.
    pub const NX: ElementId = ElementId(0x2500_0020);
    /// The loader starts Windows PE, which the recovery environment is.
    pub const WIN_PE: ElementId = ElementId(0x2600_0022);
    /// Stop at a stop screen even if Windows would restart.
    pub const DISABLE_CRASH_AUTO_REBOOT: ElementId = ElementId(0x2600_0024);
    /// Start with the control set that last worked.
    pub const LAST_KNOWN_GOOD: ElementId = ElementId(0x2600_0025);
    /// Safe mode; see [`SafeBoot`].
    pub const SAFE_BOOT: ElementId = ElementId(0x2500_0080);
    /// Safe mode with a command prompt.
    pub const SAFE_BOOT_ALTERNATE_SHELL: ElementId = ElementId(0x2600_0081);
    /// Write `ntbtlog.txt`.
    pub const BOOT_LOG: ElementId = ElementId(0x2600_0090);
    /// Which menu: 0 legacy, 1 standard.
    pub const BOOT_MENU_POLICY: ElementId = ElementId(0x2500_00c2);
    /// Which failures lead to the recovery sequence; see [`BootStatusPolicy`].
    pub const BOOT_STATUS_POLICY: ElementId = ElementId(0x2500_00e0);
    /// Whether the hypervisor starts.
    pub const HYPERVISOR_LAUNCH_TYPE: ElementId = ElementId(0x2500_00f0);
    /// Of RAM disk options: the device of the SDI file.
    pub const RAMDISK_SDI_DEVICE: ElementId = ElementId(0x3100_0003);
    /// Of RAM disk options: the SDI file.
    pub const RAMDISK_SDI_PATH: ElementId = ElementId(0x3200_0004);
    /// Marks the loader of the recovery environment.
    pub const RECOVERY_OS: ElementId = ElementId(0x4600_0010);

    /// How its value is stored.
    pub fn format(self) -> ElementFormat {
        match (self.0 >> 24) & 0xf {
            1 => ElementFormat::Device,
            2 => ElementFormat::String,
            3 => ElementFormat::Object,
            4 => ElementFormat::ObjectList,
            5 => ElementFormat::Integer,
            6 => ElementFormat::Boolean,
            7 => ElementFormat::IntegerList,
            _ => ElementFormat::Unknown,
        }
    }
}

impl fmt::Display for ElementId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", self.0)
    }
}

impl fmt::Debug for ElementId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Which failures of a start lead to the recovery sequence (windows-facts.md 3.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BootStatusPolicy {
    /// 0: any failed start or shutdown.
    DisplayAllFailures,
    /// 1: none.
    IgnoreAllFailures,
    /// 2: all but failed shutdowns.
    IgnoreShutdownFailures,
    /// 3: all but failed starts.
    IgnoreBootFailures,
    /// 4: all but failed checkpoints.
    IgnoreCheckpointFailures,
    /// 5: failed shutdowns only.
    DisplayShutdownFailures,
    /// 6: failed starts only.
    DisplayBootFailures,
    /// 7: failed checkpoints only.
    DisplayCheckpointFailures,
    /// Any other number.
    Other(u64),
}

impl BootStatusPolicy {
    pub(super) const ALL: [(BootStatusPolicy, &'static str); 8] = [
        (BootStatusPolicy::DisplayAllFailures, "DisplayAllFailures"),
        (BootStatusPolicy::IgnoreAllFailures, "IgnoreAllFailures"),
        (BootStatusPolicy::IgnoreShutdownFailures, "IgnoreShutdownFailures"),
        (BootStatusPolicy::IgnoreBootFailures, "IgnoreBootFailures"),
        (BootStatusPolicy::IgnoreCheckpointFailures, "IgnoreCheckpointFailures"),
        (BootStatusPolicy::DisplayShutdownFailures, "DisplayShutdownFailures"),
        (BootStatusPolicy::DisplayBootFailures, "DisplayBootFailures"),
        (BootStatusPolicy::DisplayCheckpointFailures, "DisplayCheckpointFailures"),
    ];

    /// The number that the store holds.
    pub fn number(self) -> u64 {
        match self {
            BootStatusPolicy::Other(number) => number,
            _ => Self::ALL.iter().zip(0..).find(|((p, _), _)| *p == self).map_or(0, |(_, n)| n),
        }
    }

    /// Whether a failed start counts.
    pub fn counts_failed_starts(self) -> bool {
        !matches!(
            self,
            BootStatusPolicy::IgnoreAllFailures
                | BootStatusPolicy::IgnoreBootFailures
                | BootStatusPolicy::DisplayShutdownFailures
                | BootStatusPolicy::DisplayCheckpointFailures
        )
    }

    /// Whether an unexpected shutdown counts.
    pub fn counts_failed_shutdowns(self) -> bool {
        !matches!(
            self,
            BootStatusPolicy::IgnoreAllFailures
                | BootStatusPolicy::IgnoreShutdownFailures
                | BootStatusPolicy::DisplayBootFailures
                | BootStatusPolicy::DisplayCheckpointFailures
        )
    }
}

impl From<u64> for BootStatusPolicy {
    fn from(number: u64) -> Self {
        let index = usize::try_from(number).unwrap_or(usize::MAX);
        Self::ALL.get(index).map_or(Self::Other(number), |(policy, _)| *policy)
    }
}

impl fmt::Display for BootStatusPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match Self::ALL.iter().find(|(policy, _)| policy == self) {
            Some((_, name)) => f.write_str(name),
            None => write!(f, "{}", self.number()),
        }
    }
}

/// Which safe mode a loader starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SafeBoot {
    /// 0: no network.
    Minimal,
    /// 1: with network.
    Network,
    /// 2: directory services repair.
    DirectoryServicesRepair,
    /// Any other number.
    Other(u64),
}

impl From<u64> for SafeBoot {
    fn from(number: u64) -> Self {
        match number {
            0 => SafeBoot::Minimal,
            1 => SafeBoot::Network,
            2 => SafeBoot::DirectoryServicesRepair,
            other => SafeBoot::Other(other),
        }
    }
}

/// Shows an id with its alias where it has a fixed one.
pub(super) fn display_guid(id: Guid) -> String {
    known::alias_of(id).map_or_else(|| id.to_string(), |alias| format!("{{{alias}}}"))
}

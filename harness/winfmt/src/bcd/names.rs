//! Names of elements, and words for the integers that have a fixed set of values.
//!
//! Names as `bcdedit` writes them. Source: windows-facts.md 3.3; ReactOS `boot/environ/include/bcd.h`;
//! Microsoft's pages "BCDEdit /set" and "BCD reference". What none of them names shows as `custom:` and
//! its type, as `bcdedit` does it.

use super::{BootStatusPolicy, ElementId, ObjectType};

impl ElementId {
    /// The name that `bcdedit` gives it on an object of a type. Numbers of the application class mean
    /// different things on different applications.
    pub fn name_on(self, object: ObjectType) -> Option<&'static str> {
        let special = SPECIAL.iter().find(|(id, on, _)| *id == self.0 && *on == object);
        let special = special.map(|(_, _, name)| *name);
        special.or_else(|| NAMES.iter().find(|(id, _)| *id == self.0).map(|(_, name)| *name))
    }

    /// The element that `bcdedit` calls so, on an object of a type; also eight hexadecimal digits, with
    /// or without `custom:` before them.
    pub fn by_name(name: &str, object: ObjectType) -> Option<Self> {
        let hex = name.strip_prefix("custom:").unwrap_or(name);
        if hex.len() == 8 && hex.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return u32::from_str_radix(hex, 16).ok().map(Self);
        }
        let special = SPECIAL.iter().filter(|(_, on, _)| *on == object).map(|(id, _, _)| *id);
        special
            .chain(NAMES.iter().map(|(id, _)| *id))
            .map(Self)
            .find(|id| id.name_on(object).is_some_and(|known| known.eq_ignore_ascii_case(name)))
            .or_else(|| {
                let other = |(_, own): &&(u32, &str)| own.eq_ignore_ascii_case(name);
                OTHER_NAMES.iter().find(other).map(|(id, _)| Self(*id))
            })
    }

    /// Names on an object of a type that are close to a text that is none.
    pub(super) fn close_names(text: &str, object: ObjectType) -> Vec<&'static str> {
        let text = text.to_ascii_lowercase();
        let beginning = text.get(..5.min(text.len())).unwrap_or_default();
        let special = SPECIAL.iter().filter(|(_, on, _)| *on == object).map(|(_, _, name)| *name);
        let mut close: Vec<_> = special
            .chain(NAMES.iter().map(|(_, name)| *name))
            .filter(|name| beginning.len() == 5 && name.contains(beginning))
            .collect();
        close.sort_unstable();
        close.dedup();
        close.truncate(4);
        close
    }

    /// The words that stand for its numbers, if it is an integer with such words: (number, word).
    pub fn words(self) -> Vec<(u64, &'static str)> {
        if self == ElementId::BOOT_STATUS_POLICY {
            return (0..).zip(BootStatusPolicy::ALL.iter().map(|(_, word)| *word)).collect();
        }
        if let ElementId::DISPLAY_MESSAGE | ElementId::DISPLAY_MESSAGE_OVERRIDE = self {
            return vec![(3, "Recovery")];
        }
        let words = WORDS.iter().find(|(id, _)| *id == self.0).map_or(&[][..], |(_, words)| words);
        (0..).zip(words.iter().copied()).collect()
    }
}

/// Numbers that mean something else on one kind of object.
const SPECIAL: [(u32, ObjectType, &str); 14] = [
    (0x2300_0003, ObjectType::BOOT_MANAGER, "default"),
    (0x2300_0006, ObjectType::BOOT_MANAGER, "resumeobject"),
    (0x2100_0001, ObjectType::RESUME_LOADER, "filedevice"),
    (0x2200_0002, ObjectType::RESUME_LOADER, "filepath"),
    (0x2600_0003, ObjectType::RESUME_LOADER, "customsettings"),
    (0x2600_0004, ObjectType::RESUME_LOADER, "pae"),
    (0x2100_0005, ObjectType::RESUME_LOADER, "associatedosdevice"),
    (0x2600_0006, ObjectType::RESUME_LOADER, "debugoptionenabled"),
    (0x2500_0007, ObjectType::RESUME_LOADER, "bootux"),
    (0x2500_0008, ObjectType::RESUME_LOADER, "bootmenupolicy"),
    (0x2500_0001, ObjectType::MEMORY_TESTER, "passcount"),
    (0x2500_0003, ObjectType::MEMORY_TESTER, "failurecount"),
    (0x2400_0001, ObjectType::FIRMWARE_BOOT_MANAGER, "displayorder"),
    (0x2500_0004, ObjectType::FIRMWARE_BOOT_MANAGER, "timeout"),
];

/// Names that are taken but not shown.
const OTHER_NAMES: [(u32, &str); 3] = [
    // As Microsoft's page "BCDEdit /set" calls it.
    (0x2600_0024, "nocrashautoreboot"),
    (0x2600_0025, "uselastgoodsettings"),
    (0x1600_0045, "preservebootstat"),
];

const NAMES: &[(u32, &str)] = &[
    (0x1100_0001, "device"),
    (0x1200_0002, "path"),
    (0x1200_0004, "description"),
    (0x1200_0005, "locale"),
    (0x1400_0006, "inherit"),
    (0x1500_0007, "truncatememory"),
    (0x1400_0008, "recoverysequence"),
    (0x1600_0009, "recoveryenabled"),
    (0x1700_000a, "badmemorylist"),
    (0x1600_000b, "badmemoryaccess"),
    (0x1500_000c, "firstmegabytepolicy"),
    (0x1500_000d, "relocatephysical"),
    (0x1500_000e, "avoidlowmemory"),
    (0x1600_000f, "traditionalkseg"),
    (0x1600_0010, "bootdebug"),
    (0x1500_0011, "debugtype"),
    (0x1500_0012, "debugaddress"),
    (0x1500_0013, "debugport"),
    (0x1500_0014, "baudrate"),
    (0x1500_0015, "channel"),
    (0x1200_0016, "targetname"),
    (0x1600_0017, "noumex"),
    (0x1500_0018, "debugstart"),
    (0x1200_0019, "busparams"),
    (0x1500_001a, "hostip"),
    (0x1500_001b, "port"),
    (0x1600_001c, "dhcp"),
    (0x1200_001d, "key"),
    (0x1600_0020, "bootems"),
    (0x1500_0022, "emsport"),
    (0x1500_0023, "emsbaudrate"),
    (0x1200_0030, "loadoptions"),
    (0x1600_0040, "advancedoptions"),
    (0x1600_0041, "optionsedit"),
    (0x1500_0042, "keyringaddress"),
    (0x1100_0043, "bsdlogdevice"),
    (0x1200_0044, "bsdlogpath"),
    (0x1600_0045, "bsdpreservelog"),
    (0x1600_0046, "graphicsmodedisabled"),
    (0x1500_0047, "configaccesspolicy"),
    (0x1600_0048, "nointegritychecks"),
    (0x1600_0049, "testsigning"),
    (0x1200_004a, "fontpath"),
    (0x1500_004b, "integrityservices"),
    (0x1500_004c, "volumebandid"),
    (0x1600_0050, "extendedinput"),
    (0x1500_0051, "initialconsoleinput"),
    (0x1500_0052, "graphicsresolution"),
    (0x1600_0053, "restartonfailure"),
    (0x1600_0054, "highestmode"),
    (0x1600_0060, "isolatedcontext"),
    (0x1500_0065, "displaymessage"),
    (0x1500_0066, "displaymessageoverride"),
    (0x1600_0067, "nobootuxlogo"),
    (0x1600_0068, "nobootuxtext"),
    (0x1600_0069, "nobootuxprogress"),
    (0x1600_006a, "nobootuxfade"),
    (0x1600_006c, "bootuxdisabled"),
    (0x1600_0072, "nokeyboard"),
    (0x1600_0074, "bootshutdowndisabled"),
    (0x1700_0077, "allowedinmemorysettings"),
    (0x1600_007a, "mobilegraphics"),
    (0x1600_007b, "forcefipscrypto"),
    (0x1500_007d, "booterrorux"),
    (0x1600_007e, "flightsigning"),
    (0x1500_007f, "measuredbootlogformat"),
    (0x2100_0001, "osdevice"),
    (0x2200_0002, "systemroot"),
    (0x2300_0003, "resumeobject"),
    (0x2400_0001, "displayorder"),
    (0x2400_0002, "bootsequence"),
    (0x2500_0004, "timeout"),
    (0x2600_0005, "resume"),
    (0x2600_0010, "detecthal"),
    (0x2400_0010, "toolsdisplayorder"),
    (0x2200_0011, "kernel"),
    (0x2200_0012, "hal"),
    (0x2200_0013, "dbgtransport"),
    (0x2500_0020, "nx"),
    (0x2600_0020, "displaybootmenu"),
    (0x2500_0021, "pae"),
    (0x2600_0021, "noerrordisplay"),
    (0x2100_0022, "bcddevice"),
    (0x2600_0022, "winpe"),
    (0x2200_0023, "bcdfilepath"),
    (0x2600_0024, "disablecrashautoreboot"),
    (0x2600_0025, "lastknowngood"),
    (0x2600_0028, "processcustomactionsfirst"),
    (0x2600_0030, "nolowmem"),
    (0x2700_0030, "customactions"),
    (0x2500_0031, "removememory"),
    (0x2600_0031, "persistbootsequence"),
    (0x2500_0032, "increaseuserva"),
    (0x2600_0040, "vga"),
    (0x2600_0041, "quietboot"),
    (0x2600_0042, "novesa"),
    (0x2600_0043, "novga"),
    (0x2500_0050, "clustermodeaddressing"),
    (0x2600_0051, "usephysicaldestination"),
    (0x2500_0052, "restrictapiccluster"),
    (0x2600_0054, "uselegacyapicmode"),
    (0x2500_0055, "x2apicpolicy"),
    (0x2600_0060, "onecpu"),
    (0x2500_0061, "numproc"),
    (0x2600_0062, "maxproc"),
    (0x2500_0063, "configflags"),
    (0x2600_0064, "maxgroup"),
    (0x2600_0065, "groupaware"),
    (0x2500_0066, "groupsize"),
    (0x2600_0070, "usefirmwarepcisettings"),
    (0x2500_0071, "msi"),
    (0x2500_0080, "safeboot"),
    (0x2600_0081, "safebootalternateshell"),
    (0x2600_0090, "bootlog"),
    (0x2600_0091, "sos"),
    (0x2600_00a0, "debug"),
    (0x2600_00a1, "halbreakpoint"),
    (0x2600_00a2, "useplatformclock"),
    (0x2600_00a3, "forcelegacyplatform"),
    (0x2500_00a6, "tscsyncpolicy"),
    (0x2600_00b0, "ems"),
    (0x2500_00c0, "forcefailure"),
    (0x2500_00c1, "driverloadfailurepolicy"),
    (0x2500_00c2, "bootmenupolicy"),
    (0x2600_00c3, "onetimeadvancedoptions"),
    (0x2600_00c4, "onetimeoptionsedit"),
    (0x2500_00e0, "bootstatuspolicy"),
    (0x2600_00e1, "disableelamdrivers"),
    (0x2500_00f0, "hypervisorlaunchtype"),
    (0x2600_00f2, "hypervisordebug"),
    (0x2500_00f3, "hypervisordebugtype"),
    (0x2500_00f4, "hypervisordebugport"),
    (0x2500_00f5, "hypervisorbaudrate"),
    (0x2500_00f6, "hypervisorchannel"),
    (0x2500_00f7, "bootux"),
    (0x2200_00f9, "hypervisorbusparams"),
    (0x2500_00fa, "hypervisornumproc"),
    (0x2500_00fb, "hypervisorrootprocpernode"),
    (0x2600_00fc, "hypervisoruselargevtlb"),
    (0x2500_00fd, "hypervisorhostip"),
    (0x2500_00fe, "hypervisorhostport"),
    (0x2500_0100, "tpmbootentropy"),
    (0x2200_0110, "hypervisorusekey"),
    (0x2600_0114, "hypervisordhcp"),
    (0x2500_0115, "hypervisoriommupolicy"),
    (0x2500_012b, "xsavedisable"),
    (0x3500_0001, "ramdiskimageoffset"),
    (0x3500_0002, "ramdisktftpclientport"),
    (0x3100_0003, "ramdisksdidevice"),
    (0x3200_0004, "ramdisksdipath"),
    (0x3500_0005, "ramdiskimagelength"),
    (0x3600_0006, "exportascd"),
    (0x3500_0007, "ramdisktftpblocksize"),
    (0x3500_0008, "ramdisktftpwindowsize"),
    (0x3600_0009, "ramdiskmcenabled"),
    (0x3600_000a, "ramdiskmctftpfallback"),
    (0x3600_000b, "ramdisktftpvarwindow"),
];

/// The words of the numbers from 0.
const WORDS: &[(u32, &[&str])] = &[
    (0x1500_000c, &["UseNone", "UseAll", "UsePrivate"]),
    (0x1500_0011, &["Serial", "1394", "USB", "Net", "Local"]),
    (0x1500_0018, &["Active", "AutoEnable", "Disable"]),
    (0x1500_0047, &["Default", "DisallowMmConfig"]),
    (0x1500_0052, &["1024x768", "800x600", "1024x600"]),
    (0x1500_007d, &["Legacy", "Standard", "Simple"]),
    (0x2500_0008, &["Legacy", "Standard"]),
    (0x2500_0020, &["OptIn", "OptOut", "AlwaysOff", "AlwaysOn"]),
    (0x2500_0021, &["Default", "ForceEnable", "ForceDisable"]),
    (0x2500_0055, &["Default", "Disable", "Enable"]),
    (0x2500_0071, &["Default", "ForceDisable"]),
    (0x2500_0080, &["Minimal", "Network", "DsRepair"]),
    (0x2500_00a6, &["Default", "Legacy", "Enhanced"]),
    (0x2500_00c1, &["Fatal", "UseErrorControl"]),
    (0x2500_00c2, &["Legacy", "Standard"]),
    (0x2500_00f0, &["Off", "Auto"]),
    (0x2500_00f3, &["Serial", "1394", "None", "Net"]),
    (0x2500_0100, &["Default", "ForceDisable", "ForceEnable"]),
];

#[cfg(test)]
mod tests {
    use super::super::ElementFormat;
    use super::*;

    #[test]
    fn every_name_is_found_again() {
        for (id, name) in NAMES {
            let id = ElementId(*id);
            assert_ne!(id.format(), ElementFormat::Unknown, "{name}");
            assert_eq!(NAMES.iter().filter(|(other, _)| *other == id.0).count(), 1, "{name}");
            assert_eq!(NAMES.iter().filter(|(_, other)| other == name).count(), 1, "{name}");
        }
        for (id, object, name) in SPECIAL {
            assert_eq!(ElementId::by_name(name, object), Some(ElementId(id)), "{name}");
        }
        for (id, words) in WORDS {
            assert_eq!(ElementId(*id).format(), ElementFormat::Integer, "{words:?}");
        }
        let loader = ObjectType::OS_LOADER;
        for (id, name) in NAMES {
            assert_eq!(ElementId::by_name(name, loader), Some(ElementId(*id)), "{name}");
        }
    }

    #[test]
    fn a_name_means_what_it_means_on_its_object() {
        let by = ElementId::by_name;
        assert_eq!(by("bootmenupolicy", ObjectType::RESUME_LOADER), Some(ElementId(0x2500_0008)));
        assert_eq!(by("BootMenuPolicy", ObjectType::OS_LOADER), Some(ElementId(0x2500_00c2)));
        assert_eq!(by("default", ObjectType::OS_LOADER), None);
        assert_eq!(by("25000080", ObjectType::OS_LOADER), Some(ElementId::SAFE_BOOT));
        assert_eq!(by("custom:25000080", ObjectType::OS_LOADER), Some(ElementId::SAFE_BOOT));
        let crash = by("nocrashautoreboot", ObjectType::OS_LOADER);
        assert_eq!(crash, Some(ElementId::DISABLE_CRASH_AUTO_REBOOT));
        assert_eq!(by("+5000080", ObjectType::OS_LOADER), None);
        let close = ElementId::close_names("recoveryenable", ObjectType::OS_LOADER);
        assert_eq!(close, ["recoveryenabled", "recoverysequence"]);
        assert_eq!(ElementId::close_names("rec", ObjectType::OS_LOADER), Vec::<&str>::new());
    }
}

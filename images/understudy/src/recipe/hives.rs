//! The registry of the image, and the driver files that it names.

use winfmt::FileTime;
use winfmt::hive::{CreateOptions, Data, Hive, HiveError};

use super::identity::{self, COMPUTER_NAME};

/// A service of the image.
struct Entry {
    name: &'static str,
    kind: u32,
    start: u32,
    error_control: u32,
    image: &'static str,
    group: &'static str,
    tag: u32,
}

const fn driver(
    name: &'static str,
    start: u32,
    error_control: u32,
    image: &'static str,
    group: &'static str,
    tag: u32,
) -> Entry {
    Entry { name, kind: 1, start, error_control, image, group, tag }
}

const fn file_system(
    name: &'static str,
    start: u32,
    image: &'static str,
    group: &'static str,
    tag: u32,
) -> Entry {
    Entry { name, kind: 2, start, error_control: 1, image, group, tag }
}

const fn service(name: &'static str, image: &'static str, group: &'static str) -> Entry {
    Entry { name, kind: 0x20, start: 2, error_control: 1, image, group, tag: 0 }
}

/// Names, groups and start types as Windows 10 has them; far fewer.
const SERVICES: &[Entry] = &[
    driver("ACPI", 0, 3, "System32\\drivers\\ACPI.sys", "Core", 2),
    driver("pci", 0, 3, "System32\\drivers\\pci.sys", "Boot Bus Extender", 3),
    driver("partmgr", 0, 3, "System32\\drivers\\partmgr.sys", "Boot Bus Extender", 4),
    driver("volmgr", 0, 3, "System32\\drivers\\volmgr.sys", "System Bus Extender", 5),
    driver("mountmgr", 0, 3, "System32\\drivers\\mountmgr.sys", "System Bus Extender", 6),
    driver("viostor", 0, 1, "System32\\drivers\\viostor.sys", "SCSI miniport", 33),
    driver("disk", 0, 1, "System32\\drivers\\disk.sys", "SCSI Class", 2),
    file_system("FltMgr", 0, "System32\\drivers\\fltmgr.sys", "FSFilter Infrastructure", 1),
    file_system("Wof", 0, "System32\\drivers\\wof.sys", "FSFilter Compression", 1),
    file_system("Ntfs", 0, "System32\\drivers\\ntfs.sys", "Boot File System", 1),
    driver("KSecDD", 0, 3, "System32\\drivers\\ksecdd.sys", "Base", 1),
    driver("NDIS", 0, 1, "System32\\drivers\\ndis.sys", "NDIS Wrapper", 1),
    driver("Tcpip", 0, 1, "System32\\drivers\\tcpip.sys", "PNP_TDI", 3),
    driver("Null", 1, 1, "System32\\drivers\\null.sys", "Base", 2),
    file_system("Npfs", 1, "System32\\drivers\\npfs.sys", "File system", 3),
    driver("AFD", 1, 1, "System32\\drivers\\afd.sys", "PNP_TDI", 4),
    driver("NetBT", 1, 1, "System32\\drivers\\netbt.sys", "PNP_TDI", 5),
    driver("NetKVM", 3, 1, "System32\\drivers\\netkvm.sys", "NDIS", 16),
    driver("VirtioSerial", 3, 1, "System32\\drivers\\vioser.sys", "Extended Base", 17),
    service("RpcSs", "%SystemRoot%\\system32\\svchost.exe -k rpcss", "COM Infrastructure"),
    service("EventLog", "%SystemRoot%\\system32\\svchost.exe -k LocalService", "Event Log"),
    service("Dhcp", "%SystemRoot%\\system32\\svchost.exe -k LocalService", "TDI"),
    service("Dnscache", "%SystemRoot%\\system32\\svchost.exe -k NetworkService", "TDI"),
    service(
        "LanmanWorkstation",
        "%SystemRoot%\\system32\\svchost.exe -k NetworkService",
        "NetworkProvider",
    ),
    service("Schedule", "%SystemRoot%\\system32\\svchost.exe -k netsvcs", "SchedulerGroup"),
    service("Spooler", "%SystemRoot%\\system32\\spoolsv.exe", "SpoolerGroup"),
    Entry {
        name: "QEMU-GA",
        kind: 0x10,
        start: 2,
        error_control: 1,
        image: "\"C:\\Program Files\\Qemu-ga\\qemu-ga.exe\" -d --retry-path",
        group: "",
        tag: 0,
    },
];

/// `ServiceGroupOrder\List`, the part that the services use, in Windows' order.
const GROUPS: &[&str] = &[
    "Early-Launch",
    "Core",
    "Boot Bus Extender",
    "System Bus Extender",
    "SCSI miniport",
    "Port",
    "Primary Disk",
    "SCSI Class",
    "SCSI CDROM Class",
    "FSFilter Infrastructure",
    "FSFilter System",
    "FSFilter Bottom",
    "FSFilter Compression",
    "FSFilter Encryption",
    "FSFilter Anti-Virus",
    "FSFilter Activity Monitor",
    "FSFilter Top",
    "Filter",
    "Boot File System",
    "Base",
    "Pointer Port",
    "Keyboard Port",
    "Extended Base",
    "File system",
    "NDIS Wrapper",
    "COM Infrastructure",
    "Event Log",
    "NDIS",
    "TDI",
    "PNP_TDI",
    "SchedulerGroup",
    "NetworkProvider",
];

/// Files of the drivers, from `C:\Windows`.
pub(super) fn driver_files() -> impl Iterator<Item = &'static str> {
    SERVICES.iter().filter(|entry| matches!(entry.kind, 1 | 2)).map(|entry| entry.image)
}

fn create(file: &str, clock: FileTime) -> Result<Hive, HiveError> {
    Hive::create_with(
        "ROOT",
        &CreateOptions {
            file_name: format!("\\SystemRoot\\System32\\Config\\{file}"),
            clock: Some(clock),
            ..CreateOptions::default()
        },
    )
}

/// The SYSTEM hive: two control sets of the same contents, the second one as last known good.
pub(super) fn system(clock: FileTime) -> Result<Hive, HiveError> {
    let mut hive = create("SYSTEM", clock)?;
    for (name, number) in [("Current", 1), ("Default", 1), ("Failed", 0), ("LastKnownGood", 2)] {
        hive.set_value("Select", name, &Data::dword(number))?;
    }
    for set in ["ControlSet001", "ControlSet002"] {
        control(&mut hive, &format!("{set}\\Control"))?;
        for entry in SERVICES {
            add_service(&mut hive, &format!("{set}\\Services\\{}", entry.name), entry)?;
        }
        failure_actions(&mut hive, &format!("{set}\\Services\\RpcSs"), RESTART_MACHINE)?;
        failure_actions(&mut hive, &format!("{set}\\Services\\Spooler"), RESTART_SERVICE)?;
    }
    let mut windows = b"DMIO:ID:".to_vec();
    windows.extend_from_slice(&super::identity::WINDOWS.to_bytes());
    hive.set_value("MountedDevices", "\\DosDevices\\C:", &Data::binary(windows))?;
    for (name, number) in [("SetupType", 0), ("SystemSetupInProgress", 0)] {
        hive.set_value("Setup", name, &Data::dword(number))?;
    }
    hive.set_value("Setup", "CmdLine", &Data::string(""))?;
    Ok(hive)
}

fn control(hive: &mut Hive, control: &str) -> Result<(), HiveError> {
    let crash = format!("{control}\\CrashControl");
    // 2: kernel dump. MinidumpsCount and the paths are Windows' defaults (windows-facts.md 4).
    for (name, number) in [
        ("AutoReboot", 1),
        ("CrashDumpEnabled", 2),
        ("LogEvent", 1),
        ("MinidumpsCount", 50),
        ("Overwrite", 1),
        ("AlwaysKeepMemoryDump", 1),
    ] {
        hive.set_value(&crash, name, &Data::dword(number))?;
    }
    hive.set_value(&crash, "DumpFile", &Data::expand_string("%SystemRoot%\\MEMORY.DMP"))?;
    hive.set_value(&crash, "MinidumpDir", &Data::expand_string("%SystemRoot%\\Minidump"))?;
    let order = format!("{control}\\ServiceGroupOrder");
    hive.set_value(&order, "List", &Data::multi_string(GROUPS))?;
    for group in GROUPS {
        let mut tags: Vec<u32> = SERVICES
            .iter()
            .filter(|entry| entry.group == *group && entry.tag != 0)
            .map(|entry| entry.tag)
            .collect();
        tags.sort_unstable();
        if !tags.is_empty() {
            let mut bytes = (tags.len() as u32).to_le_bytes().to_vec();
            bytes.extend(tags.iter().flat_map(|tag| tag.to_le_bytes()));
            hive.set_value(format!("{control}\\GroupOrderList"), *group, &Data::binary(bytes))?;
        }
    }
    for mode in ["Minimal", "Network"] {
        for (name, what) in [
            ("Base", "Driver Group"),
            ("Boot Bus Extender", "Driver Group"),
            ("Boot file system", "Driver Group"),
            ("Core", "Driver Group"),
            ("File system", "Driver Group"),
            ("FSFilter Infrastructure", "Driver Group"),
            ("SCSI Class", "Driver Group"),
            ("SCSI miniport", "Driver Group"),
            ("System Bus Extender", "Driver Group"),
            ("EventLog", "Service"),
            ("RpcSs", "Service"),
        ] {
            hive.set_value(
                format!("{control}\\SafeBoot\\{mode}\\{name}"),
                "",
                &Data::string(what),
            )?;
        }
    }
    for (name, what) in [
        ("NDIS Wrapper", "Driver Group"),
        ("NDIS", "Driver Group"),
        ("PNP_TDI", "Driver Group"),
        ("TDI", "Driver Group"),
        ("Dhcp", "Service"),
        ("Dnscache", "Service"),
    ] {
        hive.set_value(format!("{control}\\SafeBoot\\Network\\{name}"), "", &Data::string(what))?;
    }
    // The class of disks, whose filter Windows has too.
    hive.set_value(
        format!("{control}\\Class\\{{4D36E967-E325-11CE-BFC1-08002BE10318}}"),
        "UpperFilters",
        &Data::multi_string(["partmgr"]),
    )?;
    let computer = format!("{control}\\ComputerName\\ComputerName");
    hive.set_value(&computer, "ComputerName", &Data::string(COMPUTER_NAME))?;
    let manager = format!("{control}\\Session Manager");
    // Windows chooses the volume and the size.
    hive.set_value(
        format!("{manager}\\Memory Management"),
        "PagingFiles",
        &Data::multi_string(["?:\\pagefile.sys"]),
    )?;
    hive.set_value(&manager, "BootExecute", &Data::multi_string(["autocheck autochk *"]))?;
    hive.set_value(
        format!("{manager}\\Configuration Manager\\LastKnownGood"),
        "Enabled",
        &Data::dword(0),
    )?;
    Ok(())
}

/// The loss of the service of remote procedure calls restarts the machine after a minute, as Windows
/// has it: kind and milliseconds.
const RESTART_MACHINE: [u32; 2] = [2, 60_000];
/// The print spooler is started again after five seconds.
const RESTART_SERVICE: [u32; 2] = [1, 5_000];

/// No reset of the count, one action.
fn failure_actions(hive: &mut Hive, key: &str, [kind, delay]: [u32; 2]) -> Result<(), HiveError> {
    let numbers = [0_u32, 0, 0, 1, 20, kind, delay];
    let bytes: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
    hive.set_value(key, "FailureActions", &Data::binary(bytes))?;
    Ok(())
}

fn add_service(hive: &mut Hive, key: &str, entry: &Entry) -> Result<(), HiveError> {
    for (name, number) in
        [("Type", entry.kind), ("Start", entry.start), ("ErrorControl", entry.error_control)]
    {
        hive.set_value(key, name, &Data::dword(number))?;
    }
    hive.set_value(key, "ImagePath", &Data::expand_string(entry.image))?;
    if !entry.group.is_empty() {
        hive.set_value(key, "Group", &Data::string(entry.group))?;
    }
    if entry.tag != 0 {
        hive.set_value(key, "Tag", &Data::dword(entry.tag))?;
    }
    Ok(())
}

/// The SOFTWARE hive.
pub(super) fn software(clock: FileTime) -> Result<Hive, HiveError> {
    let mut hive = create("SOFTWARE", clock)?;
    let version = "Microsoft\\Windows NT\\CurrentVersion";
    for (name, text) in [
        ("ProductName", "loopbreak understudy (a model of Windows, not Windows)"),
        ("EditionID", "Understudy"),
        ("InstallationType", "Client"),
        ("SystemRoot", "C:\\Windows"),
        ("CurrentVersion", "6.3"),
        ("CurrentBuild", &identity::BUILD.0.to_string()),
        ("DisplayVersion", "24H2"),
    ] {
        hive.set_value(version, name, &Data::string(text))?;
    }
    hive.set_value(version, "UBR", &Data::dword(identity::BUILD.1))?;
    for store in [winfmt::certificates::Store::Root, winfmt::certificates::Store::TrustedPublisher]
    {
        hive.create_key(store.key())?;
    }
    hive.create_key(crate::storage::Registry::UPDATE_POLICY)?;
    hive.create_key("Microsoft\\Windows\\CurrentVersion\\Reliability\\Srt")?;
    Ok(hive)
}

#[cfg(test)]
mod tests {
    use super::{identity, software, system};

    #[test]
    fn the_loader_finds_its_way_through_the_hive() {
        let hive = system(identity::time()).expect("a hive");
        let bytes = hive.to_bytes().expect("bytes");
        let hive = winfmt::hive::Hive::open(bytes).expect("opens");
        assert_eq!(crate::storage::control_set(&hive).as_deref(), Some("ControlSet001"));
        let plan = crate::loader::plan(&hive, "ControlSet001", None).expect("a plan");
        let names: Vec<&str> = plan.boot.iter().map(|service| service.name.as_str()).collect();
        assert_eq!(names.first(), Some(&"ACPI"));
        assert_eq!(names.len(), 13);
        assert_eq!(plan.system.len(), 4);
        assert_eq!(plan.automatic.first().map(|service| service.name.as_str()), Some("RpcSs"));
    }

    #[test]
    fn the_same_time_gives_the_same_bytes() {
        let bytes = || software(identity::time()).expect("a hive").to_bytes().expect("bytes");
        assert_eq!(bytes(), bytes());
    }
}

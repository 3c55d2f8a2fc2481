//! What is found, held against what is there.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use disk::{Access, OfflineDisk};
use inspect::services::Start;
use inspect::{Inspection, Known, Source};

use crate::machine::{ESP, LOADER, RECOVERY_LOADER, Recipe, id};

fn artifacts() -> Option<PathBuf> {
    let beside = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/artifacts");
    let folder =
        std::env::var_os("LOOPBREAK_ARTIFACTS").map_or_else(|| beside.into(), PathBuf::from);
    if folder.is_dir() {
        return Some(folder);
    }
    println!("skipped: no artifacts at {}; set LOOPBREAK_ARTIFACTS", folder.display());
    None
}

fn run(program: &str, arguments: &[&str]) -> Option<String> {
    match Command::new(program).args(arguments).output() {
        Ok(output) => {
            assert!(output.status.success(), "{program}: {output:?}");
            Some(String::from_utf8_lossy(&output.stdout).into_owned())
        }
        Err(_) => {
            println!("skipped: {program} is not installed");
            None
        }
    }
}

fn known<T: Clone>(value: &Known<T>) -> T {
    value.known().unwrap().clone()
}

#[test]
fn a_made_up_machine_is_read_whole() {
    let found = Recipe::sound().build().inspect();
    assert_eq!(known(&found.system.product), "Windows 10 Pro");
    assert_eq!(known(&found.system.build).to_string(), "26100.4770");
    assert_eq!(known(&found.system.version), "24H2");
    assert_eq!(known(&found.system.architecture), "x86-64");
    assert_eq!(known(&found.system.installed).as_second(), 1_720_000_000);
    let roles: Vec<&str> = found.layout.partitions.iter().map(|own| own.role.as_str()).collect();
    assert_eq!(roles, ["efi", "windows", "recovery"]);
    assert_eq!(known(&found.layout.partitions[0].id), id(ESP).to_string().trim_matches(['{', '}']));
    let services = known(&found.services);
    assert_eq!((services.services.len(), services.keys), (6, 9));
    assert_eq!(services.service("disk").unwrap().start, Start::Boot);
    assert_eq!(services.service("gone").unwrap().file, Known::Absent);
    let agent = services.service("qemu-ga").unwrap();
    assert_eq!(known(&agent.file), r"Program Files\Qemu-ga\qemu-ga.exe");
    let filters = known(&found.filters);
    assert_eq!(filters.classes[0].name.as_deref(), Some("DiskDrive"));
    let order: Vec<&str> = filters.minifilters.iter().map(|own| own.service.as_str()).collect();
    assert_eq!(order, ["high", "low"]);
    let boot = known(&found.boot);
    let bcd = boot.bcd().unwrap();
    let loader = known(&bcd.default);
    assert_eq!(loader.id, id(LOADER).to_string());
    assert_eq!(known(&known(&loader.device).partition), 2);
    let target = &known(&loader.recovery_sequence)[0];
    assert_eq!(target.id, id(RECOVERY_LOADER).to_string());
    let image = known(&found.recovery.image);
    assert_eq!(known(&image.place.partition), 3);
    assert_eq!(known(&known(&found.recovery.reagent).partition), 3);
    let json = serde_json::to_string(&found).unwrap();
    assert_eq!(serde_json::from_str::<Inspection>(&json).unwrap(), found);
}

/// One file that cannot be read hides nothing else.
#[test]
fn damage_stays_where_it_is() {
    let mut recipe = Recipe::sound();
    recipe.files.push((r"Windows\System32\config\SOFTWARE".to_owned(), b"no hive".to_vec()));
    recipe.files.push((r"Windows\bootstat.dat".to_owned(), vec![0; 3]));
    let xml = r"Windows\System32\winevt\Logs\System.evtx";
    recipe.files.push((xml.to_owned(), b"no log".to_vec()));
    let found = recipe.build().inspect();
    assert!(found.system.product.reason().unwrap().contains("hive"));
    assert!(found.system.build.reason().is_some());
    assert!(found.history.boot_status.reason().is_some());
    assert!(found.history.events.reason().is_some());
    assert_eq!(known(&found.services).services.len(), 6);
    assert!(known(&found.boot).bcd().is_some());
    let page = inspect::render(&found);
    assert!(page.starts_with("unknown: "), "{page}");
    assert!(page.contains("can it recover?"), "{page}");
}

/// The SYSTEM hive of a real Windows 7, on a made-up disk. The figures are the artifact's own record.
#[test]
fn a_real_system_hive_is_read() {
    let Some(folder) = artifacts() else { return };
    let packed = folder.join("hives/system-win7sp1-x86.SYSTEM.xz");
    let hive = Command::new("xz").arg("-dc").arg(&packed).output().unwrap().stdout;
    let mut recipe = Recipe::sound();
    recipe.files.push((r"Windows\System32\config\SYSTEM".to_owned(), hive.clone()));
    let found = recipe.build().inspect();
    let sets = known(&found.control_sets);
    assert_eq!(sets.sets, ["ControlSet001", "ControlSet002"]);
    assert_eq!((known(&sets.current), known(&sets.last_known_good)), (1, 2));
    assert_eq!(known(&found.system.architecture), "x86");
    let services = known(&found.services);
    assert_eq!(services.keys, 467);
    assert_eq!(services.starting(Start::Boot).count(), 36);
    compare_with_hivexsh(&hive, &services);
    let crash = known(&found.crash);
    assert_eq!(known(&crash.dump).meaning(), "kernel memory dump");
    assert!(known(&crash.automatic_restart));
    assert!(known(&crash.page_files)[0].to_lowercase().contains("pagefile.sys"));
    let minifilters = known(&found.filters).minifilters;
    assert!(minifilters.iter().any(|own| own.service == "luafv" && own.altitude == "135000"));
}

/// Names and start types of all services, by libhivex.
fn compare_with_hivexsh(hive: &[u8], services: &inspect::services::Services) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("SYSTEM");
    std::fs::write(&file, hive).unwrap();
    let mut script = String::new();
    for service in &services.services {
        script += &format!("cd \\ControlSet001\\Services\\{}\nlsval Start\n", service.name);
    }
    let commands = folder.path().join("commands");
    std::fs::write(&commands, script).unwrap();
    let arguments = ["-f", commands.to_str().unwrap(), file.to_str().unwrap()];
    let Some(said) = run("hivexsh", &arguments) else { return };
    let numbers: Vec<u32> = said
        .lines()
        .map(|line| u32::from_str_radix(line.trim().trim_start_matches("dword:"), 16).unwrap())
        .collect();
    let own: Vec<Start> = services.services.iter().map(|service| service.start).collect();
    let theirs: Vec<Start> = numbers.into_iter().map(Start::from).collect();
    assert_eq!(own, theirs);
}

/// The store of a real Windows 10, on a disk that it is not of: what it says is read, and what it points
/// at is not here.
#[test]
fn a_real_store_is_read() {
    let Some(folder) = artifacts() else { return };
    let mut recipe = Recipe::sound();
    let store = std::fs::read(folder.join("bcd/win10-uefi-regipy.BCD")).unwrap();
    recipe.store = winfmt::bcd::BcdStore::open(store).unwrap();
    let found = recipe.build().inspect();
    let boot = known(&found.boot);
    let bcd = boot.bcd().unwrap();
    assert_eq!(bcd.objects, 17);
    let loader = known(&bcd.default);
    assert!(loader.id.starts_with("{733b62e5-"), "{loader:?}");
    assert_eq!(known(&loader.description), "Windows 10");
    assert_eq!(loader.recovery_enabled, Known::Known(true));
    assert_eq!(loader.boot_status_policy, Known::Absent);
    let target = &known(&loader.recovery_sequence)[0];
    assert!(target.id.starts_with("{733b62e6-") && target.win_pe, "{target:?}");
    assert_eq!(known(&target.image).partition, Known::Absent);
    let failing: Vec<&str> =
        inspect::qualify(&found).failing().map(|check| check.name.as_str()).collect();
    assert_eq!(failing, ["default-entry", "recovery-image", "recovery-partition"]);
}

/// A ReactOS disk: MBR, FAT32, no BCD. Nothing of Windows' recovery means anything there.
#[test]
fn a_reactos_disk_is_read() {
    use volume::{Fat, FatFormat, FatKind, Partition, PartitionKind, PartitionTable, Volume};
    let directory = tempfile::tempdir().unwrap();
    let raw = directory.path().join("disk.raw");
    let file = std::fs::File::options().read(true).write(true).create_new(true).open(&raw);
    let file = file.unwrap();
    file.set_len(64 << 20).unwrap();
    let mut device = volume::SharedDevice::new(volume::FileDevice::new(file).unwrap());
    let (start, len) = (1 << 20, 48 << 20);
    let mut partition = Partition::mbr(1, PartitionKind::Mbr(0x0c), start, len);
    partition.active = true;
    let table = PartitionTable::mbr(0x1234_5678, vec![partition]);
    volume::create_partitions(&mut device, &table).unwrap();
    let part = volume::SubDevice::new(device, start, len).unwrap();
    let format = FatFormat { kind: FatKind::Fat32, id: 1, label: "REACTOS".to_owned() };
    let mut fat = Fat::format(part, &format).unwrap();
    fat.create_dir_all(r"ReactOS\System32\config").unwrap();
    let mut system = winfmt::hive::Hive::create("ROOT").unwrap();
    let one = winfmt::hive::Data::dword(1);
    let zero = winfmt::hive::Data::dword(0);
    system.set_value("Select", "Current", &one).unwrap();
    system.set_value("Select", "Default", &one).unwrap();
    system.set_value(r"ControlSet001\Control\CrashControl", "AutoReboot", &zero).unwrap();
    system.set_value(r"ControlSet001\Services\null", "Start", &one).unwrap();
    fat.write(r"ReactOS\System32\config\SYSTEM", &system.to_bytes().unwrap()).unwrap();
    let ini = "[FREELOADER]\r\nDefaultOS=ReactOS\r\n[Operating Systems]\r\nReactOS=\"ReactOS\"\r\n\
               [ReactOS]\r\nBootType=Windows2003\r\n\
               SystemPath=multi(0)disk(0)rdisk(0)partition(1)\\ReactOS\r\nOptions=/DEBUG\r\n";
    fat.write("freeldr.ini", ini.as_bytes()).unwrap();
    fat.flush().unwrap();
    drop(fat);
    let disk = OfflineDisk::open(&raw, Access::ReadOnly, directory.path()).unwrap();
    let found = inspect::inspect(Source { disk: &disk, firmware_vars: None, tpm: None });
    assert_eq!(found.layout.style, "mbr");
    assert_eq!(known(&found.layout.id), "12345678");
    assert!(found.layout.partitions[0].active);
    assert_eq!(known(&found.firmware.kind), inspect::firmware::FirmwareKind::Bios);
    assert_eq!(known(&found.system.folder), "ReactOS");
    let inspect::boot::BootConfiguration::Freeldr(boot) = known(&found.boot) else {
        panic!("{:?}", found.boot)
    };
    assert_eq!(known(&boot.default), "ReactOS");
    assert_eq!(boot.options, ["/DEBUG"]);
    let qualification = inspect::qualify(&found);
    let answer = |name: inspect::CheckName| qualification.check(name).unwrap().answer;
    use inspect::{Answer, CheckName};
    assert_eq!(answer(CheckName::RecoveryEnabled), Answer::NotApplicable);
    assert_eq!(answer(CheckName::QuickMachineRecovery), Answer::NotApplicable);
    assert_eq!(answer(CheckName::AutomaticRestart), Answer::Fail);
    assert!(inspect::render(&found).contains("no: such a system has no recovery environment"));
}

/// The only Windows folder among the artifacts' volumes: it has no hive, and that is what is said.
#[test]
fn a_windows_folder_without_a_hive_is_told() {
    let Some(folder) = artifacts() else { return };
    let volume = folder.join("volumes/windows_volume.qcow2");
    let scratch = tempfile::tempdir().unwrap();
    let copy = scratch.path().join("volume.qcow2");
    std::fs::copy(&volume, &copy).unwrap();
    let disk = OfflineDisk::open(&copy, Access::ReadOnly, scratch.path()).unwrap();
    let found = inspect::inspect(Source { disk: &disk, firmware_vars: None, tpm: None });
    assert_eq!(found.layout.style, "none");
    assert_eq!(found.layout.partitions[0].file_system, "NTFS");
    let reason = found.system.folder.reason().unwrap();
    assert!(reason.contains("Windows") && reason.contains("SYSTEM"), "{reason}");
    assert!(
        !inspect::qualify(&found)
            .checks
            .iter()
            .any(|check| { check.answer == inspect::Answer::Pass })
    );
}

/// Partitions, by `sfdisk`.
#[test]
fn partitions_are_those_of_sfdisk() {
    let machine = Recipe::sound().build();
    let raw = machine.directory.path().join("disk.raw");
    assert_partitions(&machine.inspect(), &raw);
}

fn assert_partitions(found: &Inspection, raw: &Path) {
    let Some(said) = run("sfdisk", &["-J", raw.to_str().unwrap()]) else { return };
    let said: serde_json::Value = serde_json::from_str(&said).unwrap();
    let theirs: BTreeSet<(u64, u64, String)> = said["partitiontable"]["partitions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|own| {
            let number = |key: &str| own[key].as_u64().unwrap() * 512;
            let uuid = own["uuid"].as_str().unwrap().to_lowercase();
            (number("start"), number("size"), uuid)
        })
        .collect();
    let ours: BTreeSet<(u64, u64, String)> = found
        .layout
        .partitions
        .iter()
        .map(|own| (own.start, own.size, known(&own.id).trim_matches(['{', '}']).to_lowercase()))
        .collect();
    assert_eq!(ours, theirs);
}

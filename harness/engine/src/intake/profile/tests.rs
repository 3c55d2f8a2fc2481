use super::*;

fn windows_11() -> Facts {
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
    Facts {
        style: "gpt".to_owned(),
        has_efi_partition: true,
        folder: Some("Windows".to_owned()),
        product: Some("Windows 10 Pro".to_owned()),
        build: Some(26100),
        architecture: Some("x86-64".to_owned()),
        boot_drivers: words(&["storahci", "stornvme", "disk"]),
        services: words(&["storahci", "qemu-ga"]),
        has_agent: true,
        writes_dumps: true,
        dump_file: Some(r"%SystemRoot%\MEMORY.DMP".to_owned()),
        minidump_folder: Some(r"%SystemRoot%\Minidump".to_owned()),
        ..Facts::default()
    }
}

fn propose(facts: &Facts) -> MachineProfile {
    let proposed = ProposedProfile::new(facts, None);
    let text = proposed.to_toml();
    let read = MachineProfile::parse(&text, std::path::Path::new("profile.toml")).unwrap();
    assert_eq!(read, proposed.profile, "what is written is what was decided:\n{text}");
    proposed.profile
}

#[test]
fn a_plain_windows_11_gets_hardware_that_its_recovery_environment_knows() {
    let profile = propose(&windows_11());
    assert_eq!(profile.firmware.kind, FirmwareKind::Uefi);
    assert_eq!((profile.disk_bus, profile.network), (DiskBus::Sata, NetworkModel::E1000e));
    assert_eq!((profile.machine.as_str(), profile.cpu.as_str()), ("q35", "Nehalem"));
    assert_eq!(profile.evidence.dumps, [r"C:\Windows\MEMORY.DMP", r"C:\Windows\Minidump\*.dmp"]);
    assert_eq!(profile.markers[0].source, Source::Agent);
    assert!(!profile.is_model && profile.tpm.is_none());
}

#[test]
fn a_machine_that_hangs_is_made_to_stop_where_it_then_writes_a_dump() {
    let nmi = |facts: Facts| propose(&facts).hang.nmi;
    assert!(nmi(windows_11()));
    assert!(!nmi(Facts { writes_dumps: false, ..windows_11() }));
    let seven = Facts { build: Some(7601), ..windows_11() };
    assert!(!nmi(seven.clone()));
    assert!(nmi(Facts { nmi_crash_dump: true, ..seven }));
    // ReactOS stops too, but with an error of its own.
    let other = Facts { folder: Some("ReactOS".to_owned()), build: None, ..windows_11() };
    assert!(!nmi(other));
}

#[test]
fn the_driver_that_starts_decides_the_bus() {
    for (driver, bus) in
        [("viostor", DiskBus::Virtio), ("vioscsi", DiskBus::Scsi), ("msahci", DiskBus::Sata)]
    {
        let facts = Facts { boot_drivers: vec![driver.to_owned()], ..windows_11() };
        assert_eq!(propose(&facts).disk_bus, bus, "{driver}");
    }
    let facts = Facts { services: vec!["netkvm".to_owned()], ..windows_11() };
    assert_eq!(propose(&facts).network, NetworkModel::Virtio);
}

#[test]
fn an_old_bios_system_gets_old_hardware() {
    let facts = Facts {
        style: "mbr".to_owned(),
        has_active_partition: true,
        folder: Some("ReactOS".to_owned()),
        product: Some("ReactOS".to_owned()),
        architecture: Some("x86".to_owned()),
        boot_drivers: vec!["uniata".to_owned()],
        ..Facts::default()
    };
    let profile = propose(&facts);
    assert_eq!(profile.firmware.kind, FirmwareKind::Bios);
    assert_eq!((profile.machine.as_str(), profile.disk_bus), ("pc", DiskBus::Ide));
    assert_eq!(profile.network, NetworkModel::Rtl8139);
    assert_eq!(profile.architecture, Architecture::I686);
    assert_eq!(profile.evidence.dumps[0], r"C:\ReactOS\MEMORY.DMP");
    assert_eq!(profile.markers[0].screen, Some(ScreenKind::Desktop));
    assert!(!profile.is_model);
}

#[test]
fn what_a_disk_does_not_tell_is_a_default_that_says_so() {
    let proposed = ProposedProfile::new(&Facts::default(), None);
    propose(&Facts::default());
    assert!(proposed.to_toml().matches("A default").count() >= 8);
    let setup = Facts { setup_in_progress: true, ..windows_11() };
    assert_eq!(propose(&setup).expected_resets, 2);
    let secure = Facts { secure_boot: Some(true), has_tpm_state: true, ..windows_11() };
    let profile = propose(&secure);
    assert!(profile.firmware.secure_boot && profile.tpm == Some(TpmVersion::V2));
    let given = ProposedProfile::new(&windows_11(), Some(FirmwareKind::Bios));
    assert_eq!(given.profile.firmware.kind, FirmwareKind::Bios);
}

#[test]
fn what_a_guest_says_cannot_break_out_of_its_comment() {
    let hostile = Facts {
        product: Some("evil\ncpu = \"host\"\u{1b}[31m' \r\n[x]".to_owned()),
        dump_file: Some("C:\\a'b\n.dmp".to_owned()),
        minidump_folder: Some(r"C:\it's".to_owned()),
        folder: Some("Windows".to_owned()),
        ..windows_11()
    };
    let profile = propose(&hostile);
    assert!(!profile.is_model);
    assert_eq!(profile.evidence.dumps, [r"C:\Windows\MEMORY.DMP", r"C:\it's\*.dmp"]);
    let facts = Facts { dump_file: Some(r"D:\MEMORY.DMP".to_owned()), ..windows_11() };
    assert_eq!(propose(&facts).evidence.dumps[0], r"C:\Windows\MEMORY.DMP");
}

//! What drivers of other people do, and what comes of it where the model lacks something.

use super::*;

/// Loads the driver that does one of these things.
fn load(how: u32) -> Option<(Result<DriverOutcome, StopReport>, Vec<String>)> {
    let (host, printed) = Memory::new();
    host.value(KEY, "How", how);
    let (kernel, _stopped) = kernel(host);
    let loaded = match kernel.load_driver(&probe(driver("foreign")?)) {
        Ok(outcome) => Ok(outcome),
        Err(LoadError::Stopped { report, .. }) => Err(*report),
        Err(error) => panic!("{error}"),
    };
    drop(kernel);
    Some((loaded, printed.try_iter().collect()))
}

#[test]
fn the_shared_user_data_is_where_everybody_looks_for_it() {
    let Some((loaded, lines)) = load(0) else { return };
    assert_eq!(loaded.unwrap().status, NtStatus::SUCCESS);
    let expected = [
        "version 10.0 build 26100, product type 1",
        r"root C:\Windows",
        "ticks 1",
        "time 1",
        "absolute 26100",
        "by its own base 10",
        "raised 10, debugger 0, valid 1",
        "for programs 10, 1",
        "ports ff ffff ffffffff",
    ];
    assert_eq!(lines, expected);
}

#[test]
fn hardware_that_is_not_there_reads_as_all_ones() {
    let Some((loaded, lines)) = load(9) else { return };
    assert_eq!(loaded.unwrap().status, NtStatus::SUCCESS);
    let expected =
        ["device ffffffff at 10", "bus 2 0", "vendor ffff", "mdl 16 4900 1", "through it x"];
    assert_eq!(lines, expected);
}

#[test]
fn code_runs_from_the_old_pool() {
    let Some((loaded, lines)) = load(10) else { return };
    assert_eq!((loaded.unwrap().status, lines), (NtStatus::SUCCESS, vec!["ran".to_owned()]));
}

#[test]
fn nobody_writes_to_the_shared_user_data() {
    let Some((loaded, _)) = load(1) else { return };
    let report = loaded.unwrap_err();
    assert_eq!(report.bug_check.code, 0xBE);
    assert_eq!(report.bug_check.parameters[0], 0xFFFF_F780_0000_026C);
    assert_eq!(report.module.as_deref(), Some("probe.sys"));
    // Behind it there is nothing.
    let behind = load(7).unwrap().0.unwrap_err().bug_check;
    assert_eq!((behind.code, behind.parameters[0]), (0x50, 0xFFFF_F780_0000_1000));
}

#[test]
fn what_the_model_lacks_is_never_the_drivers_fault() {
    for (how, lack) in [
        (2, "an instruction that only a real processor's kernel runs (0F 32"),
        (3, "the field at 0x448 of a structure of the kernel"),
        (8, "the function ZwOpenProcess"),
        (5, "a function that it asked for by its name"),
    ] {
        let Some((loaded, _)) = load(how) else { return };
        let report = loaded.unwrap_err();
        assert_eq!(report.bug_check.code, MODEL_STOP_CODE, "{report:x?}");
        assert!(report.lack().unwrap().starts_with(lack), "{:?}", report.lack());
        let line = stop::serial_lines(&report).pop().unwrap();
        assert!(line.starts_with("[kernel] the model lacks what probe.sys needs: "), "{line}");
    }
    let (loaded, _) = load(4).unwrap();
    let outcome = loaded.unwrap();
    assert_eq!(outcome.status, NtStatus::NOT_FOUND);
    assert!(outcome.lack.unwrap().contains("PsNotInThisModel"));
    // A call of null of its own is the driver's own.
    let report = load(6).unwrap().0.unwrap_err();
    assert_eq!((report.bug_check.code, report.lack()), (0x7E, None));
}

#[test]
fn what_a_driver_may_catch_is_not_held_against_it() {
    let Some(image) = driver("guarded") else { return };
    let (kernel, _stopped) = kernel(Memory::new().0);
    let error = kernel.load_driver(&probe(image)).unwrap_err();
    let LoadError::Stopped { report, .. } = error else { panic!("{error}") };
    assert_eq!(report.module.as_deref(), Some("probe.sys"));
    assert!(report.lack().unwrap().starts_with("structured exceptions"), "{report:x?}");
}

#[test]
fn a_missing_import_is_said_to_be_one() {
    let Some(image) = driver("missing") else { return };
    let (kernel, _stopped) = kernel(Memory::new().0);
    let outcome = kernel.load_driver(&probe(image)).unwrap();
    assert_eq!(outcome.status, NtStatus::DRIVER_ENTRYPOINT_NOT_FOUND);
    assert_eq!(outcome.lack.as_deref(), Some("ntoskrnl.exe!NotThereAtAll"));
}

#[test]
fn a_flat_image_runs() {
    let Some(image) = driver("foreign") else { return };
    for alignment in [0x20, 0x80] {
        let image = super::super::flat::flattened(&image, alignment);
        let (host, printed) = Memory::new();
        host.value(KEY, "How", 0);
        let (kernel, _stopped) = kernel(host);
        let outcome = kernel.load_driver(&probe(image)).unwrap();
        assert_eq!((outcome.status, outcome.reason), (NtStatus::SUCCESS, None));
        assert!(printed.try_iter().count() > 8);
    }
}

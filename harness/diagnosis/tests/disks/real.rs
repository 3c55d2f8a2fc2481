//! Files that Windows itself wrote, on a made-up disk.

use std::path::PathBuf;

use crate::recipe::{diagnosed, driver, healthy, last_start, put};

fn artifacts() -> Option<PathBuf> {
    let own = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/artifacts");
    let folder = std::env::var_os("LOOPBREAK_ARTIFACTS").map_or(own, PathBuf::from);
    if folder.is_dir() {
        return Some(folder);
    }
    println!("skipped: no artifacts in {}", folder.display());
    None
}

/// The System log of a server that stopped, and the log of its installed devices. Both say what the artifacts' own
/// record says.
#[test]
fn a_real_event_log_and_a_real_log_of_devices() {
    let Some(folder) = artifacts() else { return };
    let mut recipe = healthy();
    driver(&mut recipe, "vboxguest", 0);
    last_start(&mut recipe, false);
    let log = std::fs::read(folder.join("evtx/system-2008r2-dc.evtx")).unwrap();
    put(&mut recipe, r"Windows\System32\winevt\Logs\System.evtx", &log);
    let devices = std::fs::read(folder.join("logs/setupapi.dev.log")).unwrap();
    put(&mut recipe, r"Windows\INF\setupapi.dev.log", &devices);
    let (inspection, traces) = crate::recipe::read(recipe);
    let installs = &traces.setup_log.known().unwrap().installs;
    let last = installs.last().unwrap();
    assert!(last.title.contains("WPDBUSENUM"), "{last:?}");
    assert_eq!((last.succeeded, last.line), (Some(true), 10527));
    assert_eq!(last.began.unwrap().to_string(), "2016-11-22T23:50:30.938");
    let diagnosis = diagnosis::diagnose(&inspection, &traces);
    let events = inspection.history.events.known().unwrap();
    let restarts = diagnosis.starts.iter().filter(|own| own.source.contains("Kernel-Power 41"));
    assert!(!events.events.is_empty());
    for restart in restarts {
        assert!(restart.time.is_some(), "{restart:?}");
    }
}

/// The SYSTEM hive of a real Windows 7 names drivers whose files are not on the made-up disk.
#[test]
fn a_real_hive_without_its_files() {
    let Some(folder) = artifacts() else { return };
    let packed = folder.join("hives/system-win7sp1-x86.SYSTEM.xz");
    let hive = std::process::Command::new("xz").arg("-dc").arg(&packed).output().unwrap().stdout;
    let mut recipe = healthy();
    put(&mut recipe, r"Windows\System32\config\SYSTEM", &hive);
    let diagnosis = diagnosed(recipe);
    let named =
        |name: &str| diagnosis.suspects.iter().any(|own| own.name.eq_ignore_ascii_case(name));
    // Windows' own start types of its disk's drivers are as they have to be.
    assert!(
        !diagnosis.suspects.iter().any(|own| own.what == "service"),
        "{:?}",
        diagnosis.suspects
    );
    // Marked as critical (ErrorControl 3), and not there.
    assert!(named("ACPI") || named("acpi.sys"), "{}", diagnosis::render(&diagnosis));
}

//! Startup Repair: what its tests find, and its log `SrtTrail.txt` (windows-facts.md 3.6);
//! [`super::repair`] is what it can do. The texts are modelled after the published ones; the real one's
//! tests and repairs are many more.

use jiff::Timestamp;

use super::crash::CrashSignature;
use super::repair::Repair;

/// Where the log lies.
pub(super) const TRAIL: &str = "\\Windows\\System32\\LogFiles\\Srt\\SrtTrail.txt";

/// The outcome of one test.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Test {
    /// Its name.
    pub name: &'static str,
    /// 0, or what is wrong.
    pub error_code: u32,
}

/// What Startup Repair looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Diagnosis {
    /// The tests in order.
    pub tests: Vec<Test>,
    /// What is wrong, in the words of the log; `None`: nothing was found.
    pub root_cause: Option<String>,
}

/// What can be seen of the broken Windows.
#[derive(Debug, Clone, Default)]
pub(super) struct Findings {
    /// The Windows volume can be read.
    pub volume_readable: bool,
    /// The SYSTEM hive can be read.
    pub system_hive_readable: bool,
    /// The SOFTWARE hive can be read.
    pub software_hive_readable: bool,
    /// The crash of the newest dump.
    pub crash: Option<CrashSignature>,
}

/// Runs the tests. Pure.
pub(super) fn diagnose(findings: &Findings) -> Diagnosis {
    // ERROR_FILE_CORRUPT, ERROR_BADDB (winerror.h).
    let code = |fine: bool, error: u32| if fine { 0 } else { error };
    let tests = vec![
        Test { name: "Check for updates", error_code: 0 },
        Test { name: "System disk test", error_code: 0 },
        Test { name: "Disk metadata test", error_code: code(findings.volume_readable, 0x570) },
        Test { name: "Target OS test", error_code: code(findings.volume_readable, 0x570) },
        Test {
            name: "Registry hives test",
            error_code: code(
                findings.system_hive_readable && findings.software_hive_readable,
                0x3F1,
            ),
        },
        Test { name: "Event log diagnosis", error_code: 0 },
        Test { name: "Bugcheck analysis", error_code: 0 },
    ];
    let root_cause = if !findings.volume_readable {
        Some("The Windows volume is damaged.".to_owned())
    } else if !findings.system_hive_readable || !findings.software_hive_readable {
        Some("The system registry is damaged.".to_owned())
    } else {
        findings.crash.as_ref().map(|crash| {
            format!(
                "A recently serviced boot binary is corrupt, or a driver stops the system: \
                 bug check 0x{:X}, {}.",
                crash.bug_check,
                crash.module.as_deref().unwrap_or("no module blamed")
            )
        })
    };
    Diagnosis { tests, root_cause }
}

/// The text of the log.
pub(super) fn trail(diagnosis: &Diagnosis, repairs: &[Repair], now: Timestamp) -> String {
    let causes = repairs.len().max(usize::from(diagnosis.root_cause.is_some()));
    let mut lines = vec![
        "Startup Repair diagnosis and repair log (understudy, a model)".to_owned(),
        "---------------------------".to_owned(),
        format!("Time: {now}"),
        "Number of repair attempts: 1".to_owned(),
        String::new(),
        "Session details".to_owned(),
        "---------------------------".to_owned(),
        "System Disk = \\Device\\Harddisk0".to_owned(),
        "Windows directory = C:\\Windows".to_owned(),
        "AutoChk Run = 0".to_owned(),
        format!("Number of root causes = {causes}"),
    ];
    for test in &diagnosis.tests {
        lines.extend([
            String::new(),
            "Test Performed: ".to_owned(),
            "---------------------------".to_owned(),
            format!("Name: {}", test.name),
            format!("Result: Completed successfully. Error code =  0x{:x}", test.error_code),
            "Time taken = 0 ms".to_owned(),
        ]);
    }
    for repair in repairs {
        let result = match repair.error_code {
            0 => "Completed successfully",
            _ => "Failed",
        };
        lines.extend([
            String::new(),
            "Root cause found: ".to_owned(),
            "---------------------------".to_owned(),
            repair.cause.clone(),
            String::new(),
            format!("Repair action: {}", repair.action),
            format!("Result: {result}. Error code =  0x{:x}", repair.error_code),
            "Time taken = 0 ms".to_owned(),
        ]);
    }
    if let Some(cause) = &diagnosis.root_cause
        && repairs.is_empty()
    {
        lines.extend([
            String::new(),
            "Root cause found: ".to_owned(),
            "---------------------------".to_owned(),
            cause.clone(),
            String::new(),
            "Repair action: ".to_owned(),
            "None that Startup Repair can do by itself.".to_owned(),
        ]);
    }
    lines.extend(["---------------------------".to_owned(), String::new()]);
    lines.join("\r\n")
}

#[cfg(test)]
mod tests {
    use super::{Findings, Repair, diagnose, trail};
    use crate::recovery::CrashSignature;

    #[test]
    fn a_damaged_registry_is_found() {
        let findings = Findings { volume_readable: true, ..Findings::default() };
        let diagnosis = diagnose(&findings);
        assert_eq!(diagnosis.root_cause.as_deref(), Some("The system registry is damaged."));
        let hives = diagnosis.tests.iter().find(|test| test.name == "Registry hives test");
        assert_eq!(hives.map(|test| test.error_code), Some(0x3F1));
    }

    #[test]
    fn the_log_says_what_was_repaired() {
        let repairs = [Repair {
            cause: "Boot critical file C:\\x is missing or corrupt.".to_owned(),
            action: "File repair",
            error_code: 0,
        }];
        let findings = Findings { volume_readable: true, ..Findings::default() };
        let text = trail(&diagnose(&findings), &repairs, jiff::Timestamp::UNIX_EPOCH);
        assert!(text.contains("Number of root causes = 1\r\n"), "{text}");
        let expected =
            "Repair action: File repair\r\nResult: Completed successfully. Error code =  0x0";
        assert!(text.contains(expected), "{text}");
    }

    #[test]
    fn the_log_names_the_crash() {
        let findings = Findings {
            volume_readable: true,
            system_hive_readable: true,
            software_hive_readable: true,
            crash: Some(CrashSignature {
                bug_check: 0x50,
                module: Some("csagent.sys".into()),
                parameters: [0; 4],
            }),
        };
        let text = trail(&diagnose(&findings), &[], jiff::Timestamp::UNIX_EPOCH);
        assert!(text.contains("Root cause found: \r\n"), "{text}");
        assert!(text.contains("bug check 0x50, csagent.sys."), "{text}");
    }
}

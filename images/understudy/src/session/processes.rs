//! The processes without which there is no session: what follows where the program of one is missing,
//! or where one dies.
//!
//! The programs themselves do nothing here; only that they are there, and that they live, counts.

/// `CRITICAL_PROCESS_DIED`.
const CRITICAL_PROCESS_DIED: u32 = 0xEF;
/// `STATUS_SYSTEM_PROCESS_TERMINATED`: Winlogon, CSRSS or the initial session process is gone.
pub const SYSTEM_PROCESS_TERMINATED: u32 = 0xC000_021A;
/// `PROCESS1_INITIALIZATION_FAILED`; its second parameter is 2 where `ntdll.dll` is to blame.
const PROCESS1_INITIALIZATION_FAILED: u32 = 0x6B;
/// `STATUS_OBJECT_NAME_NOT_FOUND`, as parameters show it.
const NOT_FOUND: u64 = 0xFFFF_FFFF_C000_0034;
/// `STATUS_UNSUCCESSFUL` of a process that was ended, as `taskkill /f` does with code 1.
const ENDED: u64 = 1;

/// Windows' folder of programs.
const FOLDER: &str = "\\Windows\\System32";
/// The system processes in the order of their start, each with the stop that follows when it is gone
/// (bug check reference 0xEF, 0xC000021A; windows-facts.md 5.3, class 4).
const PROCESSES: [(&str, u32); 6] = [
    ("smss.exe", SYSTEM_PROCESS_TERMINATED),
    ("csrss.exe", SYSTEM_PROCESS_TERMINATED),
    ("winlogon.exe", SYSTEM_PROCESS_TERMINATED),
    ("wininit.exe", CRITICAL_PROCESS_DIED),
    ("services.exe", CRITICAL_PROCESS_DIED),
    ("lsass.exe", CRITICAL_PROCESS_DIED),
];

/// Files that make no process, but that every process needs.
pub const LIBRARY: &str = "\\Windows\\System32\\ntdll.dll";
/// The two places of one system file: where they differ in version, the session does not start
/// (KB5021233, windows-facts.md 5.2).
pub const TWINS: [&str; 2] =
    ["\\Windows\\System32\\drivers\\hidparse.sys", "\\Windows\\System32\\hidparse.sys"];

/// A stop that the session ends in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The stop code.
    pub code: u32,
    /// Its parameters; addresses of objects are zero, because there are none.
    pub parameters: [u64; 4],
    /// For the log.
    pub why: String,
}

/// The files of all system processes.
pub fn files() -> impl Iterator<Item = String> {
    PROCESSES.iter().map(|(name, _)| format!("{FOLDER}\\{name}"))
}

fn gone(name: &str, code: u32, status: u64, why: String) -> Failure {
    // 0xEF: the object, 0 for a process. 0xC000021A: the text, the status.
    let parameters = match code {
        SYSTEM_PROCESS_TERMINATED => [0, status, 0, 0],
        _ => [0; 4],
    };
    Failure { code, parameters, why: format!("{name} {why}") }
}

/// What keeps the session from starting. `read` gives a file's bytes, `None` where it is missing.
pub fn check(read: impl Fn(&str) -> Option<Vec<u8>>) -> Option<Failure> {
    if read(LIBRARY).is_none() {
        return Some(Failure {
            code: PROCESS1_INITIALIZATION_FAILED,
            parameters: [NOT_FOUND, 2, 0, 0],
            why: "ntdll.dll is missing".to_owned(),
        });
    }
    for (name, code) in PROCESSES {
        if read(&format!("{FOLDER}\\{name}")).is_none() {
            return Some(gone(name, code, NOT_FOUND, "is missing".to_owned()));
        }
    }
    if let [Some(one), Some(other)] = TWINS.map(&read)
        && file_version(&one) != file_version(&other)
    {
        let why = "is of another version in System32 than in drivers".to_owned();
        return Some(gone("hidparse.sys", SYSTEM_PROCESS_TERMINATED, 0xFFFF_FFFF_C000_0005, why));
    }
    None
}

/// What follows where a process of this name ends; `None`: nothing, or there is none.
pub fn died(name: &str) -> Option<Failure> {
    let (name, code) = PROCESSES.iter().find(|(known, _)| known.eq_ignore_ascii_case(name))?;
    Some(gone(name, *code, ENDED, "ended".to_owned()))
}

/// File version of an image's version resource (`VS_FIXEDFILEINFO`), where it has one.
fn file_version(image: &[u8]) -> Option<[u8; 8]> {
    const SIGNATURE: [u8; 8] = [0xBD, 0x04, 0xEF, 0xFE, 0, 0, 1, 0];
    let at = image.windows(8).position(|bytes| bytes == SIGNATURE)?;
    image.get(at + 8..at + 16)?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::{LIBRARY, TWINS, check, died, files};

    fn sound() -> BTreeMap<String, Vec<u8>> {
        let names = files().chain([LIBRARY.to_owned()]).chain(TWINS.map(str::to_owned));
        names.map(|name| (name, vec![0; 64])).collect()
    }

    fn stop(files: &BTreeMap<String, Vec<u8>>) -> Option<u32> {
        check(|path| files.get(path).cloned()).map(|failure| failure.code)
    }

    #[test]
    fn each_missing_program_has_its_own_stop() {
        assert_eq!(stop(&sound()), None);
        for (name, code) in [
            ("ntdll.dll", 0x6B),
            ("smss.exe", 0xC000_021A),
            ("csrss.exe", 0xC000_021A),
            ("winlogon.exe", 0xC000_021A),
            ("wininit.exe", 0xEF),
            ("services.exe", 0xEF),
            ("lsass.exe", 0xEF),
        ] {
            let mut files = sound();
            assert!(files.remove(&format!("\\Windows\\System32\\{name}")).is_some(), "{name}");
            assert_eq!(stop(&files), Some(code), "{name}");
        }
    }

    #[test]
    fn two_versions_of_one_file_end_the_session() {
        let mut files = sound();
        let mut newer = vec![0xBD, 0x04, 0xEF, 0xFE, 0, 0, 1, 0];
        newer.extend([0, 0, 10, 0, 1, 0, 0, 0]);
        files.insert(TWINS[1].to_owned(), newer.clone());
        assert_eq!(stop(&files), Some(0xC000_021A));
        files.insert(TWINS[0].to_owned(), newer);
        assert_eq!(stop(&files), None);
        files.remove(TWINS[0]);
        assert_eq!(stop(&files), None);
    }

    #[test]
    fn a_process_that_ends_stops_the_system_if_it_is_critical() {
        assert_eq!(died("LSASS.EXE").map(|failure| failure.code), Some(0xEF));
        assert_eq!(died("csrss.exe").map(|failure| failure.code), Some(0xC000_021A));
        assert_eq!(died("notepad.exe"), None);
    }
}

//! Startup Repair's log, `SrtTrail.txt`, in any language.
//!
//! The log is prose in the language of the recovery environment, so its words are never read. What is
//! the same in every language is its form: sections under a line of dashes, results that end in a
//! hexadecimal code, `name = value` lines in a fixed order, paths. That is what is taken
//! (windows-facts.md 3.6, and logs that people published). Words are handed on as they are, for people.
//!
//! What cannot be told: what a root cause *is* (only its text says so), and when a session ran (dates
//! are written in the local form). The file's own time stamp is the caller's.

use serde::{Deserialize, Serialize};

/// Real logs are some kilobytes; each session adds to them.
const MAX_SIZE: usize = 4 << 20;
const MAX_SESSIONS: usize = 64;
const MAX_STEPS: usize = 256;
const MAX_TEXT: usize = 512;
/// Windows writes 27 dashes; copies have a few more or less.
const MIN_DASHES: usize = 10;

/// It is no log of Startup Repair.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StartupRepairError {
    /// Far larger than any such log.
    #[error("the file has {size} bytes, more than {MAX_SIZE}; it is not a log of Startup Repair")]
    TooLarge {
        /// Its size.
        size: usize,
    },
    /// No section of it was found.
    #[error("the file has no section under a line of dashes; it is not a log of Startup Repair")]
    NoSections,
}

/// What the log says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct StartupRepair {
    /// How many times it was tried, from the log's head; absent where it has no such number.
    pub attempts: Option<u32>,
    /// The sessions in the log's order; the first 64.
    pub sessions: Vec<Session>,
}

/// One run of Startup Repair.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Session {
    /// The system disk, such as `\Device\Harddisk0`; absent where none was found.
    pub system_disk: Option<String>,
    /// The folder of Windows as the recovery environment saw it; absent where none was found.
    pub windows_directory: Option<String>,
    /// Whether the file system was checked.
    pub autochk_ran: Option<bool>,
    /// How many root causes it counted.
    pub root_cause_count: Option<u32>,
    /// Its tests, in order.
    pub tests: Vec<Step>,
    /// What it took for causes, with the repairs that followed.
    pub root_causes: Vec<RootCause>,
}

/// A test or a repair.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Step {
    /// Its name, in the log's language.
    pub name: String,
    /// Its code; 0 is success.
    pub code: u32,
    /// How long it took, in milliseconds.
    pub milliseconds: Option<u64>,
}

/// What was taken for a cause.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct RootCause {
    /// In the log's language.
    pub text: String,
    /// The paths in that text. One with spaces is cut at the first.
    pub paths: Vec<String>,
    /// What was done about it.
    pub repairs: Vec<Step>,
}

impl StartupRepair {
    /// Reads a log, UTF-16 or UTF-8.
    ///
    /// # Errors
    /// [`StartupRepairError`].
    pub fn read(bytes: &[u8]) -> Result<Self, StartupRepairError> {
        if bytes.len() > MAX_SIZE {
            return Err(StartupRepairError::TooLarge { size: bytes.len() });
        }
        let text = decode(bytes);
        let lines: Vec<String> = text.lines().map(clean).collect();
        let mut log = Self { attempts: None, sessions: Vec::new() };
        let sections = sections(&lines);
        if sections.is_empty() {
            return Err(StartupRepairError::NoSections);
        }
        for section in &sections {
            log.add(section);
        }
        Ok(log)
    }

    /// Whether the last session repaired what it found: all repairs ended with 0. Absent where it did
    /// not try any. That a repair succeeded does not mean that Windows starts.
    pub fn repaired(&self) -> Option<bool> {
        let repairs = self.sessions.last()?.root_causes.iter().flat_map(|cause| &cause.repairs);
        let mut codes = repairs.map(|repair| repair.code).peekable();
        codes.peek()?;
        Some(codes.all(|code| code == 0))
    }

    fn add(&mut self, paragraphs: &Section<'_>) {
        let first = paragraphs.first().copied().unwrap_or_default();
        let values: Vec<&str> = first.iter().filter_map(|line| value(line)).collect();
        if first.iter().any(|line| code(line).is_some()) {
            let tests = &mut self.session().tests;
            tests.extend(steps(paragraphs));
            tests.truncate(MAX_STEPS);
        } else if values.len() >= 4 && values.len() == first.len() {
            // The details come first, so they begin a session.
            let filled = |text: &str| (!text.is_empty()).then(|| text.to_owned());
            self.begin(Session {
                system_disk: filled(values[0]),
                windows_directory: filled(values[1]),
                autochk_ran: values[2].parse::<u32>().ok().map(|number| number != 0),
                root_cause_count: values[3].parse().ok(),
                ..Session::default()
            });
        } else if self.sessions.is_empty() {
            // The log's head: the last number of its last line is that of the attempts.
            self.attempts = first.last().and_then(|line| last_number(line));
        } else if !first.is_empty() {
            let text = limited(&first.join(" "));
            let paths = paths(&text);
            let repairs = steps(paragraphs.get(1..).unwrap_or_default());
            let causes = &mut self.session().root_causes;
            if causes.len() < MAX_STEPS {
                causes.push(RootCause { text, paths, repairs });
            }
        }
    }

    fn begin(&mut self, session: Session) {
        if self.sessions.len() < MAX_SESSIONS {
            self.sessions.push(session);
        }
    }

    /// The session that is being read; one whose details are missing begins here.
    fn session(&mut self) -> &mut Session {
        if self.sessions.is_empty() {
            self.sessions.push(Session::default());
        }
        let last = self.sessions.len() - 1;
        &mut self.sessions[last]
    }
}

/// A section: the paragraphs under a line of dashes.
type Section<'t> = Vec<&'t [String]>;

/// Cuts the lines into sections. A section's heading is the line above its dashes.
fn sections(lines: &[String]) -> Vec<Section<'_>> {
    let dashes: Vec<usize> = (0..lines.len()).filter(|&at| is_dashes(&lines[at])).collect();
    let mut sections = Vec::new();
    for (index, &start) in dashes.iter().enumerate() {
        let end = dashes.get(index + 1).copied().unwrap_or(lines.len());
        let body = &lines[start + 1..end];
        // The heading of the next section is no part of this one; a line of dashes has none where the
        // line above it is empty.
        let heading = end < lines.len() && body.last().is_some_and(|line| !line.is_empty());
        let body = if heading { &body[..body.len() - 1] } else { body };
        let paragraphs: Section<'_> =
            body.split(|line| line.is_empty()).filter(|paragraph| !paragraph.is_empty()).collect();
        if !paragraphs.is_empty() {
            sections.push(paragraphs);
        }
    }
    sections
}

fn is_dashes(line: &str) -> bool {
    line.len() >= MIN_DASHES && line.bytes().all(|byte| byte == b'-')
}

/// Paragraphs of three lines: name, result with its code, time taken.
fn steps(paragraphs: &[&[String]]) -> Vec<Step> {
    let mut steps = Vec::new();
    for lines in paragraphs {
        for (index, line) in lines.iter().enumerate() {
            let Some(code) = code(line) else { continue };
            if steps.len() >= MAX_STEPS {
                return steps;
            }
            let above = index.checked_sub(1).and_then(|above| lines.get(above));
            let name = above.map(|line| line.split_once(':').map_or(line.as_str(), |own| own.1));
            steps.push(Step {
                name: limited(name.unwrap_or_default().trim()),
                code,
                milliseconds: lines.get(index + 1).and_then(|line| last_number(line)),
            });
        }
    }
    steps
}

/// The code that a result ends with: `… = 0x490`.
fn code(line: &str) -> Option<u32> {
    let (_, digits) = line.rsplit_once("0x")?;
    let digits = digits.trim_end_matches('.');
    let hex = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    hex.then(|| u32::from_str_radix(digits, 16).ok()).flatten()
}

/// What stands behind the equals sign.
fn value(line: &str) -> Option<&str> {
    line.split_once('=').map(|(_, value)| value.trim())
}

/// The last decimal number of a line.
fn last_number<T: std::str::FromStr>(line: &str) -> Option<T> {
    let mut numbers = line.split(|own: char| !own.is_ascii_digit()).filter(|part| !part.is_empty());
    numbers.next_back()?.parse().ok()
}

/// Paths in a text: from a drive letter or `\Device\`, to the next space.
fn paths(text: &str) -> Vec<String> {
    let words = text.split(|own: char| own.is_whitespace() || "\"'<>|,;()«»“”„".contains(own));
    let is_path = |word: &&str| {
        let bytes = word.as_bytes();
        matches!(bytes, [drive, b':', b'\\', ..] if drive.is_ascii_alphabetic())
            || word.starts_with(r"\Device\")
            || word.starts_with(r"\??\")
    };
    let found = words.filter(is_path).map(|word| word.trim_end_matches(['.', ':']).to_owned());
    found.take(16).collect()
}

fn limited(text: &str) -> String {
    text.chars().take(MAX_TEXT).collect()
}

/// A line without the marks of writing direction that some languages put around dates.
fn clean(line: &str) -> String {
    let marks = ['\u{200e}', '\u{200f}', '\u{202a}', '\u{202c}', '\u{feff}', '\0'];
    line.replace(marks, "").trim().to_owned()
}

fn decode(bytes: &[u8]) -> String {
    let little = |bytes: &[u8]| {
        let units = bytes.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]]));
        String::from_utf16_lossy(&units.collect::<Vec<_>>())
    };
    match bytes {
        [0xff, 0xfe, rest @ ..] => little(rest),
        [0xfe, 0xff, rest @ ..] => {
            let units = rest.chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]]));
            String::from_utf16_lossy(&units.collect::<Vec<_>>())
        }
        // UTF-16 without its mark: every log has ASCII in its first line.
        [_, 0, _, 0, ..] => little(bytes),
        _ => String::from_utf8_lossy(bytes).into_owned(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ENGLISH: &str = "Startup Repair diagnosis and repair log\r\n---------------------------\r\nLast successful boot time: \u{200e}8/\u{200e}4/\u{200e}2013 2:13:30 AM (GMT)\r\nNumber of repair attempts: 9\r\n\r\nSession details\r\n---------------------------\r\nSystem Disk = \\Device\\Harddisk0\r\nWindows directory = C:\\Windows\r\nAutoChk Run = 0\r\nNumber of root causes = 1\r\n\r\nTest Performed: \r\n---------------------------\r\nName: Check for updates\r\nResult: Completed successfully. Error code =  0x0\r\nTime taken = 0 ms\r\n\r\nTest Performed: \r\n---------------------------\r\nName: System disk test\r\nResult: Completed successfully. Error code =  0x0\r\nTime taken = 110 ms\r\n\r\nRoot cause found: \r\n---------------------------\r\nBoot critical file c:\\windows\\system32\\drivers\\vsock.sys is corrupt.\r\n\r\nRepair action: File repair\r\nResult: Failed. Error code =  0x57\r\nTime taken = 2625 ms\r\n\r\nRepair action: System Restore\r\nResult: Cancelled\r\nResult: Failed. Error code =  0x1f\r\nTime taken = 10 ms\r\n\r\n---------------------------\r\n---------------------------\r\n";

    /// The same in another language and encoding. Only the words differ.
    const GERMAN: &str = "Diagnose- und Reparaturprotokoll der Starthilfe\n---------------------------\nLetzter erfolgreicher Start: 04.08.2013 02:13:30 (GMT)\nAnzahl der Reparaturversuche: 2\n\nSitzungsdetails\n---------------------------\nSystemdatenträger = \\Device\\Harddisk1\nWindows-Verzeichnis = \nAutochk-Ausführung = 1\nAnzahl von Ursachen = 1\n\nDurchgeführter Test: \n---------------------------\nName: Datenträgerfehlerdiagnose\nErgebnis: Erfolgreich abgeschlossen. Fehlercode = 0x0\nDauer = 46 ms\n\nUrsache gefunden: \n---------------------------\nSystemvolume auf dem Datenträger ist beschädigt.\n\nReparaturaktion: Dateisystemreparatur (chkdsk)\nErgebnis: Erfolgreich abgeschlossen. Fehlercode = 0x0\nDauer = 1 ms\n\n---------------------------\n---------------------------\n";

    fn utf16(text: &str) -> Vec<u8> {
        [0xfeff].into_iter().chain(text.encode_utf16()).flat_map(u16::to_le_bytes).collect()
    }

    #[test]
    fn a_log_in_english() {
        let log = StartupRepair::read(&utf16(ENGLISH)).unwrap();
        assert_eq!(log, StartupRepair::read(ENGLISH.as_bytes()).unwrap());
        assert_eq!(log, StartupRepair::read(&utf16(ENGLISH)[2..]).unwrap(), "no mark");
        assert_eq!((log.attempts, log.sessions.len()), (Some(9), 1));
        let session = &log.sessions[0];
        assert_eq!(session.system_disk.as_deref(), Some(r"\Device\Harddisk0"));
        assert_eq!(session.windows_directory.as_deref(), Some(r"C:\Windows"));
        assert_eq!((session.autochk_ran, session.root_cause_count), (Some(false), Some(1)));
        let tests: Vec<_> = session
            .tests
            .iter()
            .map(|step| (step.name.as_str(), step.code, step.milliseconds))
            .collect();
        assert_eq!(tests, [("Check for updates", 0, Some(0)), ("System disk test", 0, Some(110))]);
        let [cause] = &session.root_causes[..] else { panic!("{session:?}") };
        assert_eq!(cause.paths, [r"c:\windows\system32\drivers\vsock.sys"]);
        let codes: Vec<_> = cause.repairs.iter().map(|step| step.code).collect();
        assert_eq!(codes, [0x57, 0x1f]);
        assert_eq!(log.repaired(), Some(false));
    }

    #[test]
    fn a_log_in_another_language() {
        let log = StartupRepair::read(&utf16(GERMAN)).unwrap();
        assert_eq!(log.attempts, Some(2));
        let session = &log.sessions[0];
        assert_eq!(session.system_disk.as_deref(), Some(r"\Device\Harddisk1"));
        assert_eq!(session.windows_directory, None);
        assert_eq!((session.autochk_ran, session.root_cause_count), (Some(true), Some(1)));
        assert_eq!(session.tests.len(), 1);
        assert_eq!(session.root_causes[0].text, "Systemvolume auf dem Datenträger ist beschädigt.");
        assert_eq!(session.root_causes[0].repairs[0].name, "Dateisystemreparatur (chkdsk)");
        assert_eq!(log.repaired(), Some(true));
    }

    #[test]
    fn sessions_follow_each_other() {
        let second = GERMAN.split_once("Sitzungsdetails").unwrap().1;
        let log = format!("{GERMAN}\nSitzungsdetails{second}");
        let log = StartupRepair::read(log.as_bytes()).unwrap();
        assert_eq!(log.sessions.len(), 2);
        assert_eq!(log.sessions[0], log.sessions[1]);
        // Nothing was found: no repair, so nothing is said of one.
        let healthy = GERMAN.split_once("Ursache gefunden").unwrap().0;
        assert_eq!(StartupRepair::read(healthy.as_bytes()).unwrap().repaired(), None);
    }

    #[test]
    fn what_is_no_log_is_refused() {
        for bytes in [&b""[..], b"nothing to repair", b"\xff\xfe", &[0; 64]] {
            assert_eq!(StartupRepair::read(bytes), Err(StartupRepairError::NoSections));
        }
        let large = vec![b'-'; MAX_SIZE + 1];
        assert!(matches!(StartupRepair::read(&large), Err(StartupRepairError::TooLarge { .. })));
    }

    proptest! {
        #[test]
        fn no_log_is_too_odd(
            lines in prop::collection::vec("(-{9,12}|[a-zä]{0,4}|= 0x[0-9a-f]{0,9}|a = [0-9]{0,11}|\\PC{0,6})", 0..40),
        ) {
            let _ = StartupRepair::read(lines.join("\n").as_bytes());
        }

        #[test]
        fn no_bytes_are_too_odd(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            let _ = StartupRepair::read(&bytes);
        }
    }
}

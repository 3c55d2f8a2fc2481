//! An update that is half done: `WinSxS\\pending.xml`, which the session manager has carried out by the
//! program that `Session Manager\\SetupExecute` names (windows-facts.md 4, 5.3 class 5).
//!
//! Modelled are the operations on files, and that a list that cannot be carried out ends the start:
//! the initial session process ends, 0xC000021A.

use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

/// The list of operations.
pub const PENDING: &str = "\\Windows\\WinSxS\\pending.xml";
/// Where the session manager finds what to run.
pub const MANAGER: &str = "Control\\Session Manager";
/// The value there.
pub const SETUP_EXECUTE: &str = "SetupExecute";

const MAX_OPERATIONS: usize = 100_000;
const MAX_DEPTH: usize = 64;

/// One operation on files. Paths are on drive `C:`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Operation {
    /// `MoveFile`.
    Move {
        /// From.
        source: String,
        /// To, replacing what is there.
        destination: String,
    },
    /// `HardlinkFile`: the same content under another name.
    Link {
        /// From.
        source: String,
        /// To, replacing what is there.
        destination: String,
    },
}

/// Why a list cannot be carried out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PendingError {
    /// Not XML to its end, or not such a list.
    #[error("pending.xml is damaged: {0}")]
    Damaged(String),
    /// A file that is to be moved is not there.
    #[error("pending.xml names {0}, which is missing")]
    Missing(String),
}

/// True where the session manager is to carry the list out.
pub fn is_due(setup_execute: &[String]) -> bool {
    setup_execute.iter().any(|line| line.to_ascii_lowercase().contains("poqexec"))
}

/// Reads the operations on files of a list; other kinds are passed over.
pub fn read(bytes: &[u8]) -> Result<Vec<Operation>, PendingError> {
    let damaged = |what: &str| PendingError::Damaged(what.to_owned());
    let text = std::str::from_utf8(bytes).map_err(|_| damaged("it is no text"))?;
    let mut reader = Reader::from_str(text);
    reader.config_mut().check_end_names = true;
    let mut operations = Vec::new();
    let mut depth = 0_usize;
    let mut root = false;
    loop {
        let event =
            reader.read_event().map_err(|error| PendingError::Damaged(error.to_string()))?;
        let (element, opens) = match &event {
            Event::Start(element) => (element, true),
            Event::Empty(element) => (element, false),
            Event::End(_) => {
                depth = depth.saturating_sub(1);
                continue;
            }
            Event::Eof if !root => return Err(damaged("it is empty")),
            Event::Eof if depth > 0 => return Err(damaged("its end is missing")),
            Event::Eof => return Ok(operations),
            _ => continue,
        };
        if depth == 0 && element.local_name().as_ref() != "PendingTransaction" {
            return Err(damaged("it is another document"));
        }
        root = true;
        depth += usize::from(opens);
        if depth > MAX_DEPTH || operations.len() > MAX_OPERATIONS {
            return Err(damaged("it is too large"));
        }
        operations.extend(operation(element));
    }
}

fn operation(element: &BytesStart<'_>) -> Option<Operation> {
    let path = |name: &str| {
        let value = element.try_get_attribute(name).ok().flatten()?;
        Some(crate::loader::image_file(&value.value))
    };
    match element.local_name().as_ref() {
        "MoveFile" => {
            Some(Operation::Move { source: path("source")?, destination: path("destination")? })
        }
        "HardlinkFile" => {
            Some(Operation::Link { source: path("source")?, destination: path("destination")? })
        }
        _ => None,
    }
}

/// The first file that is missing, given what there is at the beginning.
pub fn check(operations: &[Operation], exists: impl Fn(&str) -> bool) -> Result<(), PendingError> {
    for operation in operations {
        let (Operation::Move { source, .. } | Operation::Link { source, .. }) = operation;
        let made = operations.iter().any(|other| {
            let (Operation::Move { destination, .. } | Operation::Link { destination, .. }) = other;
            destination.eq_ignore_ascii_case(source)
        });
        if !made && !exists(source) {
            return Err(PendingError::Missing(source.clone()));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{Operation, PendingError, check, is_due, read};

    const LIST: &[u8] = b"<?xml version='1.0'?><PendingTransaction Identifier='x'><POQ>\
        <MoveFile source='\\SystemRoot\\WinSxS\\Temp\\a' destination='\\SystemRoot\\System32\\b.dll'/>\
        <SetFileInformation path='x'/></POQ></PendingTransaction>";

    #[test]
    fn a_list_is_read_and_its_files_are_looked_for() {
        let operations = read(LIST).expect("reads");
        let expected = Operation::Move {
            source: "\\Windows\\WinSxS\\Temp\\a".to_owned(),
            destination: "\\Windows\\System32\\b.dll".to_owned(),
        };
        assert_eq!(operations, [expected]);
        assert_eq!(check(&operations, |_| true), Ok(()));
        let missing = check(&operations, |_| false).expect_err("a file is missing");
        assert_eq!(missing, PendingError::Missing("\\Windows\\WinSxS\\Temp\\a".to_owned()));
    }

    #[test]
    fn a_list_that_was_cut_off_is_damaged() {
        for cut in [0, 30, LIST.len() - 5] {
            assert!(matches!(read(&LIST[..cut]), Err(PendingError::Damaged(_))), "{cut}");
        }
        assert!(matches!(read(&[0; 64]), Err(PendingError::Damaged(_))));
        assert!(matches!(read(b"<other/>"), Err(PendingError::Damaged(_))));
    }

    #[test]
    fn only_the_servicing_program_carries_it_out() {
        let lines = ["\\SystemRoot\\System32\\poqexec.exe /display_progress".to_owned()];
        assert!(is_due(&lines));
        assert!(!is_due(&[]));
    }
}

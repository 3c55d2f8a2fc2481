//! The guest-agent protocol on the wire: one JSON object a line, and 0xFF before the answer to a
//! delimited sync. Pure. What comes in is the guest's and bounded.

use serde_json::{Value, json};

use super::AgentError;

/// Bytes of one answer. The largest real one is a chunk of a file or the output of a program.
const LONGEST: usize = 4 << 20;
/// Marks the beginning of the answer to `guest-sync-delimited`. It cannot occur in UTF-8.
pub(super) const SENTINEL: u8 = 0xFF;

/// One request as a line.
pub(super) fn request(command: &str, arguments: Option<Value>) -> Vec<u8> {
    let request = match arguments {
        Some(arguments) => json!({ "execute": command, "arguments": arguments }),
        None => json!({ "execute": command }),
    };
    let mut line = request.to_string().into_bytes();
    line.push(b'\n');
    line
}

/// A delimited sync: the leading 0xFF makes the agent's parser forget what it had begun.
pub(super) fn sync_request(id: u32) -> Vec<u8> {
    let mut line = vec![SENTINEL];
    line.extend(request("guest-sync-delimited", Some(json!({ "id": id }))));
    line
}

/// True where `line` answers the sync with `id`. Anything before the last 0xFF belongs to the past.
pub(super) fn is_sync_answer(line: &[u8], id: u32) -> bool {
    let Some(start) = line.iter().rposition(|byte| *byte == SENTINEL) else { return false };
    serde_json::from_slice::<Value>(&line[start + 1..])
        .is_ok_and(|answer| answer.get("return").and_then(Value::as_u64) == Some(u64::from(id)))
}

/// The content of an answer.
pub(super) fn answer(line: &[u8], during: &str) -> Result<Value, AgentError> {
    let malformed = |reason: String| AgentError::Malformed { during: during.to_owned(), reason };
    let mut value: Value =
        serde_json::from_slice(line).map_err(|error| malformed(error.to_string()))?;
    if let Some(content) = value.get_mut("return") {
        return Ok(content.take());
    }
    let error =
        value.get("error").ok_or_else(|| malformed("neither `return` nor `error`".to_owned()))?;
    let word = |key: &str| error.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    Err(AgentError::Refused {
        during: during.to_owned(),
        class: word("class"),
        message: word("desc"),
    })
}

/// Bytes that came in and are not yet a whole line.
#[derive(Debug, Default)]
pub(super) struct Incoming {
    bytes: Vec<u8>,
    searched: usize,
}

/// A line became longer than any answer can be.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct TooLong;

impl Incoming {
    pub(super) fn push(&mut self, bytes: &[u8]) -> Result<(), TooLong> {
        if self.bytes.len() + bytes.len() > LONGEST {
            self.clear();
            return Err(TooLong);
        }
        self.bytes.extend_from_slice(bytes);
        Ok(())
    }

    /// The next whole line that is not empty, without its end.
    pub(super) fn next_line(&mut self) -> Option<Vec<u8>> {
        loop {
            let at = self.bytes[self.searched..].iter().position(|byte| *byte == b'\n');
            let Some(at) = at else {
                self.searched = self.bytes.len();
                return None;
            };
            let end = self.searched + at;
            let mut line: Vec<u8> = self.bytes.drain(..=end).collect();
            self.searched = 0;
            line.truncate(end);
            if line.iter().any(|byte| !byte.is_ascii_whitespace()) {
                return Some(line);
            }
        }
    }

    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.searched = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn only_the_right_sync_answer_counts() {
        assert!(is_sync_answer(b"\xFF{\"return\": 7}", 7));
        assert!(is_sync_answer(b"old rubbish\xFF\xFF{\"return\": 7}\r", 7));
        assert!(!is_sync_answer(b"\xFF{\"return\": 6}", 7));
        assert!(!is_sync_answer(b"{\"return\": 7}", 7));
    }

    #[test]
    fn answers_and_refusals() {
        assert_eq!(answer(b"{\"return\": {\"a\": 1}}", "x").unwrap(), json!({"a": 1}));
        assert_eq!(
            answer(b"{\"error\": {\"class\": \"GenericError\", \"desc\": \"no\"}}", "x"),
            Err(AgentError::Refused {
                during: "x".to_owned(),
                class: "GenericError".to_owned(),
                message: "no".to_owned(),
            })
        );
        assert!(matches!(answer(b"[]", "x"), Err(AgentError::Malformed { .. })));
    }

    #[test]
    fn lines_are_cut_and_bounded() {
        let mut incoming = Incoming::default();
        incoming.push(b"\n{\"a\"").unwrap();
        assert_eq!(incoming.next_line(), None);
        incoming.push(b":1}\n{}\n").unwrap();
        assert_eq!(incoming.next_line().unwrap(), b"{\"a\":1}");
        assert_eq!(incoming.next_line().unwrap(), b"{}");
        assert_eq!(incoming.next_line(), None);
        assert_eq!(incoming.push(&vec![b'x'; LONGEST + 1]), Err(TooLong));
    }

    proptest! {
        #[test]
        fn any_bytes_are_safe(chunks in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..50), 0..20)) {
            let mut incoming = Incoming::default();
            for chunk in chunks {
                incoming.push(&chunk).unwrap();
                while let Some(line) = incoming.next_line() {
                    let _ = answer(&line, "x");
                    let _ = is_sync_answer(&line, 1);
                }
            }
        }
    }
}

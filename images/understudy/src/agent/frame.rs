//! Requests out of the bytes of the channel: one JSON text a line. A byte 0xFF, which no JSON text
//! holds, throws away what was half read; clients send it to get in step again (QEMU guest agent
//! protocol, `guest-sync-delimited`).

/// The longest request taken, in bytes. The agent's largest file write is 48 MiB of base64.
const LONGEST: usize = 66 << 20;

/// Collects lines.
#[derive(Debug, Default)]
pub(super) struct Frames {
    half: Vec<u8>,
    overflowed: bool,
}

impl Frames {
    /// Takes bytes and gives the requests that are complete now.
    pub(super) fn feed(&mut self, bytes: &[u8]) -> Vec<Vec<u8>> {
        let mut requests = Vec::new();
        for &byte in bytes {
            match byte {
                0xFF => {
                    self.half.clear();
                    self.overflowed = false;
                }
                b'\n' => {
                    let line = std::mem::take(&mut self.half);
                    let whole = !std::mem::take(&mut self.overflowed);
                    if whole && !line.iter().all(u8::is_ascii_whitespace) {
                        requests.push(line);
                    }
                }
                _ if self.half.len() >= LONGEST => self.overflowed = true,
                _ => self.half.push(byte),
            }
        }
        // libvirt and some clients send no newline after the text: a complete text is a request.
        if self.half.last() == Some(&b'}')
            && serde_json::from_slice::<serde::de::IgnoredAny>(&self.half).is_ok()
        {
            requests.push(std::mem::take(&mut self.half));
        }
        requests
    }
}

#[cfg(test)]
mod tests {
    use super::Frames;

    #[test]
    fn requests_come_by_lines_in_any_pieces() {
        let mut frames = Frames::default();
        assert!(frames.feed(b"{\"execute\":").is_empty());
        assert_eq!(
            frames.feed(b" \"guest-ping\"\n\n{\"a"),
            [b"{\"execute\": \"guest-ping\"".to_vec()]
        );
    }

    #[test]
    fn a_text_without_a_newline_is_taken_when_it_is_complete() {
        let mut frames = Frames::default();
        assert!(frames.feed(b"{\"a\":{\"b\":1}").is_empty());
        assert_eq!(frames.feed(b"}"), [b"{\"a\":{\"b\":1}}".to_vec()]);
        assert!(frames.feed(b"\n").is_empty());
    }

    #[test]
    fn the_delimiter_throws_away_what_was_half_read() {
        let mut frames = Frames::default();
        assert!(frames.feed(b"{\"half").is_empty());
        assert_eq!(frames.feed(b"\xff{}\n"), [b"{}".to_vec()]);
    }
}

//! The guest's serial line: its bytes are kept in a file, and become lines.

use std::path::Path;

use timeline::{Body, Sink, Source};
use tokio::fs::File;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixListener;

use crate::error::HypervisorError;

/// Characters of one line; a longer one is cut into several.
const LONGEST: usize = 4096;

/// Listens where QEMU will connect. What is left at `path` from before is removed.
pub(crate) fn listen(path: &Path) -> Result<UnixListener, HypervisorError> {
    match fs_err::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(HypervisorError::io("remove", path, error));
        }
        _ => {}
    }
    UnixListener::bind(path).map_err(|error| HypervisorError::io("listen on", path, error))
}

/// The file for the bytes of the line, as the guest sent them. A machine that is switched on again goes on in it.
///
/// Not libvirt's `<log>`: a daemon would write it under another account, through a second daemon.
pub(crate) fn open_log(path: &Path) -> Result<File, HypervisorError> {
    let file = fs_err::OpenOptions::new().create(true).append(true).open(path);
    file.map(|file| File::from_std(file.into_file()))
        .map_err(|error| HypervisorError::io("open", path, error))
}

/// Reads the line until QEMU closes it.
pub(crate) async fn read_lines(listener: UnixListener, port: u32, mut log: File, sink: Sink) {
    let Ok((mut stream, _)) = listener.accept().await else { return };
    drop(listener);
    let mut lines = Lines::default();
    let mut buffer = vec![0_u8; 16 * 1024];
    loop {
        let count = match stream.read(&mut buffer).await {
            Ok(0) | Err(_) => break,
            Ok(count) => count,
        };
        // What it means is in the events; a full disk is told by whoever records those.
        let _ = log.write_all(&buffer[..count]).await.and(log.flush().await);
        for text in lines.push(&buffer[..count]) {
            sink.emit(Source::Serial, Body::SerialLine { port, text });
        }
    }
    if let Some(text) = lines.finish() {
        sink.emit(Source::Serial, Body::SerialLine { port, text });
    }
}

/// Cuts bytes into lines. Terminal control sequences, which firmware writes before and between lines,
/// are left out, else a phase marker would not be found at the start of its line. Empty lines are left
/// out too.
#[derive(Debug, Default)]
struct Lines {
    line: Vec<u8>,
    escape: Escape,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Escape {
    #[default]
    None,
    /// After ESC.
    Begun,
    /// After ESC [, until a final byte (ECMA-48 section 5.4).
    Sequence,
}

impl Lines {
    fn push(&mut self, bytes: &[u8]) -> Vec<String> {
        let mut out = Vec::new();
        for &byte in bytes {
            match (self.escape, byte) {
                (_, b'\n' | b'\r') => {
                    self.escape = Escape::None;
                    out.extend(self.finish());
                }
                (_, 0x1B) => self.escape = Escape::Begun,
                (Escape::Begun, b'[') => self.escape = Escape::Sequence,
                (Escape::Begun, _) => self.escape = Escape::None,
                (Escape::Sequence, 0x40..=0x7E) => self.escape = Escape::None,
                (Escape::Sequence, _) | (Escape::None, 0..=8 | 11..=31 | 127) => {}
                (Escape::None, byte) => self.line.push(byte),
            }
            // A character of UTF-8 has at most four bytes, so this also bounds the memory.
            if self.line.len() >= LONGEST {
                out.extend(self.finish());
            }
        }
        out
    }

    fn finish(&mut self) -> Option<String> {
        let line = std::mem::take(&mut self.line);
        let text = String::from_utf8_lossy(&line).trim_end().to_owned();
        (!text.is_empty()).then_some(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn cut(chunks: &[&[u8]]) -> Vec<String> {
        let mut lines = Lines::default();
        let mut out: Vec<String> = chunks.iter().flat_map(|chunk| lines.push(chunk)).collect();
        out.extend(lines.finish());
        out
    }

    #[test]
    fn lines_come_out_whole() {
        assert_eq!(cut(&[b"[boot", b"mgr] a\r\n\r\nb", b"\nrest"]), ["[bootmgr] a", "b", "rest"]);
    }

    #[test]
    fn control_sequences_do_not_hide_a_marker() {
        assert_eq!(cut(&[b"\x1b[2J\x1b[01;", b"01H\x1b=[loader] x\n"]), ["[loader] x"]);
    }

    #[test]
    fn bytes_that_are_not_text_are_replaced() {
        assert_eq!(cut(&[b"a\xFFb\n"]), ["a\u{FFFD}b"]);
    }

    proptest! {
        #[test]
        fn any_bytes_give_bounded_lines(bytes in proptest::collection::vec(any::<u8>(), 0..20_000), at in 0_usize..20_000) {
            let at = at.min(bytes.len());
            let out = cut(&[&bytes[..at], &bytes[at..]]);
            prop_assert_eq!(&out, &cut(&[&bytes]));
            prop_assert!(out.iter().all(|line| line.chars().count() <= LONGEST && !line.contains('\n')));
        }
    }
}

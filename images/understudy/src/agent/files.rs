//! `guest-file-*`: files of drive `C:` by handle.

use std::collections::BTreeMap;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};

use super::reply::{Refusal, Reply};
use crate::storage::{Drive, drive_path};

/// The most bytes of one read (the QEMU guest agent's limit).
const MOST: u64 = 48 << 20;
/// What is read where the client names no count (the QEMU guest agent's default).
const DEFAULT: u64 = 4096;
/// Handles open at once.
const HANDLES: usize = 256;

#[derive(Debug)]
struct OpenFile {
    path: String,
    position: u64,
    readable: bool,
    writable: bool,
    append: bool,
    changed: bool,
}

/// The open files.
#[derive(Debug)]
pub(super) struct OpenFiles {
    drive: Arc<Drive>,
    by_handle: BTreeMap<i64, OpenFile>,
    next: i64,
}

/// What a mode of C's `fopen` means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Mode {
    read: bool,
    write: bool,
    truncate: bool,
    append: bool,
}

fn mode(text: &str) -> Option<Mode> {
    let plus = text.contains('+');
    let binary_and_plus_only = text.chars().skip(1).all(|c| c == 'b' || c == '+');
    let mode = match text.chars().next()? {
        'r' => Mode { read: true, write: plus, truncate: false, append: false },
        'w' => Mode { read: plus, write: true, truncate: true, append: false },
        'a' => Mode { read: plus, write: true, truncate: false, append: true },
        _ => return None,
    };
    binary_and_plus_only.then_some(mode)
}

impl OpenFiles {
    pub(super) fn new(drive: Arc<Drive>) -> Self {
        Self { drive, by_handle: BTreeMap::new(), next: 1000 }
    }

    pub(super) fn open(&mut self, path: &str, mode_text: &str) -> Reply {
        let mode = mode(mode_text)
            .ok_or_else(|| Refusal::new(format!("invalid file open mode '{mode_text}'")))?;
        let inside = drive_path(path).ok_or_else(|| {
            Refusal::new(format!("failed to open file '{path}': not a path on drive C:"))
        })?;
        if self.by_handle.len() >= HANDLES {
            return Err(Refusal::new(format!("more than {HANDLES} files are open; close some")));
        }
        let failed = |why: String| Refusal::new(format!("failed to open file '{path}': {why}"));
        match self.drive.metadata(&inside) {
            Ok(metadata) if metadata.kind == volume::Kind::Directory => {
                return Err(failed("it is a directory".to_owned()));
            }
            Ok(_) if mode.truncate => {
                self.drive.create(&inside).map_err(|error| failed(error.to_string()))?;
            }
            Ok(_) => {}
            Err(error) if error.is_not_found() && mode.write && (mode.truncate || mode.append) => {
                self.drive.create(&inside).map_err(|error| failed(error.to_string()))?;
            }
            Err(error) => return Err(failed(error.to_string())),
        }
        let handle = self.next;
        self.next += 1;
        self.by_handle.insert(
            handle,
            OpenFile {
                path: inside,
                position: 0,
                readable: mode.read,
                writable: mode.write,
                append: mode.append,
                changed: mode.truncate,
            },
        );
        Ok(json!(handle))
    }

    fn file(&mut self, handle: i64) -> Result<(&Arc<Drive>, &mut OpenFile), Refusal> {
        let file = self
            .by_handle
            .get_mut(&handle)
            .ok_or_else(|| Refusal::new(format!("handle '{handle}' has not been found")))?;
        Ok((&self.drive, file))
    }

    pub(super) fn close(&mut self, handle: i64) -> Reply {
        self.file(handle)?;
        if let Some(file) = self.by_handle.remove(&handle)
            && file.changed
        {
            self.drive.written(&file.path)?;
        }
        Ok(json!({}))
    }

    pub(super) fn read(&mut self, handle: i64, count: Option<u64>) -> Reply {
        let count = count.unwrap_or(DEFAULT);
        if count > MOST {
            return Err(Refusal::new(format!("value '{count}' is invalid for argument count")));
        }
        let (drive, file) = self.file(handle)?;
        if !file.readable {
            return Err(Refusal::new(format!("handle '{handle}' is not open for reading")));
        }
        let size = drive.metadata(&file.path)?.size;
        let left = size.saturating_sub(file.position).min(count);
        let mut buffer = vec![0; usize::try_from(left).unwrap_or(0)];
        let got = drive.read_at(&file.path, file.position, &mut buffer)?;
        buffer.truncate(got);
        file.position += got as u64;
        let eof = (got as u64) < count;
        Ok(json!({ "count": got, "buf-b64": BASE64.encode(&buffer), "eof": eof }))
    }

    pub(super) fn write(&mut self, handle: i64, data: &[u8], count: Option<u64>) -> Reply {
        let count = count.unwrap_or(data.len() as u64);
        let data =
            usize::try_from(count).ok().and_then(|count| data.get(..count)).ok_or_else(|| {
                Refusal::new(format!("value '{count}' is invalid for argument count"))
            })?;
        let (drive, file) = self.file(handle)?;
        if !file.writable {
            return Err(Refusal::new(format!("handle '{handle}' is not open for writing")));
        }
        if file.append {
            file.position = drive.metadata(&file.path)?.size;
        }
        drive.write_at(&file.path, file.position, data)?;
        file.position += data.len() as u64;
        file.changed = true;
        Ok(json!({ "count": data.len(), "eof": false }))
    }

    pub(super) fn seek(&mut self, handle: i64, offset: i64, whence: &Value) -> Reply {
        let (drive, file) = self.file(handle)?;
        let size = drive.metadata(&file.path)?.size;
        let base = match whence {
            Value::Number(number) if number.as_u64() == Some(0) => 0,
            Value::Number(number) if number.as_u64() == Some(1) => file.position,
            Value::Number(number) if number.as_u64() == Some(2) => size,
            Value::String(name) if name == "set" => 0,
            Value::String(name) if name == "cur" => file.position,
            Value::String(name) if name == "end" => size,
            other => return Err(Refusal::new(format!("invalid whence {other}"))),
        };
        file.position = base
            .checked_add_signed(offset)
            .ok_or_else(|| Refusal::new("cannot seek to before the start of the file"))?;
        Ok(json!({ "position": file.position, "eof": false }))
    }

    pub(super) fn flush(&mut self, handle: i64) -> Reply {
        let (drive, _) = self.file(handle)?;
        drive.flush()?;
        Ok(json!({}))
    }
}

#[cfg(test)]
mod tests {
    use super::{Mode, mode};

    #[test]
    fn modes_are_those_of_fopen() {
        assert_eq!(
            mode("rb"),
            Some(Mode { read: true, write: false, truncate: false, append: false })
        );
        assert_eq!(
            mode("w"),
            Some(Mode { read: false, write: true, truncate: true, append: false })
        );
        assert_eq!(
            mode("a+b"),
            Some(Mode { read: true, write: true, truncate: false, append: true })
        );
        assert_eq!(mode("x"), None);
        assert_eq!(mode("rw"), None);
    }
}

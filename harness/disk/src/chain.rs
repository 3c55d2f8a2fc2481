//! Our own overlays: what lies below each other, named file by file.
//!
//! QEMU would open whatever an overlay's header names. So the headers are read here, each file is checked,
//! and QEMU is told exactly which files there are.

use std::io::Read;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::error::DiskError;

/// A machine's overlay lies on a checkpoint, that on an image.
const MAX_LAYERS: usize = 8;
/// Bytes of a header that are read: QEMU has the backing file's name in the first cluster, behind the
/// header's extensions.
const HEADER: u64 = 64 << 10;
/// Incompatible features that may be there: dirty, corrupt (QEMU refuses it itself), compression, extended
/// table entries. Not: an external data file.
const FEATURES: u64 = 0b11011;

/// How QEMU's tools are told to open the qcow2 file `path` with all that lies below it.
pub(crate) fn overlay_node(path: &Path, read_only: bool) -> Result<Value, DiskError> {
    let mut layers = Vec::new();
    let mut next = Some(std::path::absolute(path).map_err(|error| wrong(path, error.to_string()))?);
    while let Some(layer) = next {
        if layers.len() == MAX_LAYERS {
            return Err(wrong(
                path,
                format!("there are more than {MAX_LAYERS} files below each other"),
            ));
        }
        next = backing(&layer).map_err(|reason| {
            let below =
                if layers.is_empty() { "" } else { "it lies on a file that cannot be used: " };
            wrong(path, format!("{below}{}: {reason}", layer.display()))
        })?;
        layers.push(layer);
    }
    let mut node = Value::Null;
    for (depth, layer) in layers.iter().enumerate().rev() {
        let read_only = read_only || depth > 0;
        node = json!({
            "driver": "qcow2",
            "read-only": read_only,
            "file": {
                "driver": "file",
                "filename": layer.to_string_lossy(),
                "read-only": read_only,
            },
            "backing": node,
        });
    }
    Ok(node)
}

fn wrong(path: &Path, reason: String) -> DiskError {
    DiskError::Chain { path: path.to_path_buf(), reason }
}

/// The file below a qcow2 file.
/// <https://gitlab.com/qemu-project/qemu/-/blob/master/docs/interop/qcow2.rst>
fn backing(path: &Path) -> Result<Option<PathBuf>, String> {
    let file = std::fs::File::open(path).map_err(|error| error.to_string())?;
    if !file.metadata().map_err(|error| error.to_string())?.is_file() {
        return Err("it is not a regular file".to_owned());
    }
    let mut head = Vec::new();
    file.take(HEADER).read_to_end(&mut head).map_err(|error| error.to_string())?;
    let field = |at: usize, len: usize| {
        let bytes = head.get(at..at + len).unwrap_or_default();
        bytes.iter().fold(0u64, |value, byte| value << 8 | u64::from(*byte))
    };
    if !head.starts_with(b"QFI\xfb") {
        return Err("it is not a qcow2 file".to_owned());
    }
    if field(4, 4) >= 3 && field(72, 8) & !FEATURES != 0 {
        return Err(
            "its data lie in another file, or it has features that are not known".to_owned()
        );
    }
    let offset = usize::try_from(field(8, 8)).map_err(|error| error.to_string())?;
    if offset == 0 {
        return Ok(None);
    }
    let length = field(16, 4).min(1023) as usize;
    let name = head.get(offset..offset.saturating_add(length));
    let name = name.ok_or("its header names a file outside of the header")?;
    let name = std::str::from_utf8(name).map_err(|error| error.to_string())?;
    if name.starts_with("json:") || name.split('/').next().is_some_and(|head| head.contains(':')) {
        return Err(format!("'{name}' below it is not a plain file"));
    }
    // A name that is not absolute counts from the overlay's directory.
    let directory = path.parent().unwrap_or(Path::new("/"));
    Ok(Some(directory.join(name)))
}

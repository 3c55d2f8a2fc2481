//! For tests: files that Windows wrote, kept outside the project.

use std::path::{Path, PathBuf};
use std::process::Command;

/// The folder of artifacts, if it is there: `LOOPBREAK_ARTIFACTS`, or beside the project.
pub(crate) fn folder() -> Option<PathBuf> {
    let beside = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/artifacts");
    let folder =
        std::env::var_os("LOOPBREAK_ARTIFACTS").map_or_else(|| beside.into(), PathBuf::from);
    if folder.is_dir() {
        return Some(folder);
    }
    println!("skipped: no artifacts at {}; set LOOPBREAK_ARTIFACTS", folder.display());
    None
}

/// An artifact, unpacked where its name ends in `.xz` or `.gz`.
pub(crate) fn read(name: &str) -> Option<Vec<u8>> {
    let path = folder()?.join(name);
    let unpack = |tool: &str| {
        let output = Command::new(tool).arg("-dc").arg(&path).output();
        let output = output.unwrap_or_else(|error| panic!("cannot run `{tool}`: {error}"));
        assert!(output.status.success(), "`{tool}` failed on {}", path.display());
        Some(output.stdout)
    };
    match Path::new(name).extension().and_then(|extension| extension.to_str()) {
        Some("xz") => unpack("xz"),
        Some("gz") => unpack("gzip"),
        _ => match std::fs::read(&path) {
            Ok(bytes) => Some(bytes),
            Err(error) => panic!("cannot read {}: {error}", path.display()),
        },
    }
}

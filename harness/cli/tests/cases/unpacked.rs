//! The cases from public reports, unpacked.

use std::path::{Path, PathBuf};
use std::process::Command;

/// The folder with the cases.
pub(crate) fn folder() -> PathBuf {
    let beside = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/cases");
    std::env::var_os("LOOPBREAK_CASES").map_or_else(|| beside.into(), PathBuf::from)
}

/// A case, unpacked, if it is there.
pub(crate) fn case(name: &str, to: &Path) -> Option<PathBuf> {
    let packed = folder().join(format!("{name}.xz"));
    if !packed.is_file() {
        println!("skipped: {} is not there; set LOOPBREAK_CASES", packed.display());
        return None;
    }
    let file = to.join(name);
    let out = std::fs::File::create(&file).unwrap();
    let done = Command::new("xz").arg("-dc").arg(packed).stdout(out).status().unwrap();
    assert!(done.success());
    Some(file)
}

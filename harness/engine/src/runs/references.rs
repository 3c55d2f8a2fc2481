//! Where references lie, and the outcomes that wait to become one.

use std::path::{Path, PathBuf};

use scenario::Scenario;
use words::ImageLine;

/// Where the reference of a scenario on images of a line lies: `NAME.LINE.snap`. Neither a scenario's nor a variant's
/// name has a dot in it.
pub fn reference_path(folder: &Path, scenario: &Scenario, line: &ImageLine) -> PathBuf {
    folder.join(format!("{}.{line}.snap", scenario.reference_name()))
}

/// The outcomes that wait to be accepted for a scenario, on images of whatever line.
///
/// # Errors
/// The folder cannot be read.
pub fn pending_references(folder: &Path, scenario: &Scenario) -> std::io::Result<Vec<PathBuf>> {
    let mut pending = report::pending_in(folder)?;
    pending.retain(|path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let own = name.strip_prefix(scenario.reference_name());
        own.is_some_and(|rest| rest.starts_with('.'))
    });
    Ok(pending)
}

//! Where the things of a scenario go on a machine.

use scenario::WindowsPath;

use crate::stage_error::StageError;

/// The path relative to the root of `C:`.
pub(crate) fn on_c(path: &WindowsPath, object: &str) -> Result<String, StageError> {
    if path.drive() != 'C' {
        return Err(StageError::Drive {
            object: format!("`{object}`"),
            path: path.as_str().to_owned(),
        });
    }
    Ok(path.components().collect::<Vec<_>>().join("\\"))
}

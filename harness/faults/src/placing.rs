//! Where the things of a scenario go on a machine.

use scenario::WindowsPath;

/// The path as an edit has it: from the root of `C:`, or with its drive where that is another.
pub fn on_drive(path: &WindowsPath) -> String {
    let below = path.components().collect::<Vec<_>>().join("\\");
    match path.drive() {
        'C' => below,
        drive => format!("{drive}:\\{below}"),
    }
}

//! What the loader finds out about a boot driver's image before the kernel runs.

use std::collections::HashSet;

use super::exports;
use super::pe::{Image, ImageError};

/// The modules that drivers may import from. `hal.dll` only forwards to the kernel since Windows 10
/// 2004.
pub(super) fn is_kernel_module(module: &str) -> bool {
    module.eq_ignore_ascii_case("ntoskrnl.exe") || module.eq_ignore_ascii_case("hal.dll")
}

/// Whether a file could be loaded as a boot driver: format, machine, checksum.
pub fn check_boot_image(file: &[u8]) -> Result<(), ImageError> {
    let image = Image::parse(file)?;
    image.check_checksum(file)?;
    image.lay_out(file).map(|_| ())
}

/// Whether all that a driver imports is there.
pub fn check_imports(file: &[u8]) -> Result<(), ImageError> {
    let image = Image::parse(file)?;
    let mut memory = image.lay_out(file)?;
    let functions = exports::functions().into_iter().map(|(name, _)| name);
    let known: HashSet<&str> =
        functions.chain(exports::variables(0).into_iter().map(|(name, _)| name)).collect();
    // Where an export lies does not matter: nothing of this copy is run.
    image.bind(&mut memory, is_kernel_module, |_, name| known.contains(name).then_some(1))
}

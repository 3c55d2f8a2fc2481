//! What the loader finds out about a boot driver's image before the kernel runs.

use std::collections::HashSet;

use super::exports;
use super::pe::{Image, ImageError};

/// The modules that drivers may import from. `hal.dll` only forwards to the kernel since Windows 10
/// 2004.
pub const MODULES: [&str; 2] = ["ntoskrnl.exe", "hal.dll"];

pub(super) fn is_kernel_module(module: &str) -> bool {
    MODULES.iter().any(|known| known.eq_ignore_ascii_case(module))
}

/// The names of all functions and variables that drivers can import from each of [`MODULES`], sorted.
pub fn exported() -> Vec<&'static str> {
    let functions = exports::functions().into_iter().map(|(name, _)| name);
    let variables = exports::variables(0, 0).into_iter().map(|(name, _)| name);
    let mut names: Vec<_> = functions.chain(variables).chain(exports::reserved::NAMES).collect();
    names.sort_unstable();
    names
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
    let known: HashSet<&str> = exported().into_iter().collect();
    // Where an export lies does not matter: nothing of this copy is run.
    image.bind(&mut memory, is_kernel_module, |_, name| known.contains(name).then_some(1))
}

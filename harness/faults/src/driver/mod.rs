//! Drivers that this project makes: real PE images with real x86-64 code, no compiler needed.
//!
//! One module a kind (`content_driver`); `asm` knows the calling convention and the unwind data, `image`
//! the file format, `resource` the version. The same options always give the same bytes.

mod asm;
mod content_driver;
mod image;
mod resource;

#[cfg(test)]
mod tests;

pub use content_driver::ContentDriverOptions;

/// A driver to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DriverKind {
    /// Interprets content files, with the defect of channel file 291.
    ContentDriver(ContentDriverOptions),
}

/// Why a driver could not be made.
#[derive(Debug, thiserror::Error)]
pub enum DriverError {
    /// There is no such kind.
    #[error("there is no kind of driver called `{0}`; there is `content-driver`")]
    UnknownKind(String),
    /// The file name cannot be one of a driver.
    #[error(
        "`{0}` cannot be a driver's file name; use 1 to 32 letters, digits, `-` or `_`, and `.sys`"
    )]
    FileName(String),
    /// The pattern cannot be one of file names.
    #[error("`{0}` cannot be a pattern of file names; use 1 to 200 characters without `\\`")]
    Pattern(String),
    /// A version that is not four numbers.
    #[error("`{0}` is no version; write four numbers up to 65535 with dots, as `7.11.0.0`")]
    Version(String),
    /// The assembler refused an instruction: a mistake in this crate.
    #[error("the driver could not be assembled: {0}; this is a mistake in loopbreak, report it")]
    Assemble(#[from] iced_x86::IcedError),
}

impl DriverKind {
    /// The kind of this name, with the options that the main scenario uses.
    ///
    /// # Errors
    /// There is no such kind.
    pub fn named(name: &str) -> Result<Self, DriverError> {
        match name {
            "content-driver" => Ok(Self::ContentDriver(ContentDriverOptions::default())),
            other => Err(DriverError::UnknownKind(other.to_owned())),
        }
    }
}

/// Makes a driver.
///
/// # Errors
/// An option cannot be used.
pub fn build(kind: &DriverKind) -> Result<Vec<u8>, DriverError> {
    match kind {
        DriverKind::ContentDriver(options) => {
            check_file_name(&options.file_name)?;
            let pattern = options.content_pattern.as_str();
            if pattern.is_empty() || pattern.chars().count() > 200 || pattern.contains(['\\', '\0'])
            {
                return Err(DriverError::Pattern(pattern.to_owned()));
            }
            Ok(content_driver::build(options)?)
        }
    }
}

// Conservative, because the name also becomes part of a DbgPrint format and of a device name.
fn check_file_name(name: &str) -> Result<(), DriverError> {
    let good = |stem: &str| {
        (1..=32).contains(&stem.len())
            && stem.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_')
    };
    match name.strip_suffix(".sys") {
        Some(stem) if good(stem) => Ok(()),
        _ => Err(DriverError::FileName(name.to_owned())),
    }
}

/// Reads a version such as `7.11.0.0`.
///
/// # Errors
/// It is not four numbers of 16 bits.
pub fn parse_version(text: &str) -> Result<[u16; 4], DriverError> {
    let wrong = || DriverError::Version(text.to_owned());
    let parts: Vec<u16> =
        text.split('.').map(str::parse).collect::<Result<_, _>>().map_err(|_| wrong())?;
    parts.try_into().map_err(|_| wrong())
}

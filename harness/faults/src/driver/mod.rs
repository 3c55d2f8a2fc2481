//! Drivers that this project makes: real PE images with real machine code, no compiler needed.
//!
//! `content_driver` is the driver of the main scenario, x86-64 only. `faulty` makes a driver with any
//! one defect, for x86-64 and x86: its functions are written once (`program`) and lowered to either
//! (`lower64`, `lower32`). `asm` knows the x64 calling convention and the unwind data, `parts` what an image
//! is made of, `image` the file format, `resource` the version, `checksum` the checksum in its headers. The
//! same options always give the same bytes.

mod asm;
mod checksum;
mod content_driver;
mod faulty;
mod image;
mod lower32;
mod lower64;
mod names;
mod parts;
mod program;
mod resource;

#[cfg(test)]
mod faulty_tests;
#[cfg(test)]
mod tests;

pub use content_driver::ContentDriverOptions;
pub use faulty::{FaultyDriverOptions, acts};
pub use names::{defects, name};
pub use scenario::{Delay, Trigger};

pub(crate) use checksum::{checksum_field, patch_checksum};
pub(crate) use resource::set_version;

/// A driver to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DriverKind {
    /// Interprets content files, with the defect of channel file 291.
    ContentDriver(ContentDriverOptions),
    /// Has one thing wrong with it.
    Faulty(FaultyDriverOptions),
}

/// Why a driver could not be made.
#[derive(Debug, thiserror::Error)]
pub enum DriverError {
    /// There is no such kind.
    #[error(
        "there is no kind of driver called `{0}`; there is `content-driver`, and with one thing wrong: {known}",
        known = known_names()
    )]
    UnknownKind(String),
    /// A defect of the file cannot wait.
    #[error("`{0}` is wrong with the file itself, so it has no trigger; leave the trigger out")]
    NoTrigger(&'static str),
    /// It makes sense in the entry only.
    #[error("`{0}` is what the driver's start returns; use it with the trigger `entry` only")]
    OnlyAtEntry(&'static str),
    /// A timer's routine cannot wait.
    #[error("`{0}` waits, which a timer's routine cannot; use the trigger `thread`")]
    CannotWait(&'static str),
    /// No file is the defect.
    #[error(
        "`missing-file` is a service whose file is not there, so there is no file to make; use it in a scenario"
    )]
    NoFile,
    /// A name that an import table cannot hold.
    #[error(
        "`{0}` cannot be a name in an import table; use 1 to 128 letters, digits, `.`, `-` or `_`"
    )]
    ImportName(String),
    /// The file name cannot be one of a driver.
    #[error(
        "`{0}` cannot be a driver's file name; use 1 to 32 letters, digits, `-` or `_`, and `.sys`"
    )]
    FileName(String),
    /// The pattern cannot be one of file names.
    #[error("`{0}` cannot be a pattern of file names; use 1 to 200 characters without `\\`")]
    Pattern(String),
    /// A version that is not four numbers.
    #[error("`{0}` is not a version; write four numbers up to 65535 with dots, as `7.11.0.0`")]
    Version(String),
    /// The assembler refused an instruction: a mistake in this crate.
    #[error("the driver could not be assembled: {0}; this is a mistake in loopbreak, report it")]
    Assemble(#[from] iced_x86::IcedError),
}

fn known_names() -> String {
    let names: Vec<String> = defects().iter().map(|defect| format!("`{}`", name(defect))).collect();
    names.join(", ")
}

impl DriverKind {
    /// The kind of this name, with its usual options.
    ///
    /// # Errors
    /// There is no such kind.
    pub fn named(kind: &str) -> Result<Self, DriverError> {
        if kind == "content-driver" {
            return Ok(Self::ContentDriver(ContentDriverOptions::default()));
        }
        defects()
            .into_iter()
            .find(|defect| name(defect) == kind)
            .map(|defect| Self::Faulty(FaultyDriverOptions::new(defect)))
            .ok_or_else(|| DriverError::UnknownKind(kind.to_owned()))
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
        DriverKind::Faulty(options) => {
            check_file_name(&options.file_name)?;
            if let scenario::Defect::MissingImport(missing) = &options.defect {
                check_import(&missing.module)?;
                check_import(&missing.function)?;
            }
            faulty::check(options)?;
            faulty::build(options)
        }
    }
}

/// An image that does nothing and imports nothing: the program of a service whose work is done elsewhere.
///
/// # Errors
/// The assembler refused an instruction.
pub(crate) fn idle(file_name: &str) -> Result<Vec<u8>, DriverError> {
    let identity = resource::Identity {
        file_name: file_name.to_owned(),
        description: "loopbreak idle program (stand-in)".to_owned(),
        version: [1, 0, 0, 0],
    };
    let parts = parts::Parts::new(scenario::Arch::X86_64);
    Ok(image::build(&identity, &parts, "idle", |a| {
        a.begin("idle", &asm::Frame::new(&[], 0))?;
        a.place(iced_x86::code_asm::rax, asm::Arg::Imm(0))?;
        a.leave()?;
        a.end()
    })?)
}

fn check_import(name: &str) -> Result<(), DriverError> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    match (1..=128).contains(&name.len()) && name.chars().all(plain) {
        true => Ok(()),
        false => Err(DriverError::ImportName(name.to_owned())),
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

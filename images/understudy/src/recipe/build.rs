//! The whole recipe: program and kernel in, bundle out.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::cpio::Archive;
use super::{disk, kernel_package, libraries, uki, variables};
use crate::kernel;

/// OVMF's variables without any boot entry (Debian package `ovmf`).
const FIRMWARE_VARIABLES: &str = "/usr/share/OVMF/OVMF_VARS_4M.fd";
/// The profile, as it goes into the bundle.
const PROFILE: &str = include_str!("profile.toml");

/// What to build from.
#[derive(Debug, Clone)]
pub struct Inputs {
    /// The guest's program; `None`: built with cargo.
    pub program: Option<PathBuf>,
    /// A kernel package; `None`: fetched into `cache`.
    pub kernel_package: Option<PathBuf>,
    /// Where fetched packages are kept.
    pub cache: PathBuf,
    /// Where the bundle goes.
    pub out: PathBuf,
}

/// What was built.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Built {
    /// Directory of the bundle.
    pub bundle: PathBuf,
    /// The kernel package that was used.
    pub kernel: String,
    /// BLAKE3 of each file of the bundle, hex.
    pub files: Vec<(String, String)>,
}

/// Why nothing was built.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// A file or directory.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// The kernel.
    #[error(transparent)]
    Kernel(#[from] kernel_package::KernelError),
    /// The libraries of the guest's program.
    #[error(transparent)]
    Library(#[from] libraries::LibraryError),
    /// The boot program.
    #[error(transparent)]
    Uki(#[from] uki::UkiError),
    /// The disk.
    #[error(transparent)]
    Disk(#[from] disk::DiskError),
    /// The first start.
    #[error(transparent)]
    FirstStart(#[from] variables::FirstStartError),
    /// A program that the recipe runs.
    #[error("`{command}` failed: {reason}")]
    Command {
        /// The program with its arguments.
        command: String,
        /// What it said.
        reason: String,
    },
}

/// Builds the bundle: `disk.qcow2`, `vars.fd`, `profile.toml`.
pub fn build(inputs: &Inputs) -> Result<Built, BuildError> {
    let work = tempfile::tempdir()?;
    let program = match &inputs.program {
        Some(program) => program.clone(),
        None => build_program()?,
    };
    let stripped = work.path().join("init");
    // The build id is a digest over the debug information too, which names the folder of the build.
    run(
        "objcopy",
        &[
            "--strip-all".as_ref(),
            "--remove-section=.note.gnu.build-id".as_ref(),
            program.as_os_str(),
            stripped.as_os_str(),
        ],
    )?;
    let package =
        kernel_package::obtain(inputs.kernel_package.as_deref(), &inputs.cache, work.path())?;
    let libraries = libraries::of(&stripped)?;
    let initramfs = initramfs(&fs_err::read(&stripped)?, &libraries, &package);
    let boot_manager = uki::build(&package.image, &initramfs, work.path())?;
    let raw = work.path().join("disk.raw");
    disk::write(&raw, &boot_manager)?;

    fs_err::create_dir_all(&inputs.out)?;
    let image = inputs.out.join("disk.qcow2");
    // One writer at a time, so that clusters are allocated in the order of the disk.
    run(
        "qemu-img",
        &[
            "convert".as_ref(),
            "-q".as_ref(),
            "-m".as_ref(),
            "1".as_ref(),
            "-f".as_ref(),
            "raw".as_ref(),
            "-O".as_ref(),
            "qcow2".as_ref(),
            raw.as_os_str(),
            image.as_os_str(),
        ],
    )?;
    let firmware_variables = inputs.out.join("vars.fd");
    fs_err::copy(FIRMWARE_VARIABLES, &firmware_variables)?;
    variables::after_first_start(&image, &firmware_variables)?;
    fs_err::write(inputs.out.join("profile.toml"), profile())?;
    let files = ["disk.qcow2", "vars.fd", "profile.toml"]
        .into_iter()
        .map(|name| {
            let mut hasher = blake3::Hasher::new();
            std::io::copy(&mut fs_err::File::open(inputs.out.join(name))?, &mut hasher)?;
            Ok((name.to_owned(), hasher.finalize().to_hex().to_string()))
        })
        .collect::<Result<_, std::io::Error>>()?;
    Ok(Built { bundle: inputs.out.clone(), kernel: package.package, files })
}

/// The profile, with what drivers can import from the model's kernel.
fn profile() -> String {
    let mut text = format!(
        "{PROFILE}\n# What the model's kernel has for drivers, from its own table. What is not here, it has not.\n\
         [[kernel-exports]]\nmodules = {:?}\nnames = [\n",
        kernel::MODULES
    );
    for name in kernel::exported() {
        text += &format!("    {name:?},\n");
    }
    text + "]\n"
}

fn initramfs(
    program: &[u8],
    libraries: &[(String, Vec<u8>)],
    kernel: &kernel_package::Kernel,
) -> Vec<u8> {
    let mut archive = Archive::default();
    for directory in ["dev", "etc", "lib", "lib/modules", "proc", "sys", "tmp"] {
        archive.directory(directory);
    }
    archive.character_device("dev/console", 5, 1);
    archive.file("init", 0o755, program);
    for (path, data) in libraries {
        archive.directories_above(path);
        archive.file(path, 0o755, data);
    }
    for (name, data) in &kernel.modules {
        archive.file(&format!("lib/modules/{name}.ko"), 0o644, data);
    }
    archive.finish()
}

/// The guest's program, by the cargo that runs this or the one on the path.
fn build_program() -> Result<PathBuf, BuildError> {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let target = std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| workspace.join("target"), PathBuf::from);
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(&cargo)
        .args(["build", "--locked", "--release", "--package", "understudy", "--bin", "understudy"])
        .current_dir(&workspace)
        .output()?;
    if !output.status.success() {
        return Err(BuildError::Command {
            command: "cargo build --release --package understudy".to_owned(),
            reason: String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        });
    }
    Ok(target.join("release/understudy"))
}

fn run(program: &str, arguments: &[&std::ffi::OsStr]) -> Result<(), BuildError> {
    let failed = |reason: String| {
        let words: Vec<_> = arguments.iter().map(|word| word.to_string_lossy()).collect();
        BuildError::Command { command: format!("{program} {}", words.join(" ")), reason }
    };
    let output = Command::new(program)
        .args(arguments)
        .output()
        .map_err(|error| failed(error.to_string()))?;
    if output.status.success() {
        Ok(())
    } else {
        Err(failed(String::from_utf8_lossy(&output.stderr).trim().to_owned()))
    }
}

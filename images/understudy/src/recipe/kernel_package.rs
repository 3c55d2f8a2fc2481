//! Debian's cloud kernel: found, fetched and unpacked, never installed.

use std::path::{Path, PathBuf};
use std::process::Command;

/// The modules of the initramfs, in the order in which they can be loaded.
pub(super) const MODULES: &[&str] = &[
    "drivers/virtio/virtio_ring",
    "drivers/virtio/virtio",
    "drivers/virtio/virtio_pci_legacy_dev",
    "drivers/virtio/virtio_pci_modern_dev",
    "drivers/virtio/virtio_pci",
    "drivers/block/virtio_blk",
    "drivers/char/virtio_console",
    "net/core/failover",
    "drivers/net/net_failover",
    "drivers/net/virtio_net",
    "drivers/firmware/qemu_fw_cfg",
    "drivers/input/evdev",
    "drivers/acpi/button",
];

/// Why there is no kernel.
#[derive(Debug, thiserror::Error)]
pub enum KernelError {
    /// A program is missing or failed.
    #[error(
        "`{command}` failed: {reason}; it needs a Debian system with apt, or pass --kernel-package FILE"
    )]
    Command {
        /// The command line.
        command: String,
        /// What it said.
        reason: String,
    },
    /// A file could not be read.
    #[error(
        "kernel package {package}: {what} is not in it; it must be one of Debian's linux-image-*-cloud-amd64"
    )]
    Missing {
        /// The package.
        package: PathBuf,
        /// The file.
        what: String,
    },
    /// The cache could not be used.
    #[error("cannot use {path}: {source}")]
    Cache {
        /// Directory.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
}

/// An unpacked kernel.
#[derive(Debug)]
pub(super) struct Kernel {
    /// Name of the package file, which carries the version.
    pub package: String,
    /// The compressed kernel.
    pub image: PathBuf,
    /// Name and contents of each module.
    pub modules: Vec<(String, Vec<u8>)>,
}

/// Unpacks `package`, or the newest cloud kernel of the system's package source, fetched into
/// `cache` once.
pub(super) fn obtain(
    package: Option<&Path>,
    cache: &Path,
    work: &Path,
) -> Result<Kernel, KernelError> {
    let package = match package {
        Some(package) => package.to_owned(),
        None => fetch(cache)?,
    };
    // The programs below run in another directory.
    let package = std::fs::canonicalize(&package)
        .map_err(|source| KernelError::Cache { path: package, source })?;
    let root = work.join("kernel");
    let (package_text, root_text) = (package.to_string_lossy(), root.to_string_lossy());
    run(work, "dpkg-deb", &["-x", &package_text, &root_text])?;
    let missing =
        |what: &str| KernelError::Missing { package: package.clone(), what: what.to_owned() };
    let image =
        only_entry(&root.join("boot"), "vmlinuz-").ok_or_else(|| missing("boot/vmlinuz-*"))?;
    let tree = only_entry(&root.join("lib/modules"), "").ok_or_else(|| missing("lib/modules/*"))?;
    let modules = MODULES
        .iter()
        .map(|module| {
            let path = tree.join("kernel").join(format!("{module}.ko"));
            let mut data = std::fs::read(&path).map_err(|_| missing(&path.to_string_lossy()))?;
            data.truncate(without_signature(&data));
            let name = module.rsplit('/').next().unwrap_or(module);
            Ok((name.to_owned(), data))
        })
        .collect::<Result<_, KernelError>>()?;
    let package = package.file_name().unwrap_or_default().to_string_lossy().into_owned();
    Ok(Kernel { package, image, modules })
}

/// Length of a module without the signature behind it. Nothing in the guest asks for one, and to verify it
/// takes an emulated processor longer than to load the module. `struct module_signature`: the last of its
/// twelve bytes are the length, big-endian; a magic follows.
fn without_signature(module: &[u8]) -> usize {
    const MAGIC: &[u8] = b"~Module signature appended~\n";
    const STRUCTURE: usize = 12;
    module
        .strip_suffix(MAGIC)
        .and_then(|rest| {
            let (_, length) = rest.split_last_chunk::<4>()?;
            let signature = u32::from_be_bytes(*length) as usize;
            rest.len().checked_sub(STRUCTURE)?.checked_sub(signature)
        })
        .unwrap_or(module.len())
}

fn fetch(cache: &Path) -> Result<PathBuf, KernelError> {
    std::fs::create_dir_all(cache)
        .map_err(|source| KernelError::Cache { path: cache.to_owned(), source })?;
    if let Some(package) = newest_package(cache) {
        return Ok(package);
    }
    let listing = run(cache, "apt-cache", &["depends", "--important", "linux-image-cloud-amd64"])?;
    let name = listing
        .split_whitespace()
        .find(|word| {
            word.starts_with("linux-image-")
                && word.ends_with("-cloud-amd64")
                && *word != "linux-image-cloud-amd64"
        })
        .ok_or_else(|| KernelError::Command {
            command: "apt-cache depends linux-image-cloud-amd64".to_owned(),
            reason: "it names no kernel".to_owned(),
        })?
        .to_owned();
    run(cache, "apt-get", &["download", "-q", &name])?;
    newest_package(cache).ok_or_else(|| KernelError::Command {
        command: format!("apt-get download {name}"),
        reason: "it left no package".to_owned(),
    })
}

fn newest_package(cache: &Path) -> Option<PathBuf> {
    let mut packages: Vec<PathBuf> = std::fs::read_dir(cache)
        .ok()?
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            name.starts_with("linux-image-") && name.ends_with(".deb")
        })
        .collect();
    packages.sort();
    packages.pop()
}

fn only_entry(directory: &Path, prefix: &str) -> Option<PathBuf> {
    std::fs::read_dir(directory)
        .ok()?
        .flatten()
        .find(|entry| entry.file_name().to_string_lossy().starts_with(prefix))
        .map(|entry| entry.path())
}

fn run(directory: &Path, program: &str, arguments: &[&str]) -> Result<String, KernelError> {
    let failed = |reason: String| KernelError::Command {
        command: format!("{program} {}", arguments.join(" ")),
        reason,
    };
    let output = Command::new(program)
        .args(arguments)
        .current_dir(directory)
        .env("LC_ALL", "C")
        .output()
        .map_err(|error| failed(error.to_string()))?;
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    } else {
        Err(failed(String::from_utf8_lossy(&output.stderr).trim().to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::without_signature;

    #[test]
    fn a_signature_behind_a_module_is_left_out() {
        let mut module = b"module".to_vec();
        module.extend_from_slice(b"signature");
        module.extend_from_slice(&[0, 0, 2, 0, 0, 0, 0, 0]);
        module.extend_from_slice(&9_u32.to_be_bytes());
        let cut = module.clone();
        module.extend_from_slice(b"~Module signature appended~\n");
        assert_eq!(without_signature(&module), 6);
        assert_eq!(without_signature(&cut), cut.len(), "no magic, no signature");
        assert_eq!(without_signature(b"~Module signature appended~\n"), 28, "no room for one");
    }
}

//! The fallback over libguestfs, for volumes that we do not read ourselves: BitLocker with its key, and the
//! volumes of dynamic disks.
//!
//! `guestfish` starts a small Linux in a virtual machine of its own and works in there; that takes many
//! seconds for each session, against milliseconds of [`crate::OfflineDisk`]. It is never used by itself:
//! the caller chooses it, for a volume of which [`crate::OfflineDisk`] said that it cannot be read.
//!
//! A session is one script on guestfish's standard input. Paths of the guest are in it with every unusual
//! byte escaped; keys come the same way, so that no other process of this host sees them.

use std::io::{Read, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use crate::chain::overlay_node;
use crate::error::DiskError;
use crate::store::{DiskFormat, DiskSource};

/// What a session may take. Under software emulation the appliance alone takes some ten seconds to start.
const PATIENCE: Duration = Duration::from_secs(900);
/// Largest file that is read, in bytes.
const MAX_READ: u64 = 1 << 30;
/// Most bytes that it prints.
const MAX_OUTPUT: u64 = 64 << 20;
/// Most bytes of it that go into an error.
const MAX_MESSAGE: usize = 800;
/// What an opened BitLocker volume is called in the appliance.
const OPENED: &str = "opened";

/// libguestfs could not do it.
#[derive(Debug, thiserror::Error)]
pub enum GuestfsError {
    /// It is not installed.
    #[error("guestfish cannot be started: {0}; install it (Debian: guestfish)")]
    NoProgram(std::io::Error),
    /// The disk must not be opened.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// A file of this host is in the way.
    #[error("{path}: {source}")]
    Host {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It failed.
    #[error("libguestfs could not {action} on {disk}: {message}")]
    Failed {
        /// What it was to do.
        action: String,
        /// The disk.
        disk: PathBuf,
        /// What it said.
        message: String,
    },
    /// A file is not for this purpose.
    #[error("'{path}' has {size} bytes, more than the {MAX_READ} that are read at once")]
    TooLarge {
        /// The file.
        path: String,
        /// Its size.
        size: u64,
    },
    /// A key cannot be used.
    #[error("the key in {0} cannot be used: it must be one line of text")]
    Key(PathBuf),
}

/// How the appliance's virtual machine runs. libguestfs takes KVM where `/dev/kvm` is, and fails where that
/// does not work: so the hypervisor's own probe decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Acceleration {
    /// KVM was seen to work.
    Kvm,
    /// Software emulation.
    Emulation,
}

/// A volume, as libguestfs finds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GuestfsVolume {
    /// A disk without a table.
    Whole,
    /// A partition by its number.
    Partition(u32),
    /// The same, encrypted by BitLocker.
    BitLocker {
        /// The partition; 0 for a disk without a table.
        partition: u32,
        /// A file whose only line is the password or the recovery password.
        key: PathBuf,
    },
    /// A volume of a dynamic disk, by the name that [`Guestfs::dynamic_volumes`] gives.
    Dynamic(String),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    ReadOnly,
    ReadWrite,
}

/// A disk that libguestfs opens. Each method is a session of its own.
#[derive(Debug, Clone)]
pub struct Guestfs {
    path: PathBuf,
    format: DiskFormat,
    acceleration: Acceleration,
}

impl Guestfs {
    /// A disk file that no machine uses. One that refers to other files is refused.
    pub fn new(path: &Path, acceleration: Acceleration) -> Result<Self, GuestfsError> {
        let source = DiskSource::probe(path).map_err(DiskError::from)?;
        Ok(Self { path: source.path, format: source.format, acceleration })
    }

    /// An overlay that the harness itself made.
    pub fn overlay(path: &Path, acceleration: Acceleration) -> Result<Self, GuestfsError> {
        overlay_node(path, true)?;
        let host = |source| GuestfsError::Host { path: path.to_path_buf(), source };
        let path = std::path::absolute(path).map_err(host)?;
        Ok(Self { path, format: DiskFormat::Qcow2, acceleration })
    }

    /// The volumes of a dynamic disk, such as `/dev/mapper/ldm_vol_WIN-Dg0_Volume1`.
    pub fn dynamic_volumes(&self) -> Result<Vec<String>, GuestfsError> {
        let mut script = self.begin(Mode::ReadOnly);
        script.line(&["ldmtool-create-all"]);
        script.line(&["list-ldm-volumes"]);
        self.run("list the volumes", script).map(|said| lines(&said))
    }

    /// The names in a folder, in no order.
    pub fn list(&self, volume: &GuestfsVolume, folder: &str) -> Result<Vec<String>, GuestfsError> {
        let mut script = self.mount(volume, Mode::ReadOnly)?;
        script.line(&["ls", &inner(folder)]);
        self.run(&format!("list '{folder}'"), script).map(|said| lines(&said))
    }

    /// A whole file of at most 1 GiB.
    pub fn read(&self, volume: &GuestfsVolume, path: &str) -> Result<Vec<u8>, GuestfsError> {
        let (directory, file) = transfer()?;
        let mut script = self.mount(volume, Mode::ReadOnly)?;
        script.line(&["download", &inner(path), &file.to_string_lossy()]);
        self.run(&format!("read '{path}'"), script)?;
        let host = |source| GuestfsError::Host { path: file.clone(), source };
        let size = std::fs::metadata(&file).map_err(host)?.len();
        if size > MAX_READ {
            return Err(GuestfsError::TooLarge { path: path.to_owned(), size });
        }
        let bytes = std::fs::read(&file).map_err(host)?;
        drop(directory);
        Ok(bytes)
    }

    /// Creates or replaces a file; its folder must be there.
    pub fn write(
        &self,
        volume: &GuestfsVolume,
        path: &str,
        bytes: &[u8],
    ) -> Result<(), GuestfsError> {
        let (directory, file) = transfer()?;
        let host = |source| GuestfsError::Host { path: file.clone(), source };
        std::fs::write(&file, bytes).map_err(host)?;
        let mut script = self.mount(volume, Mode::ReadWrite)?;
        script.line(&["upload", &file.to_string_lossy(), &inner(path)]);
        self.run(&format!("write '{path}'"), script)?;
        drop(directory);
        Ok(())
    }

    /// Removes a file.
    pub fn remove(&self, volume: &GuestfsVolume, path: &str) -> Result<(), GuestfsError> {
        let mut script = self.mount(volume, Mode::ReadWrite)?;
        script.line(&["rm", &inner(path)]);
        self.run(&format!("remove '{path}'"), script).map(|_| ())
    }

    fn begin(&self, mode: Mode) -> Script {
        let mut script = Script(String::new());
        let read_only = if mode == Mode::ReadOnly { "readonly:true" } else { "readonly:false" };
        let format = format!("format:{}", self.format.driver());
        script.line(&["add-drive", &self.path.to_string_lossy(), read_only, &format]);
        script.line(&["run"]);
        script
    }

    fn mount(&self, volume: &GuestfsVolume, mode: Mode) -> Result<Script, GuestfsError> {
        let mut script = self.begin(mode);
        let device = match volume {
            GuestfsVolume::Whole => "/dev/sda".to_owned(),
            GuestfsVolume::Partition(number) => format!("/dev/sda{number}"),
            GuestfsVolume::BitLocker { partition, key } => {
                let device = match partition {
                    0 => "/dev/sda".to_owned(),
                    number => format!("/dev/sda{number}"),
                };
                let read_only = format!("readonly:{}", mode == Mode::ReadOnly);
                script.line(&["cryptsetup-open", &device, OPENED, &read_only, "crypttype:bitlk"]);
                script.key(key)?;
                format!("/dev/mapper/{OPENED}")
            }
            GuestfsVolume::Dynamic(name) => {
                script.line(&["ldmtool-create-all"]);
                name.clone()
            }
        };
        let mount = if mode == Mode::ReadOnly { "mount-ro" } else { "mount" };
        script.line(&[mount, &device, "/"]);
        Ok(script)
    }

    fn run(&self, action: &str, mut script: Script) -> Result<String, GuestfsError> {
        // What was written reaches the disk before the appliance ends.
        script.line(&["umount-all"]);
        script.line(&["shutdown"]);
        let failed = |message: String| GuestfsError::Failed {
            action: action.to_owned(),
            disk: self.path.clone(),
            message,
        };
        let mut command = Command::new("guestfish");
        command
            .arg("--keys-from-stdin")
            .env("LIBGUESTFS_BACKEND", "direct")
            .env("LC_ALL", "C.UTF-8");
        match self.acceleration {
            Acceleration::Kvm => command.env_remove("LIBGUESTFS_BACKEND_SETTINGS"),
            Acceleration::Emulation => command.env("LIBGUESTFS_BACKEND_SETTINGS", "force_tcg"),
        };
        let child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()
            .map_err(GuestfsError::NoProgram)?;
        let ended =
            converse(child, script.0.as_bytes()).map_err(|error| failed(error.to_string()))?;
        match ended {
            Ended { in_time: false, .. } => {
                Err(failed(format!("it did not end within {} minutes", PATIENCE.as_secs() / 60)))
            }
            Ended { success: true, output, .. } => Ok(output),
            Ended { errors, .. } => Err(failed(plain(&errors))),
        }
    }
}

/// How a session ended.
struct Ended {
    in_time: bool,
    success: bool,
    output: String,
    errors: String,
}

fn converse(mut child: Child, script: &[u8]) -> std::io::Result<Ended> {
    let (mut input, output, errors) =
        (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let group = i32::try_from(child.id()).ok().and_then(rustix::process::Pid::from_raw);
    let (done, end) = mpsc::channel::<()>();
    let ended = std::thread::scope(|threads| {
        // It has its own process group: the appliance's virtual machine goes with it.
        let watch = threads.spawn(move || {
            let in_time = end.recv_timeout(PATIENCE) != Err(mpsc::RecvTimeoutError::Timeout);
            if let Some(group) = group.filter(|_| !in_time) {
                let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
            }
            in_time
        });
        let errors = threads.spawn(move || text(errors));
        // Where it ends early, what it says is the reason, not the pipe.
        let _ = input.as_mut().map(|input| input.write_all(script));
        drop(input);
        let output = text(output);
        let errors = errors.join().unwrap_or_default();
        drop(done);
        (output, errors, watch.join().unwrap_or(true))
    });
    let (output, errors, in_time) = ended;
    Ok(Ended { in_time, success: child.wait()?.success(), output, errors })
}

fn text(stream: Option<impl Read>) -> String {
    let mut bytes = Vec::new();
    if let Some(stream) = stream {
        let _ = stream.take(MAX_OUTPUT).read_to_end(&mut bytes);
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The commands of a session.
struct Script(String);

impl Script {
    fn line(&mut self, words: &[&str]) {
        let words: Vec<String> = words.iter().map(|word| quoted(word)).collect();
        self.0.push_str(&words.join(" "));
        self.0.push('\n');
    }

    /// The key, which guestfish reads as the next line.
    fn key(&mut self, file: &Path) -> Result<(), GuestfsError> {
        let host = |source| GuestfsError::Host { path: file.to_path_buf(), source };
        let text = std::fs::read_to_string(file).map_err(host)?;
        let key = text.strip_suffix('\n').unwrap_or(&text);
        if key.is_empty() || key.contains(['\n', '\r', '\0']) {
            return Err(GuestfsError::Key(file.to_path_buf()));
        }
        self.0.push_str(key);
        self.0.push('\n');
        Ok(())
    }
}

/// A word of guestfish's language: a command without quotes, everything else in quotes, with all that could
/// have a meaning as a number.
fn quoted(word: &str) -> String {
    if !word.is_empty()
        && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-:".contains(&byte))
    {
        return word.to_owned();
    }
    let mut text = String::from("\"");
    for byte in word.bytes() {
        if byte.is_ascii_alphanumeric() || b"/._:-".contains(&byte) {
            text.push(char::from(byte));
        } else {
            text.push_str(&format!("\\x{byte:02x}"));
        }
    }
    text.push('"');
    text
}

/// A path on a volume as guestfish understands it: with this in front, without regard to case.
fn inner(path: &str) -> String {
    format!("win:\\{}", path.trim_start_matches(['\\', '/']).replace('/', "\\"))
}

fn lines(text: &str) -> Vec<String> {
    text.lines().map(str::to_owned).filter(|line| !line.is_empty()).collect()
}

/// A place for one file on its way.
fn transfer() -> Result<(tempfile::TempDir, PathBuf), GuestfsError> {
    let host = |source| GuestfsError::Host { path: std::env::temp_dir(), source };
    let directory = tempfile::Builder::new().prefix("guestfs").tempdir().map_err(host)?;
    let file = directory.path().join("file");
    Ok((directory, file))
}

/// What guestfish said, without its own name and without the line of our script.
fn plain(errors: &str) -> String {
    let line = |line: &str| {
        let rest = line.trim().trim_start_matches("libguestfs: error: ");
        let rest = rest.strip_prefix("*stdin*:").and_then(|rest| rest.split_once(": "));
        let rest = rest.map_or(line.trim(), |(_, rest)| rest);
        rest.trim_start_matches("libguestfs: error: ").to_owned()
    };
    let lines: Vec<String> = errors.lines().map(line).filter(|line| !line.is_empty()).collect();
    let mut text = lines.join("; ");
    if text.len() > MAX_MESSAGE {
        let end = (0..=MAX_MESSAGE).rev().find(|&end| text.is_char_boundary(end));
        text.truncate(end.unwrap_or(0));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_guest_chose_is_a_word_and_nothing_else() {
        assert_eq!(quoted("add-drive"), "add-drive");
        assert_eq!(quoted(""), "\"\"");
        assert_eq!(quoted("a b"), r#""a\x20b""#);
        assert_eq!(quoted("\";\n!touch /tmp/x|"), r#""\x22\x3b\x0a\x21touch\x20/tmp/x\x7c""#);
        assert_eq!(inner(r"\Windows/System32\x"), r"win:\Windows\System32\x");
    }

    #[test]
    fn messages_are_without_the_script() {
        let said = "*stdin*:4: libguestfs: error: download: /x: No such file\n  detail\n\n";
        assert_eq!(plain(said), "download: /x: No such file; detail");
        assert_eq!(plain("libguestfs: error: launch failed"), "launch failed");
    }

    #[test]
    fn a_key_is_one_line() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("key");
        for (text, good) in [("secret\n", true), ("secret", true), ("", false), ("a\nb\n", false)] {
            std::fs::write(&file, text).unwrap();
            let mut script = Script(String::new());
            assert_eq!(script.key(&file).is_ok(), good, "{text:?}");
        }
        assert!(Script(String::new()).key(&directory.path().join("none")).is_err());
    }
}

//! Other processes: found by what they were started with, ended without waiting blindly.
//!
//! A process id alone is never trusted: it may have been given to somebody else since it was written
//! down. Every kill opens a pidfd first, then looks at the command line, then signals through the pidfd.

use std::path::Path;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

/// How an attempt to end a process went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// It is gone now because of us.
    Killed,
    /// It was gone before, or the id belongs to somebody else.
    NotThere,
    /// It did not end in time.
    Stays,
}

/// Kills `pid` if its command line is what `is_ours` expects, and waits for its end up to `limit`.
///
/// # Errors
/// The kernel refused.
pub fn end_process(
    pid: u32,
    is_ours: impl Fn(&[String]) -> bool,
    limit: Duration,
) -> std::io::Result<Ended> {
    let Some(raw) = i32::try_from(pid).ok().and_then(Pid::from_raw) else {
        return Ok(Ended::NotThere);
    };
    let handle = match pidfd_open(raw, PidfdFlags::empty()) {
        Ok(handle) => handle,
        Err(rustix::io::Errno::SRCH) => return Ok(Ended::NotThere),
        Err(error) => return Err(error.into()),
    };
    if !arguments(pid).is_some_and(|arguments| is_ours(&arguments)) {
        return Ok(Ended::NotThere);
    }
    match pidfd_send_signal(&handle, Signal::KILL) {
        Ok(()) => {}
        Err(rustix::io::Errno::SRCH) => return Ok(Ended::NotThere),
        Err(error) => return Err(error.into()),
    }
    let limit = Timespec::try_from(limit).map_err(std::io::Error::other)?;
    let mut waited = [PollFd::new(&handle, PollFlags::IN)];
    loop {
        match poll(&mut waited, Some(&limit)) {
            Ok(0) => return Ok(Ended::Stays),
            Ok(_) => return Ok(Ended::Killed),
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// The command line of a process; `None` where it is gone or a zombie.
fn arguments(pid: u32) -> Option<Vec<String>> {
    let raw = fs_err::read(format!("/proc/{pid}/cmdline")).ok()?;
    let arguments: Vec<String> = raw
        .split(|byte| *byte == 0)
        .map(|part| String::from_utf8_lossy(part).into_owned())
        .collect();
    (!raw.is_empty()).then_some(arguments)
}

/// The emulator of the domain `name`, looked for among all processes.
pub(crate) fn emulator_of(name: &str) -> Option<u32> {
    let processes = fs_err::read_dir("/proc").ok()?;
    processes
        .filter_map(Result::ok)
        .filter_map(|process| process.file_name().to_str()?.parse().ok())
        .find(|pid| arguments(*pid).is_some_and(|arguments| is_emulator_of(&arguments, name)))
}

/// True for an emulator of the domain `name`: libvirt passes `-name guest=NAME,…`.
pub(crate) fn is_emulator_of(arguments: &[String], name: &str) -> bool {
    is_program(arguments, "qemu-system-")
        && arguments.windows(2).any(|pair| {
            pair[0] == "-name"
                && pair[1]
                    .strip_prefix("guest=")
                    .is_some_and(|rest| rest.split(',').next() == Some(name))
        })
}

fn is_program(arguments: &[String], start: &str) -> bool {
    arguments
        .first()
        .and_then(|program| Path::new(program).file_name())
        .and_then(|name| name.to_str())
        .is_some_and(|name| name.starts_with(start))
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};

    use super::*;

    fn line(text: &str) -> Vec<String> {
        text.split(' ').map(str::to_owned).collect()
    }

    #[test]
    fn only_the_named_emulator_is_ours() {
        let qemu = line("/usr/bin/qemu-system-x86_64 -name guest=lb-1,debug-threads=on -S");
        assert!(is_emulator_of(&qemu, "lb-1"));
        assert!(!is_emulator_of(&qemu, "lb-11"));
        assert!(!is_emulator_of(&qemu, "lb"));
        assert!(!is_emulator_of(&line("vim -name guest=lb-1"), "lb-1"));
    }

    #[test]
    fn a_stranger_with_the_recorded_id_lives() {
        let mut child = std::process::Command::new("cat")
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        // Its answer proves that it has become `cat`.
        child.stdin.as_mut().unwrap().write_all(b"x").unwrap();
        child.stdout.as_mut().unwrap().read_exact(&mut [0]).unwrap();
        let limit = Duration::from_secs(5);
        let strange = end_process(child.id(), |arguments| is_emulator_of(arguments, "x"), limit);
        assert_eq!(strange.unwrap(), Ended::NotThere);
        assert!(child.try_wait().unwrap().is_none());
        let own = end_process(child.id(), |arguments| is_program(arguments, "cat"), limit);
        assert_eq!(own.unwrap(), Ended::Killed);
        child.wait().unwrap();
        assert_eq!(end_process(u32::MAX, |_| true, limit).unwrap(), Ended::NotThere);
    }
}

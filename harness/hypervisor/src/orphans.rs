//! Emulators are daemons: libvirt starts them so that they outlive it, and whoever is process 1 is to
//! collect them when they end. Some are slow to do so and some never do (a container without an init),
//! and libvirt waits for it with every machine that it stops. So this process adopts and collects them
//! itself, at the moment they end.

use std::sync::OnceLock;

use rustix::process::{Pid, WaitOptions};
use tokio::signal::unix::{SignalKind, signal};

/// Adopts the daemons that this process starts, and collects those that are emulators. Once per
/// process, in a thread of its own, so that it does not depend on the life of a runtime. Where the
/// system refuses, everything works as before, only slower.
pub fn adopt_emulators() {
    static ADOPTED: OnceLock<()> = OnceLock::new();
    ADOPTED.get_or_init(|| {
        let started = std::thread::Builder::new().name("orphans".to_owned()).spawn(|| {
            if let Err(error) = collect_for_ever() {
                tracing::debug!("could not adopt emulators: {error}");
            }
        });
        if let Err(error) = started {
            tracing::debug!("could not adopt emulators: {error}");
        }
    });
}

fn collect_for_ever() -> std::io::Result<()> {
    let own = rustix::process::getpid();
    tokio::runtime::Builder::new_current_thread().enable_io().build()?.block_on(async {
        let mut ended = signal(SignalKind::child())?;
        rustix::process::set_child_subreaper(Some(own))?;
        while ended.recv().await.is_some() {
            collect(own);
        }
        Ok(())
    })
}

/// Collects every ended child that is an emulator of another session. Children of this session were
/// started by this program or by libvirt as helpers, and somebody waits for them.
fn collect(own: Pid) {
    // Not getsid(2): it gives 0 where the session's leader is outside this process' PID namespace (a container),
    // which rustix's type for a process cannot hold.
    let Some(State { session, .. }) = State::of(own) else { return };
    for pid in children(own) {
        let Some(state) = State::of(pid) else { continue };
        if state.is_collectable(session) {
            // Nobody else waits for it; if it was collected all the same, it is gone as wished.
            let _ = rustix::process::waitpid(Some(pid), WaitOptions::NOHANG);
        }
    }
}

/// A child belongs to the thread that started or adopted it.
fn children(own: Pid) -> Vec<Pid> {
    let tasks = format!("/proc/{}/task", own.as_raw_nonzero());
    let Ok(entries) = fs_err::read_dir(tasks) else { return Vec::new() };
    entries
        .filter_map(Result::ok)
        .filter_map(|entry| fs_err::read_to_string(entry.path().join("children")).ok())
        .flat_map(|line| {
            line.split_whitespace()
                .filter_map(|pid| pid.parse().ok().and_then(Pid::from_raw))
                .collect::<Vec<_>>()
        })
        .collect()
}

/// What `/proc/PID/stat` says (proc(5)).
#[derive(Debug, PartialEq, Eq)]
struct State {
    name: String,
    zombie: bool,
    session: i32,
}

impl State {
    fn of(pid: Pid) -> Option<Self> {
        Self::parse(&fs_err::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())).ok()?)
    }

    fn parse(line: &str) -> Option<Self> {
        // The name stands in brackets and may itself contain brackets and spaces.
        let (before, rest) = line.rsplit_once(')')?;
        let (_, name) = before.split_once('(')?;
        let mut fields = rest.split_whitespace();
        let zombie = fields.next()? == "Z";
        let session = fields.nth(2)?.parse().ok()?;
        Some(Self { name: name.to_owned(), zombie, session })
    }

    fn is_collectable(&self, session: i32) -> bool {
        self.zombie && self.name.starts_with("qemu-system-") && self.session != session
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_ended_emulators_of_other_sessions_are_collected() {
        let judge = |line: &str| State::parse(line).unwrap().is_collectable(10);
        assert!(judge("77 (qemu-system-x86) Z 10 76 76 0 -1 4"));
        assert!(!judge("77 (qemu-system-x86) S 10 76 76 0 -1 4"));
        assert!(!judge("77 (qemu-system-x86) Z 10 10 10 0 -1 4"));
        assert!(!judge("77 (swtpm) Z 10 76 76 0 -1 4"));
        assert!(!judge("77 (a) qemu-system-) Z 10 76 76 0"));
        assert_eq!(State::parse("nonsense"), None);
    }

    #[test]
    fn a_session_whose_leader_is_outside_the_namespace_is_one_too() {
        // As a container's processes have it.
        let emulator = |line: &str| State::parse(line).unwrap().is_collectable(0);
        assert!(emulator("77 (qemu-system-x86) Z 10 76 76 0 -1 4"));
        assert!(!emulator("77 (qemu-system-x86) Z 10 0 0 0 -1 4"));
    }

    #[test]
    fn children_are_found() {
        let mut child =
            std::process::Command::new("cat").stdin(std::process::Stdio::piped()).spawn().unwrap();
        let found = children(rustix::process::getpid());
        assert!(found.iter().any(|pid| pid.as_raw_nonzero().get().unsigned_abs() == child.id()));
        child.kill().unwrap();
        child.wait().unwrap();
    }
}

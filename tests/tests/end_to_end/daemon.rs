//! Machines of a libvirt daemon, which runs apart from the harness, under rights of its own.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use tests::{Loopbreak, processes, run_directory};

/// What a daemon of the system calls its own. It cannot be told to keep it elsewhere, so the test's daemon sees other
/// directories in their places.
const PLACES: [&str; 5] =
    ["/etc/libvirt", "/var/lib/libvirt", "/run/libvirt", "/var/cache/libvirt", "/var/log/libvirt"];

/// `qemu:///system` of the test alone. Ended when dropped.
struct Daemon {
    directory: tempfile::TempDir,
    /// Those of [`PLACES`] that were not there before.
    made: Vec<&'static str>,
}

impl Daemon {
    /// Why not, where the test may not mount, or libvirt has no daemon that starts.
    fn start() -> Result<Self, String> {
        let directory = tempfile::Builder::new().prefix("lbd").tempdir().unwrap();
        let at = directory.path().display();
        let mut script = String::from("set -e\n");
        let mut made = Vec::new();
        for place in PLACES {
            if !Path::new(place).exists() {
                std::fs::create_dir_all(place).unwrap();
                made.push(place);
            }
            script.push_str(&format!("mkdir -p {at}{place}; mount --bind {at}{place} {place}\n"));
        }
        // Where the daemon does not see the machine's files.
        script.push_str(&format!("mkdir {at}/hidden; mount -t tmpfs none {at}/hidden\n"));
        // libvirt asks the emulator again and again what it can do, for half a minute before each machine, where root
        // may open /dev/kvm and the emulators' account may not. So nobody may: a plain file is no such device.
        script.push_str(&format!(
            "[ ! -e /dev/kvm ] || {{ : >{at}/kvm; chmod 600 {at}/kvm; mount --bind {at}/kvm /dev/kvm; }}\n"
        ));
        // Control groups and a `/dev` of the emulator's own take more rights than a container gives.
        script.push_str(&format!(
            "printf '%s\\n' 'stdio_handler = \"file\"' 'cgroup_controllers = []' 'namespaces = []' \
             >/etc/libvirt/qemu.conf\n\
             printf '%s\\n' 'auth_unix_rw = \"none\"' 'unix_sock_dir = \"{at}/run/libvirt\"' >{at}/conf\n\
             exec libvirtd --daemon --config {at}/conf --pid-file {at}/pid\n"
        ));
        // Whoever is process 1 may not collect the emulators that the daemon starts, and then each takes half a minute
        // to end.
        hypervisor::adopt_emulators();
        // It returns when the daemon is ready.
        let output = Command::new("unshare").args(["--mount", "sh", "-c", &script]).output();
        let daemon = Self { directory, made };
        let output = output.map_err(|error| format!("unshare: {error}"))?;
        let said = String::from_utf8_lossy(&output.stderr);
        if output.status.success() { Ok(daemon) } else { Err(said.trim().replace('\n', "; ")) }
    }

    fn uri(&self) -> String {
        let socket = self.directory.path().join("run/libvirt/libvirt-sock");
        format!("qemu:///system?socket={}", socket.display())
    }

    fn hidden(&self) -> PathBuf {
        self.directory.path().join("hidden")
    }

    fn kill(&self) {
        let pid = std::fs::read_to_string(self.directory.path().join("pid")).unwrap_or_default();
        if let Some(pid) = pid.trim().parse().ok().and_then(Pid::from_raw) {
            let _ = kill_process(pid, Signal::KILL);
        }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.kill();
        for place in &self.made {
            // Still in use by others, if it is not empty.
            let _ = std::fs::remove_dir(place);
        }
    }
}

// One test: there is one place for a daemon of the system.
#[test]
fn a_daemon_of_the_system_gives_the_same_outcome_and_is_missed_when_it_goes() {
    let loopbreak = Loopbreak::built().unwrap();
    if !rustix::process::geteuid().is_root() {
        println!("skipped: only root can start a daemon of the system");
        return;
    }
    let daemon = match Daemon::start() {
        Ok(daemon) => daemon,
        Err(why) => {
            println!("skipped: no daemon of the system can be started here: {why}");
            return;
        }
    };
    let uri = daemon.uri();
    let run = ["--connect", &uri, "run", "channel-file-291", "--json"];
    let summary = loopbreak.json(0, &run).unwrap();
    assert_eq!(summary["verdict"], "recovered");
    assert_eq!(summary["comparison"]["result"], "same", "{summary}");
    let host = std::fs::read(run_directory(&summary).unwrap().join("host.json")).unwrap();
    let host: serde_json::Value = serde_json::from_slice(&host).unwrap();
    assert_eq!(host["connection"].as_str(), Some(&*uri));

    // The daemon does not see what lies there, so nothing starts.
    let elsewhere = loopbreak.with_state(&daemon.hidden());
    let output = elsewhere.run(&run).unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{said}");
    assert!(said.contains("does not see the directory") && said.contains("--state"), "{said}");

    // A daemon that goes away says nothing about the product.
    let run = ["--connect", &uri, "run", "channel-file-291", "--start", "cold", "--json"];
    let mut command = loopbreak.command(&run);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut errors = BufReader::new(child.stderr.take().unwrap()).lines();
    assert!(errors.any(|line| line.unwrap().contains("watching")), "{:?}", child.wait());
    daemon.kill();
    // Whoever writes has to be listened to.
    let said: Vec<String> = errors.map_while(Result::ok).collect();
    let scratch = format!("lb-{}-", child.id());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(3), "{said:?}");
    let summary: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(summary["verdict"], "infrastructure", "{summary}");
    let because = summary["because"].as_str().unwrap();
    assert!(because.contains("the connection to libvirt was lost"), "{because}");
    // The machine outlives its daemon, but not the run.
    assert_eq!(processes(&scratch).unwrap(), Vec::<u32>::new());
}

//! What somebody meets who is new here: each mistake is made for real, and its message has to say what is wrong, where,
//! and what to do next.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn library() -> PathBuf {
    std::fs::canonicalize(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scenarios")).unwrap()
}

/// A place for one mistake.
struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_loopbreak"));
        command
            .current_dir(self.folder.path())
            .env("LOOPBREAK_STATE", self.path("state"))
            .env("LOOPBREAK_SCENARIOS", library())
            .env_remove("LOOPBREAK_CONNECT")
            .args(arguments);
        command
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// A folder of scenarios with a copy of one of the library's.
    fn copy_of(&self, scenario: &str) -> PathBuf {
        for part in [scenario, "base"] {
            let to = self.path("scenarios").join(part);
            std::fs::create_dir_all(&to).unwrap();
            for entry in std::fs::read_dir(library().join(part)).unwrap() {
                let entry = entry.unwrap();
                std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
            }
        }
        self.path("scenarios").join(scenario)
    }
}

/// A mistake: how it is made, with which code the command ends, and what its message has to hold: what, where, next.
struct Mistake {
    name: &'static str,
    made: fn(&Place) -> Output,
    exit: i32,
    told: &'static [&'static str],
    /// What would lead astray.
    not_told: &'static [&'static str],
}

const MISTAKES: &[Mistake] = &[
    Mistake {
        name: "a misspelled key in a scenario",
        made: |place| {
            let file = place.copy_of("channel-file-291").join("scenario.toml");
            let text = std::fs::read_to_string(&file).unwrap().replacen("\ntitle", "\ntitel", 1);
            std::fs::write(&file, text).unwrap();
            place.run(&["--scenarios", "scenarios", "run", "channel-file-291"])
        },
        exit: 2,
        told: &["unknown key `titel`", "scenario.toml:5:1", "did you mean `title`?"],
        not_told: &["has no `title`"],
    },
    Mistake {
        name: "a scenario that is not there",
        made: |place| place.run(&["run", "chanel-file-291"]),
        exit: 2,
        told: &[
            "no scenario `chanel-file-291`",
            "scenarios/chanel-file-291",
            "`loopbreak scenario list`",
        ],
        not_told: &[],
    },
    Mistake {
        name: "a folder of scenarios that is not there",
        made: |place| place.run(&["--scenarios", "nowhere", "run", "--all"]),
        exit: 2,
        told: &["scenarios folder nowhere does not exist", "--scenarios DIR"],
        not_told: &["os error"],
    },
    Mistake {
        name: "a run that is not there",
        made: |place| place.run(&["timeline", "./runs/none"]),
        exit: 2,
        told: &["./runs/none is no run's directory: it does not exist", "`loopbreak runs`"],
        not_told: &["os error"],
    },
    Mistake {
        name: "a bundle where a run is wanted",
        made: |place| {
            place.write("x.bundle", "x");
            place.run(&["timeline", "./x.bundle"])
        },
        exit: 2,
        told: &["./x.bundle is no run's directory", "`loopbreak show`"],
        not_told: &[],
    },
    Mistake {
        name: "no image",
        made: |place| place.run(&["run", "channel-file-291", "--image", "my-windows"]),
        exit: 2,
        told: &[
            "no image `my-windows`",
            "state; there is: none",
            "`scripts/build`",
            "`loopbreak image import`",
        ],
        not_told: &[],
    },
    Mistake {
        name: "an old QEMU",
        made: |place| {
            let program = place
                .write("bin/qemu-system-x86_64", "#!/bin/sh\necho 'QEMU emulator version 4.2.1'\n");
            std::fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o755))
                .unwrap();
            let path =
                format!("{}:{}", place.path("bin").display(), std::env::var("PATH").unwrap());
            place.command(&["doctor"]).env("PATH", path).output().unwrap()
        },
        exit: 3,
        told: &["QEMU emulator version 4.2.1", "version 7.2 or newer is needed"],
        not_told: &[],
    },
    Mistake {
        name: "no libvirt daemon",
        made: |place| {
            place.run(&[
                "run",
                "channel-file-291",
                "--connect",
                "qemu:///system?socket=/nowhere/libvirt-sock",
            ])
        },
        exit: 3,
        told: &[
            "libvirt could not open qemu:///system",
            "/nowhere/libvirt-sock",
            "systemctl start libvirtd",
            "Without --connect",
        ],
        not_told: &[],
    },
    Mistake {
        name: "a state directory that cannot be used",
        made: |place| {
            place.write("file", "");
            place.run(&["--state", "file", "runs"])
        },
        exit: 2,
        told: &["the state directory file cannot be used", "choose another with --state DIR"],
        not_told: &[],
    },
    Mistake {
        name: "an image of another format",
        made: |place| {
            let manifest = r#"{"format":9}"#;
            let digest = blake3::hash(manifest.as_bytes()).to_hex().to_string();
            place.write(&format!("state/images/{digest}/manifest.json"), manifest);
            place.write("state/names/understudy", &digest);
            place.run(&["run", "channel-file-291", "--image", "understudy"])
        },
        exit: 2,
        told: &[
            "manifest.json has format 9; this loopbreak reads 1 to",
            "use the loopbreak that made it",
        ],
        not_told: &["damaged"],
    },
    Mistake {
        name: "a reference that cannot be read",
        made: |place| {
            let folder = place.copy_of("channel-file-291");
            std::fs::write(folder.join("channel-file-291.understudy.snap"), "garbage\n").unwrap();
            place.run(&["--scenarios", "scenarios", "scenario", "check", "channel-file-291"])
        },
        exit: 2,
        told: &["channel-file-291.understudy.snap: ", "restore it from version control"],
        not_told: &[],
    },
];

const FULL_DISK: Mistake = Mistake {
    name: "a disk that is full",
    made: |place| {
        // A small disk of its own, gone with the process that sees it.
        std::fs::create_dir(place.path("small")).unwrap();
        let script = "mount -t tmpfs -o size=64k small small && head -c 64k /dev/zero >small/fill; exec \"$0\" \"$@\"";
        let mut command = own_mounts(script);
        command.arg(env!("CARGO_BIN_EXE_loopbreak"));
        command.args(["trend", "runs", "--html", "small/page.html"]);
        record(&place.path("runs"), "20240719-040900-abcdef");
        command.current_dir(place.folder.path()).output().unwrap()
    },
    exit: 3,
    told: &[
        "small/page.html cannot be written",
        "its disk is full",
        "make room, or name another place",
    ],
    not_told: &[".report-"],
};

/// A shell that sees what it mounts, and nobody else does.
fn own_mounts(script: &str) -> Command {
    let mut command = Command::new("unshare");
    if !rustix::process::geteuid().is_root() {
        command.arg("--map-root-user");
    }
    command.args(["--mount", "sh", "-c", script]);
    command
}

fn record(runs: &Path, name: &str) {
    let events = include_str!("../../timeline/tests/fixtures/recorded-channel-file-291.jsonl");
    let record = serde_json::json!({
        "format": 1, "run": name, "scenario": "channel-file-291", "scenario-digest": "d", "reference": "/none.snap",
        "image": "understudy", "image-digest": "i", "began": "2024-07-19T04:09:00Z", "status": "complete",
    });
    std::fs::create_dir_all(runs.join(name)).unwrap();
    std::fs::write(runs.join(name).join("events.jsonl"), events).unwrap();
    std::fs::write(runs.join(name).join("run.json"), record.to_string()).unwrap();
}

/// What is wrong with what is told of a mistake; nothing where it is as it should be.
fn wrong_with(mistake: &Mistake) -> String {
    let place = Place { folder: tempfile::tempdir().unwrap() };
    let output = (mistake.made)(&place);
    let out = String::from_utf8_lossy(&output.stdout);
    let text = format!("{out}{}", String::from_utf8_lossy(&output.stderr));
    let missing: Vec<_> = mistake.told.iter().filter(|told| !text.contains(**told)).collect();
    let astray: Vec<_> = mistake.not_told.iter().filter(|told| text.contains(**told)).collect();
    if output.status.code() == Some(mistake.exit) && missing.is_empty() && astray.is_empty() {
        return String::new();
    }
    format!(
        "{}: {}, missing {missing:?}, leads astray {astray:?}:\n{text}\n",
        mistake.name, output.status
    )
}

#[test]
fn each_mistake_is_told_with_what_where_and_what_to_do() {
    let wrong: String = MISTAKES.iter().map(wrong_with).collect();
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn a_disk_that_is_full_is_told() {
    let mounts = own_mounts("mount -t tmpfs none /mnt").output();
    if !mounts.is_ok_and(|output| output.status.success()) {
        println!("skipped: nothing can be mounted here");
        return;
    }
    let wrong = wrong_with(&FULL_DISK);
    assert!(wrong.is_empty(), "{wrong}");
}

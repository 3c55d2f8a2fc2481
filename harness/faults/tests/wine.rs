//! An independent loader: Wine's host for kernel drivers loads what is made here. It relocates, binds
//! and runs the drivers as a user process, so a fault is an exception there, not a stop.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs::File;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use faults::driver::{DriverKind, FaultyDriverOptions, build};
use scenario::{Defect, Delay, FailureStatus, MissingImport, Trigger};

const LIMIT: Duration = Duration::from_secs(150);

fn driver(stem: &str, options: &FaultyDriverOptions) -> Vec<u8> {
    let options = FaultyDriverOptions { file_name: format!("{stem}.sys"), ..options.clone() };
    build(&DriverKind::Faulty(options)).unwrap()
}

/// Name, options, and whether Wine starts it.
fn drivers() -> Vec<(&'static str, FaultyDriverOptions, bool)> {
    let inert = |defect| FaultyDriverOptions { inert: true, ..FaultyDriverOptions::new(defect) };
    let thread = FaultyDriverOptions {
        trigger: Trigger::Thread(Delay { seconds: 0 }),
        ..inert(Defect::WildRead(Default::default()))
    };
    let timer = FaultyDriverOptions {
        trigger: Trigger::Timer(Delay { seconds: 1 }),
        ..inert(Defect::DivideError)
    };
    let failure = Defect::FailureStatus(FailureStatus::default());
    let missing = Defect::MissingImport(MissingImport {
        module: "loopbreak-missing.sys".to_owned(),
        ..MissingImport::default()
    });
    vec![
        ("lbinert", inert(Defect::NullRead), true),
        ("lbstack", inert(Defect::StackExhaustion), true),
        ("lbpool", inert(Defect::PoolCorruption(Default::default())), true),
        ("lblock", inert(Defect::Deadlock), true),
        ("lbslow", inert(Defect::SlowStart(Default::default())), true),
        ("lbthread", thread, true),
        ("lbtimer", timer, true),
        ("lbfail", FaultyDriverOptions::new(failure), false),
        ("lbmissing", FaultyDriverOptions::new(missing), false),
        ("lbmachine", FaultyDriverOptions::new(Defect::WrongMachine), false),
        ("lbcut", FaultyDriverOptions::new(Defect::Truncated(Default::default())), false),
        ("lbnull", FaultyDriverOptions::new(Defect::NullRead), false),
        ("lbdivide", FaultyDriverOptions::new(Defect::DivideError), false),
    ]
}

struct Wine<'a> {
    program: &'a str,
    prefix: &'a Path,
    log: File,
}

impl Wine<'_> {
    fn start(&self, arguments: &[&str]) -> Child {
        Command::new(self.program)
            .args(arguments)
            .env("WINEPREFIX", self.prefix)
            .env("WINEDEBUG", "fixme-all,+seh")
            .env("WINEDLLOVERRIDES", "winemenubuilder.exe,mscoree,mshtml=")
            .stdin(Stdio::null())
            .stdout(self.log.try_clone().unwrap())
            .stderr(self.log.try_clone().unwrap())
            .spawn()
            .unwrap()
    }

    /// Waits until it ends or its time is up.
    fn run(&self, arguments: &[&str], started: Instant) -> Option<ExitStatus> {
        let mut child = self.start(arguments);
        loop {
            if let Some(status) = child.try_wait().unwrap() {
                return Some(status);
            }
            if started.elapsed() > LIMIT {
                child.kill().unwrap();
                child.wait().unwrap();
                return None;
            }
            // There is no event for the end of one child with a time limit in the standard library.
            std::thread::park_timeout(Duration::from_millis(50));
        }
    }
}

#[test]
fn wine_loads_what_is_sound_and_reports_what_is_not() {
    let known = ["/usr/lib/wine/wine64", "/usr/bin/wine64"];
    let Some(program) = known.into_iter().find(|path| Path::new(path).exists()) else {
        println!("skipped: Wine is not installed (package wine64)");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let prefix = folder.path().join("prefix");
    std::fs::create_dir(&prefix).unwrap();
    let log = folder.path().join("log");
    let wine = Wine { program, prefix: &prefix, log: File::create(&log).unwrap() };
    let started = Instant::now();
    let server = Path::new("/usr/lib/wine/wineserver64");
    let finish = || {
        // Ends what runs in this prefix, nothing else.
        let _ = Command::new(server).arg("-k").env("WINEPREFIX", &prefix).status();
    };
    if wine.run(&["wineboot", "-i"], started).is_none() {
        finish();
        println!("skipped: Wine did not set itself up within {} s", LIMIT.as_secs());
        return;
    }
    // The next program starts the services anew and so gets their messages.
    finish();
    let mut script = String::from("@echo off\r\n");
    for (name, options, _) in drivers() {
        let path = prefix.join("drive_c/windows/system32/drivers").join(format!("{name}.sys"));
        std::fs::write(path, driver(name, &options)).unwrap();
        let file = format!("C:\\windows\\system32\\drivers\\{name}.sys");
        script += &format!(
            "echo --- {name}\r\nsc create {name} type= kernel start= demand binPath= {file}\r\n"
        );
        script +=
            &format!("net start {name}\r\necho result {name} %errorlevel%\r\nsc query {name}\r\n");
    }
    std::fs::write(prefix.join("drive_c/try.bat"), script).unwrap();
    let ended = wine.run(&["cmd", "/c", "C:\\try.bat"], started);
    finish();
    let text = String::from_utf8_lossy(&std::fs::read(&log).unwrap()).into_owned();
    if std::env::var_os("LOOPBREAK_SHOW").is_some() {
        println!("{text}");
    }
    if ended.is_none() {
        println!("skipped: Wine took more than {} s; its last words:", LIMIT.as_secs());
        text.lines().rev().take(20).for_each(|line| println!("{line}"));
        return;
    }
    for (name, reported) in [
        ("lbnull", "Unhandled page fault on read access to 0000000000000000"),
        ("lbdivide", "Unhandled division by zero"),
    ] {
        let said = text.split(&format!("--- {name}\r\n")).nth(1);
        let said = said.unwrap_or_else(|| panic!("{name} was not tried:\n{text}"));
        let (said, _) = said.split_once(&format!("result {name} ")).unwrap_or((said, ""));
        assert!(said.contains(reported), "{name}:\n{said}");
    }
    for (name, _, starts) in drivers() {
        let line = text.lines().find(|line| line.trim().starts_with(&format!("result {name} ")));
        let line = line.unwrap_or_else(|| panic!("{name} was not tried:\n{text}"));
        assert_eq!(line.trim() == format!("result {name} 0"), starts, "{name}:\n{text}");
    }
}

//! A driver that nobody here generated: written in C against the DDK's headers, compiled by mingw-w64, and
//! installed by an INF as a vendor would. It runs in the understudy's machine as on the development machine:
//! device object, dispatch table, registry parameters, a thread, a timer. One boot of 512 MiB.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, ensure};
use tests::{Loopbreak, events, run_directory, workspace};

const COMPILER: &str = "x86_64-w64-mingw32-gcc";

const INF: &str = "[Version]\r\nSignature=\"$Windows NT$\"\r\n\
[DestinationDirs]\r\nDefaultDestDir=12\r\n\
[DefaultInstall]\r\nCopyFiles=@lbbenign.sys\r\n\
[DefaultInstall.Services]\r\nAddService=lbbenign,,Install\r\n\
[Install]\r\nServiceType=1\r\nStartType=1\r\nErrorControl=3\r\nServiceBinary=%12%\\lbbenign.sys\r\n\
AddReg=Parameters\r\n\
[Parameters]\r\nHKR,,\"Limit\",0x10001,42\r\n";

const SCENARIO: &str = r#"format = 1
name = "c-driver"
title = "A driver written in C"
description = "A driver in C, compiled by mingw-w64 and installed by an INF, does what drivers do."

[machine]
image = "understudy"
start = "cold"
time-scale = 120

[[fault]]
name = "package"
kind = "driver-package"
inf = "package/lbbenign.inf"

[expect]
verdict = "unaffected"
"#;

fn compile(source: &Path, out: &Path) -> anyhow::Result<()> {
    let made = Command::new(COMPILER)
        .args(["-shared", "-nostdlib", "-O1", "-w", "-fno-asynchronous-unwind-tables"])
        .args(["-I/usr/x86_64-w64-mingw32/include/ddk", "-Wl,--subsystem,native"])
        .args(["-Wl,--entry,DriverEntry", "-Wl,--dynamicbase", "-o"])
        .args([out, source])
        .args(["-lntoskrnl", "-lhal"])
        .output()?;
    ensure!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    Ok(())
}

#[test]
fn a_driver_written_in_c_loads_and_runs() -> anyhow::Result<()> {
    if Command::new(COMPILER).arg("--version").output().is_err() {
        println!("skipped: {COMPILER} is not installed (package gcc-mingw-w64-x86-64-win32)");
        return Ok(());
    }
    let room = tempfile::tempdir()?;
    let folder = room.path().join("c-driver");
    let package = folder.join("package");
    std::fs::create_dir_all(&package)?;
    let source = workspace().join("images/understudy/src/kernel/fixtures/benign.c");
    compile(&source, &package.join("lbbenign.sys"))?;
    std::fs::write(package.join("lbbenign.inf"), INF)?;
    let scenario = folder.join("scenario.toml");
    std::fs::write(&scenario, SCENARIO)?;

    let built = Loopbreak::built()?;
    let scenario = scenario.to_str().context("a path in UTF-8")?;
    // It has no reference; what it did is looked at below.
    let summary = built.json(1, &["run", scenario, "--json"])?;
    ensure!(summary["comparison"]["result"] == "missing", "{summary}");
    ensure!(summary["expectation"]["met"] == true, "{summary}");
    let events = events(&run_directory(&summary)?)?;
    let said: Vec<&str> = events
        .iter()
        .filter_map(|event| event["text"].as_str()?.strip_prefix("[kernel] debug: "))
        .collect();
    for expected in [
        r"entry: \Registry\Machine\System\CurrentControlSet\Services\lbbenign",
        "Limit = 42 (16 bytes)",
        "thread: context 1234, waiting",
        "DPC ran at IRQL 2",
        "raised to 2 from 0",
        "pool aligned, tag Test",
    ] {
        let expected = expected.to_lowercase();
        ensure!(
            said.iter().any(|line| line.to_lowercase() == expected),
            "it did not say `{expected}`: {said:?}"
        );
    }
    Ok(())
}

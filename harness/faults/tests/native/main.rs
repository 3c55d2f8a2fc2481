//! Runs the machine code of the content driver on this processor, against a handful of kernel
//! functions that keep their files in memory. It shows that the code follows the calling convention,
//! closes what it opens, ignores what is damaged, and overruns exactly where it is meant to.
#![cfg(all(target_arch = "x86_64", target_os = "linux"))]
#![expect(unsafe_code, reason = "machine code is mapped and called")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod kernel;
mod loader;

use std::process::Command;

use faults::content::{Field, build};
use faults::driver::{self, DriverKind};
use kernel::{Kernel, STATUS_DELETE_PENDING};

const OVERRUN: &str = "LOOPBREAK_TEST_OVERRUN";

fn start(kernel: &Kernel) -> u32 {
    let image = driver::build(&DriverKind::named("content-driver").unwrap()).unwrap();
    loader::start(&image, kernel)
}

fn wildcards(count: usize) -> Vec<Field> {
    vec![Field::Wildcard; count]
}

fn with(mut fields: Vec<Field>, number: usize, pattern: &str) -> Vec<u8> {
    fields[number - 1] = Field::Pattern(pattern.as_bytes().to_vec());
    build(&fields)
}

fn name(number: u32) -> String {
    format!("C-00000291-00000000-{number:08}.sys")
}

// One test, because the kernel's functions have no argument to tell one machine from another.
#[test]
fn the_driver_runs_as_it_was_written() {
    if std::env::var_os(OVERRUN).is_some() {
        return;
    }
    it_interprets_what_it_finds();
    it_looks_again_when_something_changes();
    it_leaves_nothing_behind_when_it_cannot_start();
}

fn it_interprets_what_it_finds() {
    let kernel = Kernel::with_folder();
    kernel.write(&name(1), build(&wildcards(21)));
    kernel.write(&name(2), with(wildcards(21), 3, "input-3"));
    kernel.write(&name(3), with(wildcards(21), 20, "something else"));
    kernel.write(&name(4), Vec::new());
    kernel.write(&name(5), vec![0; 100]);
    let mut cut = with(wildcards(21), 20, "something else");
    cut.truncate(40);
    kernel.write(&name(6), cut);
    let mut one_too_many = build(&wildcards(21));
    one_too_many[6] += 1;
    kernel.write(&name(7), one_too_many);
    kernel.write("C-00000290-00000000-00000001.sys", build(&wildcards(2)));
    assert_eq!(start(&kernel), 0);
    kernel.end_watching();
    assert_eq!(
        kernel.log(),
        [
            "csagent.sys: version 7.11.0.0\n".to_owned(),
            format!("csagent.sys: {}: 21 fields, 0 matched\n", name(1)),
            format!("csagent.sys: {}: 21 fields, 1 matched\n", name(2)),
            format!("csagent.sys: {}: 21 fields, 0 matched\n", name(3)),
            format!("csagent.sys: {}: not complete content; ignored\n", name(5)),
            format!("csagent.sys: {}: not complete content; ignored\n", name(6)),
            format!("csagent.sys: {}: malformed, field 22; ignored\n", name(7)),
            format!("csagent.sys: watching ended, status {STATUS_DELETE_PENDING:#010x}\n"),
        ]
    );
    assert_eq!(kernel.open_handles(), 0, "handles were left open");
    assert_eq!(kernel.allocations(), [0x1_0000], "only the file buffer stays");
    assert_eq!(kernel.devices(), ["\\Device\\csagent"]);
}

fn it_looks_again_when_something_changes() {
    let kernel = Kernel::with_folder();
    assert_eq!(start(&kernel), 0);
    kernel.write(&name(8), with(wildcards(21), 20, "input-20"));
    kernel.changed();
    kernel.write(&name(9), build(&wildcards(1)));
    kernel.changed();
    kernel.end_watching();
    let log = kernel.log();
    let seen: Vec<&str> = log[1..log.len() - 1].iter().map(String::as_str).collect();
    let eight = format!("csagent.sys: {}: 21 fields, 1 matched\n", name(8));
    let nine = format!("csagent.sys: {}: 1 fields, 0 matched\n", name(9));
    // Each change makes it interpret everything; the first scan may see both files already.
    assert_eq!(seen.last(), Some(&nine.as_str()));
    assert!(seen.contains(&eight.as_str()), "{seen:?}");
}

fn it_leaves_nothing_behind_when_it_cannot_start() {
    let kernel = Kernel::without_parameters();
    assert_eq!(start(&kernel), 0xc000_0034);
    assert_eq!(kernel.open_handles(), 0);
    assert!(kernel.allocations().is_empty());
    assert!(kernel.devices().is_empty());
    assert_eq!(kernel.log()[1..], ["csagent.sys: not started, status 0xc0000034\n"]);
}

/// The child process of the next test; does nothing by itself.
#[test]
fn overrun_in_child() {
    if std::env::var_os(OVERRUN).is_none() {
        return;
    }
    let kernel = Kernel::with_folder();
    kernel.write(&name(32), with(wildcards(21), 21, "x"));
    kernel::report_faults();
    start(&kernel);
    println!("no fault");
}

#[test]
fn a_pattern_in_the_21st_field_makes_it_read_through_its_own_notes() {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "overrun_in_child", "--nocapture"])
        .env(OVERRUN, "1")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    // mov r9d,[r8]
    assert!(text.contains("fault at ffff840500000074 by 458b08\n"), "{text}");
    assert_eq!(output.status.code(), Some(80));
}

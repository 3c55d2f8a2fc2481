//! Stopping the machine: screen, serial line, panic device, dumps, and whether to restart.
//!
//! The order is that of Windows: the screen comes first, then whoever watches is told, then the dump
//! is written while the screen stands (windows-facts.md 6.3). The screen stays for about two seconds
//! in all (windows-facts.md 2, "Unexpected restart screen"), so that it can be seen.

use std::time::{Duration, Instant};

use winfmt::FileTime;
use winfmt::dump::Segment;

use super::crash_dump;
use super::report::StopReport;
use super::screen::{Line, Picture, Rgb, Size};

/// How long the stop screen stands at least.
pub const SCREEN_TIME: Duration = Duration::from_secs(2);

/// Which dumps are written (`CrashDumpEnabled`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DumpSetting {
    /// 0: none.
    None,
    /// 1, 2 and 7: `MEMORY.DMP` and a small dump. The model has kernel memory only, so complete,
    /// kernel and automatic dumps hold the same.
    Memory,
    /// 3: a small dump only.
    Small,
}

/// `Control\CrashControl` of the control set in use (windows-facts.md 4, "CrashControl").
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CrashControl {
    /// Restart after the dump. Default 1.
    pub auto_reboot: bool,
    /// Which dumps. Default 7, automatic.
    pub dump: DumpSetting,
    /// Path on the system drive, without its letter, for example `\Windows\MEMORY.DMP`.
    pub dump_file: String,
    /// The same for the folder of small dumps, for example `\Windows\Minidump`.
    pub minidump_dir: String,
    /// Small dumps that are kept. Default 50.
    pub minidumps_count: u32,
    /// Replace an existing `MEMORY.DMP`. Default 1.
    pub overwrite: bool,
}

impl Default for CrashControl {
    fn default() -> Self {
        Self::read(|_| None, |_| None)
    }
}

impl CrashControl {
    /// From the values of the key; what is missing or unusable has Windows' default.
    pub fn read(
        number: impl Fn(&str) -> Option<u32>,
        text: impl Fn(&str) -> Option<String>,
    ) -> Self {
        let path = |name: &str, default: &str| {
            text(name).as_deref().and_then(on_system_drive).unwrap_or_else(|| default.to_owned())
        };
        Self {
            auto_reboot: number("AutoReboot").unwrap_or(1) != 0,
            dump: match number("CrashDumpEnabled").unwrap_or(7) {
                0 => DumpSetting::None,
                3 => DumpSetting::Small,
                _ => DumpSetting::Memory,
            },
            dump_file: path("DumpFile", r"\Windows\MEMORY.DMP"),
            minidump_dir: path("MinidumpDir", r"\Windows\Minidump"),
            minidumps_count: number("MinidumpsCount").unwrap_or(50).max(1),
            overwrite: number("Overwrite").unwrap_or(1) != 0,
        }
    }
}

/// `%SystemRoot%\x` and `C:\x` as paths on the drive; None for anything else.
fn on_system_drive(path: &str) -> Option<String> {
    const ROOT: &str = "%SystemRoot%";
    if path.get(..ROOT.len()).is_some_and(|start| start.eq_ignore_ascii_case(ROOT)) {
        return Some(format!(r"\Windows{}", &path[ROOT.len()..]));
    }
    match path.as_bytes() {
        [b'C' | b'c', b':', b'\\', ..] => Some(path[2..].to_owned()),
        _ => None,
    }
}

/// What a stop needs of the machine around it. Paths are on the system drive, with backslashes.
pub trait StopMachine {
    /// Shows a picture. A machine without a screen does nothing.
    fn show(&mut self, picture: &Picture);
    /// Sends a line on the serial port.
    fn serial_line(&mut self, line: &str);
    /// Tells the panic device (see [`crate::sys::signal_panic_device`]).
    fn signal_panic(&mut self);
    /// Kernel memory for the dump, as [`crash_dump::kernel_memory`] reads it.
    fn memory(&mut self) -> Vec<Segment>;
    /// Writes a whole file, making its folder, and brings it to the disk.
    fn write_file(&mut self, path: &str, bytes: &[u8]) -> Result<(), String>;
    /// Names in a folder; empty where it is missing.
    fn file_names(&mut self, folder: &str) -> Vec<String>;
    /// Removes a file.
    fn remove_file(&mut self, path: &str) -> Result<(), String>;
    /// Now.
    fn now(&mut self) -> FileTime;
    /// Since the machine was switched on or reset.
    fn up_time(&mut self) -> Duration;
    /// Lets time pass, until `end`.
    fn wait_until(&mut self, end: Instant);
}

/// What happens after a stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum After {
    /// Reset the machine.
    Restart,
    /// Leave the stop screen standing until someone switches the machine off.
    Stand,
}

/// Runs a stop to its end. What fails on the way (a full disk, no screen) is said on the serial line
/// and does not keep the rest from happening.
pub fn run(report: &StopReport, settings: &CrashControl, machine: &mut impl StopMachine) -> After {
    let shown = Instant::now();
    machine.show(&picture(report, settings, 0));
    for line in serial_lines(report) {
        machine.serial_line(&line);
    }
    machine.signal_panic();
    if settings.dump != DumpSetting::None {
        write_dumps(report, settings, machine);
        machine.show(&picture(report, settings, 100));
    }
    machine.wait_until(shown + SCREEN_TIME);
    if settings.auto_reboot { After::Restart } else { After::Stand }
}

/// The line that tells that something needs what the model has not: nothing follows for it.
pub fn lacks(who: &str, what: &str) -> String {
    format!("[kernel] the model lacks what {who} needs: {what}")
}

/// The lines that tell of the stop.
pub fn serial_lines(report: &StopReport) -> Vec<String> {
    let [a, b, c, d] = report.bug_check.parameters;
    let mut lines = vec![format!(
        "*** Fatal System Error: 0x{:08x} (0x{a:016X},0x{b:016X},0x{c:016X},0x{d:016X})",
        report.bug_check.code
    )];
    if let Some(module) = &report.module {
        lines.push(format!("*** {module}"));
    }
    if let Some(lack) = report.lack() {
        let who = report.module.as_deref().unwrap_or("a driver");
        lines.push(lacks(who, &lack));
    }
    lines
}

/// The stop screen, after that of Windows 11 24H2. `percent` of the dump.
pub fn picture(report: &StopReport, settings: &CrashControl, percent: u32) -> Picture {
    let mut lines = vec![
        Line::new("Your device ran into a problem", Size::Headline),
        Line::new(
            if settings.auto_reboot {
                "and needs to restart. We'll restart for you."
            } else {
                "and needs to restart. You can restart it."
            },
            Size::Large,
        ),
    ];
    if settings.dump != DumpSetting::None {
        lines.push(Line::new(" ", Size::Normal));
        lines.push(Line::new(format!("{percent}% complete"), Size::Large));
    }
    let code = report.bug_check.code;
    let mut bottom =
        vec![Line::new(format!("Stop code: {} (0x{code:X})", report.name()), Size::Normal)];
    if let Some(module) = &report.module {
        bottom.push(Line::new(format!("What failed: {module}"), Size::Normal));
    }
    Picture { bottom, ..Picture::new(Rgb::BLACK, lines) }
}

fn write_dumps(report: &StopReport, settings: &CrashControl, machine: &mut impl StopMachine) {
    let (time, up_time) = (machine.now(), machine.up_time());
    let ticks = u64::try_from(up_time.as_nanos() / 100).unwrap_or(u64::MAX);
    let memory = machine.memory();
    let builder = crash_dump::builder(report, memory, time, ticks);
    let mut problems = Vec::new();
    if settings.dump == DumpSetting::Memory {
        let (folder, name) = settings.dump_file.rsplit_once('\\').unwrap_or(("", "MEMORY.DMP"));
        let there = machine.file_names(folder).iter().any(|file| file.eq_ignore_ascii_case(name));
        if there && !settings.overwrite {
            problems.push(format!("{} exists and Overwrite is 0", settings.dump_file));
        } else {
            let written = builder
                .build_kernel()
                .map_err(|error| error.to_string())
                .and_then(|bytes| machine.write_file(&settings.dump_file, &bytes));
            problems.extend(written.err().map(|error| format!("{}: {error}", settings.dump_file)));
        }
    }
    let path = small_dump_path(settings, machine, time, up_time);
    let written = builder
        .build_small()
        .map_err(|error| error.to_string())
        .and_then(|bytes| machine.write_file(&path, &bytes));
    problems.extend(written.err().map(|error| format!("{path}: {error}")));
    for problem in problems {
        machine.serial_line(&format!("*** no dump: {problem}"));
    }
}

/// `MMDDYY-NNNNN-01.dmp`: the date, the milliseconds since the start, a number that makes it unique.
/// Makes room where as many as `MinidumpsCount` are there already.
fn small_dump_path(
    settings: &CrashControl,
    machine: &mut impl StopMachine,
    time: FileTime,
    up_time: Duration,
) -> String {
    let folder = &settings.minidump_dir;
    let mut names = machine.file_names(folder);
    names.retain(|name| name.to_ascii_lowercase().ends_with(".dmp"));
    // By age as far as names tell it: year, month and day, then the start's milliseconds.
    let age = |name: &str| (name.get(4..6).map(str::to_owned), name.to_owned());
    names.sort_by_key(|name| age(name));
    let surplus = (names.len() + 1).saturating_sub(settings.minidumps_count as usize);
    for name in names.drain(..surplus.min(names.len())) {
        if let Err(error) = machine.remove_file(&format!(r"{folder}\{name}")) {
            machine.serial_line(&format!(r"*** {folder}\{name} could not be removed: {error}"));
        }
    }
    let date = time
        .to_timestamp()
        .map_or_else(|| "000000".to_owned(), |time| time.strftime("%m%d%y").to_string());
    let start = format!("{date}-{}", up_time.as_millis() % 100_000);
    let path = |number: u32| format!("{start}-{number:02}.dmp");
    let free =
        (1..).map(path).find(|path| !names.iter().any(|name| name.eq_ignore_ascii_case(path)));
    format!(r"{folder}\{}", free.unwrap_or_else(|| path(1)))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::io::Cursor;

    use winfmt::dump::{DumpKind, summarize};

    use super::super::report::StopCause;
    use super::*;
    use crate::kernel::report::{BugCheck, Exception, Module, Registers};

    #[derive(Default)]
    struct Fake {
        log: Vec<String>,
        files: BTreeMap<String, Vec<u8>>,
        waited: Option<Instant>,
        full: bool,
    }

    impl StopMachine for Fake {
        fn show(&mut self, picture: &Picture) {
            let text = picture.lines.iter().chain(&picture.bottom).map(|line| line.text.as_str());
            self.log.push(format!("screen: {}", text.collect::<Vec<_>>().join("|")));
        }
        fn serial_line(&mut self, line: &str) {
            self.log.push(line.to_owned());
        }
        fn signal_panic(&mut self) {
            self.log.push("panic".to_owned());
        }
        fn memory(&mut self) -> Vec<Segment> {
            Vec::new()
        }
        fn write_file(&mut self, path: &str, bytes: &[u8]) -> Result<(), String> {
            if self.full {
                return Err("the disk is full".to_owned());
            }
            self.log.push(format!("wrote {path}"));
            self.files.insert(path.to_owned(), bytes.to_vec());
            Ok(())
        }
        fn file_names(&mut self, folder: &str) -> Vec<String> {
            let inside = |path: &String| {
                let name = path.strip_prefix(folder)?.strip_prefix('\\')?;
                (!name.contains('\\')).then(|| name.to_owned())
            };
            self.files.keys().filter_map(inside).collect()
        }
        fn remove_file(&mut self, path: &str) -> Result<(), String> {
            self.log.push(format!("removed {path}"));
            self.files.remove(path).map(drop).ok_or_else(|| "missing".to_owned())
        }
        fn now(&mut self) -> FileTime {
            "2024-07-19T04:12:30Z".parse::<jiff::Timestamp>().unwrap().into()
        }
        fn up_time(&mut self) -> Duration {
            Duration::from_millis(54_321)
        }
        fn wait_until(&mut self, end: Instant) {
            self.waited = Some(end);
        }
    }

    const RIP: u64 = 0xFFFF_F800_2000_1017;

    fn report() -> StopReport {
        let module = |name: &str, base, size| Module {
            name: name.to_owned(),
            path: format!(r"\SystemRoot\System32\drivers\{name}"),
            base,
            size,
            entry: base,
            checksum: 0,
            timestamp: 0,
        };
        StopReport {
            bug_check: BugCheck { code: 0x50, parameters: [0xFFFF_8405_0000_0074, 0, RIP, 2] },
            cause: StopCause::Fault,
            module: Some("csagent.sys".to_owned()),
            modules: vec![
                module("ntoskrnl.exe", 0xFFFF_F800_1000_0000, 0x400_0000),
                module("csagent.sys", 0xFFFF_F800_2000_0000, 0x5000),
            ],
            registers: Registers { rip: RIP, ..Registers::default() },
            exception: Some(Exception {
                code: 0xC000_0005,
                address: RIP,
                information: [0, 0xFFFF_8405_0000_0074],
                parameters: 2,
            }),
            irql: 0,
        }
    }

    #[test]
    fn a_stop_shows_tells_dumps_and_restarts() {
        let mut machine = Fake::default();
        let before = Instant::now();
        let after = run(&report(), &CrashControl::default(), &mut machine);
        assert_eq!(after, After::Restart);
        assert!(machine.waited.unwrap() >= before + SCREEN_TIME);
        let screen = |percent| {
            format!(
                "screen: Your device ran into a problem|and needs to restart. We'll restart for you.\
                 | |{percent}% complete|Stop code: PAGE_FAULT_IN_NONPAGED_AREA (0x50)\
                 |What failed: csagent.sys"
            )
        };
        assert_eq!(
            machine.log,
            [
                screen(0),
                "*** Fatal System Error: 0x00000050 \
                 (0xFFFF840500000074,0x0000000000000000,0xFFFFF80020001017,0x0000000000000002)"
                    .to_owned(),
                "*** csagent.sys".to_owned(),
                "panic".to_owned(),
                r"wrote \Windows\MEMORY.DMP".to_owned(),
                r"wrote \Windows\Minidump\071924-54321-01.dmp".to_owned(),
                screen(100),
            ]
        );
        for (path, kind) in [
            (r"\Windows\MEMORY.DMP", DumpKind::BitmapKernel),
            (r"\Windows\Minidump\071924-54321-01.dmp", DumpKind::Small),
        ] {
            let summary = summarize(Cursor::new(&machine.files[path])).unwrap();
            assert_eq!(summary.kind, kind);
            assert_eq!(summary.bug_check.parameters, report().bug_check.parameters);
            assert_eq!(summary.module.as_deref(), Some("csagent.sys"));
            assert_eq!(summary.time, machine.now());
        }
    }

    #[test]
    fn each_crash_leaves_its_own_small_dump_and_the_oldest_goes() {
        let mut machine = Fake::default();
        let settings = CrashControl {
            dump: DumpSetting::Small,
            minidumps_count: 2,
            auto_reboot: false,
            ..CrashControl::default()
        };
        machine.files.insert(r"\Windows\Minidump\123123-1-01.dmp".to_owned(), Vec::new());
        for _ in 0..2 {
            assert_eq!(run(&report(), &settings, &mut machine), After::Stand);
        }
        let names = machine.file_names(r"\Windows\Minidump");
        assert_eq!(names, ["071924-54321-01.dmp", "071924-54321-02.dmp"]);
        assert!(!machine.files.contains_key(r"\Windows\MEMORY.DMP"));
    }

    #[test]
    fn settings_are_read_with_their_defaults() {
        let settings = CrashControl::default();
        assert!(settings.auto_reboot && settings.overwrite);
        assert_eq!(settings.dump, DumpSetting::Memory);
        let settings = CrashControl::read(
            |name| Some(if name == "MinidumpsCount" { 5 } else { 0 }),
            |name| match name {
                "DumpFile" => Some(r"%systemroot%\Crash\M.DMP".to_owned()),
                _ => Some(r"D:\elsewhere".to_owned()),
            },
        );
        assert!(!settings.auto_reboot && !settings.overwrite);
        assert_eq!(settings.dump, DumpSetting::None);
        assert_eq!(settings.dump_file, r"\Windows\Crash\M.DMP");
        assert_eq!(settings.minidump_dir, r"\Windows\Minidump");
        assert_eq!(settings.minidumps_count, 5);
    }

    #[test]
    fn a_full_disk_is_said_and_does_not_stop_the_stop() {
        let mut machine = Fake { full: true, ..Fake::default() };
        assert_eq!(run(&report(), &CrashControl::default(), &mut machine), After::Restart);
        let problems = machine.log.iter().filter(|line| line.starts_with("*** no dump: "));
        assert_eq!(problems.count(), 2);
    }

    #[test]
    fn an_existing_dump_is_kept_where_the_settings_say_so() {
        let mut machine = Fake::default();
        machine.files.insert(r"\Windows\MEMORY.DMP".to_owned(), vec![7]);
        let settings = CrashControl { overwrite: false, ..CrashControl::default() };
        run(&report(), &settings, &mut machine);
        assert_eq!(machine.files[r"\Windows\MEMORY.DMP"], [7]);
    }

    #[test]
    fn the_stop_screen_is_a_picture() {
        let canvas = picture(&report(), &CrashControl::default(), 0).render(1280, 800);
        assert_eq!(canvas.pixels[..3], [0, 0, 0]);
        if let Some(folder) = std::env::var_os("UNDERSTUDY_PICTURES") {
            std::fs::write(std::path::Path::new(&folder).join("stop.ppm"), canvas.to_ppm())
                .unwrap();
        }
        let lit = canvas.pixels.chunks_exact(3).filter(|pixel| pixel[0] > 200).count();
        assert!(lit > 5000, "{lit}");
    }
}

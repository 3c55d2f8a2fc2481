//! The kernel process end to end, on the development machine: drivers compiled from `fixtures/` with
//! mingw run in a forked process against a host in memory.

mod foreign;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use super::host::{Change, ChangeAction, Disposition, FileFacts, NotifyDone};
use super::*;

const COMPILER: &str = "x86_64-w64-mingw32-gcc";
const LIMIT: Duration = Duration::from_secs(30);

/// A fixture, compiled once; None where there is no compiler.
fn driver(name: &'static str) -> Option<Vec<u8>> {
    type Made = BTreeMap<&'static str, Option<Vec<u8>>>;
    static MADE: LazyLock<Mutex<Made>> = LazyLock::new(Mutex::default);
    MADE.lock().unwrap().entry(name).or_insert_with(|| compile(name)).clone()
}

fn compile(name: &str) -> Option<Vec<u8>> {
    if Command::new(COMPILER).arg("--version").output().is_err() {
        println!("skipped: {COMPILER} is not installed (package gcc-mingw-w64-x86-64-win32)");
        return None;
    }
    let fixtures = concat!(env!("CARGO_MANIFEST_DIR"), "/src/kernel/fixtures");
    let source = PathBuf::from(fixtures).join(format!("{name}.c"));
    let room = tempfile::tempdir().unwrap();
    let definitions = room.path().join("extra.def");
    std::fs::write(&definitions, "LIBRARY ntoskrnl.exe\nEXPORTS\nNotThereAtAll\n").unwrap();
    let library = room.path().join("libextra.a");
    let made = Command::new("x86_64-w64-mingw32-dlltool")
        .args(["-d".as_ref(), definitions.as_os_str(), "-l".as_ref(), library.as_os_str()])
        .status()
        .unwrap();
    assert!(made.success());
    let out = room.path().join("out.sys");
    let compiled = Command::new(COMPILER)
        .args(["-shared", "-nostdlib", "-O1", "-w", "-fno-asynchronous-unwind-tables"])
        .args(["-I/usr/x86_64-w64-mingw32/include/ddk", "-Wl,--subsystem,native"])
        .args(["-Wl,--entry,DriverEntry", "-Wl,--dynamicbase", "-o"])
        .arg(&out)
        .arg(&source)
        .arg(&library)
        .args(["-lntoskrnl", "-lhal"])
        .output()
        .unwrap();
    assert!(compiled.status.success(), "{}", String::from_utf8_lossy(&compiled.stderr));
    Some(std::fs::read(out).unwrap())
}

#[derive(Default)]
struct State {
    /// Full NT path in lower case -> content; None for a directory.
    files: BTreeMap<String, Option<Vec<u8>>>,
    open: BTreeMap<u64, String>,
    next: u64,
    keys: BTreeMap<String, Vec<RegistryValue>>,
    watch: Option<NotifyDone>,
}

/// Files and registry in memory.
struct Memory {
    state: Mutex<State>,
    printed: Mutex<Sender<String>>,
}

impl Memory {
    fn new() -> (Arc<Self>, Receiver<String>) {
        let (sender, receiver) = channel();
        let memory = Self { state: Mutex::default(), printed: Mutex::new(sender) };
        (Arc::new(memory), receiver)
    }

    fn value(&self, key: &str, name: &str, number: u32) {
        let value =
            RegistryValue { name: name.to_owned(), kind: 4, data: number.to_le_bytes().to_vec() };
        self.state.lock().unwrap().keys.entry(key.to_lowercase()).or_default().push(value);
    }

    fn file(&self, path: &str, content: Option<Vec<u8>>) {
        self.state.lock().unwrap().files.insert(path.to_lowercase(), content);
    }

    fn changed(&self, name: &str) {
        let watch = self.state.lock().unwrap().watch.take();
        let change = Change { action: ChangeAction::Added, name: name.to_owned() };
        watch.expect("somebody watches").complete(Ok(vec![change]));
    }
}

impl State {
    fn path(&self, file: FileId) -> Result<&String, NtStatus> {
        self.open.get(&file.0).ok_or(NtStatus::INVALID_HANDLE)
    }

    fn facts(&self, path: &str) -> FileFacts {
        let content = &self.files[path];
        FileFacts {
            name: path.rsplit('\\').next().unwrap().to_owned(),
            size: content.as_ref().map_or(0, Vec::len) as u64,
            directory: content.is_none(),
            ..FileFacts::default()
        }
    }
}

impl KernelHost for Memory {
    fn open(&self, request: &OpenRequest) -> Result<Opened, NtStatus> {
        let mut state = self.state.lock().unwrap();
        let path = request.path.to_lowercase();
        match state.files.get(&path) {
            None => return Err(NtStatus::OBJECT_NAME_NOT_FOUND),
            Some(None) if request.non_directory => return Err(NtStatus::FILE_IS_A_DIRECTORY),
            Some(Some(_)) if request.directory => return Err(NtStatus::NOT_A_DIRECTORY),
            Some(_) => {}
        }
        assert_eq!(request.disposition, Disposition::Open);
        state.next += 1;
        let id = state.next;
        state.open.insert(id, path);
        Ok(Opened { file: FileId(id), information: 1 })
    }
    fn read(&self, file: FileId, offset: u64, length: u32) -> Result<Vec<u8>, NtStatus> {
        let state = self.state.lock().unwrap();
        let content = state.files[state.path(file)?].as_ref().ok_or(NtStatus::INVALID_PARAMETER)?;
        let rest = content.get(offset as usize..).filter(|rest| !rest.is_empty());
        let rest = rest.ok_or(NtStatus::END_OF_FILE)?;
        Ok(rest[..rest.len().min(length as usize)].to_vec())
    }
    fn write(&self, _: FileId, _: u64, _: &[u8]) -> Result<(), NtStatus> {
        Err(NtStatus::ACCESS_DENIED)
    }
    fn set_size(&self, _: FileId, _: u64) -> Result<(), NtStatus> {
        Err(NtStatus::ACCESS_DENIED)
    }
    fn facts(&self, file: FileId) -> Result<FileFacts, NtStatus> {
        let state = self.state.lock().unwrap();
        Ok(state.facts(state.path(file)?))
    }
    fn list(&self, directory: FileId) -> Result<Vec<FileFacts>, NtStatus> {
        let state = self.state.lock().unwrap();
        let start = format!(r"{}\", state.path(directory)?);
        let inside =
            |path: &&String| path.strip_prefix(&start).is_some_and(|rest| !rest.contains('\\'));
        Ok(state.files.keys().filter(inside).map(|path| state.facts(path)).collect())
    }
    fn set_delete_on_close(&self, _: FileId, _: bool) -> Result<(), NtStatus> {
        Err(NtStatus::ACCESS_DENIED)
    }
    fn notify_change(&self, _: FileId, _: u32, _: bool, done: NotifyDone) {
        self.state.lock().unwrap().watch = Some(done);
        self.debug_print("(watching)");
    }
    fn close(&self, file: FileId) {
        self.state.lock().unwrap().open.remove(&file.0);
    }
    fn key_exists(&self, key: &str) -> Result<(), NtStatus> {
        let known = self.state.lock().unwrap().keys.contains_key(&key.to_lowercase());
        if known { Ok(()) } else { Err(NtStatus::OBJECT_NAME_NOT_FOUND) }
    }
    fn create_key(&self, _: &str) -> Result<bool, NtStatus> {
        Err(NtStatus::ACCESS_DENIED)
    }
    fn delete_key(&self, _: &str) -> Result<(), NtStatus> {
        Err(NtStatus::ACCESS_DENIED)
    }
    fn subkeys(&self, _: &str) -> Result<Vec<String>, NtStatus> {
        Ok(Vec::new())
    }
    fn values(&self, key: &str) -> Result<Vec<RegistryValue>, NtStatus> {
        let state = self.state.lock().unwrap();
        state.keys.get(&key.to_lowercase()).cloned().ok_or(NtStatus::OBJECT_NAME_NOT_FOUND)
    }
    fn value(&self, key: &str, name: &str) -> Result<RegistryValue, NtStatus> {
        let values = self.values(key)?;
        let found = values.into_iter().find(|value| value.name.eq_ignore_ascii_case(name));
        found.ok_or(NtStatus::OBJECT_NAME_NOT_FOUND)
    }
    fn set_value(&self, _: &str, _: &RegistryValue) -> Result<(), NtStatus> {
        Err(NtStatus::ACCESS_DENIED)
    }
    fn delete_value(&self, _: &str, _: &str) -> Result<(), NtStatus> {
        Err(NtStatus::ACCESS_DENIED)
    }
    fn processor_taken(&self, taken: bool) {
        self.debug_print(if taken { "(taken)" } else { "(given back)" });
    }
    fn debug_print(&self, text: &str) {
        self.printed.lock().unwrap().send(text.trim_end().to_owned()).unwrap();
    }
}

const KEY: &str = r"\Registry\Machine\System\CurrentControlSet\Services\probe";

fn probe(image: Vec<u8>) -> Driver {
    Driver {
        name: "probe.sys".to_owned(),
        path: r"\SystemRoot\System32\drivers\probe.sys".to_owned(),
        service_key: KEY.to_owned(),
        image,
        check_checksum: false,
    }
}

fn kernel(host: Arc<Memory>) -> (Kernel, Receiver<StopReport>) {
    let (sender, receiver) = channel();
    let on_stop = Box::new(move |report| sender.send(report).unwrap());
    (Kernel::start(host, on_stop).unwrap(), receiver)
}

#[test]
fn a_well_behaved_driver_loads_runs_and_unloads() {
    let Some(image) = driver("benign") else { return };
    let (host, printed) = Memory::new();
    host.value(KEY, "Limit", 77);
    let (kernel, stopped) = kernel(host);
    let outcome = kernel.load_driver(&probe(image.clone())).unwrap();
    assert_eq!((outcome.status, outcome.entered), (NtStatus::SUCCESS, true));
    let names = kernel.modules().into_iter().map(|module| module.name).collect::<Vec<_>>();
    assert_eq!(names, ["ntoskrnl.exe", "probe.sys"]);
    assert_eq!(kernel.modules()[1].base >> 32, 0xFFFF_F800);
    let base = kernel.modules()[1].base;
    assert_eq!(kernel.read_memory(base, 2).unwrap(), b"MZ");

    let again = kernel.load_driver(&probe(image)).unwrap();
    assert_eq!(again.status, NtStatus::IMAGE_ALREADY_LOADED);

    assert_eq!(kernel.unload_driver("PROBE.SYS").unwrap(), NtStatus::SUCCESS);
    assert_eq!(kernel.unload_driver("probe.sys").unwrap(), NtStatus::NOT_FOUND);
    assert_eq!(kernel.modules().len(), 1);
    assert_eq!(kernel.wait_stop(Some(Duration::ZERO)), None);
    drop(kernel);
    // Killing the process on purpose is the end of the line, reported as the model's.
    assert!(stopped.try_iter().all(|report| report.cause == StopCause::Model));

    let mut lines = printed.try_iter().collect::<Vec<_>>();
    lines.sort();
    let mut expected = vec![
        format!("entry: {KEY}"),
        "Limit = 77 (16 bytes)".to_owned(),
        "thread: context 1234, waiting".to_owned(),
        "thread: done".to_owned(),
        "DPC ran at IRQL 2".to_owned(),
        "raised to 2 from 0".to_owned(),
        "pool aligned, tag Test".to_owned(),
        "unloaded".to_owned(),
    ];
    expected.sort();
    assert_eq!(lines, expected);
}

/// Loads the crashing driver and returns its stop.
fn crash(how: u32) -> Option<StopReport> {
    let image = driver("crash")?;
    let (host, printed) = Memory::new();
    host.value(KEY, "How", how);
    let (kernel, stopped) = kernel(host);
    let error = kernel.load_driver(&probe(image)).expect_err(&format!("how {how}"));
    let LoadError::Stopped { report, .. } = error else { panic!("{error}") };
    assert_eq!(stopped.recv_timeout(LIMIT).unwrap(), *report);
    assert_eq!(printed.try_iter().next().unwrap(), format!("crash {how}"));
    Some(*report)
}

#[test]
fn faults_become_the_bug_checks_of_the_table() {
    const WILD: u64 = 0xFFFF_8405_0000_0074;
    /// How, code, first two parameters (None: not compared), index of the instruction's parameter.
    type Row = (u32, u32, [Option<u64>; 2], Option<usize>);
    let table: [Row; 14] = [
        (1, 0x7E, [Some(0xFFFF_FFFF_C000_0005), None], Some(1)),
        (2, 0x50, [Some(WILD), Some(0)], Some(2)),
        (3, 0x50, [Some(WILD), Some(2)], Some(2)),
        (5, 0x7E, [Some(0xFFFF_FFFF_C000_0094), None], Some(1)),
        (7, 0xD1, [Some(0x10), Some(2)], Some(3)),
        (8, 0x7E, [Some(0xFFFF_FFFF_C000_0005), None], Some(1)),
        (9, 0x7E, [Some(0xFFFF_FFFF_C000_001D), None], Some(1)),
        (10, 0x7E, [Some(0xFFFF_FFFF_8000_0003), None], Some(1)),
        (11, 0x7F, [Some(8), Some(0)], None),
        (12, 0xBE, [None, Some(0)], None),
        (14, 0xC2, [Some(7), Some(0)], None),
        (15, 0x50, [None, Some(0)], Some(2)),
        (16, 0x139, [Some(3), Some(0)], None),
        (17, 0xD1, [Some(WILD), Some(2)], Some(3)),
    ];
    for (how, code, first, instruction) in table {
        let Some(report) = crash(how) else { return };
        assert_eq!(report.bug_check.code, code, "how {how}: {report:x?}");
        for (at, expected) in first.into_iter().enumerate() {
            if let Some(expected) = expected {
                assert_eq!(report.bug_check.parameters[at], expected, "how {how}: {report:x?}");
            }
        }
        assert_eq!(report.module.as_deref(), Some("probe.sys"), "how {how}: {report:x?}");
        let module = &report.modules[1];
        let inside = module.base..module.base + u64::from(module.size);
        assert!(inside.contains(&report.registers.rip), "how {how}: {report:x?}");
        if let Some(at) = instruction {
            assert_eq!(report.bug_check.parameters[at], report.registers.rip, "how {how}");
        }
    }
}

#[test]
fn execution_of_what_is_no_code_is_told_from_other_faults() {
    let Some(wild) = crash(4) else { return };
    assert_eq!(wild.bug_check.code, 0x50);
    assert_eq!(wild.bug_check.parameters[..2], [0xFFFF_8405_0000_0000, 0x10]);
    assert_eq!(wild.module, None);
    let data = crash(13).unwrap();
    assert_eq!(data.bug_check.code, 0xFC);
    assert_eq!(data.bug_check.parameters[0] >> 32, 0xFFFF_C080);
}

#[test]
fn calls_of_the_kernel_stop_with_the_callers_parameters() {
    let Some(report) = crash(6) else { return };
    assert_eq!(report.cause, StopCause::Called);
    assert_eq!(report.bug_check, BugCheck { code: 0xDEAD_BEEF, parameters: [1, 2, 3, 4] });
    assert_eq!(report.module.as_deref(), Some("probe.sys"));
    // The kernel's own copy routine faults for the driver: the kernel is to blame.
    let copy = crash(18).unwrap();
    assert_eq!(copy.bug_check.code, 0x50);
    assert_eq!(copy.module.as_deref(), Some("ntoskrnl.exe"));
}

/// Loads the crashing driver into a kernel whose documented times pass faster.
fn scaled(how: u32, scale: f64) -> Option<(Kernel, Receiver<StopReport>, Receiver<String>)> {
    let image = driver("crash")?;
    let (host, printed) = Memory::new();
    host.value(KEY, "How", how);
    let (sender, stopped) = channel();
    let on_stop = Box::new(move |report| sender.send(report).unwrap());
    let kernel = Kernel::start_scaled(host, on_stop, scale).unwrap();
    match kernel.load_driver(&probe(image)) {
        Ok(outcome) => assert_eq!(outcome.status, NtStatus::SUCCESS, "how {how}"),
        Err(error) => assert!(matches!(error, LoadError::Stopped { .. }), "how {how}: {error}"),
    }
    Some((kernel, stopped, printed))
}

#[test]
fn who_keeps_the_processor_is_stopped_by_the_watchdog() {
    for (how, parameters) in [(20, [1, 0x1E00, 0, 0]), (21, [0, 0x501, 0x500, 0])] {
        let Some((_kernel, stopped, printed)) = scaled(how, 60.0) else { return };
        let report = stopped.recv_timeout(LIMIT).unwrap();
        assert_eq!(report.bug_check, BugCheck { code: 0x133, parameters }, "how {how}");
        assert_eq!(report.cause, StopCause::System);
        assert_eq!(report.irql, 2);
        assert_eq!(report.module.as_deref(), Some("probe.sys"), "how {how}: {report:x?}");
        assert!(printed.try_iter().any(|line| line == "(taken)"), "how {how}");
    }
}

#[test]
fn who_lowers_the_irql_in_time_gives_the_processor_back() {
    let Some((kernel, stopped, printed)) = scaled(23, 1.0) else { return };
    let lines: Vec<String> = std::iter::from_fn(|| printed.recv_timeout(LIMIT).ok())
        .take_while(|line| line != "(given back)")
        .collect();
    assert_eq!(lines, ["crash 23", "(taken)"]);
    assert_eq!(kernel.wait_stop(Some(Duration::ZERO)), None);
    assert!(stopped.try_recv().is_err());
}

#[test]
fn a_driver_that_waits_for_a_session_goes_on_once_there_is_one() {
    let Some((kernel, stopped, printed)) = scaled(22, 1.0) else { return };
    assert_eq!(printed.recv_timeout(LIMIT).unwrap(), "crash 22");
    assert_eq!(printed.recv_timeout(LIMIT).unwrap(), "no session yet");
    assert_eq!(kernel.wait_stop(Some(Duration::ZERO)), None);
    kernel.begin_session();
    let report = stopped.recv_timeout(LIMIT).unwrap();
    assert_eq!(report.bug_check.code, 0x50);
    assert_eq!(report.bug_check.parameters[1], 2);
}

#[test]
fn the_loader_refuses_what_could_not_be_loaded() {
    let Some(good) = driver("crash") else { return };
    let status = |image: &[u8]| {
        check_boot_image(image).and_then(|()| check_imports(image)).map_err(|error| error.status())
    };
    assert_eq!(status(&good), Ok(()));
    let missing = driver("missing").unwrap();
    assert_eq!(status(&missing), Err(NtStatus::DRIVER_ENTRYPOINT_NOT_FOUND));
    // In the middle of the code; behind the last section only the checksum would tell.
    assert_eq!(status(&good[..0x500]), Err(NtStatus::INVALID_IMAGE_FORMAT));
    assert_eq!(status(b"not an image"), Err(NtStatus::INVALID_IMAGE_FORMAT));
    let mut changed = good;
    let last = changed.len() - 1;
    changed[last] ^= 1;
    assert_eq!(status(&changed), Err(NtStatus::IMAGE_CHECKSUM_MISMATCH));
}

#[test]
fn refused_images_have_the_status_of_windows() {
    let Some(image) = driver("missing") else { return };
    let (host, _printed) = Memory::new();
    let (kernel, _stopped) = kernel(host);
    let outcome = kernel.load_driver(&probe(image.clone())).unwrap();
    assert_eq!(outcome.status, NtStatus::DRIVER_ENTRYPOINT_NOT_FOUND);
    assert!(!outcome.entered);
    assert!(outcome.reason.unwrap().contains("NotThereAtAll"));

    let mut other = image.clone();
    let at = other.windows(13).position(|name| name == b"ntoskrnl.exe\0").unwrap();
    other[at..at + 3].copy_from_slice(b"xyz");
    assert_eq!(kernel.load_driver(&probe(other)).unwrap().status, NtStatus::DLL_NOT_FOUND);

    let mut arm = image.clone();
    let pe = u32::from_le_bytes(arm[0x3C..0x40].try_into().unwrap()) as usize;
    arm[pe + 4..pe + 6].copy_from_slice(&0xAA64_u16.to_le_bytes());
    let outcome = kernel.load_driver(&probe(arm)).unwrap();
    assert_eq!(outcome.status, NtStatus::INVALID_IMAGE_FORMAT);

    let parsed = pe::Image::parse(&image).unwrap();
    parsed.check_checksum(&image).unwrap();
    let mut flipped = image;
    let last = flipped.len() - 1;
    flipped[last] ^= 1;
    let outcome = kernel.load_driver(&Driver { check_checksum: true, ..probe(flipped) }).unwrap();
    assert_eq!(outcome.status, NtStatus::IMAGE_CHECKSUM_MISMATCH);
}

#[test]
fn a_driver_whose_entry_fails_is_removed() {
    let Some(image) = driver("crash") else { return };
    let (host, _printed) = Memory::new();
    host.value(KEY, "How", 0);
    let (kernel, _stopped) = kernel(host);
    let outcome = kernel.load_driver(&probe(image)).unwrap();
    assert_eq!((outcome.status, outcome.entered), (NtStatus::UNSUCCESSFUL, true));
    assert_eq!(kernel.modules().len(), 1);
}

#[test]
fn a_folder_is_read_and_watched_until_the_bad_file_arrives() {
    const FOLDER: &str = r"\SystemRoot\System32\drivers\CrowdStrike";
    let Some(image) = driver("content") else { return };
    let (host, printed) = Memory::new();
    host.file(FOLDER, None);
    host.file(&format!(r"{FOLDER}\C-00000291-00000000-00000029.sys"), Some(vec![0; 16]));
    host.file(&format!(r"{FOLDER}\C-00000292-00000000-00000001.sys"), Some(vec![1; 16]));
    let (kernel, stopped) = kernel(Arc::clone(&host));
    assert_eq!(kernel.load_driver(&probe(image)).unwrap().status, NtStatus::SUCCESS);
    let next = || printed.recv_timeout(LIMIT).unwrap();
    assert_eq!(next(), "c-00000291-00000000-00000029.sys: 00000000, 16 bytes");
    assert_eq!(next(), "end of list: 80000006");
    assert_eq!(next(), "(watching)");

    let bad = "C-00000291-00000000-00000032.sys";
    let mut content = 0xFFFF_8405_0000_0074_u64.to_le_bytes().to_vec();
    content.extend_from_slice(&[0; 8]);
    host.file(&format!(r"{FOLDER}\{bad}"), Some(content));
    host.changed(bad);
    let report = stopped.recv_timeout(LIMIT).unwrap();
    assert_eq!(report.bug_check.code, 0x50);
    assert_eq!(report.bug_check.parameters[0], 0xFFFF_8405_0000_0074);
    assert_eq!(report.bug_check.parameters[2], report.registers.rip);
    assert_eq!(report.module.as_deref(), Some("probe.sys"));
    assert_eq!(next(), "changed: 00000000, 76 bytes");
    let stack = kernel.read_memory(report.registers.rsp, 64);
    assert!(stack.is_some(), "{report:x?}");
}

/// The driver and the content files of the main scenario, as the harness makes them.
mod incident {
    use faults::content::{Field, build as content};
    use faults::driver::{ContentDriverOptions, DriverKind, build};

    use super::*;

    const FOLDER: &str = r"\SystemRoot\System32\drivers\CrowdStrike";
    const KEY: &str = r"\Registry\Machine\System\CurrentControlSet\Services\csagent";

    fn sensor() -> Driver {
        sensor_that_looks(faults::driver::Trigger::Entry)
    }

    fn sensor_that_looks(first_look: faults::driver::Trigger) -> Driver {
        let options = ContentDriverOptions { first_look, ..ContentDriverOptions::default() };
        Driver {
            name: "csagent.sys".to_owned(),
            path: format!(r"{FOLDER}\csagent.sys"),
            service_key: KEY.to_owned(),
            image: build(&DriverKind::ContentDriver(options)).unwrap(),
            check_checksum: true,
        }
    }

    fn template(last: Field) -> Vec<u8> {
        content(&[vec![Field::Wildcard; 20], vec![last]].concat())
    }

    fn host() -> (Arc<Memory>, Receiver<String>) {
        let (host, printed) = Memory::new();
        host.value(KEY, "Start", 1);
        let folder = FOLDER.encode_utf16().chain([0]).flat_map(u16::to_le_bytes).collect();
        let value = RegistryValue { name: "ContentFolder".to_owned(), kind: 1, data: folder };
        let parameters = format!(r"{KEY}\Parameters").to_lowercase();
        host.state.lock().unwrap().keys.insert(parameters, vec![value]);
        host.file(FOLDER, None);
        let good = template(Field::Wildcard);
        host.file(&format!(r"{FOLDER}\C-00000291-00000000-00000029.sys"), Some(good));
        (host, printed)
    }

    fn bad() -> Vec<u8> {
        template(Field::Pattern(b"\\\\.\\pipe\\x".to_vec()))
    }

    fn check(report: &StopReport) {
        assert_eq!(report.bug_check.code, 0x50, "{report:x?}");
        let [address, access, instruction, kind] = report.bug_check.parameters;
        assert!(layout::is_upper_half(address), "{report:x?}");
        assert_eq!((access, kind), (0, 2));
        assert_eq!(instruction, report.registers.rip);
        assert_eq!(report.module.as_deref(), Some("csagent.sys"));
    }

    #[test]
    fn the_bad_file_that_arrives_stops_the_machine() {
        let (host, printed) = host();
        let (kernel, stopped) = kernel(Arc::clone(&host));
        let outcome = kernel.load_driver(&sensor()).unwrap();
        assert_eq!((outcome.status, outcome.reason), (NtStatus::SUCCESS, None));
        while printed.recv_timeout(LIMIT).unwrap() != "(watching)" {}
        assert_eq!(kernel.wait_stop(Some(Duration::ZERO)), None);
        let name = "C-00000291-00000000-00000032.sys";
        host.file(&format!(r"{FOLDER}\{name}"), Some(bad()));
        host.changed(name);
        check(&stopped.recv_timeout(LIMIT).unwrap());
    }

    #[test]
    fn a_sensor_that_looks_late_gives_an_updater_time() {
        let session = faults::driver::Trigger::Session(faults::driver::Delay { seconds: 0 });
        let bad_file = format!(r"{FOLDER}\C-00000291-00000000-00000032.sys");
        for replaced in [false, true] {
            let (host, printed) = host();
            host.file(&bad_file, Some(bad()));
            let (kernel, stopped) = kernel(Arc::clone(&host));
            let outcome = kernel.load_driver(&sensor_that_looks(session)).unwrap();
            assert_eq!((outcome.status, outcome.reason), (NtStatus::SUCCESS, None));
            assert_eq!(kernel.wait_stop(Some(Duration::ZERO)), None);
            if replaced {
                host.file(&bad_file, Some(template(Field::Wildcard)));
            }
            kernel.begin_session();
            if replaced {
                while printed.recv_timeout(LIMIT).unwrap() != "(watching)" {}
                assert_eq!(kernel.wait_stop(Some(Duration::ZERO)), None);
            } else {
                check(&stopped.recv_timeout(LIMIT).unwrap());
            }
        }
    }

    #[test]
    fn the_bad_file_stops_every_start_and_its_dump_says_so() {
        let (host, _printed) = host();
        host.file(&format!(r"{FOLDER}\C-00000291-00000000-00000032.sys"), Some(bad()));
        let mut seen = Vec::new();
        for _ in 0..2 {
            let (kernel, _stopped) = kernel(Arc::clone(&host));
            let Err(LoadError::Stopped { report, .. }) = kernel.load_driver(&sensor()) else {
                panic!("the driver did not stop the machine");
            };
            check(&report);
            let memory = crash_dump::kernel_memory(kernel.pid());
            assert!(memory.len() > 4, "{}", memory.len());
            let builder =
                crash_dump::builder(&report, memory, winfmt::FileTime::now(), 600_000_000);
            for bytes in [builder.build_kernel().unwrap(), builder.build_small().unwrap()] {
                let mut dump = winfmt::dump::Dump::open(std::io::Cursor::new(&bytes)).unwrap();
                let summary = dump.summary().unwrap();
                assert_eq!(summary.bug_check.parameters, report.bug_check.parameters);
                assert_eq!(summary.module.as_deref(), Some("csagent.sys"));
                assert!(bytes.len() < 8 << 20, "{}", bytes.len());
                if summary.kind == winfmt::dump::DumpKind::BitmapKernel {
                    let code = dump.read(report.registers.rip, 4).unwrap().unwrap();
                    assert_eq!(code, kernel.read_memory(report.registers.rip, 4).unwrap());
                    assert!(dump.read(report.registers.rsp, 64).unwrap().is_some());
                }
            }
            seen.push(report);
        }
        // The same machine stops in the same way: this is what a signature rests on.
        assert_eq!(seen[0].bug_check, seen[1].bug_check);
    }
}

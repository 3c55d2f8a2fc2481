//! Logs that Windows wrote, and small ones that are made here to be damaged.

use proptest::prelude::*;

use super::*;

fn artifact(name: &str) -> Option<Vec<u8>> {
    let beside = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/artifacts");
    let folder = std::env::var("LOOPBREAK_ARTIFACTS").unwrap_or_else(|_| beside.to_owned());
    match std::fs::read(format!("{folder}/evtx/{name}")) {
        Ok(bytes) => Some(bytes),
        Err(error) => {
            println!("skipped: {folder}/evtx/{name}: {error}; set LOOPBREAK_ARTIFACTS");
            None
        }
    }
}

fn count(log: &EventLog, provider: &str, id: u32) -> usize {
    log.events.iter().filter(|event| event.provider == provider && event.id == id).count()
}

/// The counts are those of the crate `evtx` 0.15, an independent reader, for the same files.
#[test]
fn a_server_that_was_switched_off() {
    let Some(bytes) = artifact("system-2008r2-dc.evtx") else { return };
    let log = EventLog::read(&bytes).unwrap();
    assert_eq!((log.records, log.unreadable, log.open), (5009, 0, false));
    assert_eq!(log.damage, Vec::<String>::new());
    assert_eq!(count(&log, "Microsoft-Windows-Kernel-Power", 41), 2);
    assert_eq!(count(&log, "EventLog", 6008), 1);
    assert_eq!(count(&log, "EventLog", 6005), 8);
    assert_eq!(count(&log, "EventLog", 6006), 6);
    let restarts: Vec<_> =
        log.of(|kind| matches!(kind, EventKind::UnexpectedRestart { .. })).collect();
    let button = |pressed| EventKind::UnexpectedRestart {
        bugcheck_code: Some(0),
        parameters: vec![0; 4],
        power_button_timestamp: Some(pressed),
    };
    assert_eq!(restarts[0].kind, button(0));
    assert_eq!(restarts[1].kind, button(130_849_833_260_468_750));
    assert_eq!(restarts[1].record, 1046);
    assert_eq!(restarts[1].time.unwrap().to_string(), "2015-08-25T15:40:40.453125Z");
    let dirty = log.of(|kind| matches!(kind, EventKind::DirtyShutdown { .. })).next().unwrap();
    let EventKind::DirtyShutdown { last_alive, .. } = dirty.kind else { panic!() };
    // Its text says "1:34:44 PM on 8/25/2015".
    assert_eq!(last_alive.unwrap().to_string(), "2015-08-25T13:34:44.796Z");
}

#[test]
fn a_machine_that_starts_cleanly() {
    let Some(bytes) = artifact("system-win10.evtx") else { return };
    let log = EventLog::read(&bytes).unwrap();
    assert_eq!((log.records, log.unreadable), (1881, 0));
    assert_eq!(count(&log, "Microsoft-Windows-Kernel-Power", 41), 0);
    assert_eq!(count(&log, "EventLog", 6008), 0);
    let boot = "Microsoft-Windows-Kernel-Boot";
    assert_eq!([18, 20, 27].map(|id| count(&log, boot, id)), [3, 2, 3]);
    let good = EventKind::LastBoot { shutdown_good: Some(true), boot_good: Some(true) };
    assert_eq!(log.of(|kind| *kind == good).count(), 2);
    assert_eq!(log.of(|kind| *kind == EventKind::BootType { number: Some(0) }).count(), 3);
}

/// Microsoft's own cloud filter driver is not supported on that machine, and two drivers were not loaded.
#[test]
fn drivers_that_did_not_start() {
    let Some(bytes) = artifact("system-win10.evtx") else { return };
    let log = EventLog::read(&bytes).unwrap();
    let not_started: Vec<(u64, &EventKind)> =
        log.of(EventKind::is_not_started).map(|event| (event.record, &event.kind)).collect();
    let failed = EventKind::StartFailed {
        service: Some("CldFlt".to_owned()),
        display_name: "CldFlt".to_owned(),
        error: Some(50),
    };
    let not_loaded = |names: &[&str]| EventKind::DriversNotLoaded {
        names: names.iter().map(|name| (*name).to_owned()).collect(),
    };
    assert_eq!(
        not_started,
        [
            (35, &failed),
            (44, &not_loaded(&["CSC", "dam"])),
            (211, &failed),
            (214, &not_loaded(&["dam"])),
            (343, &failed),
            (348, &not_loaded(&["dam"])),
        ]
    );
}

/// Whole pages of one are zeros; the other ends inside its third chunk, where the crate `evtx` stops
/// after two (194 records).
#[test]
fn damaged_logs_give_what_is_left() {
    let Some(bytes) = artifact("bad-chunk-magic.evtx") else { return };
    let log = EventLog::read(&bytes).unwrap();
    assert_eq!((log.records, log.unreadable), (301, 3));
    assert!(log.damage.iter().any(|what| what.contains("0x61000 has no header")), "{log:?}");
    // The first chunk alone has 14 records before its gap.
    let before_the_gap = &bytes[..0x3198];
    assert_eq!(EventLog::read(before_the_gap).unwrap().records, 14);
    let Some(bytes) = artifact("security-truncated.evtx") else { return };
    let log = EventLog::read(&bytes).unwrap();
    assert_eq!((log.records, log.unreadable), (283, 1));
    assert_eq!((log.oldest.unwrap().record, log.newest.unwrap().record), (1, 283));
    assert_eq!(EventLog::read(&bytes[..4096 + 2 * 65_536]).unwrap().records, 194);
}

#[test]
fn a_log_of_windows_xp() {
    let Some(bytes) = artifact("SysEvent-xp.Evt") else { return };
    let log = EventLog::read(&bytes).unwrap();
    // As many as there are record marks in the file, the header and the end left out.
    assert_eq!((log.records, log.unreadable, log.open), (6500, 0, true));
    assert_eq!((count(&log, "EventLog", 6005), count(&log, "EventLog", 6006)), (24, 18));
    assert_eq!(count(&log, "EventLog", 6008), 0);
}

fn utf16(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_le_bytes).collect()
}

/// Writes a chunk with records.
struct Writer {
    chunk: Vec<u8>,
    count: u64,
}

impl Writer {
    fn new() -> Self {
        let mut chunk = b"ElfChnk\0".to_vec();
        chunk.resize(512, 0);
        Self { chunk, count: 0 }
    }

    fn name(&mut self, name: &str) {
        let here = self.chunk.len() as u32 + 4;
        self.chunk.extend(here.to_le_bytes());
        self.chunk.extend([0; 6]);
        self.chunk.extend((name.encode_utf16().count() as u16).to_le_bytes());
        self.chunk.extend(utf16(name));
        self.chunk.extend([0, 0]);
    }

    fn begin(&mut self, name: &str, attributes: &[(&str, &str)]) {
        self.chunk.push(if attributes.is_empty() { 0x01 } else { 0x41 });
        self.chunk.extend([0; 6]);
        self.name(name);
        if !attributes.is_empty() {
            self.chunk.extend([0; 4]);
        }
        for (attribute, value) in attributes {
            self.chunk.push(0x06);
            self.name(attribute);
            self.value(value);
        }
        self.chunk.push(0x02);
    }

    fn value(&mut self, text: &str) {
        self.chunk.extend([0x05, 0x01]);
        self.chunk.extend((text.encode_utf16().count() as u16).to_le_bytes());
        self.chunk.extend(utf16(text));
    }

    fn element(&mut self, name: &str, attributes: &[(&str, &str)], text: &str) {
        self.begin(name, attributes);
        self.value(text);
        self.chunk.push(0x04);
    }

    fn record(&mut self, body: impl FnOnce(&mut Self)) {
        self.count += 1;
        let start = self.chunk.len();
        self.chunk.extend(0x2a2au32.to_le_bytes());
        self.chunk.extend([0; 4]);
        self.chunk.extend(self.count.to_le_bytes());
        self.chunk.extend(133_658_572_370_000_000u64.to_le_bytes());
        self.chunk.extend([0x0f, 1, 1, 0]);
        body(self);
        self.chunk.push(0);
        while !(self.chunk.len() - start + 4).is_multiple_of(8) {
            self.chunk.push(0);
        }
        let size = (self.chunk.len() - start + 4) as u32;
        self.chunk.extend(size.to_le_bytes());
        self.chunk[start + 4..start + 8].copy_from_slice(&size.to_le_bytes());
    }

    fn event(&mut self, provider: &str, id: u32, data: &[(&str, &str)]) {
        self.record(|writer| {
            writer.begin("Event", &[]);
            writer.begin("System", &[]);
            writer.element("Provider", &[("Name", provider)], "");
            writer.element("EventID", &[], &id.to_string());
            writer.element("TimeCreated", &[("SystemTime", "2024-07-19T04:09:00Z")], "");
            writer.chunk.push(0x04);
            writer.begin("EventData", &[]);
            for (name, value) in data {
                writer.element("Data", &[("Name", name)], value);
            }
            writer.chunk.extend([0x04, 0x04]);
        });
    }

    fn file(mut self) -> Vec<u8> {
        let end = self.chunk.len() as u32;
        self.chunk[48..52].copy_from_slice(&end.to_le_bytes());
        self.chunk.resize(65_536, 0);
        let mut file = b"ElfFile\0".to_vec();
        file.resize(4096, 0);
        file.extend(self.chunk);
        file
    }
}

fn sample() -> Vec<u8> {
    let mut writer = Writer::new();
    let stop = [
        ("BugcheckCode", "80"),
        ("BugcheckParameter1", "0xffff8a0000000156"),
        ("BugcheckParameter2", "0x0"),
        ("BugcheckParameter3", "0xfffff80312341234"),
        ("BugcheckParameter4", "0x2"),
        ("PowerButtonTimestamp", "0"),
    ];
    writer.event("Service Control Manager", 7036, &[("param1", "x")]);
    writer.event("Microsoft-Windows-Kernel-Power", 41, &stop);
    writer.event("EventLog", 6005, &[]);
    writer.file()
}

#[test]
fn a_stop_is_told_with_its_code() {
    let log = EventLog::read(&sample()).unwrap();
    assert_eq!((log.records, log.events.len()), (3, 2));
    assert_eq!(log.events[0].time.unwrap().to_string(), "2024-07-19T04:09:00Z");
    assert_eq!(
        log.events[0].kind,
        EventKind::UnexpectedRestart {
            bugcheck_code: Some(0x50),
            parameters: vec![0xffff_8a00_0000_0156, 0, 0xffff_f803_1234_1234, 2],
            power_button_timestamp: Some(0),
        }
    );
    let json = serde_json::to_value(&log.events[0]).unwrap();
    assert_eq!(json["kind"]["what"], "unexpected-restart");
    assert_eq!(json["kind"]["bugcheck-code"], 80);
    assert_eq!(serde_json::from_value::<Event>(json).unwrap(), log.events[0]);
}

#[test]
fn a_template_in_itself_ends() {
    let mut writer = Writer::new();
    writer.record(|writer| {
        // A template whose body is an instance of itself: its definition lies right behind.
        let instance = |writer: &mut Writer, definition: u32| {
            writer.chunk.extend([0x0c, 1, 0, 0, 0, 0]);
            writer.chunk.extend(definition.to_le_bytes());
        };
        let definition = writer.chunk.len() as u32 + 10;
        instance(writer, definition);
        writer.chunk.extend([0; 20]);
        writer.chunk.extend(64u32.to_le_bytes());
        instance(writer, definition);
        writer.chunk.extend([0; 60]);
    });
    let log = EventLog::read(&writer.file()).unwrap();
    assert_eq!((log.records, log.unreadable), (0, 1));
    assert!(log.damage[0].ends_with("nested too deep"), "{:?}", log.damage);
}

/// 400 holes, each filled with a fragment of 400 holes, … : far more work than bytes.
#[test]
fn work_is_limited() {
    let mut writer = Writer::new();
    writer.record(|writer| {
        let holes = [0x0d, 0, 0, 0x21].repeat(400);
        let nested_size = (holes.len() + 10 + 24 + 4) as u32;
        let definition = writer.chunk.len() as u32 + 10;
        writer.chunk.extend([0x0c, 1, 0, 0, 0, 0]);
        writer.chunk.extend(definition.to_le_bytes());
        writer.chunk.extend([0; 20]);
        writer.chunk.extend((holes.len() as u32).to_le_bytes());
        writer.chunk.extend(&holes);
        // One value: a fragment that is an instance of the same template, with itself as its value.
        writer.chunk.extend(1u32.to_le_bytes());
        writer.chunk.extend((nested_size as u16).to_le_bytes());
        writer.chunk.extend([0x21, 0]);
        writer.chunk.extend([0x0c, 1, 0, 0, 0, 0]);
        writer.chunk.extend(definition.to_le_bytes());
        writer.chunk.extend(1u32.to_le_bytes());
        writer.chunk.extend([8, 0, 0x81, 0]);
        writer.chunk.extend(utf16("abcd"));
        writer.chunk.extend([0; 64]);
    });
    let mut file = writer.file();
    let chunk = file[4096..].to_vec();
    for _ in 0..40 {
        file.extend(&chunk);
    }
    // Without a limit it would not come back: each level has four hundred times the work of the one above.
    let log = EventLog::read(&file).unwrap();
    assert_eq!(log.records + log.unreadable, 41);
}

#[test]
fn what_is_no_log_is_refused() {
    let error = EventLog::read(b"regf\0\0\0\0\0\0").unwrap_err();
    assert!(error.to_string().contains("72 65 67 66"), "{error}");
    assert!(matches!(EventLog::read(b"ElfFile\0"), Err(EventLogError::Short { size: 8, .. })));
    assert!(matches!(EventLog::read(b"0\0\0\0LfLe"), Err(EventLogError::Short { .. })));
    assert!(EventLog::read(b"").is_err());
}

/// A record as Windows XP wrote it.
fn old_record(number: u32, source: &str, id: u32, strings: &[&str]) -> Vec<u8> {
    let mut tail: Vec<u8> = utf16(source);
    tail.extend([0, 0]);
    tail.extend(utf16("HOST\0"));
    let strings_at = 56 + tail.len() as u32;
    for text in strings {
        tail.extend(utf16(text));
        tail.extend([0, 0]);
    }
    while !tail.len().is_multiple_of(4) {
        tail.push(0);
    }
    let size = 56 + tail.len() as u32 + 4;
    let mut record = Vec::new();
    for word in [size, 0x654c_664c, number, 1_340_000_000, 1_340_000_000, id] {
        record.extend(word.to_le_bytes());
    }
    for half in [1, strings.len() as u16, 0, 0] {
        record.extend(half.to_le_bytes());
    }
    for word in [0, strings_at, 0, 0, 0, 0] {
        record.extend(u32::to_le_bytes(word));
    }
    record.extend(tail);
    record.extend(size.to_le_bytes());
    record
}

fn old_log(records: &[u8]) -> Vec<u8> {
    let mut file = 0x30u32.to_le_bytes().to_vec();
    file.extend(b"LfLe");
    file.resize(48, 0);
    file.extend(records);
    file
}

#[test]
fn an_old_record_that_wraps_is_read() {
    let stop = "0x100000d1 (0x00000004, 0x00000002, 0x00000000, 0xf8a1b2c3)";
    let wrapped = old_record(2, "Save Dump", 1001, &[stop, r"C:\WINDOWS\Minidump\Mini1.dmp"]);
    let (first, rest) = wrapped.split_at(100);
    let mut records = rest.to_vec();
    records.extend(old_record(1, "EventLog", 6005, &[]));
    records.extend(first);
    let log = EventLog::read(&old_log(&records)).unwrap();
    assert_eq!(log.records, 2);
    assert_eq!(log.events[0].kind, EventKind::LogStarted);
    assert_eq!(
        log.events[1].kind,
        EventKind::BugcheckReported {
            bugcheck_code: Some(0x1000_00d1),
            parameters: vec![4, 2, 0, 0xf8a1_b2c3],
            dump: Some(r"C:\WINDOWS\Minidump\Mini1.dmp".to_owned()),
        }
    );
    // Cut off, the log has no whole record at its end.
    let cut = old_log(&records[..records.len() - 50]);
    assert_eq!(EventLog::read(&cut).unwrap().records, 1);
}

proptest! {
    #[test]
    fn no_damage_is_too_odd(
        edits in prop::collection::vec((4096usize..6500, any::<u8>()), 1..12),
        keep in 4000usize..70_000,
    ) {
        let mut file = sample();
        for (at, byte) in edits {
            file[at] = byte;
        }
        file.truncate(keep);
        if let Ok(log) = EventLog::read(&file) {
            prop_assert!(log.records + log.unreadable <= 2000);
        }
    }

    #[test]
    fn no_old_log_is_too_odd(
        edits in prop::collection::vec((0usize..400, any::<u8>()), 0..8),
        keep in 0usize..400,
    ) {
        let mut records = old_record(1, "EventLog", 6008, &["a", "b"]);
        records.extend(old_record(2, "EventLog", 6006, &[]));
        let mut file = old_log(&records);
        let size = file.len();
        for (at, byte) in edits {
            file[at % size] = byte;
        }
        file.truncate(keep);
        let _ = EventLog::read(&file);
    }
}

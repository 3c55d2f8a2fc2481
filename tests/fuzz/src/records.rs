//! Small files: boot status, crash dumps, settings, image headers.

use std::io::Cursor;
use std::sync::LazyLock;

use winfmt::bootstat::{BootStatus, Record};
use winfmt::dump::{Builder, Context, Dump, Module, Segment};
use winfmt::reagent::ReAgent;
use winfmt::recovery_settings::RecoverySettings;
use winfmt::wim;
use winfmt::wim::WimHeader;

use crate::hives::{clock, guid};
use crate::patch;

static STATUS: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let mut status = BootStatus::create();
    for number in 0..4 {
        status.append(Record::launch_os(guid(number))).expect("there is room");
    }
    status.to_bytes()
});

/// The input changes a sound boot status file.
pub(crate) fn boot_status(input: &[u8]) {
    let Ok(mut status) = BootStatus::parse(patch::applied(&STATUS, input)) else { return };
    if let Ok(log) = status.log() {
        for record in log.records() {
            let _ =
                (record.time(), record.boot_id(), record.entry(), record.path(), record.status());
        }
    }
    if status.append(Record::launch_os(guid(9))).is_ok() {
        let again = BootStatus::parse(status.to_bytes()).expect("what was written parses");
        assert!(again.log().is_ok_and(|log| !log.records().is_empty()));
    }
}

static DUMP: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let module = |name: &str, base| Module {
        name: name.to_owned(),
        path: format!(r"\SystemRoot\System32\drivers\{name}"),
        base,
        size: 0x4000,
        entry: base + 0x1000,
        checksum: 1,
        timestamp: 2,
    };
    let base = 0xffff_f800_0000_0000;
    let segment =
        |address| Segment { address, bytes: vec![0x90; 0x2000], write: true, execute: true };
    Builder {
        code: 0x50,
        parameters: [1, 2, 3, 4],
        context: Context { general: [1; 16], rip: base + 0x11_0010, eflags: 2 },
        exception: None,
        time: clock(),
        up_time: 5,
        build: 26100,
        comment: "fuzz".to_owned(),
        modules: vec![module("ntoskrnl.exe", base), module("csagent.sys", base + 0x11_0000)],
        segments: vec![segment(base), segment(base + 0x11_0000)],
        structures: base + 0x100_0000,
    }
    .build_kernel()
    .expect("it is small")
});

/// The input changes a sound dump.
pub(crate) fn dump(input: &[u8]) {
    let Ok(mut dump) = Dump::open(Cursor::new(patch::applied(&DUMP, input))) else { return };
    let _ = (dump.bug_check(), dump.summary(), dump.modules());
    for address in [dump.instruction(), 0, u64::MAX - 7, 0xffff_f800_0000_0ff0] {
        let _ = dump.read(address, 64);
    }
}

/// The input is a settings file of the recovery environment, of either kind.
pub(crate) fn xml(input: &[u8]) {
    if let Ok(settings) = RecoverySettings::parse(input) {
        let again = RecoverySettings::parse(settings.to_xml().as_bytes());
        assert_eq!(again.ok(), Some(settings), "what was written parses to the same");
    }
    if let Ok(agent) = ReAgent::parse(input) {
        let again = ReAgent::parse(agent.to_xml().as_bytes());
        assert_eq!(again.ok(), Some(agent), "what was written parses to the same");
    }
}

pub(crate) fn xml_seeds() -> Vec<(&'static str, Vec<u8>)> {
    let settings = "<?xml version='1.0' encoding='utf-8'?><WindowsRE><WifiCredential>\
        <Wifi ssid=\"a\" password=\"b\"/></WifiCredential><CloudRemediation state=\"1\"/>\
        <AutoRemediation state=\"1\" totalwaittime=\"2400\" waitinterval=\"120\"/></WindowsRE>";
    let agent = "<?xml version='1.0' encoding='utf-8'?><WindowsRE version=\"2.0\">\
        <WinreBCD id=\"{5189b25c-5558-4bf2-bca4-289b11bd29e2}\"/><WinreLocation path=\"\\Recovery\\WindowsRE\" \
        id=\"0\" offset=\"1048576\" guid=\"{5189b25c-5558-4bf2-bca4-289b11bd29e2}\"/>\
        <InstallState state=\"1\"/></WindowsRE>";
    vec![("settings", settings.into()), ("agent", agent.into())]
}

/// The input is a Windows image file.
pub(crate) fn wim(input: &[u8]) {
    if let Ok(header) = WimHeader::parse(input) {
        let _ = (header.compression(), header.xml_text(input));
    }
}

pub(crate) fn wim_seeds() -> Vec<(&'static str, Vec<u8>)> {
    vec![("empty", wim::empty_image(guid(1), "WinRE", clock()))]
}

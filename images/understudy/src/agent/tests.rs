//! The agent against a real, small NTFS volume in memory.

use std::sync::Arc;
use std::sync::mpsc::channel;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};
use volume::{FileTime, MemoryDevice, Ntfs, NtfsFormat};
use winfmt::hive::{Data, Hive};

use super::EndProcess;
use super::commands::{Agent, Wish};
use crate::kernel::{Change, ChangeAction, NotifyDone};
use crate::storage::{Drive, Registry};

fn agent() -> (Agent, Arc<Drive>) {
    let format = NtfsFormat { label: "C".into(), serial: 1, time: FileTime::UNIX_EPOCH };
    let volume = Ntfs::format(MemoryDevice::zeroed(16 << 20), &format).expect("a volume");
    let drive = Arc::new(Drive::new(Box::new(volume)));
    drive.create_dir_all("\\Windows\\System32\\config").expect("folders");
    let mut system = Hive::create("ROOT").expect("a hive");
    system.set_value("ControlSet001\\Control", "Answer", &Data::dword(42)).expect("set");
    let software = Hive::create("ROOT").expect("a hive");
    let registry =
        Registry::mount(Arc::clone(&drive), system, software, "ControlSet001".to_owned());
    let end_process = EndProcess::new(|name| name == "lsass.exe");
    let name = "TEST".to_owned();
    (Agent::new(Arc::clone(&drive), Arc::new(registry), name, end_process), drive)
}

fn ask(agent: &mut Agent, request: Value) -> Value {
    let answer = agent.answer(request.to_string().as_bytes());
    serde_json::from_slice(&answer.bytes).expect("an answer in JSON")
}

fn exec(agent: &mut Agent, path: &str, args: &[&str]) -> (i64, String) {
    let arguments = json!({"path": path, "arg": args, "capture-output": true});
    let started = ask(agent, json!({"execute": "guest-exec", "arguments": arguments}));
    let pid = started["return"]["pid"].as_i64().expect("a pid");
    loop {
        let status = ask(agent, json!({"execute": "guest-exec-status", "arguments": {"pid": pid}}));
        if status["return"]["exited"] == json!(true) {
            let data = status["return"]["out-data"].as_str().unwrap_or_default();
            let out = BASE64.decode(data).expect("base64");
            let code = status["return"]["exitcode"].as_i64().expect("a code");
            return (code, String::from_utf8(out).expect("text"));
        }
        std::thread::yield_now();
    }
}

#[test]
fn synchronising_answers_with_the_delimiter() {
    let (mut agent, _) = agent();
    let request = json!({"execute": "guest-sync-delimited", "arguments": {"id": 77}});
    let answer = agent.answer(request.to_string().as_bytes());
    assert_eq!(answer.bytes, b"\xff{\"return\":77}\n");
}

#[test]
fn processes_are_ended_by_name() {
    let (mut agent, _) = agent();
    let (code, out) = exec(&mut agent, "taskkill", &["/F", "/IM", "LSASS.exe"]);
    assert_eq!((code, out.starts_with("SUCCESS")), (0, true), "{out}");
    assert_eq!(exec(&mut agent, "taskkill", &["/f", "/im", "other.exe"]).0, 128);
    assert_eq!(exec(&mut agent, "taskkill", &["/im", "lsass.exe"]).0, 1);
}

#[test]
fn it_says_what_it_is() {
    let (mut agent, _) = agent();
    let info = ask(&mut agent, json!({"execute": "guest-get-osinfo"}));
    assert_eq!(info["return"]["id"], "understudy");
    let unknown = ask(&mut agent, json!({"execute": "guest-fly"}));
    assert_eq!(unknown["error"]["class"], "CommandNotFound");
    let broken = agent.answer(b"{");
    assert!(String::from_utf8_lossy(&broken.bytes).contains("GenericError"));
}

#[test]
fn a_written_file_is_announced_at_creation_and_at_close() {
    let (mut agent, drive) = agent();
    let (sender, told) = channel();
    let watch = |sender: std::sync::mpsc::Sender<Vec<Change>>| {
        NotifyDone::new(move |answer| {
            sender.send(answer.expect("changes")).expect("the test listens");
        })
    };
    drive.watch(1, "\\Windows", 0x1F, false, watch(sender.clone()));
    let arguments = json!({"path": "C:\\Windows\\a.bin", "mode": "wb"});
    let opened = ask(&mut agent, json!({"execute": "guest-file-open", "arguments": arguments}));
    let handle = opened["return"].as_i64().expect("a handle");
    let change = |action| vec![Change { action, name: "a.bin".to_owned() }];
    assert_eq!(told.try_recv().expect("told of the creation"), change(ChangeAction::Added));

    drive.watch(1, "\\Windows", 0x1F, false, watch(sender));
    let arguments = json!({"handle": handle, "buf-b64": BASE64.encode(b"contents")});
    let written = ask(&mut agent, json!({"execute": "guest-file-write", "arguments": arguments}));
    assert_eq!(written["return"]["count"], 8);
    assert!(told.try_recv().is_err(), "the file is not closed yet");
    ask(&mut agent, json!({"execute": "guest-file-close", "arguments": {"handle": handle}}));
    assert_eq!(told.try_recv().expect("told of the close"), change(ChangeAction::Modified));
    assert_eq!(drive.read("\\Windows\\a.bin").expect("read"), b"contents");
}

#[test]
fn files_are_read_in_parts() {
    let (mut agent, drive) = agent();
    drive.write("\\x.txt", b"0123456789").expect("written");
    let arguments = json!({"path": "C:/x.txt"});
    let opened = ask(&mut agent, json!({"execute": "guest-file-open", "arguments": arguments}));
    let handle = opened["return"].as_i64().expect("a handle");
    let read = |agent: &mut Agent| {
        let arguments = json!({"handle": handle, "count": 6});
        let got = ask(agent, json!({"execute": "guest-file-read", "arguments": arguments}));
        let data = BASE64.decode(got["return"]["buf-b64"].as_str().expect("data")).expect("base64");
        (String::from_utf8(data).expect("text"), got["return"]["eof"].as_bool())
    };
    assert_eq!(read(&mut agent), ("012345".to_owned(), Some(false)));
    assert_eq!(read(&mut agent), ("6789".to_owned(), Some(true)));
    let missing = json!({"path": "C:\\nothing"});
    let refused = ask(&mut agent, json!({"execute": "guest-file-open", "arguments": missing}));
    assert!(refused["error"]["desc"].as_str().expect("why").contains("C:\\nothing"));
}

#[test]
fn commands_run_and_leave_their_output() {
    let (mut agent, drive) = agent();
    assert_eq!(exec(&mut agent, "hostname.exe", &[]), (0, "TEST\r\n".to_owned()));
    drive.write("\\Windows\\a.txt", b"hello").expect("written");
    let cmd = "C:\\Windows\\System32\\cmd.exe";
    assert_eq!(exec(&mut agent, cmd, &["/c", "type C:\\Windows\\a.txt"]), (0, "hello".to_owned()));
    let (code, listing) = exec(&mut agent, cmd, &["/c", "dir", "C:\\Windows\\*.txt"]);
    assert_eq!(code, 0);
    assert!(listing.contains("5 a.txt"), "{listing}");
    assert_eq!(exec(&mut agent, cmd, &["/c", "del C:\\Windows\\*.txt"]).0, 0);
    assert!(!drive.exists("\\Windows\\a.txt").expect("looked"));
    assert_eq!(exec(&mut agent, cmd, &["/c", "echo one > C:\\b.txt"]).0, 0);
    assert_eq!(drive.read("\\b.txt").expect("read"), b"one\r\n");
    let key = "HKLM\\SYSTEM\\CurrentControlSet\\Control";
    let (code, text) = exec(&mut agent, "reg.exe", &["query", key, "/v", "Answer"]);
    assert_eq!(code, 0);
    assert!(text.contains("Answer    REG_DWORD    0x2a"), "{text}");
    let arguments = json!({"path": "format.com"});
    let refused = ask(&mut agent, json!({"execute": "guest-exec", "arguments": arguments}));
    assert!(refused["error"].is_object());
}

#[test]
fn power_is_a_wish_without_an_answer() {
    let (mut agent, _) = agent();
    let request = json!({"execute": "guest-shutdown", "arguments": {"mode": "reboot"}});
    let answer = agent.answer(request.to_string().as_bytes());
    assert_eq!((answer.bytes.len(), answer.wish), (0, Some(Wish::Reboot)));
}

//! Workers that do not do what they should, and the protocol without a process.

use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use volume::{Fat, FatFormat, FatKind, MemoryDevice, SharedDevice, Volume};

use super::connection::{Worker, WorkerError};
use super::frame::{FrameKind, parse, read_frame, write_frame, write_message};
use super::protocol::{Answer, Reader, Request, Scope, Task};
use super::server::serve;
use super::{Found, Survey};

/// A worker that is a shell script; its standard input is the socket to the harness.
struct Fake {
    _directory: tempfile::TempDir,
    program: PathBuf,
}

impl Fake {
    fn new(script: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let program = directory.path().join("worker");
        std::fs::write(&program, format!("#!/bin/sh\n{script}\n")).unwrap();
        std::fs::set_permissions(&program, PermissionsExt::from_mode(0o755)).unwrap();
        Self { _directory: directory, program }
    }

    fn start(&self) -> Result<Worker, WorkerError> {
        let (disk, _) = UnixStream::pair().unwrap();
        Worker::start_program(self.program.clone(), disk, Duration::from_millis(300))
    }
}

/// The first word of a worker, as a shell writes it.
const HELLO: &str = r"printf 'D\001\000\000\000\001' >&0";

fn error_of(script: &str) -> String {
    let fake = Fake::new(&format!("{HELLO}; {script}"));
    let worker = fake.start().unwrap();
    let first = worker.ask(&Request::Survey).unwrap_err();
    let again = worker.ask(&Request::Flush).unwrap_err();
    assert_eq!(first.to_string(), again.to_string(), "a worker that is gone stays gone");
    first.to_string()
}

#[test]
fn the_end_of_a_worker_is_told() {
    let killed = error_of("kill -KILL $$");
    assert!(killed.contains("ended by signal 9 (SIGKILL)"), "{killed}");
    let fenced = error_of("kill -SYS $$");
    assert!(fenced.contains("SIGSYS: it tried what its fence does not allow"), "{fenced}");
    let failed = error_of("echo 'a reason' >&2; exit 3");
    assert!(failed.contains("exit code 3: a reason"), "{failed}");
}

#[test]
fn a_worker_that_does_not_answer_is_ended() {
    let start = Instant::now();
    let silent = error_of("exec sleep 1000");
    assert!(silent.contains("did not answer within 0.3 s"), "{silent}");
    assert!(start.elapsed() < Duration::from_secs(20));
}

#[test]
fn answers_that_make_no_sense_are_refused() {
    for (answer, part) in [
        (r"printf 'X\001\000\000\000x' >&0; exec sleep 1000", "kind 0x58"),
        (r"printf 'M\377\377\377\377' >&0; exec sleep 1000", "longer than"),
        (r"printf 'M\003\000\000\000{x}' >&0; exec sleep 1000", "cannot be understood"),
        (r"printf 'D\001\000\000\000x' >&0; exec sleep 1000", "where none were asked for"),
        (r"printf 'E\000\000\000\000' >&0; exec sleep 1000", "sends a frame End"),
    ] {
        let text = error_of(answer);
        assert!(text.contains(part), "{answer}: {text}");
    }
    let refused = Fake::new("printf 'M\\006\\000\\000\\000\"Done\"' >&0; exec sleep 1000").start();
    assert!(refused.unwrap_err().to_string().contains("does not begin as it should"));
    let missing = Fake { program: "/nowhere/loopbreak-volumes".into(), ..Fake::new("") }.start();
    assert!(missing.unwrap_err().to_string().contains("/nowhere/loopbreak-volumes"));
}

/// A server in a thread, on a FAT volume that fills its disk.
struct Served {
    stream: UnixStream,
    thread: Option<std::thread::JoinHandle<std::io::Result<()>>>,
}

impl Served {
    fn new() -> Self {
        let options = FatFormat { kind: FatKind::Fat16, id: 1, label: "DATA".to_owned() };
        let device = SharedDevice::new(MemoryDevice::zeroed(8 << 20));
        let mut fat = Fat::format(device.clone(), &options).unwrap();
        fat.create_dir_all(r"ReactOS\system32\config").unwrap();
        fat.write(r"ReactOS\system32\config\system", b"regf").unwrap();
        fat.flush().unwrap();
        let (stream, theirs) = UnixStream::pair().unwrap();
        let thread = std::thread::spawn(move || serve(theirs, device));
        Self { stream, thread: Some(thread) }
    }

    fn ask(&mut self, request: &Request) -> Answer {
        write_message(&mut self.stream, request).unwrap();
        let mut payload = Vec::new();
        loop {
            match read_frame(&mut self.stream, &mut payload).unwrap() {
                FrameKind::Message => return parse(&payload).unwrap(),
                FrameKind::Data => {}
                other => panic!("{other:?}"),
            }
        }
    }

    fn opened() -> (Self, u32) {
        let mut served = Self::new();
        let Answer::Survey(Survey { len, table, volumes, .. }) = served.ask(&Request::Survey)
        else {
            panic!("no survey")
        };
        assert_eq!((len, table.partitions.len()), (8 << 20, 1));
        assert_eq!(volumes[0].label.as_deref(), Some("DATA"));
        assert_eq!(volumes[0].system_root.as_deref(), Some("ReactOS"));
        let open = Request::Open { partition: 1, to_write: true };
        let Answer::Volume { handle: volume, replayed: None } = served.ask(&open) else {
            panic!("no volume")
        };
        (served, volume)
    }
}

#[test]
fn requests_that_make_no_sense_are_refused_and_the_server_goes_on() {
    let mut served = Served::new();
    let open = Request::Open { partition: 1, to_write: true };
    for request in [
        open.clone(),
        Request::On { volume: 1, task: Task::Flush },
        Request::Check { partition: 1, scope: Scope::Whole },
        Request::Check { partition: 1, scope: Scope::Changes },
    ] {
        assert!(matches!(served.ask(&request), Answer::Refused(_)), "{request:?}");
    }
    assert!(matches!(served.ask(&Request::Survey), Answer::Survey(_)));
    let none = served.ask(&Request::Open { partition: 2, to_write: true });
    assert!(matches!(&none, Answer::Refused(why) if why.contains("no partition 2")), "{none:?}");
    for _ in 0..64 {
        assert!(matches!(served.ask(&open), Answer::Volume { .. }));
    }
    assert!(matches!(served.ask(&open), Answer::Refused(_)));
    assert!(matches!(served.ask(&Request::Close { volume: 7 }), Answer::Done));
    assert!(matches!(served.ask(&open), Answer::Volume { handle: 65, .. }));
}

#[test]
fn what_is_written_in_frames_is_one_file() {
    let (mut served, volume) = Served::opened();
    let task = Task::Write { path: "file".to_owned(), size: 5 };
    write_message(&mut served.stream, &Request::On { volume, task: task.clone() }).unwrap();
    for part in [b"a".as_slice(), b"", b"bcde"] {
        write_frame(&mut served.stream, FrameKind::Data, part).unwrap();
    }
    write_frame(&mut served.stream, FrameKind::End, &[]).unwrap();
    let mut payload = Vec::new();
    read_frame(&mut served.stream, &mut payload).unwrap();
    assert!(matches!(parse(&payload).unwrap(), Answer::Done));
    let find = |reader| Request::Find { partition: 1, reader, paths: vec!["FILE".to_owned()] };
    for reader in [Reader::Own, Reader::Independent] {
        let Answer::Found(found) = served.ask(&find(reader)) else { panic!("nothing found") };
        let blake3 = blake3::hash(b"abcde").to_hex().to_string();
        assert_eq!(found, [Found::File { size: 5, blake3 }]);
    }
    // Too few bytes, too many, and a source that failed.
    for (parts, end) in
        [(1, FrameKind::End), (9, FrameKind::End), (2, FrameKind::Abort), (0, FrameKind::Abort)]
    {
        write_message(&mut served.stream, &Request::On { volume, task: task.clone() }).unwrap();
        for _ in 0..parts {
            write_frame(&mut served.stream, FrameKind::Data, b"x").unwrap();
        }
        write_frame(&mut served.stream, end, &[]).unwrap();
        read_frame(&mut served.stream, &mut payload).unwrap();
        let answer = parse(&payload).unwrap();
        assert!(matches!(answer, Answer::Refused(_)), "{parts} {end:?}: {answer:?}");
    }
    assert!(matches!(served.ask(&Request::On { volume, task: Task::Flush }), Answer::Done));
}

#[test]
fn the_server_ends_with_its_socket_and_with_nonsense() {
    let mut served = Served::new();
    drop(served.stream.try_clone().unwrap());
    served.stream.shutdown(std::net::Shutdown::Both).unwrap();
    served.thread.take().unwrap().join().unwrap().unwrap();
    let mut served = Served::new();
    write_frame(&mut served.stream, FrameKind::Data, b"x").unwrap();
    assert!(served.thread.take().unwrap().join().unwrap().is_err());
    assert_eq!(served.stream.read(&mut [0]).unwrap(), 0);
}

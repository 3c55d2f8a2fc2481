//! The disk against a model, and the protocol against clients that do not mean well.

use std::io::{self, Cursor, Read, Write};
use std::iter;
use std::sync::{Arc, Mutex};

use proptest::collection::vec;
use proptest::prelude::*;
use volume::{BlockDevice, MemoryDevice, SharedDevice};

use super::medium::{DiskTrouble, Medium, PHYSICAL_SECTOR, Unflushed};
use super::protocol::{Answer, MAX_REQUEST, Request, serve};

const DISK: usize = 64 << 10;
const SECTOR: usize = 512;

#[derive(Debug, Clone)]
enum Step {
    Write { sector: usize, sectors: usize, fill: u8 },
    Flush,
    Read { sector: usize, sectors: usize },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let place = (0..DISK / SECTOR - 24, 1..24usize);
    let step = prop_oneof![
        4 => (place.clone(), 1..=255u8).prop_map(|((sector, sectors), fill)| Step::Write { sector, sectors, fill }),
        1 => Just(Step::Flush),
        2 => place.prop_map(|(sector, sectors)| Step::Read { sector, sectors }),
    ];
    vec(step, 1..60)
}

fn policy() -> impl Strategy<Value = Unflushed> {
    prop_oneof![Just(Unflushed::Kept), Just(Unflushed::Lost), Just(Unflushed::Torn)]
}

fn contents(device: &SharedDevice) -> Vec<u8> {
    let mut bytes = vec![0; DISK];
    device.clone().read_at(0, &mut bytes).unwrap();
    bytes
}

fn disk() -> (Medium, SharedDevice) {
    let device = SharedDevice::new(MemoryDevice::zeroed(DISK));
    (Medium::new(Box::new(device.clone())), device)
}

fn write(medium: &mut Medium, offset: usize, data: &[u8]) -> Option<Answer> {
    medium.request(Request::Write { offset: offset as u64, data }).0
}

proptest! {
    /// A machine reads what it wrote; a cut leaves of each physical sector what one of the writes since
    /// the last flush, or what was there at that flush; the same seed leaves the same.
    #[test]
    fn a_cut_takes_away_only_what_was_not_flushed(steps in steps(), policy in policy(), seed: u64) {
        let run = || {
            let (mut medium, device) = disk();
            let (mut seen, mut flushed) = (vec![0; DISK], vec![0; DISK]);
            let mut since: Vec<(usize, Vec<u8>)> = Vec::new();
            for step in &steps {
                match step {
                    Step::Write { sector, sectors, fill } => {
                        let (at, data) = (sector * SECTOR, vec![*fill; sectors * SECTOR]);
                        assert_eq!(write(&mut medium, at, &data), Some(Answer::Done));
                        seen[at..at + data.len()].copy_from_slice(&data);
                        since.push((at, data));
                    }
                    Step::Flush => {
                        assert_eq!(medium.request(Request::Flush).0, Some(Answer::Done));
                        flushed.clone_from(&seen);
                        since.clear();
                    }
                    Step::Read { sector, sectors } => {
                        let (at, length) = (sector * SECTOR, sectors * SECTOR);
                        let request = Request::Read { offset: at as u64, length: length as u32 };
                        let expected = Answer::Data(seen[at..at + length].to_vec());
                        assert_eq!(medium.request(request).0, Some(expected));
                    }
                }
            }
            let cut = medium.cut(policy, seed).unwrap();
            assert_eq!(cut.unflushed, since.len());
            assert!(medium.cut(policy, seed).is_none(), "it was cut already");
            assert_eq!(medium.request(Request::Flush), (None, None), "no power, no answer");
            (contents(&device), flushed, seen, since, cut)
        };
        let (left, flushed, seen, since, cut) = run();
        prop_assert_eq!(&run().0, &left, "the same seed");
        match policy {
            Unflushed::Kept => prop_assert_eq!(&left, &seen),
            Unflushed::Lost => prop_assert_eq!(&left, &flushed),
            Unflushed::Torn => prop_assert!(cut.torn <= 1, "one at most was under the head"),
        }
        for (at, byte) in left.iter().enumerate() {
            let written = since.iter().any(|(offset, data)| {
                at.checked_sub(*offset).and_then(|at| data.get(at)) == Some(byte)
            });
            prop_assert!(*byte == flushed[at] || written, "byte {} is of nobody", at);
        }
    }

    /// Whatever a client says: an error or an end, never a panic, and never more memory than it may ask for.
    #[test]
    fn any_client_is_outlived(bytes in vec(any::<u8>(), 0..400), honest: bool) {
        let mut said = Vec::new();
        if honest {
            said.extend(3u32.to_be_bytes());
            said.extend(go());
        }
        said.extend(bytes);
        let (mut medium, _) = disk();
        let _ = serve(Client::new(said), |request| medium.request(request).0);
    }
}

/// A device of the host that has no room.
struct Full(MemoryDevice);

impl BlockDevice for Full {
    fn len(&self) -> u64 {
        self.0.len()
    }

    fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.0.read_at(offset, buffer)
    }

    fn write_at(&mut self, _: u64, _: &[u8]) -> io::Result<()> {
        Err(io::Error::from_raw_os_error(28))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

#[test]
fn an_error_of_the_host_is_told_from_one_that_was_asked_for() {
    let mut medium = Medium::new(Box::new(Full(MemoryDevice::zeroed(DISK))));
    medium.trouble("full", DiskTrouble::Full);
    assert_eq!(write(&mut medium, 0, &[1; SECTOR]), Some(Answer::Failed(28)));
    assert!(medium.take_failure().is_none(), "it was asked for");
    medium.lift("full");
    assert_eq!(write(&mut medium, 0, &[1; SECTOR]), Some(Answer::Done), "it is in the cache");
    assert!(medium.take_failure().is_none());
    assert_eq!(medium.request(Request::Flush).0, Some(Answer::Failed(28)));
    assert_eq!(medium.take_failure().unwrap().raw_os_error(), Some(28));
    assert_eq!(medium.request(Request::Flush).0, Some(Answer::Failed(28)));
    assert!(medium.take_failure().is_none(), "it is told once");
}

#[test]
fn one_write_under_the_head_ends_between_physical_sectors() {
    let mut lengths = std::collections::BTreeSet::new();
    for seed in 0..64 {
        let (mut medium, device) = disk();
        let data = vec![7; 3 * PHYSICAL_SECTOR as usize];
        write(&mut medium, 512, &data);
        medium.cut(Unflushed::Torn, seed).unwrap();
        let end = contents(&device).iter().rposition(|byte| *byte == 7).map_or(0, |at| at + 1);
        lengths.insert(end);
    }
    assert_eq!(lengths.into_iter().collect::<Vec<_>>(), [4096, 8192, 12288]);
}

#[test]
fn the_power_goes_with_the_write_that_was_planned() {
    let (mut medium, device) = disk();
    write(&mut medium, 0, &[1; 512]);
    medium.cut_at_write(2, Unflushed::Lost, 0);
    assert_eq!(write(&mut medium, 512, &[2; 512]), Some(Answer::Done));
    medium.request(Request::Flush);
    let (answer, cut) = medium.request(Request::Write { offset: 1024, data: &[3; 512] });
    let cut = cut.unwrap();
    assert_eq!((answer, cut.writes, cut.unflushed, cut.lost()), (None, 3, 1, 1));
    medium.power_on();
    assert_eq!(write(&mut medium, 2048, &[4; 512]), Some(Answer::Done), "one cut only");
    medium.write_back().unwrap();
    let left = contents(&device);
    assert_eq!([left[0], left[512], left[1024], left[2048]], [1, 2, 0, 4]);
}

#[test]
fn troubles_hit_what_they_are_about_until_they_are_lifted() {
    let (mut medium, _) = disk();
    let read = |medium: &mut Medium, offset| {
        matches!(medium.request(Request::Read { offset, length: 512 }).0, Some(Answer::Data(_)))
    };
    medium.trouble("r", DiskTrouble::ReadError(iter::once(1024..1536).collect()));
    medium.trouble("w", DiskTrouble::WriteError(iter::once(4096..8192).collect()));
    assert_eq!(
        (read(&mut medium, 512), read(&mut medium, 1024), read(&mut medium, 1536)),
        (true, false, true)
    );
    assert_eq!(write(&mut medium, 1024, &[1; 512]), Some(Answer::Done));
    assert_eq!(write(&mut medium, 7680, &[1; 1024]), Some(Answer::Failed(5)));
    medium.lift("r");
    assert!(read(&mut medium, 1024));
    medium.lift("w");
    medium.trouble("full", DiskTrouble::Full);
    assert_eq!(write(&mut medium, 2048, &[1; 512]), Some(Answer::Done), "its cluster is taken");
    let (mut other, _) = disk();
    other.trouble("full", DiskTrouble::Full);
    assert_eq!(write(&mut other, 0, &[1; 512]), Some(Answer::Failed(28)));
    assert_eq!(write(&mut other, DISK - 512, &[1; 1024]), Some(Answer::Failed(28)), "outside");
}

#[test]
fn a_request_that_is_too_long_ends_the_connection() {
    let mut said = 3u32.to_be_bytes().to_vec();
    said.extend(go());
    said.extend(0x2560_9513u32.to_be_bytes());
    said.extend([0, 0, 0, 0]);
    said.extend([0; 16]);
    said.extend((MAX_REQUEST + 1).to_be_bytes());
    let (mut medium, _) = disk();
    let error = serve(Client::new(said), |request| medium.request(request).0).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::InvalidData);
}

/// The client that the harness has itself.
#[test]
fn our_own_client_understands_it() {
    let (ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
    let (medium, device) = disk();
    let medium = Arc::new(Mutex::new(medium));
    let served = std::thread::spawn(move || {
        serve(&theirs, |request| medium.lock().unwrap().request(request).0).unwrap();
    });
    let mut client = crate::nbd::NbdDevice::over(ours).unwrap().open("disk").unwrap();
    assert_eq!(client.len(), DISK as u64);
    client.write_at(4096, &[9; 1024]).unwrap();
    assert_eq!(contents(&device)[4096], 0, "it is in the drive's cache");
    let mut back = [0; 2048];
    client.read_at(4096, &mut back).unwrap();
    assert_eq!((back[0], back[1023], back[1024]), (9, 9, 0));
    client.flush().unwrap();
    assert_eq!(contents(&device)[4096], 9);
    drop(client);
    served.join().unwrap();
}

fn go() -> Vec<u8> {
    let mut option = 0x4948_4156_454f_5054u64.to_be_bytes().to_vec();
    option.extend(7u32.to_be_bytes());
    option.extend(6u32.to_be_bytes());
    option.extend([0; 6]);
    option
}

/// What a client says, and nobody who listens to the answers.
struct Client(Cursor<Vec<u8>>);

impl Client {
    fn new(said: Vec<u8>) -> Self {
        Self(Cursor::new(said))
    }
}

impl Read for Client {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

impl Write for Client {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        Ok(data.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// QEMU's own client, and its own look at the file afterwards.
#[test]
fn qemu_understands_it() {
    let run = |program: &str, arguments: &[&str]| {
        std::process::Command::new(program).args(arguments).output().map(|output| {
            let said = [output.stdout, output.stderr].concat();
            (output.status.success(), String::from_utf8_lossy(&said).into_owned())
        })
    };
    if run("qemu-io", &["--version"]).is_err() {
        println!("skipped: qemu-io is not installed");
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let (disk, socket) = (directory.path().join("d.qcow2"), directory.path().join("s"));
    let file = disk.to_str().unwrap();
    assert!(run("qemu-img", &["create", "-q", "-f", "qcow2", file, "8M"]).unwrap().0);
    let on_failure = |error: &io::Error| panic!("the host's disk failed: {error}");
    let hears = super::Hears { on_cut: Box::new(|_| {}), on_failure: Box::new(on_failure) };
    let served = super::ServedDisk::start(&disk, &socket, directory.path(), hears).unwrap();
    let address = format!("nbd+unix:///disk?socket={}", socket.display());
    let write = ["-f", "raw", &address, "-c", "write -P 7 4096 8192", "-c", "flush"];
    let (done, said) = run("qemu-io", &write).unwrap();
    assert!(done && !said.contains("failed"), "{said}");
    served.trouble("bad", DiskTrouble::ReadError(iter::once(4096..4608).collect()));
    let read = ["-f", "raw", &address, "-c", "read -P 7 8192 4096", "-c", "read 4096 512"];
    let said = run("qemu-io", &read).unwrap().1;
    assert!(said.contains("read failed: Input/output error"), "{said}");
    assert!(said.contains("read 4096/4096 bytes at offset 8192"), "{said}");
    served.close().unwrap();
    let (done, said) =
        run("qemu-io", &["-r", "-f", "qcow2", file, "-c", "read -P 7 4096 8192"]).unwrap();
    assert!(done && !said.contains("Pattern verification failed"), "{said}");
}

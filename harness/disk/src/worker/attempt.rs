//! Attempts to get over the fence, for its tests.
//!
//! Each is made behind the whole fence, or, with `landlock-` in front, behind all of it but seccomp. One
//! that is stopped by an error says which, and fails; one that seccomp stops never comes back.

use std::io;
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::process::Command;

use super::fence;

pub(super) fn attempt(what: &str) -> Result<(), String> {
    let (what, filtered) = match what.strip_prefix("landlock-") {
        Some(what) => (what, false),
        None => (what, true),
    };
    let fenced = |error: fence::FenceError| error.to_string();
    let landlock = fence::restrict().map_err(fenced)?;
    if filtered {
        fence::filter().map_err(fenced)?;
    } else if !landlock {
        return Err("this kernel has no Landlock".to_owned());
    }
    let result: io::Result<()> = match what {
        "nothing" => Ok(()),
        "open" => std::fs::read("/etc/passwd").map(drop),
        "create" => std::fs::write("/tmp/loopbreak-attempt", "x"),
        "list" => std::fs::read_dir("/").map(drop),
        "unix-socket" => UnixStream::pair().map(drop),
        "datagram" => UnixDatagram::unbound().map(drop),
        "connect" => TcpStream::connect("127.0.0.1:9").map(drop),
        "listen" => TcpListener::bind("127.0.0.1:0").map(drop),
        "exec" => Command::new("/bin/true").status().map(drop),
        "thread" => std::thread::Builder::new().spawn(|| {}).map(drop),
        "memory" => {
            let mut pieces: Vec<Vec<u8>> = Vec::new();
            while (pieces.len() as u64) < 2 * (fence::MEMORY >> 24) {
                pieces.push(vec![1; 16 << 20]);
            }
            Ok(())
        }
        _ => return Err(format!("there is no attempt '{what}'")),
    };
    match result {
        Ok(()) => {
            println!("{what}: done");
            Ok(())
        }
        Err(error) => Err(format!("{what}: {error}")),
    }
}

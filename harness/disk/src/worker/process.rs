//! The worker process itself.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::ExitCode;

use rustix::event::{PollFd, PollFlags};
use volume::SharedDevice;

use super::frame::{FrameKind, write_frame};
use super::protocol::EXPORT;
use super::{attempt, fence, server};
use crate::nbd::NbdDevice;

/// The program `loopbreak-volumes`: reads and writes the volumes of one disk for the harness that started
/// it. Its standard input is the socket to the harness, its standard output the socket to the disk.
///
/// `--attempt WHAT` tries to get over its own fence instead; the tests of the fence call it so.
pub fn volumes_main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let result = match (arguments.next().as_deref(), arguments.next()) {
        (None, _) => work(),
        (Some("--attempt"), Some(what)) => attempt::attempt(&what),
        _ => Err("this program is started by loopbreak, not by hand".to_owned()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            eprintln!("{reason}");
            ExitCode::FAILURE
        }
    }
}

fn work() -> Result<(), String> {
    let fenced = |error: fence::FenceError| format!("the fence cannot be put up: {error}");
    let landlock = fence::restrict().map_err(fenced)?;
    let text = |error: io::Error| error.to_string();
    let mut harness = UnixStream::from(own(&io::stdin()).map_err(text)?);
    let disk = UnixStream::from(own(&io::stdout()).map_err(text)?);
    // What anything prints must not reach the disk.
    let error_output = io::stderr();
    rustix::stdio::dup2_stdout(error_output.as_fd()).map_err(|error| error.to_string())?;
    // Its harness may be killed while the worker computes.
    let watched = harness.try_clone().map_err(text)?;
    let (up, is_up) = std::sync::mpsc::channel::<()>();
    std::thread::Builder::new()
        .stack_size(64 << 10)
        .spawn(move || {
            drop(up);
            let mut descriptors = [PollFd::new(&watched, PollFlags::empty())];
            while rustix::event::poll(&mut descriptors, None).is_err() {}
            std::process::exit(0);
        })
        .map_err(text)?;
    // A thread makes system calls while it starts that it may not make behind the filter.
    let _ = is_up.recv();
    let disk = NbdDevice::over(disk).map_err(text)?;
    fence::filter().map_err(fenced)?;
    // The first word: whether the kernel has Landlock.
    write_frame(&mut harness, FrameKind::Data, &[u8::from(landlock)]).map_err(text)?;
    let disk = disk
        .open(EXPORT)
        .map_err(|error| format!("the storage daemon does not hand out the disk: {error}"))?;
    server::serve(harness, SharedDevice::new(disk)).map_err(text)
}

fn own(stream: &impl AsFd) -> io::Result<OwnedFd> {
    stream.as_fd().try_clone_to_owned()
}

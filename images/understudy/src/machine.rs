//! The machine from power-on to power-off, stage after stage.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Condvar, Mutex, PoisonError, RwLock};
use std::time::Duration;

use crate::bootmgr::{self, BootError, Next};
use crate::storage::{Disk, Drive};
use crate::sys::{self, Power};
use crate::{console, recovery, say, screen, windows};

/// How long the disk may take to appear.
const DISK_PATIENCE: Duration = Duration::from_secs(20);

/// Held for reading by whoever does something that a stop must interrupt, and for writing, for ever,
/// by a stop.
static WORLD: RwLock<()> = RwLock::new(());

/// Somebody keeps the processor for itself: whoever goes through [`while_running`] waits.
static HELD: (Mutex<bool>, Condvar) = (Mutex::new(false), Condvar::new());

/// Holds everything that goes through [`while_running`], or lets it go on.
pub fn hold(held: bool) {
    *HELD.0.lock().unwrap_or_else(PoisonError::into_inner) = held;
    HELD.1.notify_all();
}

/// Runs `work` unless the machine has stopped; then it never returns. Waits while it is held.
pub fn while_running<T>(work: impl FnOnce() -> T) -> T {
    let held = HELD.0.lock().unwrap_or_else(PoisonError::into_inner);
    drop(HELD.1.wait_while(held, |held| *held).unwrap_or_else(PoisonError::into_inner));
    let _running = WORLD.read().unwrap_or_else(PoisonError::into_inner);
    work()
}

/// Stops everything that goes through [`while_running`], for ever.
pub fn freeze() {
    std::mem::forget(WORLD.write().unwrap_or_else(PoisonError::into_inner));
}

/// What ends a stage from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wish {
    /// Shut down and switch off.
    PowerOff,
    /// Shut down and start again.
    Restart,
    /// Shut down and stand still.
    Halt,
}

/// Where wishes come from: power button, guest agent.
#[derive(Debug)]
pub struct Wishes {
    sender: Sender<Wish>,
    receiver: Receiver<Wish>,
}

impl Wishes {
    /// No wishes yet; the power button is heard from now on.
    pub fn listen() -> Self {
        let (sender, receiver) = channel();
        let button = sender.clone();
        sys::watch_power_button(move || {
            // Nobody listens any more: the machine is on its way already.
            let _ = button.send(Wish::PowerOff);
        });
        Self { sender, receiver }
    }

    /// A way to wish.
    pub fn sender(&self) -> Sender<Wish> {
        self.sender.clone()
    }

    /// Waits for the next wish.
    pub fn wait(&self) -> Wish {
        self.receiver.recv().expect("this keeps a sender itself")
    }

    /// Waits for a wish, at most `limit`. `None`: the time is over.
    pub fn wait_for(&self, limit: Duration) -> Option<Wish> {
        self.receiver.recv_timeout(limit).ok()
    }
}

/// PID 1.
pub fn run() -> ! {
    sys::take_over_signals();
    let prepared = prepare();
    // Before anything else is heard of the machine, so that a marker on it is the first line.
    say!(
        "[bootmgr] loopbreak understudy {} (a model of Windows, not Windows)",
        env!("CARGO_PKG_VERSION")
    );
    let disk = match prepared {
        Ok(disk) => disk,
        Err(error) => {
            say!("[bootmgr] {error:#}");
            halt(&BootError::new(bootmgr::Status::NO_DEVICE, "system disk"));
        }
    };
    match bootmgr::run(&disk) {
        Err(error) => halt(&error),
        Ok(Next::Windows { entry, drive, record }) => windows::run(&entry, &drive, record),
        Ok(Next::RecoveryKey { key_id }) => {
            screen::show_recovery_key(&key_id);
            say!("[bootmgr] waiting for the recovery key {key_id}");
            obey(None, Wishes::listen().wait())
        }
        Ok(Next::Recovery { recovery, esp, drive, lock, reason }) => {
            recovery::run(recovery, esp, drive, &lock, reason)
        }
    }
}

fn prepare() -> anyhow::Result<Disk> {
    sys::mount_kernel_filesystems()?;
    sys::seed_random_numbers()?;
    console::open()?;
    for module in [
        "virtio_ring",
        "virtio",
        "virtio_pci_legacy_dev",
        "virtio_pci_modern_dev",
        "virtio_pci",
        "virtio_blk",
        "virtio_console",
        "qemu_fw_cfg",
        "evdev",
        "button",
    ] {
        sys::load_module(module)?;
    }
    sys::wait_for("/dev/vda", DISK_PATIENCE)?;
    Ok(Disk::open("/dev/vda")?)
}

/// Shows an error of boot manager or loader, and stands still until someone switches the machine off.
pub fn halt(error: &BootError) -> ! {
    say!("[bootmgr] stopped: {} ({})", error.status, error.about);
    screen::show_boot_error(error);
    match Wishes::listen().wait() {
        Wish::PowerOff => leave(None, Power::Off),
        Wish::Restart => leave(None, Power::Reset),
        Wish::Halt => sys::stand_still(),
    }
}

/// Leaves the machine with everything written.
pub fn leave(drive: Option<&Drive>, power: Power) -> ! {
    if let Some(drive) = drive
        && let Err(error) = drive.flush()
    {
        say!("[bootmgr] drive C: cannot be flushed: {error}");
    }
    console::drain();
    sys::leave(power)
}

/// Carries out a wish after an orderly end.
pub fn obey(drive: Option<&Arc<Drive>>, wish: Wish) -> ! {
    let drive = drive.map(AsRef::as_ref);
    match wish {
        Wish::PowerOff => leave(drive, Power::Off),
        Wish::Restart => leave(drive, Power::Reset),
        Wish::Halt => {
            if let Some(drive) = drive
                && let Err(error) = drive.flush()
            {
                say!("[bootmgr] drive C: cannot be flushed: {error}");
            }
            sys::stand_still()
        }
    }
}

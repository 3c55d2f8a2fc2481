//! From a stop report to the end of the machine: what [`crate::kernel::stop`] needs of PID 1.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use volume::Volume;
use winfmt::FileTime;
use winfmt::dump::Segment;

use crate::kernel::screen::{Picture, Screen};
use crate::kernel::stop::{self, After, CrashControl, DumpSetting, StopMachine};
use crate::kernel::{StopReport, crash_dump};
use crate::storage::{Drive, Registry};
use crate::sys::{self, Power};
use crate::{console, machine};

/// Stops without a way to the disk, so without a dump: `INACCESSIBLE_BOOT_DEVICE`.
const WITHOUT_DISK: u32 = 0x7B;

/// `Control\CrashControl` of the control set in use, read before anything can go wrong.
pub fn crash_control(registry: &Registry) -> CrashControl {
    const KEY: &str = "Control\\CrashControl";
    CrashControl::read(
        |name| registry.control_dword(KEY, name),
        |name| registry.control_string(KEY, name),
    )
}

/// Stops the machine, once.
#[derive(Debug, Clone)]
pub struct Stopper {
    drive: Arc<Drive>,
    settings: CrashControl,
    kernel: Arc<OnceLock<i32>>,
}

impl Stopper {
    /// A stopper that writes dumps to `drive`.
    pub fn new(drive: Arc<Drive>, settings: CrashControl) -> Self {
        Self { drive, settings, kernel: Arc::default() }
    }

    /// The process whose memory a dump shows.
    pub fn know_kernel(&self, pid: i32) {
        // A second kernel process does not exist, so this never fails.
        let _ = self.kernel.set(pid);
    }

    /// Stops the machine. Whoever else runs is frozen first and stays so.
    pub fn stop(&self, report: &StopReport) -> ! {
        machine::freeze();
        let mut settings = self.settings.clone();
        if report.bug_check.code == WITHOUT_DISK {
            settings.dump = DumpSetting::None;
        }
        let mut parts = Parts {
            drive: &self.drive,
            kernel: self.kernel.get().copied(),
            screen: Screen::open().ok(),
        };
        match stop::run(report, &settings, &mut parts) {
            After::Restart => {
                console::drain();
                sys::leave(Power::Reset)
            }
            After::Stand => sys::stand_still(),
        }
    }
}

/// The machine around a stop.
struct Parts<'d> {
    drive: &'d Drive,
    kernel: Option<i32>,
    screen: Option<Screen>,
}

impl StopMachine for Parts<'_> {
    fn show(&mut self, picture: &Picture) {
        if let Some(screen) = &self.screen
            && let Err(error) = screen.show(picture)
        {
            console::line(&format!("*** no stop screen: {error}"));
        }
    }

    fn serial_line(&mut self, line: &str) {
        console::line(line);
    }

    fn signal_panic(&mut self) {
        // The lines above must be out before whoever listens to the device acts on it.
        console::drain();
        if let Err(error) = sys::signal_panic_device() {
            console::line(&format!("*** no panic device: {error}"));
        }
    }

    fn memory(&mut self) -> Vec<Segment> {
        self.kernel.map(crash_dump::kernel_memory).unwrap_or_default()
    }

    fn write_file(&mut self, path: &str, bytes: &[u8]) -> Result<(), String> {
        let mut volume = self.drive.volume();
        let folder = path.rsplit_once('\\').map_or("", |(folder, _)| folder);
        let write = |volume: &mut Box<dyn Volume>| {
            volume.create_dir_all(folder)?;
            volume.write(path, bytes)?;
            volume.flush()
        };
        write(&mut volume).map_err(|error| error.to_string())
    }

    fn file_names(&mut self, folder: &str) -> Vec<String> {
        let entries = self.drive.list(folder).unwrap_or_default();
        entries.into_iter().map(|entry| entry.name).collect()
    }

    fn remove_file(&mut self, path: &str) -> Result<(), String> {
        self.drive.volume().remove_file(path).map_err(|error| error.to_string())
    }

    fn now(&mut self) -> FileTime {
        FileTime::now()
    }

    fn up_time(&mut self) -> Duration {
        sys::up_time()
    }

    fn wait_until(&mut self, end: Instant) {
        sys::wait_until::<()>(end.saturating_duration_since(Instant::now()), || None);
    }
}

//! Services whose program is an image of this project's own: the same code that a driver has, run as a
//! process of its own. A fault ends that process and nothing else; the service control manager then
//! does what the service's `FailureActions` say.

use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};

use crate::kernel::stop::lacks;
use crate::kernel::{Driver, Kernel, KernelHost, LoadError, StopReport, pe};
use crate::loader::{FailureAction, Service};
use crate::machine::{self, Wish};
use crate::{say, sys};

/// The processes that run now.
static RUNNING: Mutex<Vec<Arc<Kernel>>> = Mutex::new(Vec::new());

/// True for an image that is to be run: one that imports from the kernel, which no program of Windows
/// does. The in-box images import nothing.
pub(super) fn is_run(image: &[u8]) -> bool {
    pe::Image::parse(image).is_ok()
        && image.windows(13).any(|name| name.eq_ignore_ascii_case(b"ntoskrnl.exe\0"))
}

/// Freezes all of them: nothing of them changes the drive any more.
pub fn freeze() {
    for process in RUNNING.lock().unwrap_or_else(PoisonError::into_inner).iter() {
        process.freeze();
    }
}

/// How a process ended.
enum End {
    /// It could not be started, or said that it failed.
    NotStarted(String),
    /// By a fault.
    Crashed(Box<StopReport>),
}

/// Starts a service and looks after it from a thread of its own.
pub(super) fn supervise(
    service: Service,
    image: Vec<u8>,
    host: Arc<dyn KernelHost>,
    wishes: Sender<Wish>,
) {
    let (started, first) = channel();
    std::thread::spawn(move || {
        let mut failures = 0;
        loop {
            let report = match run(&service, &image, &host, &started) {
                End::NotStarted(why) => {
                    say!("[session] service {} failed to start: {why}", service.name);
                    // The session waits for the first start only.
                    let _ = started.send(());
                    return;
                }
                End::Crashed(report) => report,
            };
            let _ = started.send(());
            say!("[session] service {} ended: {}", service.name, describe(&report));
            if !act(&service, failures, &wishes) {
                return;
            }
            failures += 1;
        }
    });
    // An error is an end of the thread, which is as good as a start that failed.
    let _ = first.recv();
}

/// Runs it once, until it ends.
fn run(service: &Service, image: &[u8], host: &Arc<dyn KernelHost>, started: &Sender<()>) -> End {
    let (sender, ended) = channel();
    let on_stop = Box::new(move |report| {
        // Nobody listens where the load has told of the end already.
        let _ = sender.send(report);
    });
    let process = match Kernel::start(Arc::clone(host), on_stop) {
        Ok(process) => Arc::new(process),
        Err(error) => return End::NotStarted(error.to_string()),
    };
    let program = Driver {
        name: service.image_name(),
        path: format!("\\??\\C:{}", service.image_file()),
        service_key: format!(
            "\\Registry\\Machine\\System\\CurrentControlSet\\Services\\{}",
            service.name
        ),
        image: image.to_vec(),
        check_checksum: false,
    };
    with_running(|running| running.push(Arc::clone(&process)));
    let end = match process.load_driver(&program) {
        Ok(outcome) if outcome.status.is_success() => {
            say!("[session] service {} started", service.name);
            let _ = started.send(());
            match ended.recv() {
                Ok(report) => End::Crashed(Box::new(report)),
                Err(error) => End::NotStarted(error.to_string()),
            }
        }
        Ok(outcome) => End::NotStarted(match outcome.reason {
            Some(reason) => format!("{}: {reason}", outcome.status),
            None => outcome.status.to_string(),
        }),
        Err(LoadError::Stopped { report, .. }) => End::Crashed(report),
        Err(error) => End::NotStarted(error.to_string()),
    };
    if let End::Crashed(report) = &end
        && let Some(lack) = report.lack()
    {
        say!("{}", lacks(&program.name, &lack));
    }
    with_running(|running| running.retain(|other| !Arc::ptr_eq(other, &process)));
    end
}

fn with_running(change: impl FnOnce(&mut Vec<Arc<Kernel>>)) {
    change(&mut RUNNING.lock().unwrap_or_else(PoisonError::into_inner));
}

/// As the System log's event 7031 says it, with the exception's code where there was one.
fn describe(report: &StopReport) -> String {
    let module = report.module.as_deref().unwrap_or("an unknown module");
    match report.exception {
        Some(exception) => {
            format!("exception 0x{:08X} in {module}, only this process is gone", exception.code)
        }
        None => format!("stopped by {module}, only this process is gone"),
    }
}

/// Does what follows from the end of a service's process. True: start it again.
pub(super) fn act(service: &Service, failures: usize, wishes: &Sender<Wish>) -> bool {
    let (action, delay) = service.failure_actions.after(failures);
    let seconds = delay.as_secs();
    match action {
        FailureAction::None => return false,
        FailureAction::Restart => {
            say!("[session] service {}: starting again in {seconds} s", service.name);
        }
        FailureAction::Reboot => {
            say!("[session] service {}: the machine starts again in {seconds} s", service.name);
        }
    }
    sys::wait_until::<()>(delay.div_f64(sys::time_scale()), || None);
    machine::while_running(|| ());
    if action == FailureAction::Reboot {
        // Nobody listens any more: the machine is on its way already.
        let _ = wishes.send(Wish::Restart);
        return false;
    }
    true
}

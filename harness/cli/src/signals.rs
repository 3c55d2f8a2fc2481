//! What ends a command before its time: Ctrl-C, SIGTERM and SIGHUP, and a panic. The first signal lets it clean
//! up, a second one ends it at once.

use std::sync::Arc;
use std::time::{Duration, Instant};

use engine::{EndsEarly, Interrupt, InterruptRaiser};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use crate::exit::{Exit, infrastructure};
use crate::output::tell;

/// Signals that come closer together than this are one: `timeout` sends its signal to the process and to the
/// process's group, and a terminal that is closed hangs up twice.
const BURST: Duration = Duration::from_millis(500);

/// Listens from now on, on the current runtime. `at_once` says, a line each, what a command that ends at once
/// leaves behind, and gives its exit code.
pub(crate) fn listen(
    at_once: impl Fn() -> (Vec<String>, Exit) + Send + 'static,
) -> anyhow::Result<Interrupt> {
    let (raiser, interrupt) = Interrupt::new();
    let raiser = Arc::new(raiser);
    raise_on_panic(Arc::clone(&raiser));
    let (sender, mut signals) = mpsc::unbounded_channel();
    for kind in [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()] {
        if kind == SignalKind::hangup() && is_ignored(kind) {
            // Started by `nohup`: it is to outlive its terminal.
            continue;
        }
        let mut stream = signal(kind).map_err(infrastructure)?;
        let sender = sender.clone();
        tokio::spawn(
            async move { while stream.recv().await.is_some() && sender.send(()).is_ok() {} },
        );
    }
    tokio::spawn(async move {
        let mut first = None;
        while signals.recv().await.is_some() {
            match first {
                None => {
                    first = Some(Instant::now());
                    raiser.raise();
                    tell("interrupted: cleaning up; interrupt again to stop at once");
                }
                Some(first) if Instant::now().duration_since(first) < BURST => {}
                Some(_) => {
                    let (lines, exit) = at_once();
                    lines.iter().for_each(tell);
                    std::process::exit(exit as i32);
                }
            }
        }
    });
    Ok(interrupt)
}

/// A panic in whatever task or thread: nothing that runs at the time can be trusted any more.
fn raise_on_panic(raiser: Arc<InterruptRaiser>) {
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        before(panic);
        let words = panic.payload_as_str().unwrap_or("it did not say why");
        let place = panic.location().map(|place| format!(" ({place})")).unwrap_or_default();
        raiser.raise_for(EndsEarly::Panicked(format!("{words}{place}")));
    }));
}

/// True where whoever started this process had it ignore the signal (proc(5), `SigIgn`).
fn is_ignored(kind: SignalKind) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
    let bit = kind.as_raw_value() - 1;
    (0..64).contains(&bit) && mask & (1 << bit) != 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_rust_ignores_by_itself_is_seen_as_ignored() {
        assert!(is_ignored(SignalKind::pipe()), "the runtime of Rust ignores SIGPIPE");
        assert!(!is_ignored(SignalKind::child()));
    }
}

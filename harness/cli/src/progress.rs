//! Progress of runs: one live line a machine on a terminal, plain lines elsewhere.

use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use engine::{Status, StatusSink};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use timeline::Phase;
use winfmt::escaped;

use crate::output::tell;

/// Shows the progress of all runs of one command. Runs of a scenario on several images are told apart by the image.
pub(crate) fn status_sink(several_images: bool) -> StatusSink {
    if std::io::stderr().is_terminal() { live(several_images) } else { plain(several_images) }
}

fn label(status: &Status, several_images: bool) -> String {
    match several_images {
        true => format!("{} on {}", status.scenario, status.image),
        false => status.scenario.clone(),
    }
}

fn live(several_images: bool) -> StatusSink {
    let all = MultiProgress::new();
    let bars: Mutex<BTreeMap<String, ProgressBar>> = Mutex::default();
    Arc::new(move |status: &Status| {
        let mut bars = bars.lock().unwrap_or_else(PoisonError::into_inner);
        let bar = bars.entry(label(status, several_images)).or_insert_with(|| {
            let bar = all.add(ProgressBar::new_spinner());
            let style = ProgressStyle::with_template("{spinner} {elapsed:>4} {wide_msg}");
            bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
            bar.enable_steady_tick(Duration::from_millis(120));
            bar
        });
        if status.done {
            bar.finish_and_clear();
        } else {
            bar.set_message(format!("{}: {}", label(status, several_images), sentence(status)));
        }
    })
}

/// Without a terminal each change that a reader of a log would want is a line of its own.
fn plain(several_images: bool) -> StatusSink {
    let began = Instant::now();
    let said: Mutex<BTreeMap<String, String>> = Mutex::default();
    Arc::new(move |status: &Status| {
        let sentence = if status.done { "done".to_owned() } else { sentence(status) };
        let mut said = said.lock().unwrap_or_else(PoisonError::into_inner);
        let label = label(status, several_images);
        let last = said.entry(label.clone()).or_default();
        if *last != sentence {
            let seconds = began.elapsed().as_secs();
            tell(format!("{seconds:>5}s {label}: {sentence}"));
            *last = sentence;
        }
    })
}

fn sentence(status: &Status) -> String {
    let mut parts = vec![status.doing.clone()];
    if status.boot > 0 {
        let phase = status.phase.map_or("", phase_word);
        parts.push(format!("boot {} {phase}", status.boot).trim_end().to_owned());
    }
    if !status.waits_for.is_empty() {
        parts.push(format!("waiting for {}", status.waits_for));
    }
    // Some of it may be what a guest said.
    escaped(parts.join(", ")).to_string()
}

fn phase_word(phase: Phase) -> &'static str {
    match phase {
        Phase::Firmware => "in the firmware",
        Phase::BootManager => "in the boot manager",
        Phase::Loader => "in the loader",
        Phase::Kernel => "in the kernel",
        Phase::Session => "starting services",
        Phase::Healthy => "healthy",
        Phase::Recovery => "in recovery",
        Phase::RecoveryPrompt => "waiting for a person in recovery",
        Phase::RecoveryKey => "waiting for the recovery key",
    }
}

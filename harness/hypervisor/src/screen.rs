//! The display: looked at now and then, kept where it changed.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use screen::Frame;
use serde_json::{Value, json};
use timeline::{Body, Sink, Source};
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior};
use virt::domain::Domain;

use crate::error::HypervisorError;
use crate::events::Watch;

/// Bytes of one picture as it comes from the hypervisor.
const MAX_BYTES: usize = 128 << 20;
/// A stop screen is drawn after the panic is reported, and may be gone with the next reset.
const PANIC_PERIOD: Duration = Duration::from_millis(150);
const PANIC_WATCH: Duration = Duration::from_secs(3);

/// The pictures of one machine.
#[derive(Clone)]
pub(crate) struct Screen(Arc<Inner>);

struct Inner {
    name: String,
    domain: Domain,
    sink: Sink,
    evidence: PathBuf,
    /// Where QEMU leaves a picture for us.
    exchange: PathBuf,
    last: Mutex<Last>,
}

#[derive(Default)]
struct Last {
    digest: Option<blake3::Hash>,
    file: Option<PathBuf>,
    count: u32,
}

impl Screen {
    /// Pictures go to `frames/` below `evidence`.
    ///
    /// `exchange` names a file that QEMU and this process both reach: QEMU writes the pixels there as they are.
    /// Through libvirt it would make a PNG of each picture, which takes a quarter of an emulated machine's time.
    pub(crate) fn new(
        name: &str,
        domain: Domain,
        sink: Sink,
        evidence: &Path,
        exchange: PathBuf,
    ) -> Result<Self, HypervisorError> {
        let directory = evidence.join("frames");
        fs_err::create_dir_all(&directory)
            .map_err(|error| HypervisorError::io("create", &directory, error))?;
        let count = fs_err::read_dir(&directory)
            .map_err(|error| HypervisorError::io("list", &directory, error))?
            .count();
        let last = Last { count: u32::try_from(count).unwrap_or(u32::MAX), ..Last::default() };
        Ok(Self(Arc::new(Inner {
            name: name.to_owned(),
            domain,
            sink,
            evidence: evidence.to_owned(),
            exchange,
            last: Mutex::new(last),
        })))
    }

    /// Takes a picture; emits it and writes it down if it differs from the last. Returns the file of
    /// the present picture; `None` while the guest has no display mode.
    pub(crate) async fn take(&self, why: &str) -> Result<Option<PathBuf>, HypervisorError> {
        let inner = Arc::clone(&self.0);
        let why = why.to_owned();
        tokio::task::spawn_blocking(move || inner.take(&why)).await.map_err(|error| {
            HypervisorError::Picture { name: self.0.name.clone(), reason: error.to_string() }
        })?
    }

    /// Looks at the display every `period`, and closely after a panic. Ends with the machine.
    pub(crate) async fn look(self, period: Option<Duration>, mut status: watch::Receiver<Watch>) {
        let mut ticks = period.map(|period| {
            let mut ticks = tokio::time::interval(period);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            ticks
        });
        let mut was_stopped = false;
        loop {
            let (ended, stopped) = {
                let watch = status.borrow_and_update();
                (watch.ended.is_some(), watch.stopped_at_panic)
            };
            if ended {
                return;
            }
            if stopped && !was_stopped {
                self.look_closely(status.clone()).await;
            }
            was_stopped = stopped;
            let tick = async {
                match &mut ticks {
                    Some(ticks) => {
                        ticks.tick().await;
                    }
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                changed = status.changed() => if changed.is_err() { return },
                () = tick => self.take_if_there("poll", &status).await,
            }
        }
    }

    /// From a panic to the next reset, but not for ever: the stop screen counts its dump upwards.
    async fn look_closely(&self, status: watch::Receiver<Watch>) {
        let mut until_reset = status.clone();
        let end = Instant::now() + PANIC_WATCH;
        let mut ticks = tokio::time::interval(PANIC_PERIOD);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while Instant::now() < end {
            let over = async {
                let _ = until_reset
                    .wait_for(|watch| watch.ended.is_some() || !watch.stopped_at_panic)
                    .await;
            };
            tokio::select! {
                () = over => return,
                _ = ticks.tick() => self.take_if_there("panic", &status).await,
            }
        }
    }

    /// The display is one signal of several; a picture that is missing must not end the run.
    async fn take_if_there(&self, why: &str, status: &watch::Receiver<Watch>) {
        if let Err(error) = self.take(why).await
            && status.borrow().ended.is_none()
        {
            tracing::debug!("{error}");
        }
    }
}

impl Inner {
    fn take(&self, why: &str) -> Result<Option<PathBuf>, HypervisorError> {
        // One at a time, so that numbers and files agree.
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let raw = self.dump()?;
        let refused = |error: screen::FrameError| HypervisorError::Picture {
            name: self.name.clone(),
            reason: error.to_string(),
        };
        let frame = Frame::decode(&raw).map_err(refused)?;
        if frame.width() == 0 || frame.height() == 0 {
            return Ok(None);
        }
        let digest = digest(&frame);
        if last.digest == Some(digest) {
            return Ok(last.file.clone());
        }
        let relative = PathBuf::from(format!("frames/{:05}.png", last.count));
        let path = self.evidence.join(&relative);
        let encoded = frame.to_png().map_err(refused)?;
        fs_err::write(&path, encoded)
            .map_err(|error| HypervisorError::io("write", &path, error))?;
        last.count += 1;
        last.digest = Some(digest);
        last.file = Some(path.clone());
        self.sink.emit(
            Source::Screen,
            Body::Frame {
                file: relative.to_string_lossy().into_owned(),
                digest: digest.to_hex().to_string(),
                width: frame.width(),
                height: frame.height(),
                why: why.to_owned(),
            },
        );
        Ok(Some(path))
    }

    fn refused(&self, message: String) -> HypervisorError {
        HypervisorError::Libvirt { action: "take a picture of", object: self.name.clone(), message }
    }

    /// By QEMU's own command; its answer comes once the file is written.
    fn dump(&self) -> Result<Vec<u8>, HypervisorError> {
        let path = &self.exchange;
        let command = json!({"execute": "screendump", "arguments": {"filename": path}});
        let answer = self
            .domain
            .qemu_monitor_command(&command.to_string(), 0)
            .map_err(|error| self.refused(error.message().to_owned()))?;
        let answer: Value =
            serde_json::from_str(&answer).map_err(|error| self.refused(error.to_string()))?;
        if let Some(error) = answer.get("error") {
            return Err(self.refused(error.to_string()));
        }
        let mut bytes = Vec::new();
        let read = fs_err::File::open(path)
            .and_then(|file| file.take(MAX_BYTES as u64 + 1).read_to_end(&mut bytes))
            .and_then(|_| fs_err::remove_file(path));
        read.map_err(|error| HypervisorError::io("read", path, error))?;
        self.bounded(bytes)
    }

    fn bounded(&self, bytes: Vec<u8>) -> Result<Vec<u8>, HypervisorError> {
        if bytes.len() > MAX_BYTES {
            return Err(HypervisorError::Picture {
                name: self.name.clone(),
                reason: format!("it has more than {MAX_BYTES} bytes"),
            });
        }
        Ok(bytes)
    }
}

fn digest(frame: &Frame) -> blake3::Hash {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&frame.width().to_le_bytes());
    hasher.update(&frame.height().to_le_bytes());
    hasher.update(frame.rgb());
    hasher.finalize()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_knows_the_shape() {
        let pixels = || vec![0, 0, 128, 255, 255, 255];
        let flat = Frame::new(2, 1, pixels()).unwrap();
        let upright = Frame::new(1, 2, pixels()).unwrap();
        assert_ne!(digest(&upright), digest(&flat));
    }
}

//! What the tests with real machines share.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use hypervisor::{Libvirt, Options};
use timeline::{Body, Observation, Sink};
use tokio::sync::Notify;

const LIMIT: Duration = Duration::from_secs(120);

/// Everything that was observed, and a way to wait for more.
#[derive(Clone, Default)]
pub(crate) struct Seen {
    all: Arc<Mutex<Vec<Observation>>>,
    more: Arc<Notify>,
}

impl Seen {
    pub(crate) fn sink(&self) -> Sink {
        let this = self.clone();
        Sink::new(move |observation| {
            this.all.lock().expect("no test panics here").push(observation);
            this.more.notify_waiters();
        })
    }

    pub(crate) fn bodies(&self) -> Vec<Body> {
        self.all
            .lock()
            .expect("no test panics here")
            .iter()
            .map(|observation| observation.body.clone())
            .collect()
    }

    pub(crate) fn count(&self, is: impl Fn(&Body) -> bool) -> usize {
        self.bodies().iter().filter(|body| is(body)).count()
    }

    /// Waits until `is` was true of `count` observations.
    pub(crate) async fn wait(
        &self,
        count: usize,
        what: &str,
        is: impl Fn(&Body) -> bool,
    ) -> Result<()> {
        tokio::time::timeout(LIMIT, async {
            loop {
                let mut more = std::pin::pin!(self.more.notified());
                more.as_mut().enable();
                if self.count(&is) >= count {
                    return;
                }
                more.await;
            }
        })
        .await
        .with_context(|| format!("{what} did not happen; seen: {:#?}", self.bodies()))
    }
}

pub(crate) fn line(text: &'static str) -> impl Fn(&Body) -> bool {
    move |body| matches!(body, Body::SerialLine { text: seen, .. } if seen == text)
}

pub(crate) fn text(path: &Path) -> &str {
    path.to_str().expect("temporary paths are UTF-8")
}

pub(crate) fn qemu_img(arguments: &[&str]) -> Result<()> {
    let output = Command::new("qemu-img").args(arguments).output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

pub(crate) fn overlay(base: &Path, directory: &Path, name: &str) -> Result<PathBuf> {
    let disk = directory.join(format!("{name}.qcow2"));
    qemu_img(&["create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", text(base), text(&disk)])?;
    Ok(disk)
}

const ROOT_PREFIX: &str = "loopbreak-lv-";

/// One embedded libvirt for the process: it allows no second root. Its event thread serves all tests.
pub(crate) async fn libvirt() -> Result<&'static Libvirt> {
    static ROOT: OnceLock<tempfile::TempDir> = OnceLock::new();
    static LIBVIRT: tokio::sync::OnceCell<Libvirt> = tokio::sync::OnceCell::const_new();
    LIBVIRT
        .get_or_try_init(|| async {
            let root = tempfile::Builder::new().prefix(ROOT_PREFIX).tempdir()?;
            let mut options = Options::embedded(ROOT.get_or_init(|| root).path());
            options.screen_period = Some(Duration::from_millis(300));
            Ok(Libvirt::open(options).await?)
        })
        .await
}

pub(crate) fn tools_are_here() -> bool {
    let here = ["qemu-system-x86_64", "qemu-img"]
        .iter()
        .all(|tool| Command::new(tool).arg("--version").output().is_ok());
    if !here {
        println!("skipped: QEMU is not installed");
    }
    here
}

//! Scripts: what a guest shows, and a machine that goes on with its story after it was broken.

use std::path::Path;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use disk::{Access, OfflineDisk};
use hypervisor::{FakeHypervisor, Hypervisor, HypervisorError, Machine, MachineSpec};
use timeline::{Body, ResetBy, Sink, Source};

/// One observation of a script.
pub(crate) type Seen = (Source, Body);

pub(crate) fn serial(text: &str) -> Seen {
    (Source::Serial, Body::SerialLine { port: 0, text: text.to_owned() })
}

/// From power-on to a healthy machine.
pub(crate) fn healthy_start() -> Vec<Seen> {
    vec![
        serial("[bootmgr] starting Windows"),
        serial("[kernel] csagent.sys loaded"),
        serial("[session] guest agent listening"),
        (Source::Agent, Body::AgentUp),
        serial("[session] boot marked good"),
    ]
}

/// A stop that blames `csagent.sys`.
pub(crate) fn stop() -> Vec<Seen> {
    vec![
        serial(
            "*** Fatal System Error: 0x00000050 (0xFFFF840500000074,0x0000000000000000,\
             0xFFFFF800201A15A8,0x0000000000000002)",
        ),
        serial("*** csagent.sys"),
        (Source::Hypervisor, Body::Panicked { action: "run".to_owned(), bug_check: None }),
    ]
}

pub(crate) fn reset() -> Seen {
    (Source::Hypervisor, Body::Reset { by: ResetBy::Guest, reason: "guest-reset".to_owned() })
}

/// After the first stop: a start that stops too, then the recovery environment, which finds nothing to do.
pub(crate) fn into_recovery() -> Vec<Seen> {
    let mut seen = vec![reset(), serial("[bootmgr] starting Windows"), serial("[kernel] started")];
    seen.extend(stop());
    seen.extend([
        reset(),
        serial("[bootmgr] 2 failures in a row: starting Windows Recovery Environment"),
        serial("[recovery] recovery environment started"),
        serial("[recovery] startup repair: nothing that it can repair"),
        serial("[recovery] waiting for a person"),
    ]);
    seen
}

/// The scripted hypervisor, with what it cannot do itself: a guest that writes to its disk, and one that
/// goes on by itself when nobody asks it for anything.
#[derive(Clone)]
pub(crate) struct Guest {
    pub(crate) fake: FakeHypervisor,
    inner: Arc<Inner>,
}

#[derive(Default)]
struct Inner {
    writes: Vec<(&'static str, &'static [u8])>,
    sink: Mutex<Option<Sink>>,
    rest: Mutex<Vec<Seen>>,
    /// What the display shows: file below the machine's evidence, and its bytes.
    frames: Vec<(String, &'static [u8])>,
}

impl Guest {
    /// `writes` are on the disk (paths from the root of `C:`) once the machine runs; `rest` is what
    /// [`Guest::go_on`] shows.
    pub(crate) fn new(
        fake: FakeHypervisor,
        writes: Vec<(&'static str, &'static [u8])>,
        rest: Vec<Seen>,
    ) -> Self {
        let inner = Inner { writes, rest: Mutex::new(rest), ..Inner::default() };
        Self { fake, inner: Arc::new(inner) }
    }

    /// A guest whose script names these frames.
    pub(crate) fn showing(fake: FakeHypervisor, frames: Vec<(String, &'static [u8])>) -> Self {
        Self { fake, inner: Arc::new(Inner { frames, ..Inner::default() }) }
    }

    /// Shows the rest of the story, the first time.
    pub(crate) fn go_on(&self) {
        let sink = self.inner.sink.lock().unwrap().clone();
        let rest = std::mem::take(&mut *self.inner.rest.lock().unwrap());
        for (source, body) in rest {
            sink.as_ref().unwrap().emit(source, body);
        }
    }

    /// Before the machine runs: nobody else has its disk then.
    fn run(&self, spec: &MachineSpec, sink: &Sink) {
        *self.inner.sink.lock().unwrap() = Some(sink.clone());
        for (file, bytes) in &self.inner.frames {
            let path = spec.evidence.join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, bytes).unwrap();
        }
        if self.inner.writes.is_empty() {
            return;
        }
        let disk = OfflineDisk::open_overlay(&spec.disk, Access::ReadWrite, &spec.sockets).unwrap();
        let mut windows = disk.windows_volume().unwrap();
        for (path, bytes) in &self.inner.writes {
            windows.write(path, bytes).unwrap();
        }
        windows.flush().unwrap();
        drop(windows);
        disk.close().unwrap();
    }
}

#[async_trait]
impl Hypervisor for Guest {
    async fn start(
        &self,
        spec: &MachineSpec,
        sink: Sink,
    ) -> Result<Box<dyn Machine>, HypervisorError> {
        self.run(spec, &sink);
        self.fake.start(spec, sink).await
    }

    async fn restore(
        &self,
        ram: &Path,
        spec: &MachineSpec,
        sink: Sink,
    ) -> Result<Box<dyn Machine>, HypervisorError> {
        self.run(spec, &sink);
        self.fake.restore(ram, spec, sink).await
    }
}

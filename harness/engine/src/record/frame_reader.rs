//! What the machine's display shows, found out while it runs.
//!
//! The recorder names each frame that it records. A task of its own looks at the file and gives what it
//! shows back as an observation, so that a replay needs no pictures. Reading the text of a stop screen takes
//! a second and a program that may not be installed, so it is done beside, at most one at a time, and comes
//! as a second observation of the same frame.

use std::io::{Read, Write};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::mpsc as blocking;
use std::time::Duration;

use screen::{Frame, Screen, ScreenKind, classify, for_reading, with_text};
use timeline::{Body, Sink, Source};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::tasks::panic_at;

/// The reader of text: a program that takes a picture and gives its text.
const READER: &str = "tesseract";
/// A screen of text takes it one to two seconds on a busy host.
const READER_LIMIT: Duration = Duration::from_secs(20);
/// More text than any screen has.
const LONGEST_TEXT: u64 = 64 * 1024;

/// Looks at frames until it is told to stop.
pub(crate) struct FrameReader {
    frames: mpsc::UnboundedSender<String>,
    task: JoinHandle<()>,
}

impl FrameReader {
    /// Frames are files below `evidence`; what they show goes into `sink`.
    pub(crate) fn begin(evidence: PathBuf, sink: Sink) -> Self {
        let (frames, incoming) = mpsc::unbounded_channel();
        let looker = Looker { evidence, sink, known: false, reader: true };
        Self { frames, task: tokio::spawn(looker.run(incoming)) }
    }

    /// Where the recorder puts the files of frames.
    pub(crate) fn frames(&self) -> mpsc::UnboundedSender<String> {
        self.frames.clone()
    }

    /// Waits until everything was looked at. Whoever else has the sender must have dropped it.
    pub(crate) async fn end(self) {
        drop(self.frames);
        // A picture that broke the reading of it is one signal less, and no more than that.
        if let Err(error) = self.task.await {
            tracing::error!(%error, "the frames were not all looked at");
        }
    }
}

/// A frame whose text is to be read.
struct Page {
    file: String,
    picture: Vec<u8>,
    seen: Screen,
}

struct Looker {
    evidence: PathBuf,
    sink: Sink,
    /// The stop screen that stands there was read to the end.
    known: bool,
    /// The reader is installed, as far as is known.
    reader: bool,
}

impl Looker {
    async fn run(mut self, mut incoming: mpsc::UnboundedReceiver<String>) {
        let mut reading: Option<JoinHandle<Option<(String, Screen)>>> = None;
        // Only the latest waits: earlier frames of a stop screen say less.
        let mut next: Option<Page> = None;
        let mut open = true;
        while open || reading.is_some() {
            let read = async {
                match &mut reading {
                    Some(task) => task.await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                file = incoming.recv(), if open => match file {
                    Some(file) => {
                        if let Some(page) = self.look(file).await {
                            next = Some(page);
                        }
                    }
                    None => open = false,
                },
                result = read => {
                    reading = None;
                    self.was_read(result.ok().flatten());
                }
            }
            if self.known || !self.reader {
                next = None;
            }
            if reading.is_none()
                && let Some(page) = next.take()
            {
                reading = Some(tokio::task::spawn_blocking(move || read_page(page)));
            }
        }
    }

    /// Says what a frame shows. Gives it back where its text should be read.
    async fn look(&mut self, file: String) -> Option<Page> {
        panic_at("frame");
        let path = self.evidence.join(&file);
        let looked = tokio::task::spawn_blocking(move || {
            let bytes = fs_err::read(&path).map_err(|error| error.to_string())?;
            let frame = Frame::decode(&bytes).map_err(|error| error.to_string())?;
            let seen = classify(&frame);
            let picture = has_text(&seen).then(|| for_reading(&frame));
            Ok::<_, String>((seen, picture))
        });
        let (seen, picture) = match looked.await {
            Ok(Ok(looked)) => looked,
            Ok(Err(error)) => {
                tracing::debug!(file, error, "a frame cannot be looked at");
                return None;
            }
            Err(error) => {
                tracing::error!(file, %error, "a frame broke the looking at it");
                return None;
            }
        };
        if !has_text(&seen) {
            self.known = false;
        }
        let page = picture.map(|picture| Page { file: file.clone(), picture, seen: seen.clone() });
        self.sink.emit(Source::Screen, Body::Screen { file, screen: seen });
        page
    }

    fn was_read(&mut self, result: Option<(String, Screen)>) {
        let Some((file, screen)) = result else {
            self.reader = false;
            return;
        };
        let code = screen.stop.as_ref().and_then(|stop| stop.code);
        self.known = code.or(screen.status).is_some();
        self.sink.emit(Source::Screen, Body::Screen { file, screen });
    }
}

/// True for a screen whose text tells more than its layout.
fn has_text(seen: &Screen) -> bool {
    seen.kind.is_stop() || seen.kind == ScreenKind::BootError
}

/// `None` where there is no reader.
fn read_page(page: Page) -> Option<(String, Screen)> {
    match read_text(READER, page.picture, READER_LIMIT) {
        Ok(text) => Some((page.file, with_text(page.seen, &text))),
        Err(error) => {
            tracing::debug!(%error, "no text is read from the display");
            None
        }
    }
}

/// Why a picture's text could not be read.
#[derive(Debug, thiserror::Error)]
enum ReadingError {
    #[error(
        "{program} cannot be started: {source}; install it to read stop codes from the display"
    )]
    Start { program: String, source: std::io::Error },
    #[error("{program} did not answer within {} s", limit.as_secs())]
    TimedOut { program: String, limit: Duration },
}

/// Gives a picture to the reader and takes its text. Blocks, but no longer than `limit`.
fn read_text(program: &str, picture: Vec<u8>, limit: Duration) -> Result<String, ReadingError> {
    let started = Command::new(program)
        .args(["stdin", "stdout", "--psm", "6"])
        // The machine needs the processors more.
        .env("OMP_THREAD_LIMIT", "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn();
    let mut child =
        started.map_err(|source| ReadingError::Start { program: program.to_owned(), source })?;
    let (mut to, from) = (child.stdin.take(), child.stdout.take());
    // It may begin to answer before it has read everything. Both ends fall when the child does.
    std::thread::spawn(move || to.as_mut().map(|to| to.write_all(&picture)));
    let (answer, answered) = blocking::channel();
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(from) = from {
            // What was read before an error counts as far as it goes.
            let _ = from.take(LONGEST_TEXT).read_to_end(&mut bytes);
        }
        let _ = answer.send(bytes);
    });
    let bytes = answered.recv_timeout(limit);
    // It has closed its output, or is late; either way nobody waits for it any more.
    let _ = child.kill();
    let _ = child.wait();
    let bytes = bytes.map_err(|_| ReadingError::TimedOut { program: program.to_owned(), limit })?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::{Arc, Mutex};

    use timeline::Certainty;

    use super::*;

    const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../screen/tests/screens/fixtures");

    fn has_reader() -> bool {
        let there = Command::new(READER).arg("--version").output().is_ok();
        if !there {
            println!("skipped: {READER} is not installed");
        }
        there
    }

    async fn look_at(evidence: &Path, files: &[&str]) -> Vec<(String, Screen)> {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let into = Arc::clone(&seen);
        let sink = Sink::new(move |observation| {
            assert_eq!(observation.source, Source::Screen);
            if let Body::Screen { file, screen } = observation.body {
                into.lock().unwrap().push((file, screen));
            }
        });
        let reader = FrameReader::begin(evidence.to_owned(), sink);
        for file in files {
            reader.frames().send((*file).to_owned()).unwrap();
        }
        reader.end().await;
        let seen = seen.lock().unwrap();
        seen.clone()
    }

    #[tokio::test]
    async fn frames_are_looked_at_in_order_and_stop_screens_are_read() {
        let files = ["firmware-logo.png", "understudy-stop-100.png", "missing.png"];
        let seen = look_at(Path::new(FIXTURES), &files).await;
        let kinds: Vec<ScreenKind> = seen.iter().map(|(_, screen)| screen.kind).collect();
        assert_eq!(kinds[..2], [ScreenKind::Picture, ScreenKind::BlackStop]);
        assert_eq!(seen[1].1.certainty, Certainty::Likely);
        if has_reader() {
            let (file, screen) = &seen[2];
            assert_eq!((file.as_str(), screen.certainty), (files[1], Certainty::Sure));
            let stop = screen.stop.as_ref().unwrap();
            assert_eq!(stop.code.unwrap().0, 0x50);
            assert_eq!(stop.module.as_deref(), Some("csagent.sys"));
        }
    }

    #[tokio::test]
    async fn classic_stop_screens_are_read_where_there_are_any() {
        let root = std::env::var_os("LOOPBREAK_ARTIFACTS").map_or_else(
            || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/artifacts"),
            Into::into,
        );
        for (file, code) in [("bsod-1.png", 0x3B), ("bsod-3.png", 0xD0)] {
            if !has_reader() || !root.join("screens").join(file).is_file() {
                println!("skipped: {file} is not in {}", root.display());
                return;
            }
            let seen = look_at(&root.join("screens"), &[file]).await;
            let (_, screen) = seen.last().unwrap();
            assert_eq!(screen.certainty, Certainty::Sure, "{screen:?}");
            assert_eq!(screen.stop.as_ref().unwrap().code.unwrap().0, code);
            println!("{file}: {:?}", screen.stop);
        }
    }

    #[test]
    fn a_reader_that_is_missing_or_late_is_an_error() {
        let missing = read_text("no-such-reader", Vec::new(), READER_LIMIT).unwrap_err();
        assert!(missing.to_string().contains("install it"), "{missing}");
        let directory = tempfile::tempdir().unwrap();
        let late = directory.path().join("late");
        std::fs::write(&late, "#!/bin/sh\nexec sleep 60\n").unwrap();
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(&late, mode).unwrap();
        let error = read_text(late.to_str().unwrap(), vec![0; 1 << 20], Duration::from_millis(200));
        assert!(matches!(error, Err(ReadingError::TimedOut { .. })), "{error:?}");
    }
}

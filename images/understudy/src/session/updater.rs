//! The vendor's updater: a service whose parameters name a content service. It asks it for the current content
//! file, removes the files that are out of date and writes the one that it got; and asks again from time to
//! time. What its program would do, done here.

use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::Deserialize;
use volume::Kind;
use winfmt::certificates::{Store, installed};
use winfmt::paths::glob_matches;

use super::network::bring_up;
use crate::recovery::client;
use crate::storage::{Drive, Registry, SOFTWARE_HIVE, drive_path, load_hive};
use crate::{say, sys};

/// Version of the protocol.
const FORMAT: u32 = 1;
/// The most bytes of an answer.
const MOST: u64 = 1 << 20;
/// How long one try to get the network up may take.
const NETWORK_PATIENCE: Duration = Duration::from_secs(3);
/// Between two questions; a documented span, divided by the time scale.
const INTERVAL: Duration = Duration::from_secs(300);
/// The longest name of a content file, in characters.
const NAME: usize = 128;

/// An updater, as its service's parameters describe it.
#[derive(Debug, Clone)]
pub(super) struct Updater {
    name: String,
    service: String,
    folder: String,
    pattern: String,
    computer_name: String,
}

/// The answer of the service.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
struct Current {
    format: u32,
    file: String,
    content: String,
}

/// What is to be done to the folder.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Update {
    /// Removed first: whoever watches the folder must not see the old beside the new.
    remove: Vec<String>,
    file: String,
    bytes: Vec<u8>,
}

/// Decides what an answer means for a folder that holds `files`. Only a plain name that the updater's own
/// pattern takes is written.
fn decide(current: &Current, pattern: &str, files: &[String]) -> Result<Update, String> {
    if current.format != FORMAT {
        return Err(format!("the answer has format {}, not {FORMAT}", current.format));
    }
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let name = current.file.as_str();
    let usable = name.len() <= NAME && name.chars().all(plain) && glob_matches(pattern, name);
    if !usable {
        return Err("the answer's file is none of this updater's".to_owned());
    }
    let bytes = BASE64.decode(&current.content).map_err(|error| error.to_string())?;
    let old = |file: &&String| glob_matches(pattern, file) && !file.eq_ignore_ascii_case(name);
    let remove = files.iter().filter(old).cloned().collect();
    Ok(Update { remove, file: name.to_owned(), bytes })
}

impl Updater {
    /// The updater behind a service, where it is one.
    pub(super) fn of(name: &str, registry: &Registry, computer_name: &str) -> Option<Self> {
        let key = format!("Services\\{name}\\Parameters");
        let value = |value: &str| registry.control_string(&key, value);
        Some(Self {
            name: name.to_owned(),
            service: value("ContentService")?,
            folder: drive_path(&value("ContentFolder")?)?,
            pattern: value("ContentPattern")?,
            computer_name: computer_name.to_owned(),
        })
    }

    /// Starts it. Gives back once it has asked for the first time, whatever came of it.
    pub(super) fn start(self, drive: Arc<Drive>) {
        let (sender, asked) = channel();
        std::thread::spawn(move || {
            loop {
                match self.ask(&drive) {
                    Ok(what) => say!("[session] service {}: {what}", self.name),
                    Err(error) => say!("[session] service {}: no update: {error}", self.name),
                }
                // The session waits for the first time only.
                let _ = sender.send(());
                sys::wait_until::<()>(INTERVAL.div_f64(sys::time_scale()), || None);
            }
        });
        // An error is an end of the thread: then nothing will ever be asked.
        let _ = asked.recv();
    }

    fn ask(&self, drive: &Drive) -> Result<String, String> {
        let software = load_hive(drive, SOFTWARE_HIVE).map_err(|error| error.to_string())?;
        let roots = installed(&software, Store::Root).map_err(|error| error.to_string())?;
        let url = format!("{}/content/v1/current", self.service.trim_end_matches('/'));
        let agent = client(&roots);
        let response = match agent.get(&url).call() {
            Ok(response) => response,
            // Perhaps the network came after the session had waited for it.
            Err(first) => {
                bring_up(&self.computer_name, NETWORK_PATIENCE)
                    .map_err(|error| format!("{first}; {error}"))?;
                agent.get(&url).call().map_err(|error| error.to_string())?
            }
        };
        match response.status().as_u16() {
            200 => {}
            204 => return Ok("nothing is published".to_owned()),
            status => return Err(format!("the service answered with status {status}")),
        }
        let bytes = response.into_body().into_with_config().limit(MOST).read_to_vec();
        let bytes = bytes.map_err(|error| error.to_string())?;
        let current: Current = serde_json::from_slice(&bytes).map_err(|error| error.to_string())?;
        self.carry_out(drive, &current)
    }

    fn carry_out(&self, drive: &Drive, current: &Current) -> Result<String, String> {
        let text = |error: volume::VolumeError| error.to_string();
        let entries = drive.list(&self.folder).map_err(text)?;
        let files: Vec<String> = entries
            .into_iter()
            .filter(|entry| entry.kind == Kind::File)
            .map(|entry| entry.name)
            .collect();
        let update = decide(current, &self.pattern, &files)?;
        let path = format!("{}\\{}", self.folder, update.file);
        if update.remove.is_empty() && drive.read(&path).is_ok_and(|is| is == update.bytes) {
            return Ok(format!("{} is current", update.file));
        }
        for file in &update.remove {
            drive.remove_file(&format!("{}\\{file}", self.folder)).map_err(text)?;
        }
        drive.write(&path, &update.bytes).map_err(text)?;
        drive.flush().map_err(text)?;
        Ok(format!("{} written, {} removed", update.file, update.remove.len()))
    }
}

#[cfg(test)]
mod tests {
    use super::{Current, decide};

    fn answer(file: &str) -> Current {
        Current { format: 1, file: file.to_owned(), content: "AQI=".to_owned() }
    }

    #[test]
    fn old_content_goes_and_other_files_stay() {
        let files = ["C-00000291-29.sys", "c-00000291-32.sys", "C-00000291-33.sys", "notes.txt"];
        let files = files.map(str::to_owned);
        let update = decide(&answer("C-00000291-33.sys"), "C-00000291-*.sys", &files)
            .expect("the answer is usable");
        assert_eq!(update.remove, ["C-00000291-29.sys", "c-00000291-32.sys"]);
        assert_eq!((update.file.as_str(), &update.bytes[..]), ("C-00000291-33.sys", &[1, 2][..]));
    }

    #[test]
    fn a_name_that_leads_elsewhere_is_not_taken() {
        for file in
            ["..\\C-00000291-33.sys", "C-00000291-\\x.sys", "evil.exe", "", "C-00000291-:x.sys"]
        {
            assert!(decide(&answer(file), "C-00000291-*.sys", &[]).is_err(), "{file}");
        }
        let future = Current { format: 2, ..answer("C-00000291-33.sys") };
        assert!(decide(&future, "*", &[]).is_err());
    }
}

//! What the guest agent is asked to do for a fault, as data: a run sends it, a plan shows it.

use faults::{Act, Online, OnlineWrite};

/// A program that the agent starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Command {
    pub(crate) program: &'static str,
    pub(crate) arguments: Vec<String>,
}

impl Command {
    fn new(program: &'static str, arguments: &[&str]) -> Self {
        let arguments = arguments.iter().map(|&word| word.to_owned()).collect();
        Self { program, arguments }
    }

    /// Ends well where the value is there.
    pub(crate) fn query_value(key: &str, name: &str) -> Self {
        Self::new("reg.exe", &["query", key, "/v", name])
    }

    /// Sets a value of an existing key.
    pub(crate) fn set_dword(key: &str, name: &str, number: u32) -> Self {
        let number = number.to_string();
        Self::new("reg.exe", &["add", key, "/v", name, "/t", "REG_DWORD", "/d", &number, "/f"])
    }

    /// Moves a file over what is there.
    fn move_file(from: &str, to: &str) -> Self {
        Self::new("cmd.exe", &["/c", "move", "/y", from, to])
    }
}

impl std::fmt::Display for Command {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.program, self.arguments.join(" "))
    }
}

/// Where a file is written before it is moved to its place.
pub(super) fn beside(write: &OnlineWrite) -> String {
    format!("{}.new", write.path)
}

/// Moves a file that was written beside its place there.
pub(super) fn into_place(write: &OnlineWrite) -> Command {
    Command::move_file(&beside(write), write.path.as_str())
}

/// The program that does it.
pub(super) fn of_act(act: &Act) -> Command {
    match act {
        Act::Move { from, to } => Command::move_file(from.as_str(), to.as_str()),
        Act::Remove { path } => Command::new("cmd.exe", &["/c", "del", "/f", "/q", path.as_str()]),
        Act::EndProcess { program } => Command::new("taskkill.exe", &["/f", "/im", program]),
    }
}

/// All that goes through the agent for a fault, in order, for people.
pub(crate) fn described(online: &Online) -> Vec<String> {
    let read = |path: &str| format!("read {path} back");
    match online {
        Online::Write(write) => {
            let beside = beside(write);
            let (size, digest) = (write.bytes.len(), blake3::hash(&write.bytes).to_hex());
            vec![
                format!("write {beside}: {size} bytes, blake3 {digest}"),
                read(&beside),
                format!("run {}", into_place(write)),
            ]
        }
        Online::Act(act) => {
            let run = format!("run {}", of_act(&act.what));
            match &act.what {
                Act::Move { from, to } => vec![read(from.as_str()), run, read(to.as_str())],
                Act::Remove { path } => vec![read(path.as_str()), run, read(path.as_str())],
                Act::EndProcess { .. } => vec![run],
            }
        }
        Online::InterruptedWrite(write) => {
            let (path, bytes) = (&write.path, write.first_part());
            let (size, digest) = (bytes.len(), blake3::hash(&bytes).to_hex());
            let end = if write.inert { "" } else { ", and leave it open until the power is cut" };
            vec![format!("write {path}: {size} bytes, blake3 {digest}{end}")]
        }
        Online::Storage(_)
        | Online::Power(_)
        | Online::Network(_)
        | Online::Service(_)
        | Online::Clock(_) => Vec::new(),
    }
}

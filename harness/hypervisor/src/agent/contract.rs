//! What the harness may ask of the agent inside the guest, and what it gets.

use std::time::Duration;

use async_trait::async_trait;

/// Requests to the agent inside the guest (the QEMU guest-agent protocol). What it answers is the
/// guest's word, nothing more; what it wrote is proved by reading it back.
#[async_trait]
pub trait GuestAgent: Send + Sync {
    /// Waits until the agent answers in the present boot. Returns at once where it already did.
    async fn wait_up(&self, limit: Duration) -> Result<(), AgentError>;

    /// `guest-sync-delimited`: proves that the next answer belongs to the next request.
    async fn sync(&self) -> Result<(), AgentError>;

    /// `guest-ping`.
    async fn ping(&self) -> Result<(), AgentError>;

    /// `guest-info`.
    async fn info(&self) -> Result<AgentInfo, AgentError>;

    /// `guest-get-osinfo`.
    async fn os_info(&self) -> Result<OsInfo, AgentError>;

    /// Runs a program and waits for its end. Output beyond 1 MiB is cut.
    async fn exec(
        &self,
        path: &str,
        arguments: &[String],
        limit: Duration,
    ) -> Result<ExecResult, AgentError>;

    /// Writes a whole file, replacing what is there, and reads it back through a second handle before
    /// the first one is closed: a guest that stops because of the file can no longer deny that it got
    /// it.
    async fn write_file(&self, path: &str, bytes: &[u8]) -> Result<WriteProof, AgentError>;

    /// Writes the beginning of a file, replacing what is there, has it flushed, and leaves it open: an
    /// updater that is not done yet.
    async fn write_unfinished(&self, path: &str, bytes: &[u8]) -> Result<(), AgentError>;

    /// Reads a whole file of at most `limit` bytes.
    async fn read_file(&self, path: &str, limit: usize) -> Result<Vec<u8>, AgentError>;

    /// `guest-shutdown`. The agent does not answer; what follows is seen from outside.
    async fn shutdown(&self, mode: ShutdownMode) -> Result<(), AgentError>;
}

/// What the agent says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentInfo {
    /// Its version.
    pub version: String,
    /// The commands it knows and has enabled.
    pub commands: Vec<String>,
}

/// What the agent says of the operating system.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OsInfo {
    /// For example `mswindows`.
    pub id: String,
    /// For people.
    pub pretty_name: String,
    /// For example `26100`.
    pub kernel_release: String,
    /// The whole answer.
    pub raw: serde_json::Value,
}

/// How a program in the guest ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExecResult {
    /// Its exit code; `None` where it was ended by a signal or an unhandled exception.
    pub exit_code: Option<i64>,
    /// The signal or exception code.
    pub signal: Option<i64>,
    /// Its output.
    pub stdout: Vec<u8>,
    /// Its error output.
    pub stderr: Vec<u8>,
}

/// What was read back after a write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WriteProof {
    /// Path within Windows.
    pub path: String,
    /// Bytes that were read back.
    pub size: u64,
    /// BLAKE3 of what was read back, hex. Equal to that of what was to be written.
    pub digest: String,
    /// False where the guest was gone before it confirmed the close; the file is there all the same.
    pub closed: bool,
}

impl WriteProof {
    /// As lines for a `fault-landed` event.
    pub fn lines(&self) -> Vec<String> {
        let mut lines = vec![format!("{} {} bytes blake3 {}", self.path, self.size, self.digest)];
        if !self.closed {
            lines.push("the guest was gone before it closed the file".to_owned());
        }
        lines
    }
}

/// What `guest-shutdown` is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ShutdownMode {
    /// Power off.
    PowerDown,
    /// Restart.
    Reboot,
    /// Stop without power off.
    Halt,
}

impl ShutdownMode {
    /// The protocol's word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::PowerDown => "powerdown",
            Self::Reboot => "reboot",
            Self::Halt => "halt",
        }
    }
}

/// Why the agent did not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AgentError {
    /// The guest stopped, was reset or was powered off in the middle. For a fault that is meant to
    /// break the guest at once this is the expected answer.
    #[error("the guest was gone during {during}")]
    GuestGone {
        /// The command and its object.
        during: String,
    },
    /// No answer in time, and nothing says that the guest is gone.
    #[error("the guest agent did not answer {during} within {seconds} s")]
    NoAnswer {
        /// The command and its object.
        during: String,
        /// The limit.
        seconds: u64,
    },
    /// The agent refused.
    #[error("the guest agent refused {during}: {class}: {message}")]
    Refused {
        /// The command and its object.
        during: String,
        /// The protocol's error class.
        class: String,
        /// The agent's words.
        message: String,
    },
    /// The answer is not what the protocol says.
    #[error("the guest agent's answer to {during} cannot be understood: {reason}")]
    Malformed {
        /// The command and its object.
        during: String,
        /// What is wrong.
        reason: String,
    },
    /// The file read back is not the file written.
    #[error("{path} in the guest reads back with {found} instead of {expected}")]
    WriteDiffers {
        /// Path within Windows.
        path: String,
        /// Size and digest of what should be there.
        expected: String,
        /// Size and digest of what is there.
        found: String,
    },
}

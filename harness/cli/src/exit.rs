//! Exit codes: what a pipeline may rely on.

pub(crate) use engine::ExitStatus as Exit;

/// As the process ends.
pub(crate) trait IntoCode {
    fn into_code(self) -> std::process::ExitCode;
}

impl IntoCode for Exit {
    fn into_code(self) -> std::process::ExitCode {
        std::process::ExitCode::from(self as u8)
    }
}

/// An error with the exit code that it means.
#[derive(Debug)]
pub(crate) struct WithExit {
    pub(crate) exit: Exit,
    error: anyhow::Error,
}

impl std::fmt::Display for WithExit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.error)
    }
}

impl std::error::Error for WithExit {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.error.source()
    }
}

/// What was asked for cannot be done as asked.
pub(crate) fn usage(error: impl Into<anyhow::Error>) -> anyhow::Error {
    with_exit(Exit::Usage, error)
}

/// The harness or the host failed.
pub(crate) fn infrastructure(error: impl Into<anyhow::Error>) -> anyhow::Error {
    with_exit(Exit::Infrastructure, error)
}

fn with_exit(exit: Exit, error: impl Into<anyhow::Error>) -> anyhow::Error {
    anyhow::Error::new(WithExit { exit, error: error.into() })
}

/// The exit code of an error: what it was marked with, else a failure of the harness.
pub(crate) fn exit_of(error: &anyhow::Error) -> Exit {
    error
        .chain()
        .find_map(|cause| cause.downcast_ref::<WithExit>())
        .map_or(Exit::Infrastructure, |marked| marked.exit)
}

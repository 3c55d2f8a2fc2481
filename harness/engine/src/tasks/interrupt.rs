//! What ends a command before its time: a signal (Ctrl-C, SIGTERM, SIGHUP), or a panic somewhere in this
//! process, after which nothing that it says can be trusted. Every wait of a run listens to it.

use tokio::sync::watch;

/// Why a command is to end.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EndsEarly {
    /// Whoever started it wants it to.
    #[error("interrupted")]
    Interrupted,
    /// A task of the harness panicked: where, and with what words.
    #[error("a task of the harness panicked: {0}; this is a bug of loopbreak")]
    Panicked(String),
}

/// Tells every part of a run that the command is to end. Clones share it.
#[derive(Debug, Clone)]
pub struct Interrupt {
    raised: watch::Receiver<Option<EndsEarly>>,
}

/// The other end of an [`Interrupt`].
#[derive(Debug)]
pub struct InterruptRaiser {
    raise: watch::Sender<Option<EndsEarly>>,
}

impl Interrupt {
    /// A pair: whoever holds the raiser may interrupt whoever holds the interrupt.
    pub fn new() -> (InterruptRaiser, Self) {
        let (raise, raised) = watch::channel(None);
        (InterruptRaiser { raise }, Self { raised })
    }

    /// True once it was raised.
    pub fn is_raised(&self) -> bool {
        self.raised.borrow().is_some()
    }

    /// Goes on unless it was raised.
    pub fn check(&self) -> Result<(), EndsEarly> {
        self.raised.borrow().clone().map_or(Ok(()), Err)
    }

    /// Returns when it is raised, and never if the raiser is gone without having raised it.
    pub async fn raised(&self) -> EndsEarly {
        let mut raised = self.raised.clone();
        let why = raised.wait_for(Option::is_some).await.ok().and_then(|why| why.clone());
        match why {
            Some(why) => why,
            None => std::future::pending().await,
        }
    }

    /// Waits for `wanted`, but not once this is raised.
    pub async fn unless_raised<T>(&self, wanted: impl Future<Output = T>) -> Result<T, EndsEarly> {
        tokio::select! {
            biased;
            why = self.raised() => Err(why),
            came = wanted => Ok(came),
        }
    }
}

impl InterruptRaiser {
    /// Raises it for somebody who wants the command to end. Returns false if it was raised before.
    pub fn raise(&self) -> bool {
        self.raise_for(EndsEarly::Interrupted)
    }

    /// Raises it. The first reason stays; returns false if there was one.
    pub fn raise_for(&self, why: EndsEarly) -> bool {
        self.raise.send_if_modified(|raised| {
            let first = raised.is_none();
            raised.get_or_insert(why);
            first
        })
    }
}

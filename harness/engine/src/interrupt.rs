//! Ctrl-C: the first one ends the watch and cleans up, the second one ends the process at once.

use tokio::sync::watch;

/// Tells every part of a run that the operator wants it to end. Clones share it.
#[derive(Debug, Clone)]
pub struct Interrupt {
    raised: watch::Receiver<bool>,
}

/// The other end of an [`Interrupt`].
#[derive(Debug)]
pub struct InterruptRaiser {
    raise: watch::Sender<bool>,
}

impl Interrupt {
    /// A pair: whoever holds the raiser may interrupt whoever holds the interrupt.
    pub fn new() -> (InterruptRaiser, Self) {
        let (raise, raised) = watch::channel(false);
        (InterruptRaiser { raise }, Self { raised })
    }

    /// True once it was raised.
    pub fn is_raised(&self) -> bool {
        *self.raised.borrow()
    }

    /// Returns when it is raised, and never if the raiser is gone without having raised it.
    pub async fn raised(&self) {
        let mut raised = self.raised.clone();
        if raised.wait_for(|raised| *raised).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

impl InterruptRaiser {
    /// Raises it. Returns false if it was raised before.
    pub fn raise(&self) -> bool {
        !self.raise.send_replace(true)
    }
}

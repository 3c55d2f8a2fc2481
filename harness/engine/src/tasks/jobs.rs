//! Work that goes on to its end whether or not somebody still waits for it: threads that edit a disk, calls of
//! libvirt. Nothing may be cleaned up, and no disk be read, before it is over.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{mpsc, watch};

use super::interrupt::EndsEarly;
use super::panics::catch_panic;
use crate::error::RunError;

/// The jobs of one run that are going on. Clones share them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Jobs(Arc<watch::Sender<usize>>);

/// One of them, until dropped.
struct Job(Arc<watch::Sender<usize>>);

impl Drop for Job {
    fn drop(&mut self) {
        self.0.send_modify(|going_on| *going_on -= 1);
    }
}

impl Jobs {
    fn begin(&self) -> Job {
        self.0.send_modify(|going_on| *going_on += 1);
        Job(Arc::clone(&self.0))
    }

    /// Does something that blocks in a thread of its own.
    pub(crate) async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, RunError> + Send + 'static,
    ) -> Result<T, RunError> {
        let job = self.begin();
        // Where nobody waits any more, what it gives is dropped before the job is over.
        let (done, _job) = blocking(move || Ok((work(), job))).await?;
        done
    }

    /// Does something in a task of its own. Where nobody waits any more, `undo` takes what it gives.
    pub(crate) async fn apart<T: Send + 'static, U: Future<Output = ()> + Send>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
        undo: impl FnOnce(T) -> U + Send + 'static,
    ) -> Result<T, EndsEarly> {
        let job = self.begin();
        let counter = Arc::new(Mutex::new(None));
        let (ready, mut is_ready) = mpsc::channel(1);
        let on_it = Arc::clone(&counter);
        tokio::spawn(async move {
            let _job = job;
            let done = catch_panic(work).await;
            *on_it.lock().unwrap_or_else(PoisonError::into_inner) = Some(done);
            let _ = ready.send(()).await;
            // Until it was taken, or whoever waited for it is gone.
            ready.closed().await;
            let left = on_it.lock().unwrap_or_else(PoisonError::into_inner).take();
            if let Some(Ok(unwanted)) = left {
                undo(unwanted).await;
            }
        });
        is_ready.recv().await;
        let done = counter.lock().unwrap_or_else(PoisonError::into_inner).take();
        // There is an answer in any case; without one the whole runtime has ended.
        done.unwrap_or(Err(EndsEarly::Interrupted))
    }

    /// Waits until none is going on.
    pub(crate) async fn over(&self) {
        // An error would mean that the sender is gone, which is here.
        let _ = self.0.subscribe().wait_for(|going_on| *going_on == 0).await;
    }
}

/// Runs work that blocks (the disk, offline) away from the tasks.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, RunError> + Send + 'static,
) -> Result<T, RunError> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_job_that_nobody_waits_for_is_waited_for_at_the_end() {
        let jobs = Jobs::default();
        let (go, gone) = std::sync::mpsc::channel::<()>();
        let (done, is_done) = std::sync::mpsc::channel();
        let waited = tokio::time::timeout(
            std::time::Duration::from_millis(1),
            jobs.blocking(move || {
                let _ = gone.recv();
                let _ = done.send(());
                Ok(())
            }),
        );
        assert!(waited.await.is_err());
        let over = tokio::time::timeout(std::time::Duration::from_millis(1), jobs.over());
        assert!(over.await.is_err(), "it is still going on");
        go.send(()).unwrap();
        jobs.over().await;
        is_done.try_recv().unwrap();
    }

    #[tokio::test]
    async fn what_nobody_waits_for_any_more_is_undone() {
        let jobs = Jobs::default();
        let (undone, is_undone) = std::sync::mpsc::channel();
        let (go, gone) = tokio::sync::oneshot::channel();
        let undo = move |value| {
            let _ = undone.send(value);
            std::future::ready(())
        };
        let started = jobs.apart(async { gone.await.unwrap_or(0) }, undo);
        let waited = tokio::time::timeout(std::time::Duration::from_millis(1), started);
        assert!(waited.await.is_err());
        go.send(7).unwrap();
        jobs.over().await;
        assert_eq!(is_undone.try_recv(), Ok(7));

        let wanted = jobs.apart(async { 8 }, |_| std::future::ready(())).await;
        assert_eq!(wanted, Ok(8));
        let panics = async {
            if true {
                panic!("no luck");
            }
        };
        let panicked = jobs.apart(panics, |()| std::future::ready(())).await;
        assert_eq!(panicked, Err(EndsEarly::Panicked("no luck".to_owned())));
    }
}

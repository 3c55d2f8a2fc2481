//! A panic, caught where a run can still be ended in good order.

use std::any::Any;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::task::Poll;

use super::interrupt::EndsEarly;

/// Runs `future` to its end. A panic in it is an error; what it held has been dropped by then.
pub(crate) async fn catch_panic<T>(future: impl Future<Output = T>) -> Result<T, EndsEarly> {
    let mut future = pin!(future);
    poll_fn(move |context| {
        // Nothing of it is looked at again after a panic.
        match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(context))) {
            Ok(Poll::Pending) => Poll::Pending,
            Ok(Poll::Ready(value)) => Poll::Ready(Ok(value)),
            Err(panic) => Poll::Ready(Err(EndsEarly::Panicked(words(&*panic)))),
        }
    })
    .await
}

/// What a panic said.
fn words(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
    text.unwrap_or_else(|| "it did not say why".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_is_an_error_with_its_words() {
        assert_eq!(catch_panic(async { 7 }).await, Ok(7));
        let panicked = catch_panic(async {
            tokio::task::yield_now().await;
            if true {
                panic!("no {}", "luck");
            }
        });
        assert_eq!(panicked.await, Err(EndsEarly::Panicked("no luck".to_owned())));
    }
}

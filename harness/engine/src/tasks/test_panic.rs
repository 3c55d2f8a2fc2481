//! A panic where a test wants one: no other test proves what a real command leaves behind after it. There only
//! in builds with debug assertions, and only where somebody names the place in the environment.

/// Names the place that is to panic.
const VARIABLE: &str = "LOOPBREAK_TEST_PANIC";

/// Panics where a test asks for it at this place.
pub(crate) fn panic_at(place: &str) {
    if cfg!(debug_assertions) && std::env::var_os(VARIABLE).is_some_and(|wanted| wanted == place) {
        panic!("asked for by {VARIABLE}={place}");
    }
}

//! One target under libFuzzer. `scripts/fuzz` builds this with coverage and runs it.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;

/// The target is chosen from outside: libFuzzer takes all arguments for its own.
static TARGET: LazyLock<&'static fuzz::Target> = LazyLock::new(|| {
    let name = std::env::var("LOOPBREAK_FUZZ_TARGET").unwrap_or_default();
    fuzz::TARGETS.iter().find(|target| target.name == name).unwrap_or_else(|| {
        let names: Vec<_> = fuzz::TARGETS.iter().map(|target| target.name).collect();
        panic!("LOOPBREAK_FUZZ_TARGET is `{name}`; there are {}", names.join(", "))
    })
});

fuzz_target!(|data: &[u8]| (TARGET.run)(data));

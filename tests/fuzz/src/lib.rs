//! What parses a guest's data, each as a fuzz target: any bytes, no panic, no hang, no wrong promise.
//!
//! A machine that was broken on purpose writes the hives, stores, volumes, dumps and logs that the harness
//! reads afterwards; whatever they hold, the harness must live and must not lie. So a target does more than
//! parse: what a parser takes is used (walked, edited, written, read again), and what its documentation
//! promises of it is asserted.
//!
//! - [`TARGETS`] are plain functions. `cargo test -p fuzz` runs each over its corpus in `corpus/<name>/`,
//!   and over inputs drawn from a seed, so that every test run sees them.
//! - `scripts/fuzz SECONDS [TARGET…]` runs them under libFuzzer, with the real artifacts as further seeds.
//!   What it finds is put into the corpus, small, under a name that says what it was.
//! - `cargo run -p fuzz --example seeds` writes the seeds of the corpora: they are made, not collected.
//!
//! Large formats are fuzzed as [patches](patch) on a sound file, small ones as they are.

mod files;
mod hives;
mod logs;
pub mod patch;
mod records;
mod volumes;
mod wof;

/// One parser, or a few that share their input.
#[derive(Debug)]
pub struct Target {
    /// The name of its corpus.
    pub name: &'static str,
    /// Takes any bytes.
    pub run: fn(&[u8]),
    /// Sound inputs to begin with.
    pub seeds: fn() -> Vec<(&'static str, Vec<u8>)>,
}

/// All targets.
pub const TARGETS: &[Target] = &[
    Target { name: "hive", run: hives::file, seeds: hives::file_seeds },
    Target { name: "hive-patched", run: hives::patched, seeds: patch::seeds },
    Target { name: "hive-log", run: logs::file, seeds: logs::seeds },
    Target { name: "bcd", run: hives::bcd, seeds: patch::seeds },
    Target { name: "partitions", run: volumes::partitions, seeds: volumes::partition_seeds },
    Target { name: "ntfs", run: volumes::ntfs, seeds: patch::seeds },
    Target { name: "fat", run: volumes::fat, seeds: patch::seeds },
    Target { name: "boot-status", run: records::boot_status, seeds: patch::seeds },
    Target { name: "dump", run: records::dump, seeds: patch::seeds },
    Target { name: "xml", run: records::xml, seeds: records::xml_seeds },
    Target { name: "event-log", run: files::event_log, seeds: files::event_log_seeds },
    Target { name: "executable", run: files::executable, seeds: files::executable_seeds },
    Target { name: "texts", run: files::texts, seeds: files::text_seeds },
    Target { name: "recovery-image", run: files::recovery_image, seeds: records::wim_seeds },
    Target { name: "screen", run: files::screen, seeds: files::screen_seeds },
    Target { name: "wim", run: records::wim, seeds: records::wim_seeds },
    Target { name: "wof", run: wof::data, seeds: wof::data_seeds },
    Target { name: "wof-file", run: wof::file, seeds: patch::seeds },
];

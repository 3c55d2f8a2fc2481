//! `loopbreak runs prune`: records of runs go, the oldest first, until the others are small enough.

use std::path::Path;

use engine::{RunDir, StateDir};

use crate::args::{Global, PruneArgs};
use crate::commands::image::size;
use crate::exit::{Exit, infrastructure, usage};
use crate::output::{print, tell};

/// A recorded run.
struct Kept {
    size: u64,
    /// It is under way, or was killed and not cleaned up after.
    is_open: bool,
}

pub(crate) fn run(global: &Global, args: &PruneArgs) -> anyhow::Result<Exit> {
    let limit = match args.max_size {
        Some(limit) => limit,
        None => args.settings.load()?.max_size.ok_or_else(|| {
            usage(anyhow::anyhow!(
                "say how much may stay: --max-size SIZE, or `max-size` in the settings"
            ))
        })?,
    };
    let state = StateDir::open(global.state.as_deref()).map_err(usage)?;
    let runs = RunDir::list(&state.runs()).map_err(infrastructure)?;
    let mut kept = Vec::new();
    for run in &runs {
        let is_open = state.ledgers().join(format!("{}.jsonl", run.name())).exists();
        kept.push(Kept { size: size_of(run.path()).map_err(infrastructure)?, is_open });
    }
    let before: u64 = kept.iter().map(|run| run.size).sum();
    let mut left = before;
    for index in to_remove(&kept, limit.bytes()) {
        let (run, bytes) = (&runs[index], kept[index].size);
        if !args.dry_run {
            fs_err::remove_dir_all(run.path()).map_err(infrastructure)?;
        }
        left -= bytes;
        let what = if args.dry_run { "would remove" } else { "removed" };
        print(&format!("{what} {}, {}\n", run.name(), size(bytes)))?;
    }
    tell(format!(
        "{} of runs, of {} before; the limit is {}",
        size(left),
        size(before),
        size(limit.bytes())
    ));
    if left > limit.bytes() {
        tell(
            "what is left is of runs that are under way, or were killed; `loopbreak clean` cleans up after these",
        );
    }
    Ok(Exit::AsExpected)
}

/// Which runs go, of all from the oldest on, so that the others are not larger than the limit.
fn to_remove(runs: &[Kept], limit: u64) -> Vec<usize> {
    let mut total: u64 = runs.iter().map(|run| run.size).sum();
    let mut remove = Vec::new();
    for (index, run) in runs.iter().enumerate() {
        if total <= limit {
            break;
        }
        if !run.is_open {
            total -= run.size;
            remove.push(index);
        }
    }
    remove
}

/// What a folder takes on the disk. Links are not followed, and what goes meanwhile takes nothing.
fn size_of(folder: &Path) -> std::io::Result<u64> {
    use std::os::unix::fs::MetadataExt as _;
    let (mut total, mut folders) = (0, vec![folder.to_path_buf()]);
    let gone = |error: &std::io::Error| error.kind() == std::io::ErrorKind::NotFound;
    while let Some(folder) = folders.pop() {
        let entries = match fs_err::read_dir(&folder) {
            Err(error) if gone(&error) => continue,
            entries => entries?,
        };
        for entry in entries {
            let entry = entry?;
            match fs_err::symlink_metadata(entry.path()) {
                Err(error) if gone(&error) => {}
                Err(error) => return Err(error),
                Ok(data) if data.is_dir() => folders.push(entry.path()),
                // Blocks of 512 bytes, as stat counts them: a disk that was kept is sparse.
                Ok(data) => total += data.blocks() * 512,
            }
        }
    }
    Ok(total)
}

#[cfg(test)]
mod tests {
    use super::{Kept, to_remove};

    #[test]
    fn the_oldest_go_until_the_others_are_small_enough() {
        let run = |size| Kept { size, is_open: false };
        let runs = [run(5), run(7), Kept { size: 4, is_open: true }, run(3), run(2)];
        assert_eq!(to_remove(&runs, 21), [0; 0]);
        assert_eq!(to_remove(&runs, 20), [0]);
        assert_eq!(to_remove(&runs, 9), [0, 1]);
        assert_eq!(to_remove(&runs, 8), [0, 1, 3]);
        assert_eq!(to_remove(&runs, 0), [0, 1, 3, 4], "one that is under way stays");
    }
}

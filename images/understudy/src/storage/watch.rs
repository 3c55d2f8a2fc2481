//! Who wants to know of changes in which folder.
//!
//! Windows keeps a change buffer per directory handle (`ZwNotifyChangeDirectoryFile`): what changes
//! between two calls is there for the second. So does this.

use std::collections::{BTreeMap, VecDeque};

use crate::kernel::{Change, ChangeAction, NotifyDone, NtStatus};

/// Changes kept for one watcher before the oldest are dropped and the caller is told to look itself.
const KEPT: usize = 512;

/// `FILE_NOTIFY_CHANGE_FILE_NAME` and `FILE_NOTIFY_CHANGE_DIR_NAME`.
const NAMES: u32 = 0x3;

/// A change of the drive, by its whole path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Changed {
    /// What happened.
    pub action: ChangeAction,
    /// Path from the root of the drive, with backslashes and one in front.
    pub path: String,
}

#[derive(Debug)]
struct Watcher {
    directory: String,
    filter: u32,
    subtree: bool,
    kept: VecDeque<Change>,
    waiting: Option<NotifyDone>,
}

/// All watchers of a drive, by the number of the open directory.
#[derive(Debug, Default)]
pub(super) struct Watchers {
    by_file: BTreeMap<u64, Watcher>,
}

/// Answers that are due. They are completed after all locks are let go, because whoever is told may
/// come back at once.
#[derive(Debug, Default)]
#[must_use = "a driver waits for the answer"]
pub(super) struct Due(Vec<(NotifyDone, Result<Vec<Change>, NtStatus>)>);

impl Due {
    /// Tells everyone.
    pub(super) fn complete(self) {
        for (done, answer) in self.0 {
            done.complete(answer);
        }
    }
}

impl Watchers {
    /// A call on open directory `file`. The first one starts the watch.
    pub(super) fn ask(
        &mut self,
        file: u64,
        directory: &str,
        filter: u32,
        subtree: bool,
        done: NotifyDone,
    ) -> Due {
        let watcher = self.by_file.entry(file).or_insert_with(|| Watcher {
            directory: normal(directory),
            filter,
            subtree,
            kept: VecDeque::new(),
            waiting: None,
        });
        if !watcher.kept.is_empty() {
            return Due(vec![(done, Ok(watcher.kept.drain(..).collect()))]);
        }
        match watcher.waiting.replace(done) {
            Some(earlier) => Due(vec![(earlier, Err(NtStatus::CANCELLED))]),
            None => Due::default(),
        }
    }

    /// The directory was closed.
    pub(super) fn close(&mut self, file: u64) -> Due {
        match self.by_file.remove(&file).and_then(|watcher| watcher.waiting) {
            Some(done) => Due(vec![(done, Err(NtStatus::NOTIFY_CLEANUP))]),
            None => Due::default(),
        }
    }

    /// Something changed.
    pub(super) fn changed(&mut self, changes: &[Changed]) -> Due {
        let mut due = Due::default();
        for watcher in self.by_file.values_mut() {
            for change in changes {
                let Some(name) = watcher.sees(change) else { continue };
                if watcher.kept.len() == KEPT {
                    watcher.kept.pop_front();
                }
                watcher.kept.push_back(Change { action: change.action, name });
            }
            if !watcher.kept.is_empty()
                && let Some(done) = watcher.waiting.take()
            {
                due.0.push((done, Ok(watcher.kept.drain(..).collect())));
            }
        }
        due
    }
}

impl Watcher {
    /// The changed name relative to the watched directory, if this watcher is to be told.
    fn sees(&self, change: &Changed) -> Option<String> {
        if change.action != ChangeAction::Modified && self.filter & NAMES == 0 {
            return None;
        }
        if change.action == ChangeAction::Modified && self.filter & !NAMES == 0 {
            return None;
        }
        let relative = relative_to(&self.directory, &change.path)?;
        (self.subtree || !relative.contains('\\')).then(|| relative.to_owned())
    }
}

/// One form for comparing: lower case, one backslash in front, none behind.
fn normal(path: &str) -> String {
    format!("\\{}", path.trim_matches('\\')).to_lowercase()
}

/// The rest of `path` below `directory` (which is in normal form), in its own spelling.
fn relative_to<'p>(directory: &str, path: &'p str) -> Option<&'p str> {
    let path = path.trim_start_matches('\\');
    let directory = directory.trim_start_matches('\\');
    if directory.is_empty() {
        return (!path.is_empty()).then_some(path);
    }
    let head = path.get(..directory.len())?;
    let rest = path.get(directory.len()..)?.strip_prefix('\\')?;
    (head.to_lowercase() == directory && !rest.is_empty()).then_some(rest)
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, channel};

    use super::{Changed, Watchers};
    use crate::kernel::{Change, ChangeAction, NotifyDone, NtStatus};

    fn asked() -> (NotifyDone, Receiver<Result<Vec<Change>, NtStatus>>) {
        let (sender, receiver) = channel();
        (NotifyDone::new(move |answer| sender.send(answer).expect("the test listens")), receiver)
    }

    fn added(path: &str) -> Changed {
        Changed { action: ChangeAction::Added, path: path.to_owned() }
    }

    #[test]
    fn a_change_in_the_folder_is_told_once() {
        let mut watchers = Watchers::default();
        let (done, told) = asked();
        watchers.ask(1, "\\Windows\\Drivers\\", 0x1F, false, done).complete();
        watchers.changed(&[added("\\windows\\drivers\\sub\\x")]).complete();
        assert!(told.try_recv().is_err(), "a folder below is not watched");
        watchers.changed(&[added("\\windows\\DRIVERS\\C-1.sys")]).complete();
        let changes = told.try_recv().expect("told").expect("changes");
        assert_eq!(changes, [Change { action: ChangeAction::Added, name: "C-1.sys".into() }]);
    }

    #[test]
    fn changes_between_two_calls_are_kept() {
        let mut watchers = Watchers::default();
        let (first, told_first) = asked();
        watchers.ask(1, "\\d", 0x1F, true, first).complete();
        watchers.changed(&[added("\\d\\a")]).complete();
        watchers.changed(&[added("\\d\\b\\c")]).complete();
        assert_eq!(told_first.try_recv().expect("told").expect("changes").len(), 1);
        let (second, told_second) = asked();
        watchers.ask(1, "\\d", 0x1F, true, second).complete();
        assert_eq!(told_second.try_recv().expect("told").expect("changes")[0].name, "b\\c");
    }

    #[test]
    fn closing_the_folder_ends_the_wait() {
        let mut watchers = Watchers::default();
        let (done, told) = asked();
        watchers.ask(7, "\\d", 0x1F, false, done).complete();
        watchers.close(7).complete();
        assert_eq!(told.try_recv().expect("told"), Err(NtStatus::NOTIFY_CLEANUP));
    }

    #[test]
    fn a_watcher_of_names_is_not_told_of_writes() {
        let mut watchers = Watchers::default();
        let (done, told) = asked();
        watchers.ask(1, "\\d", 0x1, false, done).complete();
        let write = Changed { action: ChangeAction::Modified, path: "\\d\\a".into() };
        watchers.changed(&[write]).complete();
        assert!(told.try_recv().is_err());
        watchers.close(1).complete();
        assert_eq!(told.try_recv().expect("told"), Err(NtStatus::NOTIFY_CLEANUP));
    }
}

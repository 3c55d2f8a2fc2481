//! The first pass: what was open, what may not be on the disk, and what was not finished, from the last checkpoint
//! to the end of the log.

use super::operation as op;
use super::records::{Action, Kind, Log, LogRecord};
use super::restart::Restart;
use super::tables::{Checkpoint, DirtyPage, OpenAttribute, State, Transaction, entries};
use crate::ntfs::record::u64_at;
use std::collections::{BTreeMap, HashMap};

/// Most records that are followed.
const MAX_RECORDS: usize = 1_000_000;
/// Most clusters that may be dirty at once: 4 GiB in clusters of 4 KiB.
const MAX_DIRTY: usize = 1 << 20;

/// Most ranges of clusters that may be given back.
const MAX_FREED: usize = 4096;

/// A cluster of an open attribute: which attribute, when it was opened, which of its clusters.
type Place = (u16, u64, u64);

/// A cluster that may not be on the disk as it should be.
#[derive(Debug, Clone, Copy)]
pub(super) struct Dirty {
    /// Where it lies; 0 where that is not known.
    pub(super) lcn: u64,
    /// The first change that may be missing.
    pub(super) oldest: u64,
}

/// What the log asks for.
#[derive(Debug, Default)]
pub(super) struct Analysis {
    /// Of each name the attributes that had it, by when they were opened.
    open: HashMap<u16, BTreeMap<u64, OpenAttribute>>,
    dirty: HashMap<Place, Dirty>,
    /// Clusters that were given back: first, number, and when.
    freed: Vec<(u64, u64, u64)>,
    transactions: BTreeMap<u32, Transaction>,
    /// The last number of the log.
    pub(super) last: u64,
}

impl Analysis {
    /// Reads the log from its last checkpoint to its end.
    pub(super) fn of(log: &Log, restart: &Restart) -> Result<Self, String> {
        let mut analysis = Self::default();
        let record = log.record(restart.checkpoint);
        let mut record = record
            .filter(|record| record.kind == Kind::Checkpoint)
            .ok_or("the record of its last checkpoint cannot be read")?;
        let checkpoint = Checkpoint::parse(&record.data)
            .ok_or("the record of its last checkpoint is not understood")?;
        analysis.read_tables(log, &checkpoint)?;
        if checkpoint.start != 0 {
            record = log
                .record(checkpoint.start)
                .ok_or("the record where its last checkpoint began cannot be read")?;
        }
        let checkpoint_start = record.lsn;
        let mut count = 0;
        while let Some(next) = log.record(record.next) {
            count += 1;
            if count > MAX_RECORDS {
                return Err("it has more records than are followed here".to_owned());
            }
            if next.kind == Kind::Action {
                analysis.step(&next, checkpoint.narrow)?;
            }
            record = next;
        }
        analysis.last = record.lsn;
        if record.lsn < restart.current || log.goes_on(&record) {
            return Err(format!(
                "it breaks off in its middle, behind the record {:#x}",
                record.lsn
            ));
        }
        analysis.freed_before(log, checkpoint_start)?;
        Ok(analysis)
    }

    /// Clusters that were given back between the first change that may be missing and the checkpoint.
    fn freed_before(&mut self, log: &Log, checkpoint: u64) -> Result<(), String> {
        let Some(start) = self.start().filter(|&start| start <= checkpoint) else { return Ok(()) };
        let mut next = start;
        for _ in 0..MAX_RECORDS {
            let Some(record) = log.record(next).filter(|record| record.lsn <= checkpoint) else {
                break;
            };
            if record.kind == Kind::Action
                && let Some(action) = Action::parse(&record.data)
                && action.redo == op::FREED_CLUSTERS
            {
                self.note_freed(&action, record.lsn)?;
            }
            next = record.next;
        }
        Ok(())
    }

    fn read_tables(&mut self, log: &Log, checkpoint: &Checkpoint) -> Result<(), String> {
        let table = |lsn: Option<u64>, operation: u16, what: &str| {
            let Some(lsn) = lsn else { return Ok(Vec::new()) };
            let record = log.record(lsn).filter(|record| record.kind == Kind::Action);
            let record = record.ok_or(format!("the table of {what} cannot be read"))?;
            let action = Action::parse(&record.data).filter(|action| action.redo == operation);
            let action = action.ok_or(format!("the table of {what} is not understood"))?;
            Ok::<_, String>(action.table.to_vec())
        };
        let bad = |what: &str| format!("the table of {what} is malformed");
        let open = table(checkpoint.open_attributes, op::OPEN_ATTRIBUTES, "open attributes")?;
        if !open.is_empty() {
            for (name, entry) in entries(&open).ok_or_else(|| bad("open attributes"))? {
                let one = OpenAttribute::parse(entry, checkpoint.narrow);
                self.opened(name, one.ok_or_else(|| bad("open attributes"))?);
            }
        }
        let dirty = table(checkpoint.dirty_pages, op::DIRTY_PAGES, "pages to be written")?;
        if !dirty.is_empty() {
            for (_, entry) in entries(&dirty).ok_or_else(|| bad("pages to be written"))? {
                let page = DirtyPage::parse(entry, checkpoint.narrow);
                self.read_dirty(&page.ok_or_else(|| bad("pages to be written"))?)?;
            }
        }
        let transactions = table(checkpoint.transactions, op::TRANSACTIONS, "unfinished changes")?;
        if !transactions.is_empty() {
            for (name, entry) in entries(&transactions).ok_or_else(|| bad("unfinished changes"))? {
                let one = Transaction::parse(entry).ok_or_else(|| bad("unfinished changes"))?;
                self.transactions.insert(u32::from(name), one);
            }
        }
        Ok(())
    }

    fn opened(&mut self, name: u16, one: OpenAttribute) {
        self.open.entry(name).or_default().insert(one.opened, one);
    }

    fn read_dirty(&mut self, page: &DirtyPage) -> Result<(), String> {
        let owner = self.owner(page.attribute, u64::MAX);
        let opened = owner.ok_or("a page to be written belongs to nothing that is open")?.opened;
        for (index, &lcn) in page.lcns.iter().enumerate() {
            let vcn = page.vcn.checked_add(index as u64).ok_or("a page lies at no place")?;
            let place = (page.attribute, opened, vcn);
            let dirty = self.dirty.entry(place).or_insert(Dirty { lcn, oldest: page.oldest });
            dirty.oldest = dirty.oldest.min(page.oldest);
            if dirty.lcn == 0 {
                dirty.lcn = lcn;
            }
        }
        self.bounded()
    }

    fn bounded(&self) -> Result<(), String> {
        if self.dirty.len() > MAX_DIRTY {
            return Err("it has more pages to be written than are followed here".to_owned());
        }
        Ok(())
    }

    /// The attribute that had this name when the record `lsn` was written.
    pub(super) fn owner(&self, name: u16, lsn: u64) -> Option<OpenAttribute> {
        self.open.get(&name)?.range(..=lsn).next_back().map(|(_, one)| *one)
    }

    /// What is known of a cluster of an attribute.
    pub(super) fn dirty(&self, name: u16, owner: &OpenAttribute, vcn: u64) -> Option<Dirty> {
        self.dirty.get(&(name, owner.opened, vcn)).copied()
    }

    /// True if the cluster was given back after the record `lsn`.
    pub(super) fn is_freed(&self, lcn: u64, lsn: u64) -> bool {
        let inside = |&(first, len, when): &(u64, u64, u64)| {
            when > lsn && lcn.checked_sub(first).is_some_and(|within| within < len)
        };
        self.freed.iter().any(inside)
    }

    /// Where the second pass begins; `None` if nothing is missing.
    pub(super) fn start(&self) -> Option<u64> {
        self.dirty.values().map(|dirty| dirty.oldest).filter(|&lsn| lsn > 0).min()
    }

    /// The changes that have to be taken back.
    pub(super) fn unfinished(&self) -> Result<Vec<u64>, String> {
        let mut unfinished = Vec::new();
        for transaction in self.transactions.values() {
            match transaction.state {
                State::Active if transaction.undo_next > 0 => {
                    unfinished.push(transaction.undo_next);
                }
                State::Active | State::Committed => {}
                State::Prepared => {
                    return Err("a change in it waits for the word of another volume".to_owned());
                }
            }
        }
        Ok(unfinished)
    }

    fn step(&mut self, record: &LogRecord, narrow: bool) -> Result<(), String> {
        let lsn = record.lsn;
        let unclear = || format!("the record {lsn:#x} is malformed");
        let action = Action::parse(&record.data).ok_or_else(unclear)?;
        for operation in [action.redo, action.undo] {
            if !op::is_known(operation) {
                return Err(format!(
                    "the record {lsn:#x} asks for the operation {operation:#x}, which is not known here"
                ));
            }
        }
        let transaction = self
            .transactions
            .entry(record.transaction)
            .or_insert(Transaction { state: State::Active, undo_next: 0 });
        transaction.undo_next = match (action.redo, action.undo) {
            (op::END_TOP_LEVEL, _) | (_, op::COMPENSATION) => record.undo_next,
            _ => lsn,
        };
        match action.redo {
            op::PREPARE => transaction.state = State::Prepared,
            op::COMMIT => transaction.state = State::Committed,
            op::FORGET => {
                self.transactions.remove(&record.transaction);
            }
            op::OPEN_ATTRIBUTE => {
                let one = OpenAttribute::parse(action.redo_data, narrow).ok_or_else(unclear)?;
                self.opened(action.attribute, OpenAttribute { opened: lsn, ..one });
            }
            op::FREED_CLUSTERS => self.note_freed(&action, lsn)?,
            operation if op::changes_a_page(operation) => self.touched(&action, lsn)?,
            _ => {}
        }
        Ok(())
    }

    fn note_freed(&mut self, action: &Action<'_>, lsn: u64) -> Result<(), String> {
        for range in action.redo_data.chunks_exact(16) {
            self.freed.push((u64_at(range, 0), u64_at(range, 8), lsn));
        }
        if self.freed.len() > MAX_FREED {
            return Err("more clusters were given back in it than are followed here".to_owned());
        }
        Ok(())
    }

    /// Notes the clusters of a change.
    fn touched(&mut self, action: &Action<'_>, lsn: u64) -> Result<(), String> {
        let owner = self.owner(action.attribute, lsn);
        let opened =
            owner.ok_or(format!("the record {lsn:#x} changes something that was not open"))?.opened;
        for (index, lcn) in action.lcns().enumerate() {
            let vcn = action.vcn.checked_add(index as u64).ok_or("a page lies at no place")?;
            let place = (action.attribute, opened, vcn);
            self.dirty.entry(place).or_insert(Dirty { lcn, oldest: lsn }).lcn = lcn;
        }
        self.bounded()
    }
}

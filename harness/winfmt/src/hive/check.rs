//! The check of a whole hive when it is opened: everything that reading or editing will rely on.
//!
//! Windows does the same when it loads a hive, and repairs some of what it finds. Nothing is repaired
//! here: a damaged hive is evidence.

use std::cmp::Ordering;
use std::collections::HashMap;

use super::cells::NONE;
use super::error::damaged;
use super::key::Node;
use super::name::Name;
use super::upcase::upcase;
use super::{Hive, HiveError, MAX_DEPTH, base, security};

/// What a sound hive uses its cells for.
pub(super) struct Audit {
    /// What each cell that is reached is used as.
    pub used: HashMap<u32, &'static str>,
    /// How many keys use each security descriptor.
    pub users: HashMap<u32, u32>,
    /// Whether every list of subkeys is in order by our table of upper case.
    pub sorted: bool,
}

pub(super) fn check(hive: &Hive) -> Result<Audit, HiveError> {
    let audit = Audit { used: HashMap::new(), users: HashMap::new(), sorted: true };
    let mut check = Check { hive, audit };
    let root = base::root(&hive.data);
    let mut pending = vec![(root, None, 1)];
    while let Some((cell, parent, depth)) = pending.pop() {
        let node = hive.node(cell)?;
        check.key(&node, parent, depth)?;
        let mut before: Option<Name> = None;
        for child in hive.children(&node)? {
            let name = hive.node(child)?.name;
            if let Some(before) = &before {
                check.audit.sorted &= check_order(child, before, &name)?;
            }
            before = Some(name);
            pending.push((child, Some(cell), depth + 1));
        }
    }
    for (&cell, &users) in &check.audit.users {
        let count = hive.security_count(cell)?;
        if count < users {
            let what = format!("a security descriptor counts {count} users, it has {users}");
            return Err(damaged(cell, what));
        }
    }
    Ok(check.audit)
}

struct Check<'h> {
    hive: &'h Hive,
    audit: Audit,
}

impl Check<'_> {
    fn key(&mut self, node: &Node, parent: Option<u32>, depth: usize) -> Result<(), HiveError> {
        let hive = self.hive;
        self.take(node.cell, "a key")?;
        if depth > MAX_DEPTH {
            return Err(damaged(node.cell, format!("keys are nested deeper than {MAX_DEPTH}")));
        }
        if let Some(parent) = parent
            && node.parent != parent
        {
            let what = format!(
                "key `{}` is listed under the key at {parent:#x} but says its parent is at {:#x}",
                node.name, node.parent
            );
            return Err(damaged(node.cell, what));
        }
        if node.name.is_empty() && parent.is_some() {
            return Err(damaged(node.cell, "a key has no name"));
        }
        for cell in hive.list_cells(node)? {
            self.take(cell, "a list of subkeys")?;
        }
        if node.values > 0 {
            self.take(node.value_list, "a list of values")?;
        }
        for cell in hive.value_cells(node)? {
            self.take(cell, "a value")?;
            let entry = hive.value_entry(cell)?;
            for data in hive.data_cells(&entry)? {
                self.take(data, "data of a value")?;
            }
            hive.value_bytes(&entry)?;
        }
        let key = super::Key { hive, node: node.clone() };
        if key.class()?.is_some() {
            self.take(node.class, "a class")?;
        }
        self.security(node)
    }

    fn security(&mut self, node: &Node) -> Result<(), HiveError> {
        let hive = self.hive;
        if node.security == NONE {
            return Ok(());
        }
        // Descriptors alone are shared, so only their first user takes the cell.
        let users = self.audit.users.entry(node.security).or_default();
        *users += 1;
        if *users > 1 {
            return Ok(());
        }
        self.take(node.security, "a security descriptor")?;
        hive.descriptor(node.security)?;
        let neighbours =
            [(security::NEXT, security::PREVIOUS), (security::PREVIOUS, security::NEXT)];
        for (there, back) in neighbours {
            let neighbour = hive.word(node.security, there)?;
            if hive.descriptor(neighbour)?.is_none() || hive.word(neighbour, back)? != node.security
            {
                return Err(damaged(node.security, "the ring of security descriptors is broken"));
            }
        }
        Ok(())
    }

    fn take(&mut self, cell: u32, purpose: &'static str) -> Result<(), HiveError> {
        if !self.hive.cells.is_allocated(cell) {
            return Err(damaged(cell, format!("{purpose} should be here, but no cell begins")));
        }
        match self.audit.used.insert(cell, purpose) {
            Some(before) => {
                Err(damaged(cell, format!("a cell is used twice: as {before} and as {purpose}")))
            }
            None => Ok(()),
        }
    }
}

/// Subkeys are in ascending order of their upper-cased names, none twice. Where the first difference
/// lies outside Latin-1, an older Windows may have upper-cased by another table: then only equality is
/// damage. Gives whether the order is right.
fn check_order(cell: u32, before: &Name, name: &Name) -> Result<bool, HiveError> {
    let first_difference = before
        .units()
        .iter()
        .zip(name.units())
        .map(|(&left, &right)| (upcase(left), upcase(right)))
        .find(|(left, right)| left != right);
    let known = first_difference.is_none_or(|(left, right)| left < 0x100 && right < 0x100);
    match before.compare(name) {
        Ordering::Less => Ok(true),
        Ordering::Equal => Err(damaged(cell, format!("two subkeys are called `{name}`"))),
        Ordering::Greater if known => {
            Err(damaged(cell, format!("subkey `{name}` stands after `{before}`")))
        }
        Ordering::Greater => Ok(false),
    }
}

//! Run lists: where the clusters of an attribute lie.

use crate::Reason;

/// Consecutive clusters. Without a place on the volume they read as zeros (a hole).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Run {
    pub(crate) lcn: Option<u64>,
    pub(crate) len: u64,
}

/// Most clusters of an attribute, with its holes: with clusters of 2 MiB their bytes still fit 63 bits.
const MAX_CLUSTERS: u64 = 1 << 42;

fn damaged(what: &str) -> Reason {
    Reason::Damaged(format!("a run list {what}"))
}

/// Decodes the mapping pairs of an attribute of a volume of `clusters` clusters.
pub(crate) fn decode(mut bytes: &[u8], clusters: u64) -> Result<Vec<Run>, Reason> {
    let mut runs: Vec<Run> = Vec::new();
    let mut lcn: i64 = 0;
    let mut total: u64 = 0;
    while let Some((&head, rest)) = bytes.split_first() {
        if head == 0 {
            break;
        }
        let (len_size, lcn_size) = (usize::from(head & 15), usize::from(head >> 4));
        if len_size == 0 || len_size > 8 || lcn_size > 8 || rest.len() < len_size + lcn_size {
            return Err(damaged("is malformed"));
        }
        let mut len = [0; 8];
        len[..len_size].copy_from_slice(&rest[..len_size]);
        let len = u64::from_le_bytes(len);
        total = total.checked_add(len).ok_or_else(|| damaged("is too long"))?;
        if len == 0 || total > MAX_CLUSTERS {
            return Err(damaged("has an impossible length"));
        }
        let place = if lcn_size == 0 {
            None
        } else {
            let field = &rest[len_size..len_size + lcn_size];
            let negative = field[lcn_size - 1] & 0x80 != 0;
            let mut delta = if negative { [0xff; 8] } else { [0; 8] };
            delta[..lcn_size].copy_from_slice(field);
            lcn = lcn
                .checked_add(i64::from_le_bytes(delta))
                .ok_or_else(|| damaged("leaves the volume"))?;
            let start = u64::try_from(lcn).map_err(|_| damaged("leaves the volume"))?;
            if start.checked_add(len).is_none_or(|end| end > clusters) {
                return Err(damaged("leaves the volume"));
            }
            Some(start)
        };
        runs.push(Run { lcn: place, len });
        bytes = &rest[len_size + lcn_size..];
    }
    Ok(runs)
}

/// Encodes runs as mapping pairs, with the terminating zero.
pub(crate) fn encode(runs: &[Run]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut previous: i64 = 0;
    for run in runs {
        let len = signed_bytes(run.len as i64);
        let place = run.lcn.map(|lcn| {
            let delta = lcn as i64 - previous;
            previous = lcn as i64;
            signed_bytes(delta)
        });
        let place = place.unwrap_or_default();
        bytes.push((place.len() as u8) << 4 | len.len() as u8);
        bytes.extend(len);
        bytes.extend(place);
    }
    bytes.push(0);
    bytes
}

/// The fewest bytes whose sign extension gives `value`.
fn signed_bytes(value: i64) -> Vec<u8> {
    let mut bytes = value.to_le_bytes().to_vec();
    while bytes.len() > 1 {
        let (last, before) = (bytes[bytes.len() - 1], bytes[bytes.len() - 2]);
        let redundant = (last == 0 && before & 0x80 == 0) || (last == 0xff && before & 0x80 != 0);
        if !redundant {
            break;
        }
        bytes.pop();
    }
    bytes
}

/// Clusters of all runs together.
pub(crate) fn total(runs: &[Run]) -> u64 {
    runs.iter().map(|run| run.len).sum()
}

/// Adds a run, joined with the last one where it continues it.
pub(crate) fn push(runs: &mut Vec<Run>, run: Run) {
    if let (Some(last), Some(lcn)) = (runs.last_mut(), run.lcn)
        && last.lcn.is_some_and(|start| start + last.len == lcn)
    {
        last.len += run.len;
        return;
    }
    runs.push(run);
}

/// Cuts runs to `keep` clusters and returns what was cut off.
pub(crate) fn truncate(runs: &mut Vec<Run>, keep: u64) -> Vec<Run> {
    let mut left = keep;
    let mut cut = Vec::new();
    let mut kept = Vec::new();
    for run in runs.drain(..) {
        let head = run.len.min(left);
        left -= head;
        if head > 0 {
            kept.push(Run { len: head, ..run });
        }
        if head < run.len {
            cut.push(Run { lcn: run.lcn.map(|lcn| lcn + head), len: run.len - head });
        }
    }
    *runs = kept;
    cut
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_example_of_the_documentation() {
        // Linux-NTFS documentation, "Data runs", example 4: a hole between two runs.
        let runs = decode(&[0x11, 0x30, 0x20, 0x01, 0x60, 0x11, 0x10, 0x30, 0x00], 1000).unwrap();
        assert_eq!(
            runs,
            [
                Run { lcn: Some(0x20), len: 0x30 },
                Run { lcn: None, len: 0x60 },
                Run { lcn: Some(0x50), len: 0x10 },
            ]
        );
    }

    #[test]
    fn runs_that_leave_the_volume_are_refused() {
        assert!(decode(&[0x11, 0x30, 0x20, 0], 0x4f).is_err());
        assert!(decode(&[0x11, 0x30, 0x20, 0], 0x50).is_ok());
        assert!(decode(&[0x11, 0x01, 0xff, 0], 1000).is_err());
        assert!(decode(&[0x11, 0x00, 0x01, 0], 1000).is_err());
        assert!(decode(&[0x19, 1, 1], 1000).is_err());
    }

    #[test]
    fn cutting_and_joining() {
        let mut runs = vec![Run { lcn: Some(10), len: 4 }];
        push(&mut runs, Run { lcn: Some(14), len: 2 });
        push(&mut runs, Run { lcn: Some(30), len: 2 });
        assert_eq!(runs.len(), 2);
        assert_eq!(
            truncate(&mut runs, 5),
            [Run { lcn: Some(15), len: 1 }, Run { lcn: Some(30), len: 2 }]
        );
        assert_eq!(runs, [Run { lcn: Some(10), len: 5 }]);
    }

    proptest! {
        #[test]
        fn what_is_encoded_comes_back(pieces in prop::collection::vec(
            (prop::option::of(0u64..1 << 40), 1u64..1 << 30), 0..20))
        {
            let runs: Vec<Run> = pieces.into_iter().map(|(lcn, len)| Run { lcn, len }).collect();
            prop_assert_eq!(decode(&encode(&runs), 1 << 41).unwrap(), runs);
        }

        #[test]
        fn any_bytes_are_taken_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let _ = decode(&bytes, 1 << 30);
        }
    }
}

//! The clusters of changed records, against each other and against the map of clusters.

use super::changes::Comparison;
use crate::ntfs::record::Record;
use crate::ntfs::runs::Run;
use crate::{Check, Reason};
use std::ops::Range;

/// Clusters, and which record has them.
#[derive(Debug, Default)]
pub(super) struct Places {
    pieces: Vec<Piece>,
}

#[derive(Debug, Clone)]
struct Piece {
    clusters: Range<u64>,
    record: u64,
    /// The end of this piece and all before it, once they are in order.
    end: u64,
}

impl Places {
    /// Takes up the clusters of a record; [`Places::sort`] comes after the last.
    pub(super) fn add(&mut self, runs: &[Run], record: u64) {
        for run in runs {
            if let Some(start) = run.lcn {
                self.pieces.push(Piece { clusters: start..start + run.len, record, end: 0 });
            }
        }
    }

    pub(super) fn sort(&mut self) {
        self.pieces.sort_by_key(|piece| piece.clusters.start);
        let mut end = 0;
        for piece in &mut self.pieces {
            end = end.max(piece.clusters.end);
            piece.end = end;
        }
    }

    /// True if a record has this cluster.
    pub(super) fn has(&self, cluster: u64) -> bool {
        let after = self.pieces.partition_point(|piece| piece.clusters.start <= cluster);
        after.checked_sub(1).is_some_and(|last| self.pieces[last].end > cluster)
    }

    /// The parts of these clusters that no record has.
    fn without(&self, clusters: &Range<u64>) -> Vec<Range<u64>> {
        let mut rest = Vec::new();
        let mut from = clusters.start;
        let first = self.pieces.partition_point(|piece| piece.end <= clusters.start);
        for piece in &self.pieces[first..] {
            if piece.clusters.start >= clusters.end {
                break;
            }
            if piece.clusters.start > from {
                rest.push(from..piece.clusters.start);
            }
            from = from.max(piece.clusters.end);
        }
        if from < clusters.end {
            rest.push(from..clusters.end);
        }
        rest
    }

    /// Notes clusters that two records have, or one record twice.
    fn check_single(&self, check: &mut Check) {
        let mut owner: Option<&Piece> = None;
        for piece in &self.pieces {
            let start = piece.clusters.start;
            if let Some(owner) = owner.filter(|owner| owner.clusters.end > start) {
                check.error(format!(
                    "cluster {start} is used twice, by record {} and by record {}",
                    owner.record, piece.record
                ));
            }
            if owner.is_none_or(|owner| owner.clusters.end < piece.clusters.end) {
                owner = Some(piece);
            }
        }
    }
}

/// The clusters of a record.
fn clusters_of(record: &Record, clusters: u64) -> Result<Vec<Run>, Reason> {
    let mut all = Vec::new();
    for attribute in record.attributes.iter().filter(|one| !one.is_resident()) {
        all.extend(attribute.runs(clusters)?);
    }
    Ok(all)
}

impl Comparison {
    pub(super) fn compare_clusters(&mut self) {
        let (mut before, mut now) = (Places::default(), Places::default());
        let count = self.is.geometry.clusters;
        for (&number, pair) in &self.records {
            if let Some(runs) = pair.was.as_ref().and_then(|one| clusters_of(one, count).ok()) {
                before.add(&runs, number);
                self.accounted.add(&runs, number);
            }
            match pair.is.as_ref().map(|one| clusters_of(one, count)).transpose() {
                Ok(runs) => {
                    let runs = runs.unwrap_or_default();
                    now.add(&runs, number);
                    self.accounted.add(&runs, number);
                }
                Err(error) => self.check.error(format!("record {number}: {error}")),
            }
        }
        before.sort();
        now.sort();
        now.check_single(&mut self.check);
        self.check_taken(&before, &now);
        self.check_map(&before, &now);
    }

    /// What changed records have is marked as taken, and was free where they did not have it before.
    fn check_taken(&mut self, before: &Places, now: &Places) {
        for Piece { clusters, record, .. } in &now.pieces {
            let free = self.taken.is.find_free(clusters.start);
            if let Some(cluster) = free.filter(|free| clusters.contains(free)) {
                self.check
                    .error(format!("cluster {cluster} is used by record {record} but marked free"));
            }
            for gained in before.without(clusters) {
                let other = self.taken.was.find_taken(gained.start);
                if let Some(cluster) = other.filter(|other| gained.contains(other)) {
                    self.check.error(format!(
                        "cluster {cluster} is used twice: record {record} took it, and it was taken \
                         already"
                    ));
                }
            }
        }
        for Piece { clusters, .. } in &before.pieces {
            for lost in now.without(clusters) {
                let kept = lost.filter(|&cluster| self.taken.is.has(cluster)).count();
                self.check.lost_clusters += kept as u64;
            }
        }
    }

    /// What changed in the map of clusters is what changed records took and gave back.
    fn check_map(&mut self, before: &Places, now: &Places) {
        let Self { taken, check, .. } = self;
        for cluster in taken.is.differences(&taken.was) {
            if cluster >= taken.was.count() {
                check.error("the map of clusters differs beyond the last cluster".to_owned());
                return;
            }
            if taken.is.has(cluster) {
                check.lost_clusters += u64::from(!now.has(cluster));
            } else if !before.has(cluster) {
                check.error(format!(
                    "cluster {cluster} is marked free, and no file that had it was changed"
                ));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn clusters_that_two_records_have_are_noted() {
        let run = |start, len| Run { lcn: Some(start), len };
        let mut places = Places::default();
        places.add(&[run(10, 20), run(50, 1), Run { lcn: None, len: 9 }], 1);
        places.add(&[run(30, 20), run(12, 2), run(25, 1), run(51, 1)], 2);
        places.sort();
        let mut check = Check::default();
        places.check_single(&mut check);
        assert_eq!(
            check.errors,
            [
                "cluster 12 is used twice, by record 1 and by record 2",
                "cluster 25 is used twice, by record 1 and by record 2"
            ]
        );
    }

    proptest! {
        #[test]
        fn places_are_as_a_set(
            runs in prop::collection::vec((0u64..60, 1u64..12), 0..8),
            start in 0u64..60, len in 0u64..30)
        {
            let mut places = Places::default();
            for &(start, len) in &runs {
                places.add(&[Run { lcn: Some(start), len }], 1);
            }
            places.sort();
            let has = |cluster: &u64| {
                runs.iter().any(|&(start, len)| (start..start + len).contains(cluster))
            };
            for cluster in 0..90 {
                prop_assert_eq!(places.has(cluster), has(&cluster));
            }
            let rest: Vec<u64> = places.without(&(start..start + len)).into_iter().flatten().collect();
            let wanted: Vec<u64> = (start..start + len).filter(|cluster| !has(cluster)).collect();
            prop_assert_eq!(rest, wanted);
        }
    }
}

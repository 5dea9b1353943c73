//! How well scores rank what is labelled: ROC-AUC, average precision, and counts at a threshold.

/// The chance that a labelled row has a higher score than another one, ties counting half; `None`
/// unless there are both kinds. A NaN score is the least.
pub fn roc_auc(labels: &[bool], scores: &[f64]) -> Option<f64> {
    let (mut below, mut pairs, mut labelled) = (0.0, 0.0, 0.0);
    for (hits, others) in steps(labels, scores).rev() {
        // From the least score up: each labelled row beats all others seen, and half its equals.
        pairs += hits * (below + 0.5 * others);
        (below, labelled) = (below + others, labelled + hits);
    }
    (below > 0.0 && labelled > 0.0).then(|| pairs / (below * labelled))
}

/// The mean of the precision at each labelled row's score, as the area under the stepwise precision-
/// recall curve; `None` if nothing is labelled. A NaN score is the least.
pub fn average_precision(labels: &[bool], scores: &[f64]) -> Option<f64> {
    let (mut seen, mut found, mut sum) = (0.0, 0.0, 0.0);
    for (hits, others) in steps(labels, scores) {
        (seen, found) = (seen + hits + others, found + hits);
        sum += hits * found / seen;
    }
    (found > 0.0).then(|| sum / found)
}

/// For each score, from the highest down, how many rows have it: labelled ones and others.
fn steps(labels: &[bool], scores: &[f64]) -> impl DoubleEndedIterator<Item = (f64, f64)> {
    let score =
        |index: usize| if scores[index].is_nan() { f64::NEG_INFINITY } else { scores[index] };
    let mut order: Vec<usize> = (0..labels.len().min(scores.len())).collect();
    order.sort_by(|a, b| score(*b).total_cmp(&score(*a)));
    let mut steps: Vec<(f64, f64)> = vec![];
    let mut last = None;
    for index in order {
        // 0 and -0 are one score.
        if last != Some(score(index)) {
            steps.push((0.0, 0.0));
        }
        last = Some(score(index));
        if let Some(step) = steps.last_mut() {
            *(if labels[index] { &mut step.0 } else { &mut step.1 }) += 1.0;
        }
    }
    steps.into_iter()
}

/// Rows by label and by what was said of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Labelled and flagged.
    pub hits: usize,
    /// Flagged, not labelled.
    pub false_alarms: usize,
    /// Labelled, not flagged.
    pub misses: usize,
}

impl Counts {
    /// Counts rows.
    pub fn of(labels: &[bool], flags: impl IntoIterator<Item = bool>) -> Self {
        let mut counts = Self::default();
        for (label, flag) in labels.iter().zip(flags) {
            counts.hits += usize::from(*label && flag);
            counts.false_alarms += usize::from(!label && flag);
            counts.misses += usize::from(*label && !flag);
        }
        counts
    }

    /// The share of flagged rows that are labelled; `None` if none is flagged.
    pub fn precision(&self) -> Option<f64> {
        share(self.hits, self.hits + self.false_alarms)
    }

    /// The share of labelled rows that are flagged; `None` if none is labelled.
    pub fn recall(&self) -> Option<f64> {
        share(self.hits, self.hits + self.misses)
    }

    /// The harmonic mean of both; `None` if nothing is flagged or labelled.
    pub fn f1(&self) -> Option<f64> {
        share(2 * self.hits, 2 * self.hits + self.false_alarms + self.misses)
    }
}

fn share(part: usize, of: usize) -> Option<f64> {
    (of > 0).then(|| part as f64 / of as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(labels: &str, scores: &[f64], auc: Option<f64>, precision: Option<f64>) {
        let labels: Vec<bool> = labels.chars().map(|label| label == '1').collect();
        let close = |a: Option<f64>, b: Option<f64>| match (a, b) {
            (Some(a), Some(b)) => (a - b).abs() < 1e-12,
            (a, b) => a == b,
        };
        let (a, p) = (roc_auc(&labels, scores), average_precision(&labels, scores));
        assert!(close(a, auc) && close(p, precision), "{labels:?} {scores:?}: {a:?} {p:?}");
    }

    #[test]
    fn rankings_are_as_by_hand() {
        check("0011", &[0.1, 0.2, 0.3, 0.4], Some(1.0), Some(1.0));
        check("1100", &[0.1, 0.2, 0.3, 0.4], Some(0.0), Some((1.0 / 3.0 + 2.0 / 4.0) / 2.0));
        check("0101", &[0.1, 0.2, 0.3, 0.4], Some(0.75), Some((1.0 + 2.0 / 3.0) / 2.0));
        // The example of scikit-learn's documentation.
        check("0011", &[0.1, 0.4, 0.35, 0.8], Some(0.75), Some((1.0 + 2.0 / 3.0) / 2.0));
        // All equal: no ranking, and precision is the share of what is labelled.
        check("0100", &[0.5; 4], Some(0.5), Some(0.25));
        check("10", &[0.0, -0.0], Some(0.5), Some(0.5));
        check("10", &[f64::NAN, 0.0], Some(0.0), Some(0.5));
        check("000", &[0.1, 0.2, 0.3], None, None);
        check("11", &[0.1, 0.2], None, Some(1.0));
        check("", &[], None, None);
    }

    #[test]
    fn counts_are_as_by_hand() {
        let labels = [true, true, false, false, true];
        let counts = Counts::of(&labels, [true, false, true, false, true]);
        assert_eq!(counts, Counts { hits: 2, false_alarms: 1, misses: 1 });
        assert_eq!(counts.precision(), Some(2.0 / 3.0));
        assert_eq!(counts.recall(), Some(2.0 / 3.0));
        assert_eq!(counts.f1(), Some(2.0 / 3.0));
        let none = Counts::of(&labels, [false; 5]);
        assert_eq!((none.precision(), none.recall(), none.f1()), (None, Some(0.0), Some(0.0)));
        assert_eq!(Counts::default().f1(), None);
    }
}

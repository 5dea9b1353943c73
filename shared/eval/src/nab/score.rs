//! The benchmark's score: 0 for a detector that says nothing, 100 for one that finds each window at
//! its first row and nothing else.

use super::Windowed;

/// What weighs how much.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Profile {
    /// Its name.
    pub name: &'static str,
    /// What an early detection is worth.
    hit: f64,
    /// What a missed window costs.
    miss: f64,
    /// What a false alarm far from any window costs.
    false_alarm: f64,
}

/// The profiles of the benchmark.
pub const PROFILES: [Profile; 3] = [
    Profile { name: "standard", hit: 1.0, miss: 1.0, false_alarm: 0.11 },
    Profile { name: "reward_low_FP_rate", hit: 1.0, miss: 1.0, false_alarm: 0.22 },
    Profile { name: "reward_low_FN_rate", hit: 1.0, miss: 2.0, false_alarm: 0.11 },
];

/// The first rows of a series are not judged: so large a share, of at most so many rows.
const PROBATION: (f64, f64) = (0.15, 5000.0);
/// No real score: nothing is detected above it.
const NOTHING: f64 = 1.1;

/// A profile's score of a corpus.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Score {
    /// The profile.
    pub profile: Profile,
    /// The normalised score, at most 100.
    pub score: f64,
    /// The threshold of alerts with which it was reached, one for all series.
    pub threshold: f64,
}

/// A row as the score sees it.
struct Judged {
    alert: f64,
    /// The number of the window it lies in.
    window: Option<usize>,
    /// What it is worth if detected, in units of its weight.
    worth: f64,
}

/// The scores of series with their alerts, each profile at the threshold that is best for it, as
/// the benchmark chooses it.
pub fn scores<'a>(all: impl Iterator<Item = (&'a Windowed, &'a [f64])>) -> [Score; 3] {
    let (mut rows, mut windows) = (vec![], 0);
    for (one, alerts) in all {
        windows = judge(one, alerts, windows, &mut rows);
    }
    rows.sort_by(|a, b| b.alert.total_cmp(&a.alert));
    PROFILES.map(|profile| best(profile, &rows, windows))
}

/// Appends the judged rows of a series; windows are numbered on from `first`. Returns the next number.
fn judge(one: &Windowed, alerts: &[f64], first: usize, out: &mut Vec<Judged>) -> usize {
    let spans = one.spans();
    let rows = alerts.len() as f64;
    let probation = libm::floor(PROBATION.0 * rows).min(PROBATION.0 * PROBATION.1) as usize;
    let (mut at, mut previous): (usize, Option<(usize, usize)>) = (0, None);
    for (row, &alert) in alerts.iter().enumerate() {
        while let Some(&span) = spans.get(at).filter(|span| row > span.1) {
            (previous, at) = (Some(span), at + 1);
        }
        let here = spans.get(at).filter(|span| span.0 <= row);
        let (window, worth) = match (here, previous) {
            (Some(&(left, right)), _) => {
                let place = -((right - row + 1) as f64) / (right - left + 1) as f64;
                (Some(first + at), sigmoid(place) / sigmoid(-1.0))
            }
            (None, None) => (None, -1.0),
            (None, Some((left, right))) => {
                (None, sigmoid((row - right) as f64 / (right - left).max(1) as f64))
            }
        };
        if row >= probation {
            out.push(Judged { alert, window, worth });
        }
    }
    first + spans.len()
}

fn sigmoid(place: f64) -> f64 {
    if place > 3.0 { -1.0 } else { 2.0 / (1.0 + libm::exp(5.0 * place)) - 1.0 }
}

/// The best score over all thresholds; `rows` from the highest alert down.
fn best(profile: Profile, rows: &[Judged], windows: usize) -> Score {
    let Profile { hit, miss, false_alarm, .. } = profile;
    // A window that lies in the first rows altogether can't be found.
    let mut gained = vec![None; windows];
    for window in rows.iter().filter_map(|row| row.window) {
        gained[window] = Some(-miss);
    }
    let nothing = -miss * gained.iter().flatten().count() as f64;
    let (mut total, mut most, mut threshold) = (nothing, nothing, NOTHING);
    for equals in rows.chunk_by(|a, b| a.alert == b.alert) {
        for row in equals {
            match row.window.and_then(|window| gained[window].as_mut()) {
                Some(gain) if row.worth * hit > *gain => {
                    total += row.worth * hit - *gain;
                    *gain = row.worth * hit;
                }
                Some(_) => {}
                None => total += row.worth * false_alarm,
            }
        }
        if total > most {
            (most, threshold) = (total, equals[0].alert);
        }
    }
    let score = 100.0 * (most - nothing) / (windows as f64 * hit - nothing);
    // Without windows there is nothing to find.
    Score { profile, score: if score.is_finite() { score } else { 0.0 }, threshold }
}

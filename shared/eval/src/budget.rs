//! Whether as many alerts come as were wanted: noise of six kinds over 30 days, a row every five
//! minutes, at some numbers of alerts a week.

use domain::{Detector, Threshold};

use crate::{
    Estimate, Progress,
    noise::{KINDS, Kind, opened},
    parallel,
};

/// Days simulated.
pub const DAYS: usize = 30;
/// Rows in a day.
const DAY: usize = 288;
/// Alerts a week that are asked for.
pub const WANTED: [f64; 2] = [1.0, 7.0];

/// What came of a wanted number of alerts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Kept {
    /// The kind of noise; none: all of them.
    pub kind: Option<&'static str>,
    /// Alerts a week that were asked for.
    pub wanted: f64,
    /// Alerts opened for each wanted one, over the series: 1 is what was asked for.
    pub ratio: Estimate,
}

/// Runs a detector at each number of alerts a week on each kind of noise with so many seeds: one
/// entry for each pair, and one over all kinds for each number.
pub fn measure(detector: &Detector, seeds: u64, progress: Progress<'_>) -> Vec<Kept> {
    let mut turns: Vec<(f64, Kind, u64)> = vec![];
    for wanted in WANTED {
        for kind in KINDS {
            turns.extend((0..seeds).map(|seed| (wanted, kind, seed)));
        }
    }
    let ratio = |(wanted, kind, seed): &(f64, Kind, u64)| {
        let threshold = Threshold::AlertsPerWeek(*wanted);
        let detector = Detector { threshold, ..detector.clone() };
        let series = kind.series(DAYS * DAY, *seed);
        opened(&detector, &series, 0) as f64 / (wanted * DAYS as f64 / 7.0)
    };
    let ratios = parallel::map(&turns, ratio, progress);
    let mut kept = vec![];
    let of_kind = seeds.max(1) as usize;
    for (wanted, ratios) in WANTED.iter().zip(ratios.chunks(KINDS.len() * of_kind)) {
        for (kind, ratios) in KINDS.iter().zip(ratios.chunks(of_kind)) {
            let (kind, wanted) = (Some(kind.name), *wanted);
            kept.push(Kept { kind, wanted, ratio: Estimate::of(ratios) });
        }
        kept.push(Kept { kind: None, wanted: *wanted, ratio: Estimate::of(ratios) });
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parallel::quietly;

    #[test]
    fn ratios_are_of_what_was_wanted() {
        let detector = Detector::implicit("default");
        let all = measure(&detector, 2, &quietly);
        assert_eq!(all.len(), 14);
        let overall: Vec<_> = all.iter().filter(|kept| kept.kind.is_none()).collect();
        assert_eq!((overall[0].wanted, overall[1].wanted), (1.0, 7.0));
        for (at, kept) in overall.iter().enumerate() {
            assert_eq!(kept.ratio.count, 12);
            let kinds = &all[7 * at..7 * at + 6];
            let mean = kinds.iter().map(|kept| kept.ratio.mean).sum::<f64>() / 6.0;
            assert!((mean - kept.ratio.mean).abs() < 1e-9);
            // It is one alert wanted; none at all and ten times as many are both wrong.
            assert!(kept.ratio.mean > 0.1 && kept.ratio.mean < 10.0, "{kept:?}");
        }
        // By hand for one series: alerts over 30 days at 7 a week are 30 wanted.
        let threshold = Threshold::AlertsPerWeek(7.0);
        let one = Detector { threshold, ..detector };
        let count = |seed| opened(&one, &KINDS[0].series(8640, seed), 0) as f64;
        assert!((all[7].ratio.mean - (count(0) + count(1)) / 2.0 / 30.0).abs() < 1e-12);
    }
}

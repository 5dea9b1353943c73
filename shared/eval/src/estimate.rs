//! A mean of repeated measurements, and how sure one may be of it.

/// A mean with its 95 % confidence interval.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate {
    /// How many measurements.
    pub count: usize,
    /// Their mean; NaN if there are none.
    pub mean: f64,
    /// Their standard deviation; NaN below two.
    pub deviation: f64,
    /// Lower end of the mean's 95 % interval (Student's t); NaN below two.
    pub low: f64,
    /// Upper end.
    pub high: f64,
    /// The least of them.
    pub least: f64,
    /// The most.
    pub most: f64,
}

impl Estimate {
    /// Of these measurements, which should not depend on each other.
    pub fn of(all: &[f64]) -> Self {
        let count = all.len();
        let n = count as f64;
        let mean = all.iter().sum::<f64>() / n;
        let squares: f64 = all.iter().map(|x| (x - mean) * (x - mean)).sum();
        let deviation = if count > 1 { (squares / (n - 1.0)).sqrt() } else { f64::NAN };
        let reach = quantile(n - 1.0) * deviation / n.sqrt();
        Self {
            count,
            mean,
            deviation,
            low: mean - reach,
            high: mean + reach,
            least: all.iter().copied().fold(f64::NAN, f64::min),
            most: all.iter().copied().fold(f64::NAN, f64::max),
        }
    }
}

/// The .975 quantile of Student's t with so many degrees of freedom: exact for 1 and 2, else the
/// expansion about the normal quantile (Fisher & Cornish 1960), wrong by less than 1 % from 3 on.
fn quantile(freedom: f64) -> f64 {
    if freedom < 1.5 {
        return 12.706;
    }
    if freedom < 2.5 {
        return 4.303;
    }
    let z = 1.959_963_985_f64;
    let (z3, z5, z7) = (z * z * z, z * z * z * z * z, z * z * z * z * z * z * z);
    let first = (z3 + z) / 4.0;
    let second = (5.0 * z5 + 16.0 * z3 + 3.0 * z) / 96.0;
    let third = (3.0 * z7 + 19.0 * z5 + 17.0 * z3 - 15.0 * z) / 384.0;
    z + first / freedom + second / (freedom * freedom) + third / (freedom * freedom * freedom)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interval_is_students() {
        // Tables of Student's t.
        for (freedom, expect) in [
            (1.0, 12.706),
            (2.0, 4.303),
            (3.0, 3.182),
            (4.0, 2.776),
            (9.0, 2.262),
            (30.0, 2.042),
            (120.0, 1.980),
        ] {
            assert!(
                (quantile(freedom) / expect - 1.0).abs() < 0.01,
                "{freedom}: {}",
                quantile(freedom)
            );
        }
        let found = Estimate::of(&[1.0, 2.0, 3.0, 4.0, 5.0]);
        assert_eq!((found.count, found.mean, found.least, found.most), (5, 3.0, 1.0, 5.0));
        // sd = sqrt(2.5), t(4) = 2.776: half width 1.963.
        assert!((found.high - 4.963).abs() < 0.02 && (found.low - 1.037).abs() < 0.02);
        assert!(Estimate::of(&[]).mean.is_nan() && Estimate::of(&[1.0]).low.is_nan());
    }
}

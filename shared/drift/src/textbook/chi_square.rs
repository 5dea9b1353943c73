//! The chi-square law's upper quantiles, for bounds that are computed once. The chance is the regularised incomplete
//! gamma function, by its series and its continued fraction; the quantile is found by halving.

/// The value that a chi-square of so many degrees exceeds with this chance, in (0, 1).
pub(super) fn quantile_above(chance: f64, degrees: usize) -> f64 {
    let (mut low, mut high) = (0.0, 1.0);
    while chance_above(high, degrees) > chance {
        (low, high) = (high, 2.0 * high);
    }
    for _ in 0..100 {
        let middle = 0.5 * (low + high);
        *(if chance_above(middle, degrees) > chance { &mut low } else { &mut high }) = middle;
    }
    high
}

/// The chance that a chi-square of so many degrees exceeds a value from 0.
fn chance_above(value: f64, degrees: usize) -> f64 {
    let (a, x) = (degrees as f64 / 2.0, value / 2.0);
    if x <= 0.0 {
        return 1.0;
    }
    let scale = libm::exp(a * libm::log(x) - x - libm::lgamma(a));
    if x < a + 1.0 {
        let (mut term, mut sum, mut k) = (1.0 / a, 1.0 / a, a);
        while term > sum * 1e-17 {
            k += 1.0;
            term *= x / k;
            sum += term;
        }
        return 1.0 - scale * sum;
    }
    // Γ(a, x) = e^-x x^a / (x + 1 - a - 1 (1 - a) / (x + 3 - a - ...)), from the inside out.
    let fraction = (1..=500).rev().fold(0.0, |inner, k| {
        let k = f64::from(k);
        k * (k - a) / (x + 2.0 * k + 1.0 - a - inner)
    });
    scale / (x + 1.0 - a - fraction)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_those_of_tables() {
        let check = |chance, degrees, expect: f64| {
            let found = quantile_above(chance, degrees);
            assert!((found - expect).abs() < 1e-9 * expect, "{found}, not {expect}");
        };
        // scipy.stats.chi2.isf
        check(0.05, 1, 3.8414588206941285);
        check(0.05, 9, 16.91897760462045);
        check(0.5, 2, 1.386294361119891);
        check(1e-6, 9, 44.81093787068782);
        check(0.001, 63, 103.44237731987324);
        check(0.99, 20, 8.260398332546398);
    }
}

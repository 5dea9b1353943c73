//! The quantile function of the normal distribution (Wichura 1988: "Algorithm AS 241: the percentage points of
//! the normal distribution", the shorter of its two: right to some seven digits).

/// The value that a standard normal number falls below with this chance, in (0, 1).
pub(crate) fn quantile(chance: f64) -> f64 {
    let q = chance - 0.5;
    if q.abs() <= 0.425 {
        let r = 0.180_625 - q * q;
        let above = ((59.109_374_720 * r + 159.291_132_02) * r + 50.434_271_938) * r;
        let below = ((67.187_563_600 * r + 78.757_757_664) * r + 17.895_169_469) * r;
        return q * (above + 3.387_132_717_9) / (below + 1.0);
    }
    let tail = if q < 0.0 { chance } else { 1.0 - chance };
    let r = (-libm::log(tail)).sqrt();
    let size = if r <= 5.0 {
        let r = r - 1.6;
        let above = ((0.170_238_211_03 * r + 1.306_728_481_6) * r + 2.756_815_390_0) * r;
        (above + 1.423_437_277_7) / ((0.120_211_329_75 * r + 0.737_001_642_50) * r + 1.0)
    } else {
        let r = r - 5.0;
        let above = ((0.017_337_203_997 * r + 0.428_682_943_37) * r + 3.081_226_386_0) * r;
        (above + 6.657_905_115_0) / ((0.012_258_202_635 * r + 0.241_978_942_25) * r + 1.0)
    };
    if q < 0.0 { -size } else { size }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_inverse_of_the_distribution_function() {
        for chance in [1e-15, 1e-9, 1e-4, 0.02, 0.074, 0.076, 0.3, 0.5, 0.7, 0.95, 0.9999] {
            let found = 0.5 * libm::erfc(-quantile(chance) / std::f64::consts::SQRT_2);
            assert!((found / chance - 1.0).abs() < 1e-5, "{found} for {chance}");
        }
        assert!((quantile(0.975) - 1.959_963_985).abs() < 1e-6 && quantile(0.5) == 0.0);
    }
}

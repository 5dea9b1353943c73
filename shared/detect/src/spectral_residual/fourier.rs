//! The Fourier transform of a power of two of numbers, in place (Cooley & Tukey 1965). Plain code with no
//! choice of instructions at run time and angles from `libm`, so results are the same bits everywhere.

use std::sync::LazyLock;

/// The most numbers.
pub(super) const SIZE_MAX: usize = 1024;

/// Cosine and sine of each angle that the largest transform needs; smaller ones take every so many-th.
static ANGLES: LazyLock<[(f64, f64); SIZE_MAX / 2]> = LazyLock::new(|| {
    std::array::from_fn(|index| {
        let angle = std::f64::consts::TAU * index as f64 / SIZE_MAX as f64;
        (libm::cos(angle), -libm::sin(angle))
    })
});

/// Transforms numbers, given by real and imaginary part: at k is then the sum of x_j exp(−2πi jk / n).
/// With the parts exchanged it is the inverse, n times too large. `n` is a power of two up to [`SIZE_MAX`].
pub(super) fn transform(real: &mut [f64], imaginary: &mut [f64]) {
    let size = real.len();
    let shift = usize::BITS - size.trailing_zeros();
    for index in 1..size {
        let mirrored = index.reverse_bits().checked_shr(shift).unwrap_or(0);
        if index < mirrored {
            real.swap(index, mirrored);
            imaginary.swap(index, mirrored);
        }
    }
    let angles = &*ANGLES;
    let mut half = 1;
    while half < size {
        let step = SIZE_MAX / (2 * half);
        for (real, imaginary) in
            real.chunks_exact_mut(2 * half).zip(imaginary.chunks_exact_mut(2 * half))
        {
            let (low, high) = real.split_at_mut(half);
            let (low_i, high_i) = imaginary.split_at_mut(half);
            for index in 0..half {
                let (cos, sin) = angles[index * step];
                let turned = high[index] * cos - high_i[index] * sin;
                let turned_i = high[index] * sin + high_i[index] * cos;
                (high[index], high_i[index]) = (low[index] - turned, low_i[index] - turned_i);
                (low[index], low_i[index]) = (low[index] + turned, low_i[index] + turned_i);
            }
        }
        half *= 2;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The definition.
    pub(crate) fn slow(real: &[f64], imaginary: &[f64]) -> Vec<(f64, f64)> {
        let size = real.len();
        let at = |k: usize| {
            (0..size).fold((0.0, 0.0), |(sum, sum_i), j| {
                let angle = -std::f64::consts::TAU * (j * k % size) as f64 / size as f64;
                let (cos, sin) = (libm::cos(angle), libm::sin(angle));
                (
                    sum + real[j] * cos - imaginary[j] * sin,
                    sum_i + real[j] * sin + imaginary[j] * cos,
                )
            })
        };
        (0..size).map(at).collect()
    }

    proptest! {
        #[test]
        fn equals_the_definition_and_comes_back(
            power in 0_u32..8,
            numbers in prop::collection::vec((-10.0..10.0_f64, -10.0..10.0_f64), 128),
        ) {
            let size = 1 << power;
            let (real, imaginary): (Vec<f64>, Vec<f64>) =
                numbers[..size].iter().copied().unzip();
            let (mut fast, mut fast_i) = (real.clone(), imaginary.clone());
            transform(&mut fast, &mut fast_i);
            for (at, (re, im)) in slow(&real, &imaginary).into_iter().enumerate() {
                prop_assert!((fast[at] - re).abs() < 1e-9 && (fast_i[at] - im).abs() < 1e-9);
            }
            transform(&mut fast_i, &mut fast);
            for at in 0..size {
                prop_assert!((fast[at] / size as f64 - real[at]).abs() < 1e-9);
                prop_assert!((fast_i[at] / size as f64 - imaginary[at]).abs() < 1e-9);
            }
        }
    }
}

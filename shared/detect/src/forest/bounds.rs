//! Boxes about points: the least and the largest place in each dimension.

/// Of a point and a box: by how much the point lies outside, summed over the dimensions, and how
/// much the sides of the box would sum to if it held the point.
#[inline(always)]
pub(crate) fn reach(x: &[u16], low: &[u16], high: &[u16]) -> (u32, u32) {
    let (xs, x_rest) = x.as_chunks::<8>();
    let (lows, low_rest) = low.as_chunks::<8>();
    let (highs, high_rest) = high.as_chunks::<8>();
    let (mut outside, mut sides) = ([0_u32; 8], [0_u32; 8]);
    for ((x, low), high) in xs.iter().zip(lows).zip(highs) {
        for lane in 0..8 {
            outside[lane] += u32::from(beyond(x[lane], low[lane], high[lane]));
            sides[lane] += u32::from(high[lane].wrapping_sub(low[lane]));
        }
    }
    let (mut out, mut all): (u32, u32) = (outside.iter().sum(), sides.iter().sum());
    for ((&x, &low), &high) in x_rest.iter().zip(low_rest).zip(high_rest) {
        out += u32::from(beyond(x, low, high));
        all += u32::from(high - low);
    }
    all += out;
    (out, all)
}

/// By how much a place lies outside a side.
#[inline(always)]
pub(crate) fn beyond(x: u16, low: u16, high: u16) -> u16 {
    low.saturating_sub(x) | x.saturating_sub(high)
}

/// Adds a weight times what lies outside to each dimension's part.
#[inline]
pub(crate) fn add(parts: &mut [f32], weight: f32, x: &[u16], low: &[u16], high: &[u16]) {
    for (((part, &x), &low), &high) in parts.iter_mut().zip(x).zip(low).zip(high) {
        *part += weight * f32::from(beyond(x, low, high));
    }
}

/// Makes the box hold another.
#[inline]
pub(crate) fn hold(low: &mut [u16], high: &mut [u16], other_low: &[u16], other_high: &[u16]) {
    low.iter_mut().zip(other_low).for_each(|(low, &other)| *low = (*low).min(other));
    high.iter_mut().zip(other_high).for_each(|(high, &other)| *high = (*high).max(other));
}

/// Whether the point is on no face of the box that holds it.
#[inline]
pub(crate) fn strictly_inside(x: &[u16], low: &[u16], high: &[u16]) -> bool {
    x.iter().zip(low).zip(high).all(|((&x, &low), &high)| low < x && x < high)
}

//! Boxes about points: the least and the largest place in each dimension.
//!
//! Few dimensions are taken eight at a time, see [`Wide`]; any number one by one.

/// Eight places, which the processor handles at a time.
pub(crate) type Lanes = [u16; 8];

/// A point of up to `8 * BLOCKS` dimensions and more than `8 * (BLOCKS - 1)`, at least 8, as blocks of eight places.
/// The last block is the last eight dimensions: those that it shares with the one before count there.
pub(crate) struct Wide<const BLOCKS: usize> {
    x: [Lanes; BLOCKS],
    /// Where the last block starts, and which of its lanes count: told at run time, or the compiler would take
    /// the block apart.
    last: usize,
    counting: Lanes,
}

impl<const BLOCKS: usize> Wide<BLOCKS> {
    pub(crate) fn new(x: &[u16]) -> Self {
        let shared = 8 * BLOCKS - x.len();
        let counting = std::array::from_fn(|lane| if lane < shared { 0 } else { u16::MAX });
        let last = x.len() - 8;
        Self { x: Self::blocks_of(last, x), last, counting }
    }

    /// The place of a dimension among the lanes of all blocks.
    pub(crate) fn lane_of(dim: usize, dims: usize) -> usize {
        if dim < 8 * (BLOCKS - 1) { dim } else { 8 * BLOCKS - dims + dim }
    }

    /// The blocks of another point of as many dimensions.
    #[inline(always)]
    pub(crate) fn blocks(&self, of: &[u16]) -> [Lanes; BLOCKS] {
        Self::blocks_of(self.last, of)
    }

    #[inline(always)]
    fn blocks_of(last: usize, of: &[u16]) -> [Lanes; BLOCKS] {
        std::array::from_fn(|block| {
            let from = if block + 1 == BLOCKS { last } else { 8 * block };
            of[from..].first_chunk().copied().unwrap_or_default()
        })
    }

    /// By how much the point lies outside of a box in each dimension; then as [`reach`].
    #[inline(always)]
    pub(crate) fn reach(
        &self,
        low: &[Lanes; BLOCKS],
        high: &[Lanes; BLOCKS],
    ) -> ([Lanes; BLOCKS], u32, u32) {
        let mut beyond = [[0; 8]; BLOCKS];
        let (mut outside, mut sides) = ([0_u32; 8], [0_u32; 8]);
        for block in 0..BLOCKS {
            let (x, low, high) = (&self.x[block], &low[block], &high[block]);
            // One block is eight dimensions, all of which count.
            let shares = BLOCKS > 1 && block + 1 == BLOCKS;
            let counting = if shares { self.counting } else { [u16::MAX; 8] };
            for lane in 0..8 {
                let out = low[lane].saturating_sub(x[lane]) | x[lane].saturating_sub(high[lane]);
                beyond[block][lane] = out & counting[lane];
            }
            for lane in 0..8 {
                let side = high[lane].wrapping_sub(low[lane]) & counting[lane];
                outside[lane] = outside[lane].wrapping_add(u32::from(beyond[block][lane]));
                sides[lane] = sides[lane].wrapping_add(u32::from(side));
            }
        }
        let out = outside.iter().fold(0_u32, |sum, lane| sum.wrapping_add(*lane));
        (beyond, out, sides.iter().fold(out, |sum, lane| sum.wrapping_add(*lane)))
    }

    /// Makes the box hold another.
    #[inline(always)]
    pub(crate) fn hold(
        &self,
        (low, high): (&mut [Lanes; BLOCKS], &mut [Lanes; BLOCKS]),
        other_low: &[u16],
        other_high: &[u16],
    ) {
        let (other_low, other_high) = (self.blocks(other_low), self.blocks(other_high));
        for block in 0..BLOCKS {
            for lane in 0..8 {
                low[block][lane] = low[block][lane].min(other_low[block][lane]);
            }
            for lane in 0..8 {
                high[block][lane] = high[block][lane].max(other_high[block][lane]);
            }
        }
    }
}

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
    each_with(low, other_low, u16::min);
    each_with(high, other_high, u16::max);
}

/// Eight at a time: the compiler would first see to whether the slices overlap.
#[inline(always)]
fn each_with(places: &mut [u16], others: &[u16], both: impl Fn(u16, u16) -> u16) {
    let (blocks, rest) = places.as_chunks_mut::<8>();
    let (other_blocks, other_rest) = others.as_chunks::<8>();
    for (block, other) in blocks.iter_mut().zip(other_blocks) {
        *block = std::array::from_fn(|lane| both(block[lane], other[lane]));
    }
    rest.iter_mut().zip(other_rest).for_each(|(place, &other)| *place = both(*place, other));
}

/// Whether the point is on no face of the box that holds it.
#[inline]
pub(crate) fn strictly_inside(x: &[u16], low: &[u16], high: &[u16]) -> bool {
    x.iter().zip(low).zip(high).all(|((&x, &low), &high)| low < x && x < high)
}

//! A sliding window of rows as points in standardised space, and how far a row is from each of them. Points
//! stand in blocks, value by value, so that the processor computes many distances at the same time.

use domain::encoding::{DecodeError, ensure, put, take, take_count};

use crate::{DEVIATION_MAX, nearest::Search, standard::Standards};

/// Points compared side by side.
pub(crate) const LANES: usize = 16;
/// No coordinate is larger, so that squares stay finite.
const COORDINATE_MAX: f64 = 1e6;
/// Rows after which the units of the coordinates are looked after, in windows; before, whenever their number
/// has doubled.
const FRAME_WINDOWS: u64 = 4;

/// What a value's coordinates mean.
#[derive(Clone, Debug, PartialEq)]
struct Frame {
    mean: f64,
    unit: f64,
}

/// The last rows as points.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Points {
    coordinates: Box<[f32]>,
    frames: Box<[Frame]>,
    size: usize,
    /// How many were ever stored.
    stored: u64,
}

impl Points {
    pub(crate) fn new(values: usize, size: usize) -> Self {
        Self {
            coordinates: vec![0.0; size.div_ceil(LANES) * LANES * values].into(),
            frames: vec![Frame { mean: 0.0, unit: 1.0 }; values].into(),
            size,
            stored: 0,
        }
    }

    pub(crate) fn bytes(values: usize, size: usize) -> usize {
        let coordinates = size.div_ceil(LANES) * LANES * size_of::<f32>();
        values * (coordinates + size_of::<Frame>())
    }

    pub(crate) fn heap(&self) -> usize {
        Self::bytes(self.values(), self.size)
    }

    pub(crate) fn values(&self) -> usize {
        self.frames.len()
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.stored.min(self.size as u64) as usize
    }

    /// Where the next one goes, in place of the oldest.
    pub(crate) fn next(&self) -> usize {
        (self.stored % self.size as u64) as usize
    }

    /// Puts the coordinates of a row into the room, each with a weight that makes up for missing ones. Says how
    /// many values are present.
    pub(crate) fn place(&self, row: &[f64], room: &mut Vec<f64>) -> usize {
        room.clear();
        let mut known = 0;
        for (index, frame) in self.frames.iter().enumerate() {
            let value = crate::present(row, index);
            known += usize::from(value.is_some());
            room.extend(value.map_or([0.0, 0.0], |value| [frame.coordinate(value), 1.0]));
        }
        let weight = 1.0 / (known.max(1) as f64).sqrt();
        room.iter_mut().skip(1).step_by(2).for_each(|it| *it *= weight);
        known
    }

    /// The squared distances of a placed row from the points of a block, per value that is present.
    pub(crate) fn squares(&self, block: usize, placed: &[f64]) -> [f32; LANES] {
        let mut squares = [0.0_f32; LANES];
        let len = self.values() * LANES;
        let points = self.coordinates[block * len..(block + 1) * len].chunks_exact(LANES);
        for (points, placed) in points.zip(placed.chunks_exact(2)) {
            let (at, weight) = (placed[0] as f32, placed[1] as f32);
            for (square, &point) in squares.iter_mut().zip(points) {
                let difference = (point - at) * weight;
                *square += difference * difference;
            }
        }
        squares
    }

    /// Calls with each point's number and squared distance from a placed row.
    pub(crate) fn each(&self, placed: &[f64], mut found: impl FnMut(usize, f32)) {
        let len = self.len();
        for block in 0..len.div_ceil(LANES) {
            let squares = self.squares(block, placed);
            for (lane, &square) in squares.iter().enumerate().take(len - block * LANES) {
                found(block * LANES + lane, square);
            }
        }
    }

    /// Finds the nearest points to a placed row, as many as `nearest` has room for but not `except`; says how
    /// many there are. They are sorted, of equal ones the first stored place first.
    pub(crate) fn nearest(
        &self,
        placed: &[f64],
        except: usize,
        nearest: &mut [(f32, u16)],
    ) -> usize {
        let (mut count, most) = (0, nearest.len());
        let mut bar = f32::INFINITY;
        let len = self.len();
        for block in 0..len.div_ceil(LANES) {
            let squares = self.squares(block, placed);
            // Most blocks have nothing near: one comparison of all lanes.
            if count == most && !squares.iter().any(|&square| square < bar) {
                continue;
            }
            for (lane, &square) in squares.iter().enumerate().take(len - block * LANES) {
                let point = block * LANES + lane;
                if (count < most || square < bar) && point != except {
                    count = insert(nearest, count, (square, point as u16));
                    bar = nearest[count - 1].0;
                }
            }
        }
        count
    }

    /// Each value's squared difference between a placed row and a point, added to `parts`.
    pub(crate) fn attribute(&self, placed: &[f64], point: usize, parts: &mut [f64]) {
        for (value, (part, placed)) in parts.iter_mut().zip(placed.chunks_exact(2)).enumerate() {
            let at = f64::from(self.coordinates[self.index(point, value)]);
            let difference = (at - placed[0]) * placed[1];
            *part += difference * difference;
        }
    }

    /// Puts a point's coordinates into the room, as [`place`](Self::place) does for a row.
    pub(crate) fn placed(&self, point: usize, room: &mut [f64]) {
        let weight = 1.0 / (self.values().max(1) as f64).sqrt();
        for (value, placed) in room.chunks_exact_mut(2).enumerate() {
            let at = self.coordinates[self.index(point, value)];
            (placed[0], placed[1]) = (f64::from(at), weight);
        }
    }

    /// A point's value in its own unit.
    pub(crate) fn value(&self, point: usize, value: usize) -> f64 {
        let frame = &self.frames[value];
        frame.mean + f64::from(self.coordinates[self.index(point, value)]) * frame.unit
    }

    /// Offers all points to a search.
    pub(crate) fn offer(&self, search: &mut Search<'_>) {
        (0..self.len()).for_each(|point| search.offer(|value| self.value(point, value)));
    }

    /// Stores a row in place of the oldest; a missing value is stored as the mean.
    pub(crate) fn store(&mut self, row: &[f64]) {
        let point = self.next();
        for value in 0..self.values() {
            let at = crate::present(row, value).map_or(0.0, |x| self.frames[value].coordinate(x));
            let index = self.index(point, value);
            self.coordinates[index] = at as f32;
        }
        self.stored += 1;
    }

    /// Changes the units of all coordinates to what is known by now, if that is due; says whether.
    pub(crate) fn follow(&mut self, standards: &Standards) -> bool {
        let young = self.stored < FRAME_WINDOWS * self.size as u64;
        let due = if young {
            self.stored.is_power_of_two() || self.stored == 0
        } else {
            self.stored.is_multiple_of(FRAME_WINDOWS * self.size as u64)
        };
        if due {
            for (value, standard) in standards.as_slice().iter().enumerate() {
                let mean = standard.expected();
                if !mean.is_nan() {
                    self.reframe(value, Frame { mean, unit: standard.unit() });
                }
            }
        }
        due
    }

    fn reframe(&mut self, value: usize, new: Frame) {
        for point in 0..self.len() {
            let (index, x) = (self.index(point, value), self.value(point, value));
            self.coordinates[index] = new.coordinate(x) as f32;
        }
        self.frames[value] = new;
    }

    fn index(&self, point: usize, value: usize) -> usize {
        (point / LANES * self.values() + value) * LANES + point % LANES
    }

    /// Appends what was learned.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        put(&self.stored, out);
        self.frames.iter().for_each(|frame| put(&(frame.mean, frame.unit), out));
        for point in 0..self.len() {
            (0..self.values())
                .for_each(|value| put(&self.coordinates[self.index(point, value)], out));
        }
    }

    /// Puts what [`encode`](Self::encode) appended into new ones of the same measures.
    pub(crate) fn decode(&mut self, bytes: &mut &[u8]) -> Result<(), DecodeError> {
        self.stored = take_count(bytes, "number of points")?;
        for frame in &mut self.frames {
            (frame.mean, frame.unit) = take(bytes)?;
            ensure(frame.mean.abs() <= DEVIATION_MAX, "mean of a frame")?;
            ensure((1e-9..=2.0 * DEVIATION_MAX).contains(&frame.unit), "unit of a frame")?;
        }
        for point in 0..self.len() {
            for value in 0..self.values() {
                let at: f32 = take(bytes)?;
                ensure(at.abs() <= COORDINATE_MAX as f32, "coordinate")?;
                let index = self.index(point, value);
                self.coordinates[index] = at;
            }
        }
        Ok(())
    }
}

impl Frame {
    /// Far beyond all sense it ends at a million units. A whole f32, so that a row and the point it becomes
    /// are in the same place.
    fn coordinate(&self, value: f64) -> f64 {
        let at = ((value - self.mean) / self.unit).clamp(-COORDINATE_MAX, COORDINATE_MAX);
        f64::from(at as f32)
    }
}

/// Puts a neighbour into a list of so many, sorted by distance and number; the last one falls out of a full one. Says how many there are.
pub(crate) fn insert(list: &mut [(f32, u16)], count: usize, new: (f32, u16)) -> usize {
    let at = list[..count].partition_point(|near| *near <= new);
    if at == list.len() {
        return count;
    }
    let end = count.min(list.len() - 1);
    list.copy_within(at..end, at + 1);
    list[at] = new;
    end + 1
}

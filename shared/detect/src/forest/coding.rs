//! How a tree is told: the ages of its rows, and its cuts, root first, with which of them keep a
//! box, since a score's last bits depend on it. Which points are where, and the boxes, follow.

use domain::encoding::{DecodeError, ensure, put, take};

use super::{
    points::Points,
    tree::{BOXED, Bench, LEAF, NONE, Node, Tree},
};

impl Tree {
    /// Appends all that it knows.
    pub(crate) fn encode(&self, points: &Points, out: &mut Vec<u8>) {
        put(&(self.wait, self.rest, self.mass), out);
        let mut last = 0;
        for slot in self.rows().rev() {
            let age = points.age(slot);
            put(&(age - last), out);
            last = age;
        }
        if self.mass > 0 {
            self.encode_cuts(self.root, out);
        }
    }

    fn encode_cuts(&self, at: u16, out: &mut Vec<u8>) {
        if at & LEAF == 0 {
            let node = &self.nodes[usize::from(at)];
            put(&(2 * u32::from(node.dim) + u32::from(node.cell != NONE)), out);
            out.extend(node.cut.to_le_bytes());
            self.encode_cuts(node.left, out);
            self.encode_cuts(node.right, out);
        }
    }

    /// Takes what [`encode`](Self::encode) appended into a new tree. No row is older than this.
    pub(crate) fn decode(
        &mut self,
        points: &Points,
        age_max: usize,
        bench: &mut Bench,
        bytes: &mut &[u8],
    ) -> Result<(), DecodeError> {
        let (wait, rest, mass) = take::<(u16, u16, u16)>(bytes)?;
        ensure(usize::from(mass) <= self.leaves.len(), "number of points")?;
        (self.wait, self.rest) = (wait, rest);
        let (mut slots, mut age) = (vec![0; usize::from(mass)], 0_usize);
        for slot in slots.iter_mut().rev() {
            let more: u16 = take(bytes)?;
            age += usize::from(more);
            ensure(more > 0 && age <= age_max, "age of a point")?;
            *slot = points.slot(age);
        }
        slots.iter().for_each(|slot| self.queue(*slot));
        if mass > 0 {
            self.root = self.decode_cuts(&mut slots, points, bench, bytes)?;
        }
        Ok(())
    }

    /// The node or leaf of the points in these slots.
    fn decode_cuts(
        &mut self,
        slots: &mut [u16],
        points: &Points,
        bench: &mut Bench,
        bytes: &mut &[u8],
    ) -> Result<u16, DecodeError> {
        let first = points.at(slots[0]);
        if slots.iter().all(|slot| points.at(*slot) == first) {
            let newest = slots.iter().min_by_key(|slot| points.age(**slot));
            return Ok(self.take_leaf(*newest.unwrap_or(&slots[0])));
        }
        let (dim, cut) = take::<(u32, [u8; 2])>(bytes)?;
        let (dim, boxed) = ((dim / 2) as usize, dim % 2 == 1);
        let cut = u16::from_le_bytes(cut);
        ensure(dim < first.len(), "dimension of a cut")?;
        let mut left_mass = 0;
        for at in 0..slots.len() {
            if points.at(slots[at])[dim] <= cut {
                slots.swap(left_mass, at);
                left_mass += 1;
            }
        }
        ensure(0 < left_mass && left_mass < slots.len(), "cut")?;
        let at = self.take_node();
        let (left, right) = slots.split_at_mut(left_mass);
        let left_mass = left_mass as u16;
        let dim = dim as u16;
        let mut node = Node { cut, dim, left: NONE, right: NONE, left_mass, cell: NONE };
        node.left = self.decode_cuts(left, points, bench, bytes)?;
        node.right = self.decode_cuts(right, points, bench, bytes)?;
        self.nodes[usize::from(at)] = node;
        if boxed {
            ensure(slots.len() >= usize::from(BOXED) && self.has_cell(), "box")?;
            self.fill_cell(at, points, bench);
        }
        Ok(at)
    }
}

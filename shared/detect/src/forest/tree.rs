//! One tree of a forest: points cut apart at random, kept as if it had been cut afresh for the
//! points it holds at any time.
//!
//! An inner node is 12 bytes. Which point a leaf has is two bytes, and so is the queue of the rows
//! by age. How many points a child has follows from one count per node, on the way down. Boxes
//! would take most of the room: only nodes of at least [`BOXED`] points keep theirs, about one in
//! four; those of smaller ones are made anew of the few points below.

mod cuts;
mod lists;

use std::hint::select_unpredictable;

use super::{
    bounds::{hold, strictly_inside},
    points::Points,
};
use crate::dice::Dice;

/// No node, leaf or box.
pub(crate) const NONE: u16 = u16::MAX;
/// This bit tells a leaf from an inner node.
pub(crate) const LEAF: u16 = 1 << 15;
/// Nodes of fewer points keep no box.
pub(crate) const BOXED: u16 = 8;

/// Where the points of a node are cut apart.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Node {
    /// Places up to this one are on the left.
    pub(crate) cut: u16,
    pub(crate) dim: u16,
    pub(crate) left: u16,
    pub(crate) right: u16,
    /// Points on the left.
    pub(crate) left_mass: u16,
    pub(crate) cell: u16,
}

impl Node {
    /// The child on the side of a point, and the points there; `mass` is the node's own.
    #[inline]
    pub(crate) fn child(&self, x: &[u16], mass: u16) -> (u16, u16) {
        // Either way is as likely, so that guessing it is no use to the processor.
        let left = x[usize::from(self.dim)] <= self.cut;
        let right_mass = mass.wrapping_sub(self.left_mass);
        let mass = select_unpredictable(left, self.left_mass, right_mass);
        (select_unpredictable(left, self.left, self.right), mass)
    }
}

/// How a random tree draws its cuts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rule {
    /// Each place of each side of the box alike, as a random cut forest does: long sides are cut
    /// more often.
    Places,
    /// Each dimension in which points differ alike, and in it each place, as an isolation forest.
    Dimensions,
}

/// What a tree changes by: the rule, and room for a way down and a box.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Bench {
    rule: Rule,
    path: Box<[u16]>,
    low: Box<[u16]>,
    high: Box<[u16]>,
}

impl Bench {
    pub(crate) fn new(dims: usize, sample: usize, rule: Rule) -> Self {
        let zeros = |len| vec![0; len].into();
        Self { rule, path: zeros(sample), low: zeros(dims), high: zeros(dims) }
    }

    pub(crate) fn bytes_for(dims: usize, sample: usize) -> usize {
        (sample + 2 * dims) * size_of::<u16>()
    }

    pub(crate) fn bytes(&self) -> usize {
        size_of_val(&*self.path) + size_of_val(&*self.low) + size_of_val(&*self.high)
    }
}

/// A tree. Which node, leaf or box has which number says nothing.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Tree {
    pub(crate) root: u16,
    /// Points in it, equal ones included.
    pub(crate) mass: u16,
    /// Where the oldest row stands in `queue`.
    first: u16,
    /// Heads of the lists of what is free.
    free: [u16; 3],
    /// Rows until the next is taken, and from then to the end of its stretch.
    pub(crate) wait: u16,
    pub(crate) rest: u16,
    pub(crate) nodes: Box<[Node]>,
    /// The slot of one of each leaf's equal points.
    pub(crate) leaves: Box<[u16]>,
    queue: Box<[u16]>,
    /// Low and high sides of each box in turn.
    cells: Box<[u16]>,
}

impl Tree {
    pub(crate) fn new(dims: usize, sample: usize) -> Self {
        let free = Node { cut: 0, dim: 0, left: NONE, right: 0, left_mass: 0, cell: NONE };
        let mut tree = Self {
            root: NONE,
            mass: 0,
            first: 0,
            free: [NONE; 3],
            wait: 0,
            rest: 0,
            nodes: vec![free; sample - 1].into(),
            leaves: vec![0; sample].into(),
            queue: vec![0; sample].into(),
            cells: vec![0; cells(sample) * 2 * dims].into(),
        };
        (0..sample as u16 - 1).rev().for_each(|node| tree.free_node(node));
        (0..sample as u16).rev().for_each(|leaf| tree.free_leaf(leaf | LEAF));
        if dims > 0 {
            (0..cells(sample) as u16).rev().for_each(|cell| tree.free_cell(cell, dims));
        }
        tree
    }

    pub(crate) fn bytes_for(dims: usize, sample: usize) -> usize {
        let shorts = 2 * sample + cells(sample) * 2 * dims;
        size_of::<Self>() + (sample - 1) * size_of::<Node>() + shorts * size_of::<u16>()
    }

    pub(crate) fn bytes(&self) -> usize {
        let shorts = size_of_val(&*self.leaves) + size_of_val(&*self.queue);
        size_of::<Self>() + size_of_val(&*self.nodes) + shorts + size_of_val(&*self.cells)
    }

    /// The box that a node keeps.
    #[inline(always)]
    pub(crate) fn cell(&self, cell: u16, dims: usize) -> (&[u16], &[u16]) {
        let from = usize::from(cell) * 2 * dims;
        self.cells[from..from + 2 * dims].split_at(dims)
    }

    fn cell_mut(&mut self, cell: u16, dims: usize) -> (&mut [u16], &mut [u16]) {
        let from = usize::from(cell) * 2 * dims;
        self.cells[from..from + 2 * dims].split_at_mut(dims)
    }

    /// Makes a box hold a node or leaf.
    #[inline(always)]
    pub(crate) fn enclose(&self, at: u16, points: &Points, low: &mut [u16], high: &mut [u16]) {
        if at & LEAF > 0 {
            let x = points.at(self.leaves[usize::from(at & !LEAF)]);
            return hold(low, high, x, x);
        }
        self.enclose_node(at, points, low, high);
    }

    fn enclose_node(&self, at: u16, points: &Points, low: &mut [u16], high: &mut [u16]) {
        let node = &self.nodes[usize::from(at)];
        if node.cell != NONE {
            let (cell_low, cell_high) = self.cell(node.cell, low.len());
            return hold(low, high, cell_low, cell_high);
        }
        self.enclose(node.left, points, low, high);
        self.enclose(node.right, points, low, high);
    }

    /// Takes the nth-oldest row out, which shifts what is younger if it is not the oldest.
    pub(crate) fn drop_nth(&mut self, nth: u16, points: &Points, bench: &mut Bench) {
        let slot = self.queue[self.place(nth)];
        self.remove(slot, points, bench);
        if nth == 0 {
            self.first = self.place(1) as u16;
        } else {
            for place in nth..self.mass - 1 {
                self.queue[self.place(place)] = self.queue[self.place(place + 1)];
            }
        }
        self.mass -= 1;
    }

    /// Takes a row in, for which there is room.
    pub(crate) fn insert(
        &mut self,
        slot: u16,
        points: &Points,
        dice: &mut Dice,
        bench: &mut Bench,
    ) {
        let x = points.at(slot);
        if self.mass == 0 {
            self.root = self.take_leaf(slot);
            return self.queue(slot);
        }
        let (depth, end) = self.descend(x, bench);
        let leaf = usize::from(end & !LEAF);
        if points.at(self.leaves[leaf]) == x {
            self.leaves[leaf] = slot;
            self.widen(x, depth, points, bench);
        } else {
            let (level, dim, cut) = self.cut(x, depth, end, points, dice, bench);
            let below = if level == depth { end } else { bench.path[level] };
            let mass = self.widen(x, level, points, bench);
            let new = self.take_leaf(slot);
            let node = self.take_node();
            let left = x[usize::from(dim)] <= cut;
            let (left, right, left_mass) = if left { (new, below, 1) } else { (below, new, mass) };
            self.nodes[usize::from(node)] = Node { cut, dim, left, right, left_mass, cell: NONE };
            let above = level.checked_sub(1).map(|above| bench.path[above]);
            self.hang(above, below, node);
            if mass + 1 >= BOXED {
                self.fill_cell(node, points, bench);
            }
        }
        self.queue(slot);
    }

    /// Goes down to the leaf on a point's side, noting the way: how deep, and which leaf.
    fn descend(&self, x: &[u16], bench: &mut Bench) -> (usize, u16) {
        let (mut at, mut depth) = (self.root, 0);
        while at & LEAF == 0 {
            bench.path[depth] = at;
            depth += 1;
            at = self.nodes[usize::from(at)].child(x, 0x7fff).0;
        }
        (depth, at)
    }

    /// Counts a new point in the nodes above a level of the way, whose boxes then hold it. Tells
    /// how many points are at that level.
    fn widen(&mut self, x: &[u16], level: usize, points: &Points, bench: &mut Bench) -> u16 {
        let mut mass = self.mass;
        for above in 0..level {
            let at = bench.path[above];
            let node = &mut self.nodes[usize::from(at)];
            let cell = node.cell;
            let now = mass + 1;
            if x[usize::from(node.dim)] <= node.cut {
                mass = node.left_mass;
                node.left_mass += 1;
            } else {
                mass -= node.left_mass;
            }
            if cell != NONE {
                let (low, high) = self.cell_mut(cell, x.len());
                hold(low, high, x, x);
            } else if now >= BOXED && self.has_cell() {
                self.fill_cell(at, points, bench);
                let (low, high) = self.cell_mut(self.nodes[usize::from(at)].cell, x.len());
                hold(low, high, x, x);
            }
        }
        mass
    }

    /// Gives a node a box if there is one.
    pub(crate) fn fill_cell(&mut self, at: u16, points: &Points, bench: &mut Bench) {
        let dims = bench.low.len();
        let Some(cell) = self.take_cell(dims) else {
            return;
        };
        bench.low.fill(u16::MAX);
        bench.high.fill(0);
        self.enclose(at, points, &mut bench.low, &mut bench.high);
        let (low, high) = self.cell_mut(cell, dims);
        low.copy_from_slice(&bench.low);
        high.copy_from_slice(&bench.high);
        self.nodes[usize::from(at)].cell = cell;
    }

    /// Takes a row out of the nodes.
    fn remove(&mut self, slot: u16, points: &Points, bench: &mut Bench) {
        let x = points.at(slot);
        let dims = x.len();
        let (depth, end) = self.descend(x, bench);
        let mut mass = self.mass;
        for level in 0..depth {
            let at = usize::from(bench.path[level]);
            if mass - 1 < BOXED && self.nodes[at].cell != NONE {
                self.free_cell(self.nodes[at].cell, dims);
                self.nodes[at].cell = NONE;
            }
            let node = &mut self.nodes[at];
            if x[usize::from(node.dim)] <= node.cut {
                mass = node.left_mass;
                node.left_mass -= 1;
            } else {
                mass -= node.left_mass;
            }
        }
        if mass > 1 {
            return;
        }
        self.free_leaf(end);
        if depth == 0 {
            self.root = NONE;
            return;
        }
        let parent = bench.path[depth - 1];
        let node = self.nodes[usize::from(parent)];
        let sibling = if node.left == end { node.right } else { node.left };
        let above = depth.checked_sub(2).map(|above| bench.path[above]);
        self.hang(above, parent, sibling);
        if node.cell != NONE {
            self.free_cell(node.cell, dims);
        }
        self.free_node(parent);
        self.narrow(x, depth - 1, points, bench);
    }

    /// Makes the boxes above a level of the way no larger than what is left without a point.
    fn narrow(&mut self, x: &[u16], level: usize, points: &Points, bench: &mut Bench) {
        let Bench { path, low, high, .. } = bench;
        for &at in path[..level].iter().rev() {
            let node = self.nodes[usize::from(at)];
            if node.cell == NONE {
                continue;
            }
            let (cell_low, cell_high) = self.cell(node.cell, x.len());
            if strictly_inside(x, cell_low, cell_high) {
                break;
            }
            low.fill(u16::MAX);
            high.fill(0);
            self.enclose(node.left, points, low, high);
            self.enclose(node.right, points, low, high);
            let (cell_low, cell_high) = self.cell_mut(node.cell, x.len());
            if *cell_low == **low && *cell_high == **high {
                break;
            }
            cell_low.copy_from_slice(low);
            cell_high.copy_from_slice(high);
        }
    }

    /// Hangs a node where another was: below the one above, or at the root.
    fn hang(&mut self, above: Option<u16>, was: u16, now: u16) {
        let Some(above) = above else {
            self.root = now;
            return;
        };
        let above = &mut self.nodes[usize::from(above)];
        if above.left == was { above.left = now } else { above.right = now }
    }
}

/// How many boxes there are for a sample: as many as a random tree has nodes of enough points.
fn cells(sample: usize) -> usize {
    2 * sample / usize::from(BOXED)
}

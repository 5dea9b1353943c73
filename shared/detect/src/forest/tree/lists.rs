//! What a tree's arrays hold: which nodes, leaves and boxes are free, as a list in which each tells
//! the next; and the rows by age, in a ring.

use super::{LEAF, NONE, Tree};

const NODES: usize = 0;
const LEAVES: usize = 1;
const CELLS: usize = 2;

impl Tree {
    pub(crate) fn take_node(&mut self) -> u16 {
        let node = self.free[NODES];
        self.free[NODES] = self.nodes[usize::from(node)].left;
        node
    }

    pub(crate) fn free_node(&mut self, node: u16) {
        self.nodes[usize::from(node)].left = self.free[NODES];
        self.free[NODES] = node;
    }

    pub(crate) fn take_leaf(&mut self, slot: u16) -> u16 {
        let leaf = self.free[LEAVES];
        self.free[LEAVES] = std::mem::replace(&mut self.leaves[usize::from(leaf & !LEAF)], slot);
        leaf
    }

    pub(crate) fn free_leaf(&mut self, leaf: u16) {
        self.leaves[usize::from(leaf & !LEAF)] = self.free[LEAVES];
        self.free[LEAVES] = leaf;
    }

    pub(crate) fn take_cell(&mut self, dims: usize) -> Option<u16> {
        let cell = self.free[CELLS];
        if cell == NONE {
            return None;
        }
        self.free[CELLS] = self.cells[usize::from(cell) * 2 * dims];
        Some(cell)
    }

    pub(crate) fn free_cell(&mut self, cell: u16, dims: usize) {
        self.cells[usize::from(cell) * 2 * dims] = self.free[CELLS];
        self.free[CELLS] = cell;
    }

    /// Whether a box is free.
    pub(crate) fn has_cell(&self) -> bool {
        self.free[CELLS] != NONE
    }

    /// The slots of its rows, oldest first.
    pub(crate) fn rows(&self) -> impl DoubleEndedIterator<Item = u16> {
        (0..self.mass).map(|place| self.queue[self.place(place)])
    }

    /// The slot of its oldest row.
    #[inline]
    pub(crate) fn oldest(&self) -> Option<u16> {
        (self.mass > 0).then(|| self.queue[usize::from(self.first)])
    }

    pub(crate) fn place(&self, nth: u16) -> usize {
        (usize::from(self.first) + usize::from(nth)) % self.queue.len()
    }

    /// Puts a row behind the queue.
    pub(crate) fn queue(&mut self, slot: u16) {
        self.queue[self.place(self.mass)] = slot;
        self.mass += 1;
    }
}

//! What trees know of a window of rows, as short as it can be said: a node counts for the score only while it holds
//! more than a tenth of the rows, so at most nine of each level do, of 2^level that there are. A tree of depth 15 is
//! 2 kB instead of the 790 kB of all its nodes.
//!
//! A row is walked down many trees at once. Where a tree's way ends, it goes on at the root of the next one, so the
//! walk is a few chains of steps side by side, none of which waits for another or is guessed wrong by the processor.

use domain::encoding::{DecodeError, ensure, put, take};

use super::{
    bits,
    splits::{Split, Splits},
};

/// Below this share of the window a node's children say too little (the paper's size limit).
const MASS_SHARE_MIN: f32 = 0.1;
/// So no level has more nodes that count.
const COUNTING_MAX: usize = 9;
/// Chains of trees that are walked side by side.
const CHAINS: usize = 6;
/// Steps of all chains between looks at whether they are at their ends.
const STEPS: usize = 4;

/// An inner node that counts, and has places on both sides of its cut.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Node {
    feature: u16,
    /// Places from here on go right.
    at: u16,
    /// What comes next, left and right: a node, the next tree's root, or the end.
    below: [u16; 2],
    /// By how many bits more than an even half the density drops, left and right.
    drop: [f32; 2],
}

/// All trees' nodes that count.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Profile {
    depth: u32,
    trees: usize,
    /// Nodes for which there is room in each tree.
    room: usize,
    /// Where each chain starts.
    starts: [u16; CHAINS],
    /// Those of each tree in turn, the root first and a node before those below it; then the end.
    nodes: Box<[Node]>,
    /// The rows on the right of each node.
    rights: Box<[u32]>,
    /// The rows of each tree, and how many nodes it has.
    masses: Box<[(u32, u16)]>,
}

/// How many nodes of a tree count at most.
fn room(depth: u32) -> usize {
    (0..depth).map(|level| (1_usize << level).min(COUNTING_MAX)).sum()
}

/// The first tree of a chain.
fn first_of(chain: usize, trees: usize) -> usize {
    chain * trees / CHAINS
}

impl Profile {
    pub(super) fn new(trees: usize, depth: u32) -> Self {
        let room = room(depth);
        let end = (trees * room) as u16;
        let starts = std::array::from_fn(|chain| {
            let (first, next) = (first_of(chain, trees), first_of(chain + 1, trees));
            if first < next { (first * room) as u16 } else { end }
        });
        let empty = Node { below: [end; 2], ..Node::default() };
        Self {
            depth,
            trees,
            room,
            starts,
            nodes: vec![empty; trees * room + 1].into(),
            rights: vec![0; trees * room].into(),
            masses: vec![(0, 0); trees].into(),
        }
    }

    pub(super) fn bytes_for(trees: usize, depth: u32) -> usize {
        let nodes = trees * room(depth);
        (nodes + 1) * size_of::<Node>() + nodes * size_of::<u32>() + trees * size_of::<(u32, u16)>()
    }

    pub(super) fn bytes(&self) -> usize {
        size_of_val(&*self.nodes) + size_of_val(&*self.rights) + size_of_val(&*self.masses)
    }

    /// Adds to each feature's part the bits by which the row is rarer than even, summed over the trees.
    pub(super) fn rarity(&self, places: &[u16], parts: &mut [f32]) {
        let (nodes, parts) = (&*self.nodes, &mut parts[..places.len()]);
        let (mut at, ends) = (self.starts, [(nodes.len() - 1) as u16; CHAINS]);
        while at != ends {
            for _ in 0..STEPS {
                for at in &mut at {
                    let node = &nodes[usize::from(*at)];
                    let feature = usize::from(node.feature);
                    let right = usize::from(places[feature] >= node.at);
                    parts[feature] += node.drop[right];
                    *at = node.below[right];
                }
            }
        }
    }

    /// Makes a tree anew of so many rows. `splits` stands at its root; `part` tells how many of a node's rows a cut
    /// sends right: it is given the cut, the label of the node's rows, the one that those then have, and how many
    /// rows the node has.
    pub(super) fn renew<E>(
        &mut self,
        tree: usize,
        mass: u32,
        splits: &mut Splits,
        part: impl FnMut(Split, u16, u16, u32) -> Result<u32, E>,
    ) -> Result<(), E> {
        let (first, last) = (tree * self.room, (tree + 1) * self.room);
        let is_last = (1..=CHAINS).any(|chain| first_of(chain, self.trees) == tree + 1);
        let end = if is_last { self.trees * self.room } else { last };
        let mut growth = Growth {
            nodes: &mut self.nodes[first..last],
            rights: &mut self.rights[first..last],
            first,
            len: 0,
            end: end as u16,
            depth: self.depth,
            enough: MASS_SHARE_MIN * mass as f32,
            splits,
            part,
        };
        growth.grow(0, 0, 0, mass)?;
        self.masses[tree] = (mass, growth.len as u16);
        Ok(())
    }

    /// Appends what each tree holds.
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        for (tree, (mass, len)) in self.masses.iter().enumerate() {
            put(mass, out);
            let rights = &self.rights[tree * self.room..][..usize::from(*len)];
            rights.iter().for_each(|right| put(right, out));
        }
    }

    /// Takes what [`encode`](Self::encode) appended; no tree has more rows than this.
    pub(super) fn decode(
        &mut self,
        mass_max: usize,
        seed: u64,
        splits: &mut Splits,
        bytes: &mut &[u8],
    ) -> Result<(), DecodeError> {
        for tree in 0..self.trees {
            let mass = take::<u32>(bytes)?;
            ensure((1..=mass_max).contains(&(mass as usize)), "rows of a tree")?;
            splits.enter(seed, tree);
            self.renew(tree, mass, splits, |_, _, _, mass| {
                let right = take::<u32>(bytes)?;
                ensure(right <= mass, "rows of a node")?;
                Ok::<_, DecodeError>(right)
            })?;
        }
        Ok(())
    }
}

/// A tree that is made.
struct Growth<'a, P> {
    nodes: &'a mut [Node],
    rights: &'a mut [u32],
    /// The number of the first node among those of all trees.
    first: usize,
    len: usize,
    /// Where ways go on that end.
    end: u16,
    depth: u32,
    /// Nodes of more rows count.
    enough: f32,
    splits: &'a mut Splits,
    part: P,
}

impl<E, P: FnMut(Split, u16, u16, u32) -> Result<u32, E>> Growth<'_, P> {
    /// Makes what is at a node at a level, with rows of a label, as many as `mass`: tells the bits of the cuts that
    /// were left out above it, and what comes next.
    fn grow(&mut self, node: u32, level: u32, label: u16, mass: u32) -> Result<(f32, u16), E> {
        if level == self.depth || mass as f32 <= self.enough {
            return Ok((0.0, self.end));
        }
        let split = self.splits.at(node);
        if !split.parts() && level > 0 {
            // All go one way, which loses the bit of an even half; it counts at the cut above.
            let right = split.at == 0;
            let whole = self.splits.halve(split.feature, right);
            let (bits, next) =
                self.grow(2 * node + 1 + u32::from(right), level + 1, label, mass)?;
            self.splits.leave(split.feature, whole);
            return Ok((bits - 1.0, next));
        }
        let at = self.len;
        self.len += 1;
        // Rows on the left keep the label, and each node has one of its own for those on the right.
        let labels = [label, self.len as u16];
        let right = (self.part)(split, labels[0], labels[1], mass)?;
        self.rights[at] = right;
        let mut made = Node { feature: split.feature as u16, at: split.at, ..Node::default() };
        for (side, rows) in [mass - right, right].into_iter().enumerate() {
            let whole = self.splits.halve(split.feature, side == 1);
            let below = 2 * node + 1 + side as u32;
            let (left_out, next) = self.grow(below, level + 1, labels[side], rows)?;
            self.splits.leave(split.feature, whole);
            made.drop[side] = bits(mass as f32) - bits(rows as f32) - 1.0 + left_out;
            made.below[side] = next;
        }
        self.nodes[at] = made;
        Ok((0.0, (self.first + at) as u16))
    }
}

//! How many rows fell where, as an encoding tells it: by the leaves alone, since a node has the
//! rows of its two children, and of the leaves only those that have any.

use domain::encoding::{DecodeError, ensure, put, take};

/// Appends the masses of all trees of this depth.
pub(super) fn encode(mass: &[u32], depth: u32, out: &mut Vec<u8>) {
    let (inner, all) = ((1_usize << depth) - 1, (2_usize << depth) - 1);
    for tree in mass.chunks_exact(all) {
        let mut next = 0;
        for (leaf, &rows) in tree[inner..].iter().enumerate().filter(|(_, rows)| **rows > 0) {
            put(&(leaf - next, rows), out);
            next = leaf + 1;
        }
    }
}

/// Takes what [`encode`] appended into masses that are 0. Each tree has as many rows as `total`.
pub(super) fn decode(
    mass: &mut [u32],
    depth: u32,
    total: u32,
    bytes: &mut &[u8],
) -> Result<(), DecodeError> {
    let (inner, all) = ((1_usize << depth) - 1, (2_usize << depth) - 1);
    for tree in mass.chunks_exact_mut(all) {
        let leaves = &mut tree[inner..];
        let (mut left, mut next) = (total, 0);
        while left > 0 {
            let (skipped, rows) = take::<(usize, u32)>(bytes)?;
            ensure(skipped < leaves.len() - next, "place of a leaf")?;
            ensure((1..=left).contains(&rows), "rows of a leaf")?;
            leaves[next + skipped] = rows;
            next += skipped + 1;
            left -= rows;
        }
        for node in (0..inner).rev() {
            tree[node] = tree[2 * node + 1] + tree[2 * node + 2];
        }
    }
    Ok(())
}

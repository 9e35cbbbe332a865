//! Port ranges as aligned blocks, which a longest-prefix match can hold.

use alloc::vec::Vec;

/// A block of ports: the ports whose highest `bits` bits are those of `first`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Block {
    /// Lowest port of the block.
    pub(crate) first: u16,
    /// Leading bits that count, 0 to 16.
    pub(crate) bits: u32,
}

impl Block {
    /// Whether a block with at least as many bits lies inside.
    pub(crate) const fn contains(self, narrower: Self) -> bool {
        let open = 16u32.saturating_sub(self.bits);
        (self.first as u32) >> open == (narrower.first as u32) >> open
    }
}

/// Splits a range, both ends included, into the fewest aligned blocks, ordered; a range that ends before it
/// begins has none.
pub(crate) fn blocks(first: u16, last: u16) -> Vec<Block> {
    let mut blocks = Vec::new();
    let (mut next, last) = (u32::from(first), u32::from(last));
    while next <= last {
        // The largest block that starts here: as aligned as `next` is, and no longer than what is left.
        let aligned = next.trailing_zeros().min(16);
        let fitting = (last - next + 1).ilog2();
        let open = aligned.min(fitting);
        blocks.push(Block { first: u16::try_from(next).unwrap_or(u16::MAX), bits: 16 - open });
        next += 1 << open;
    }
    blocks
}

#[cfg(test)]
mod tests {
    use super::*;

    fn covers(block: &Block, port: u16) -> bool {
        let mask = u32::from(u16::MAX) << (16 - block.bits);
        u32::from(port) & mask == u32::from(block.first) & mask
    }

    #[test]
    fn examples() {
        assert_eq!(blocks(80, 80), [Block { first: 80, bits: 16 }]);
        assert_eq!(blocks(0, u16::MAX), [Block { first: 0, bits: 0 }]);
        assert_eq!(
            blocks(80, 90),
            [Block { first: 80, bits: 13 }, Block { first: 88, bits: 15 }, Block { first: 90, bits: 16 },]
        );
        assert_eq!(blocks(90, 80), []);
    }

    proptest::proptest! {
        #[test]
        fn each_port_of_the_range_is_in_one_block(a: u16, b: u16, probes: [u16; 16]) {
            let (first, last) = (a.min(b), a.max(b));
            let blocks = blocks(first, last);
            assert!(blocks.len() <= 30);
            let edges = [first, last, first.wrapping_sub(1), last.wrapping_add(1)];
            for port in probes.into_iter().chain(edges) {
                let count = blocks.iter().filter(|block| covers(block, port)).count();
                assert_eq!(count, usize::from((first..=last).contains(&port)), "port {port}");
            }
        }
    }
}

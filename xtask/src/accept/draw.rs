//! A small deterministic generator, so that a draw can be repeated from its printed seed on any machine. Not for
//! secrets.

/// The sequence of SplitMix64 (Steele, Lea, Flood 2014).
pub(crate) struct Draw(u64);

impl Draw {
    /// The sequence that belongs to this seed.
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number.
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`, which is not zero; the bias is far below what a draw here could show.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        let bound = u64::try_from(bound.max(1)).unwrap_or(u64::MAX);
        usize::try_from(self.next() % bound).unwrap_or(0)
    }

    /// So many of these, none twice, in the order in which they were drawn.
    pub(crate) fn sample<T>(&mut self, mut from: Vec<T>, count: usize) -> Vec<T> {
        let mut drawn = Vec::new();
        while drawn.len() < count && !from.is_empty() {
            let at = self.below(from.len());
            drawn.push(from.swap_remove(at));
        }
        drawn
    }
}

//! The decision to run, apart from everything else, in values far from each other.
//!
//! Each check leaves an [`Outcome`]: one of a few 64-bit words that differ in about half of their bits, so that no
//! flipped bit and no zeroed register turns one into another. [`decide`] looks at them twice, in two different ways.

/// What a check found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outcome(u64);

impl Outcome {
    /// The check did not hold, or was never made.
    pub const REFUSED: Self = Self(0x9ac3_5a17_e43c_c6d2);
    /// The ES256 signature is right.
    pub const ES256: Self = Self(0x36d4_a95b_1bc6_5e87);
    /// The ML-DSA-65 signature is right.
    pub const ML_DSA: Self = Self(0xc52b_6ce9_72b1_a81d);
    /// The digest is right.
    pub const DIGEST: Self = Self(0x6b19_d3a4_8d5a_3478);

    /// This outcome where `held` is true, else [`Self::REFUSED`].
    #[must_use]
    pub const fn when(self, held: bool) -> Self {
        if held { self } else { Self::REFUSED }
    }
}

/// The one word that means: run it. Every other one means: do not.
pub const RUN: u64 =
    Outcome::ES256.0 ^ Outcome::ML_DSA.0.rotate_left(21) ^ Outcome::DIGEST.0.rotate_left(42);
/// The word that means: do not run it.
pub const DO_NOT_RUN: u64 = !RUN;

/// Whether what the three checks were about may run: [`RUN`] or something else.
#[must_use]
#[inline(never)]
pub fn decide(es256: Outcome, ml_dsa: Outcome, digest: Outcome) -> u64 {
    if es256 != Outcome::ES256 || ml_dsa != Outcome::ML_DSA || digest != Outcome::DIGEST {
        return DO_NOT_RUN;
    }
    es256.0 ^ ml_dsa.0.rotate_left(21) ^ digest.0.rotate_left(42)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_three_right_outcomes_run() {
        let outcomes = [
            Outcome::REFUSED,
            Outcome::ES256,
            Outcome::ML_DSA,
            Outcome::DIGEST,
            Outcome(0),
            Outcome(u64::MAX),
        ];
        for a in outcomes {
            for b in outcomes {
                for c in outcomes {
                    let right = (a, b, c) == (Outcome::ES256, Outcome::ML_DSA, Outcome::DIGEST);
                    assert_eq!(decide(a, b, c) == RUN, right);
                }
            }
        }
    }

    #[test]
    fn the_values_are_far_apart() {
        let values = [
            Outcome::REFUSED.0,
            Outcome::ES256.0,
            Outcome::ML_DSA.0,
            Outcome::DIGEST.0,
            RUN,
            DO_NOT_RUN,
            0,
            u64::MAX,
        ];
        for (index, a) in values.iter().enumerate() {
            for b in &values[..index] {
                assert!((a ^ b).count_ones() >= 20, "{a:#x} {b:#x}");
            }
        }
    }
}

//! The shapes of past beats, to compare a new one with.

use crate::filter::LEADS;

/// Samples of a shape, 164 ms around the middle of the QRS complex.
pub const WIDTH: usize = 41;
/// Largest shift that is tried, samples to either side.
pub const SHIFT: usize = 4;
/// A stretch of slopes that shapes are looked for in.
pub const STRETCH: usize = WIDTH + 2 * SHIFT;
/// How many shapes are remembered.
const SHAPES: usize = 6;
/// A beat belongs to a shape from this likeness on, of [`ALIKE`].
const BELONGS: i32 = 205;
/// Likeness of two shapes that are the same but for their size.
pub const ALIKE: i32 = 256;
/// A new beat moves its shape by 1/8.
const FOLLOW: i32 = 8;

/// Slopes of the leads, each in parts of its usual size times its weight.
pub type Stretch = [[i32; STRETCH]; LEADS];

#[derive(Debug, Clone, Copy)]
struct Shape {
    slope: [[i16; WIDTH]; LEADS],
    /// Beats that belong to it, at most 255.
    beats: u8,
    /// Beats since one belonged to it.
    unused: u16,
}

/// The remembered shapes.
#[derive(Debug, Clone)]
pub struct Shapes {
    shapes: [Shape; SHAPES],
}

/// What a stretch is most like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Likeness {
    /// Of [`ALIKE`]; negative where it is rather the opposite.
    pub likeness: i32,
    shape: usize,
    shift: usize,
}

impl Shapes {
    pub const fn new() -> Self {
        let none = Shape {
            slope: [[0; WIDTH]; LEADS],
            beats: 0,
            unused: u16::MAX,
        };
        Self {
            shapes: [none; SHAPES],
        }
    }

    /// The shape the stretch is most like, of those with at least `least_beats`; `None` where there is none.
    pub fn compare(&self, stretch: &Stretch, least_beats: u8) -> Option<Likeness> {
        let mut best: Option<Likeness> = None;
        for (n, shape) in self.shapes.iter().enumerate() {
            if shape.beats < least_beats.max(1) {
                continue;
            }
            for shift in 0..=2 * SHIFT {
                let likeness = correlate(shape, stretch, shift);
                if best.is_none_or(|best| best.likeness < likeness) {
                    best = Some(Likeness {
                        likeness,
                        shape: n,
                        shift,
                    });
                }
            }
        }
        best
    }

    /// Remembers a beat.
    pub fn learn(&mut self, stretch: &Stretch) {
        let best = self.compare(stretch, 1);
        for shape in &mut self.shapes {
            shape.unused = shape.unused.saturating_add(1);
        }
        match best {
            Some(best) if best.likeness >= BELONGS => {
                let shape = &mut self.shapes[best.shape];
                for (old, new) in shape.slope.iter_mut().zip(stretch) {
                    for (old, new) in old.iter_mut().zip(&new[best.shift..]) {
                        *old = (i32::from(*old) + (small(*new) - i32::from(*old)) / FOLLOW) as i16;
                    }
                }
                shape.beats = shape.beats.saturating_add(1);
                shape.unused = 0;
            }
            _ => self.remember(stretch),
        }
    }

    /// Puts a new shape in place of the one that is worth the least: few beats, long unused.
    fn remember(&mut self, stretch: &Stretch) {
        let worth = |shape: &Shape| u32::from(shape.beats) * 64 / (u32::from(shape.unused) + 1);
        if let Some(shape) = self.shapes.iter_mut().min_by_key(|shape| worth(shape)) {
            for (old, new) in shape.slope.iter_mut().zip(stretch) {
                for (old, new) in old.iter_mut().zip(&new[SHIFT..]) {
                    *old = small(*new) as i16;
                }
            }
            shape.beats = 1;
            shape.unused = 0;
        }
    }
}

/// Sizes are kept in 12 bits, so that sums of products fit.
fn small(value: i32) -> i32 {
    value.clamp(-8191, 8191)
}

/// Normalised cross-correlation, of [`ALIKE`].
fn correlate(shape: &Shape, stretch: &Stretch, shift: usize) -> i32 {
    let (mut product, mut shape_power, mut power) = (0_i64, 0_i64, 0_i64);
    for (a, b) in shape.slope.iter().zip(stretch) {
        for (a, b) in a.iter().zip(&b[shift..]) {
            let (a, b) = (i64::from(*a), i64::from(small(*b)));
            product += a * b;
            shape_power += a * a;
            power += b * b;
        }
    }
    let size = (shape_power.isqrt() * power.isqrt()).max(1);
    (product * i64::from(ALIKE) / size) as i32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stretch(size: i32, at: usize) -> Stretch {
        let mut stretch = [[0; STRETCH]; LEADS];
        for n in 0..8 {
            stretch[0][at + n] = size * [1, 3, 6, 3, -3, -6, -3, -1][n];
            stretch[1][at + n] = size * [-1, 2, -3, 4, -4, 3, -2, 1][n];
        }
        stretch
    }

    #[test]
    fn likeness_is_of_the_shape_not_of_size_or_place() {
        let mut shapes = Shapes::new();
        assert_eq!(shapes.compare(&stretch(10, 20), 1), None);
        shapes.learn(&stretch(100, 20));
        let likeness = |size, at| shapes.compare(&stretch(size, at), 1).expect("one").likeness;
        for at in 20 - SHIFT..=20 + SHIFT {
            assert!(likeness(30, at) > 250, "{at}: {}", likeness(30, at));
        }
        assert!(likeness(-100, 20) < 200);
        assert!(likeness(1_000_000, 20) < 256 && likeness(0, 20) == 0);
        assert_eq!(shapes.compare(&stretch(10, 20), 2), None);
    }

    #[test]
    fn a_frequent_shape_is_not_forgotten_for_rare_ones() {
        let mut shapes = Shapes::new();
        for _ in 0..50 {
            shapes.learn(&stretch(100, 20));
        }
        for n in 0..30 {
            let mut other = [[0; STRETCH]; LEADS];
            other[n % 2][n] = 500;
            other[n % 2][n + 1 + n % 5] = -900;
            shapes.learn(&other);
        }
        assert!(
            shapes
                .compare(&stretch(100, 20), 10)
                .expect("kept")
                .likeness
                > 250
        );
    }
}

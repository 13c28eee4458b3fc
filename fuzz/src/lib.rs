//! One target per parser of outside bytes.
//!
//! A target takes any bytes and must neither panic nor run long. `cargo test -p fuzz` gives each
//! a short run of mutated and random inputs, the same every time; `cargo run -p fuzz -- TARGET`
//! goes on with new ones until stopped.

mod can;
mod description;
mod image;
mod manifest;
mod reading;
mod store;
mod vsock;
mod wfdb;

/// A target's name, what it runs, and inputs that reach far into it.
pub struct Target {
    /// Name on the command line.
    pub name: &'static str,
    /// The parser, given any bytes.
    pub run: fn(&[u8]),
    /// Well-formed inputs to start mutating from.
    pub seeds: fn() -> Vec<Vec<u8>>,
}

/// Every target.
pub const TARGETS: &[Target] = &[
    Target {
        name: "can",
        run: can::run,
        seeds: can::seeds,
    },
    Target {
        name: "description",
        run: description::run,
        seeds: description::seeds,
    },
    Target {
        name: "image",
        run: image::run,
        seeds: image::seeds,
    },
    Target {
        name: "manifest",
        run: manifest::run,
        seeds: manifest::seeds,
    },
    Target {
        name: "reading",
        run: reading::run,
        seeds: reading::seeds,
    },
    Target {
        name: "store",
        run: store::run,
        seeds: store::seeds,
    },
    Target {
        name: "vsock",
        run: vsock::run,
        seeds: vsock::seeds,
    },
    Target {
        name: "wfdb",
        run: wfdb::run,
        seeds: wfdb::seeds,
    },
];

/// A small, fast, repeatable source of numbers (SplitMix64, Steele et al., OOPSLA 2014).
pub struct Random(pub u64);

impl Random {
    /// The next number.
    pub fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `limit`; 0 where `limit` is 0.
    pub fn below(&mut self, limit: usize) -> usize {
        if limit == 0 {
            return 0;
        }
        (self.number() % limit as u64) as usize
    }
}

/// The most bytes an input has.
const LONGEST: usize = 32 << 10;

/// Makes an input: random bytes, or a seed with a few bytes changed, cut, doubled or moved.
pub fn input(random: &mut Random, seeds: &[Vec<u8>]) -> Vec<u8> {
    if seeds.is_empty() || random.below(8) == 0 {
        let length = random.below(300);
        return (0..length).map(|_| random.number() as u8).collect();
    }
    let mut bytes = seeds[random.below(seeds.len())].clone();
    for _ in 0..=random.below(6) {
        mutate(random, &mut bytes, seeds);
    }
    bytes.truncate(LONGEST);
    bytes
}

fn mutate(random: &mut Random, bytes: &mut Vec<u8>, seeds: &[Vec<u8>]) {
    if bytes.is_empty() {
        bytes.push(random.number() as u8);
        return;
    }
    let at = random.below(bytes.len());
    match random.below(7) {
        0 => bytes[at] ^= 1 << random.below(8),
        1 => bytes[at] = random.number() as u8,
        2 => bytes[at] = [0, 1, 0x7f, 0x80, 0xff, b'\r', b'0'][random.below(7)],
        3 => bytes.truncate(at),
        4 => {
            let end = (at + 1 + random.below(16)).min(bytes.len());
            let part = bytes[at..end].to_vec();
            bytes.splice(at..at, part);
        }
        5 => {
            let end = (at + 1 + random.below(16)).min(bytes.len());
            bytes.drain(at..end);
        }
        _ => {
            let other = &seeds[random.below(seeds.len())];
            let from = random.below(other.len());
            let end = (from + random.below(64)).min(other.len());
            bytes.splice(at..at, other[from..end].iter().copied());
        }
    }
}

/// Runs `count` inputs through a target, from `seed` on.
pub fn run(target: &Target, seed: u64, count: usize) {
    let seeds = (target.seeds)();
    seeds.iter().for_each(|seed| (target.run)(seed));
    let mut random = Random(seed);
    for _ in 0..count {
        (target.run)(&input(&mut random, &seeds));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_target_survives_a_short_run() {
        assert!(!TARGETS.is_empty());
        for target in TARGETS {
            // Ten kilobytes of text, or a whole flash, take longer than a frame.
            let long = (target.seeds)().iter().any(|seed| seed.len() > 5_000);
            let is_slow = long || target.name == "store";
            run(target, 1, if is_slow { 3_000 } else { 20_000 });
            println!("{}: survived", target.name);
        }
    }
}

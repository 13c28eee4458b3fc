//! Runs one fuzz target with new inputs until stopped: `cargo run -p fuzz --release -- TARGET [SEED]`.

fn main() {
    let mut arguments = std::env::args().skip(1);
    let name = arguments.next().unwrap_or_default();
    let Some(target) = fuzz::TARGETS.iter().find(|target| target.name == name) else {
        eprintln!("name one of:");
        fuzz::TARGETS
            .iter()
            .for_each(|target| eprintln!("  {}", target.name));
        std::process::exit(2);
    };
    let from = arguments
        .next()
        .and_then(|seed| seed.parse().ok())
        .unwrap_or(1_u64);
    for round in 0.. {
        println!("{name}: seed {}", from + round);
        fuzz::run(target, from + round, 100_000);
    }
}

//! Builds the guest's images without the rest of the device.
//! `cargo run -p guest-image --example guest -- RECIPE CACHE WORK FORWARDER_FOLDER [--lock]`

use guest_image::{Inputs, build, lock};
use std::path::PathBuf;

fn main() -> anyhow::Result<()> {
    let arguments: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let [recipe, cache, work, programs, rest @ ..] = arguments.as_slice() else {
        anyhow::bail!("usage: guest RECIPE CACHE WORK FORWARDER_FOLDER [--lock]");
    };
    let say = |text: &str| eprintln!("{text}");
    if !rest.is_empty() {
        lock(recipe, cache, &say)?;
    }
    let inputs = Inputs {
        recipe: recipe.clone(),
        cache: cache.clone(),
        work: work.clone(),
        forwarder: programs.join("forwarder"),
        counter: programs.join("counter"),
    };
    let images = build(&inputs, &say)?;
    for (name, bytes) in [
        ("Image", &images.kernel),
        ("initramfs", &images.initramfs),
        ("root.img", &images.root),
    ] {
        std::fs::write(work.join(name), bytes)?;
        println!("{name}: {} bytes", bytes.len());
    }
    println!("{:#?}", images.contents);
    Ok(())
}

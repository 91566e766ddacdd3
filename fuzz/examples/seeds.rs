//! Writes the inputs that fuzzing begins with: `seeds [TARGET…]`, into `corpus/`.

use std::path::Path;

use chaperone_fuzz::TARGETS;

fn main() -> std::io::Result<()> {
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    for target in TARGETS {
        if !wanted.is_empty() && !wanted.iter().any(|name| name == target.name) {
            continue;
        }
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target.name);
        std::fs::create_dir_all(&directory)?;
        let seeds = (target.seeds)();
        for (seed, number) in seeds.iter().zip(1..) {
            std::fs::write(directory.join(format!("seed-{number:04}")), seed)?;
        }
        println!("{}: {} inputs", target.name, seeds.len());
    }
    Ok(())
}

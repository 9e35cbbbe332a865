//! The kernel takes the programs.

use egret_agent::datapath::Datapath;

#[test]
fn the_kernel_takes_both_programs() {
    let started = std::time::Instant::now();
    if let Err(error) = Datapath::load() {
        let mut e: &dyn std::error::Error = &error;
        eprintln!("{e}");
        while let Some(s) = e.source() { eprintln!("  {s}"); e = s; }
        panic!();
    }
    eprintln!("{:?}", started.elapsed());
    let started = std::time::Instant::now();
    Datapath::load().unwrap();
    eprintln!("{:?}", started.elapsed());
}

//! Every CI step as a local command.

fn main() {}

//! Every case of the corpus on every subject, one trial each.

fn main() -> std::process::ExitCode {
    egret::conformance("../cases")
}

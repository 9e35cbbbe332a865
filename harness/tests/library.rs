//! What another team writes to test its policies: one line, and a folder of cases.

fn main() -> std::process::ExitCode {
    egret::conformance("tests/library")
}

//! The `valetkey` binary: all of it is in the library, so that tests and tools can reach it.

fn main() -> std::process::ExitCode {
    valetkey::cli::run(std::env::args_os())
}

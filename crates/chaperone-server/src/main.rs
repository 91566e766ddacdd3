//! The `chaperone` program.

/// Short-lived allocations dominate a check; mimalloc is quick at those.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    chaperone_server::cli::main()
}

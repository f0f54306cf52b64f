//! The `wasmend` command: arguments in, exit code out. All of it stands on the library's public interface.

mod cli;
mod stopwatch;

#[global_allocator]
static HEAP: wasmend::heap::Heap = wasmend::heap::Heap::new();

fn main() -> std::process::ExitCode {
    cli::main()
}

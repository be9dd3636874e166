//! Models on other devices than the CPU, by the real binary in a process of its own for each runtime.
//!
//! A harness of its own, since a test whose runtime or device a machine lacks is counted as ignored, with the reason,
//! and Rust's decides that when it compiles. `make test` sets up the runtimes `openvino` and `webgpu`, and for WebGPU
//! Mesa's software driver for Vulkan.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that can't go on has failed")]

mod common;
mod cuda;
mod openvino;
mod support;
mod webgpu;

use libtest_mimic::Arguments;

fn main() {
    let arguments = Arguments::from_args();
    let suites = [openvino::suite(), webgpu::suite(), cuda::suite()];
    libtest_mimic::run(&arguments, suites.into_iter().flatten().collect()).exit();
}

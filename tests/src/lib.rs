//! System tests: the real images in QEMU.
//!
//! The tests stand in `tests/tests`; this library starts what they need and reaches into the
//! machine from outside, through QEMU's gdb stub, so that the images need no test hooks.

pub use lazaret::gdb;

//! Constants for the kernel.

//! Instructions and structures of EL1, for the kernel.

//! System tests: the real images in QEMU.

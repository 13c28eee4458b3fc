//! The board: addresses and devices of qemu-virt.

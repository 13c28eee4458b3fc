//! A virtio-vsock device behind rings that are treated as hostile.
#![no_std]
#![forbid(unsafe_code)]

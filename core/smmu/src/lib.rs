//! SMMUv3 stream table, context descriptors, commands and events, as data.
#![no_std]
#![forbid(unsafe_code)]

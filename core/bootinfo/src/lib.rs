//! What the loader tells the stages it starts: components, digests, times.
#![no_std]
#![forbid(unsafe_code)]

//! Decides whether a manifest and its components may run: two signatures, digests, identity.
#![no_std]
#![forbid(unsafe_code)]

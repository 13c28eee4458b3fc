//! The signed manifest: a bounded reader and writer for the SUIT and COSE structures we use.
#![no_std]
#![forbid(unsafe_code)]

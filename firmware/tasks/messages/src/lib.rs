//! The messages secure tasks exchange: operations and their encodings.
#![no_std]
#![forbid(unsafe_code)]

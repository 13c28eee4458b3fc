//! Samples become strips, strips and numbers become records that wait to be taken.
//!
//! [`Timeline`] numbers the samples of one node over gaps and restarts, [`Strip`] collects them, [`Outbox`] keeps
//! encoded records until somebody takes them.
#![no_std]
#![forbid(unsafe_code)]

mod outbox;
mod strip;
mod timeline;

pub use outbox::Outbox;
pub use strip::{STRIPS_PER_S, Strip};
pub use timeline::{Place, Timeline};

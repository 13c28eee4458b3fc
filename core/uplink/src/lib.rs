//! Records kept until the ward has them: the ring, their numbers, one connection after the other.
//!
//! Every record gets the next number, 1 the first. It stays in a [`Ring`] until the ward
//! acknowledges it or newer ones need its place: the oldest goes first, and is counted. On every
//! connection the [greeting](greeting) comes first, then everything that is not acknowledged, in
//! order, from its beginning.
#![no_std]
#![forbid(unsafe_code)]

mod greeting;
mod ring;
mod session;

pub use greeting::{GREETING_BYTES, Identity, greeting};
pub use ring::{Place, Ring};
pub use session::{BadStream, GREETING_SEQUENCE, Session};

//! What the `lazaret` command is made of; the system tests use the same parts.

pub mod bench;
pub mod build;
pub mod demo;
pub mod docs;
pub mod doctor;
pub mod gdb;
pub mod inspect;
pub mod keys;
pub mod machine;
pub mod paths;
pub mod pipe;
pub mod process;
pub mod report;
pub mod run;
pub mod session;
pub mod sizes;
pub mod test;
pub mod ui;

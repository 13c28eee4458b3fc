//! The hospital side: takes devices' readings, keeps them, shows them.
//!
//! A device's connection ([`ingest`]) hands each reading to two places: to what is known of the device
//! right now ([`devices`]), which the page shows, and to the queue of the [`store`], whose one thread
//! writes it to disk. Only what is on disk is acknowledged. The page, the API and the metrics ([`web`])
//! read both.
#![forbid(unsafe_code)]

pub mod api;
pub mod counters;
pub mod devices;
pub mod ingest;
pub mod listener;
pub mod log;
pub mod metrics;
pub mod options;
pub mod readings;
pub mod store;
pub mod ward;
pub mod web;

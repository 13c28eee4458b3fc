//! What the command line says.

use clap::Parser;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

/// The hospital side of Lazaret: takes devices' readings, keeps them, shows them.
///
/// The channel is not protected in this version: keep it on a network you trust.
#[derive(Debug, Clone, Parser)]
#[command(name = "ward", version)]
pub struct Options {
    /// Where devices connect (port 0 takes any that is free)
    #[arg(long, value_name = "ADDRESS:PORT", default_value_t = SocketAddr::from((Ipv4Addr::LOCALHOST, 7300)))]
    pub listen: SocketAddr,
    /// Where the page and the API are (port 0 takes any that is free)
    #[arg(long, value_name = "ADDRESS:PORT", default_value_t = SocketAddr::from((Ipv4Addr::LOCALHOST, 7380)))]
    pub http: SocketAddr,
    /// Folder of what the ward keeps; made where it is not there
    #[arg(long, value_name = "FOLDER", default_value = "ward-data")]
    pub data: PathBuf,
    /// The database's file [default: ward.sqlite in the folder of --data]
    #[arg(long, value_name = "FILE")]
    database: Option<PathBuf>,
    /// Most MiB of the database; without it, as much as the disk has
    #[arg(long, value_name = "MIB", value_parser = clap::value_parser!(u32).range(1..))]
    pub database_limit_mib: Option<u32>,
    /// Hours that readings are kept; 0 keeps them for ever
    #[arg(long, value_name = "HOURS", default_value_t = 72)]
    retain_hours: u32,
    /// Most readings that wait while the database cannot be written
    #[arg(long, value_name = "READINGS", default_value_t = 65_536)]
    pub buffer_records: usize,
    /// Most MiB of the same
    #[arg(long, value_name = "MIB", default_value_t = 64)]
    pub buffer_mib: usize,
}

impl Options {
    /// The database's file.
    #[must_use]
    pub fn database(&self) -> PathBuf {
        let usual = || self.data.join("ward.sqlite");
        self.database.clone().unwrap_or_else(usual)
    }

    /// How long readings are kept; none = for ever.
    #[must_use]
    pub fn retain(&self) -> Option<Duration> {
        (self.retain_hours > 0).then(|| Duration::from_secs(3600 * u64::from(self.retain_hours)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_consistent() {
        Options::command().debug_assert();
        let options = Options::parse_from(["ward", "--data", "x", "--retain-hours", "0"]);
        assert_eq!(options.database(), PathBuf::from("x/ward.sqlite"));
        assert_eq!(options.retain(), None);
        assert!(Options::try_parse_from(["ward", "--database-limit-mib", "0"]).is_err());
    }
}

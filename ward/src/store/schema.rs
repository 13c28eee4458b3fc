//! The database's form. docs/ward.md explains it.

use rusqlite::Connection;
use std::path::Path;
use std::time::Duration;

/// Bytes of a page of the database.
pub const PAGE_BYTES: u32 = 4096;
/// Version of the form below, in `PRAGMA user_version`.
const VERSION: i32 = 1;
/// How long to wait for another program that has the database locked.
pub const BUSY: Duration = Duration::from_secs(2);

const FORM: &str = "
CREATE TABLE IF NOT EXISTS devices (
  id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, first_seen_ms INTEGER NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS boots (
  id INTEGER PRIMARY KEY, device INTEGER NOT NULL REFERENCES devices, boot INTEGER NOT NULL,
  product TEXT NOT NULL, version TEXT NOT NULL, manifest_sequence INTEGER NOT NULL,
  components TEXT NOT NULL, first_seen_ms INTEGER NOT NULL, first_reading_ms INTEGER,
  highest INTEGER NOT NULL DEFAULT 0,
  strips INTEGER NOT NULL DEFAULT 0, numerics INTEGER NOT NULL DEFAULT 0,
  alarms INTEGER NOT NULL DEFAULT 0, events INTEGER NOT NULL DEFAULT 0,
  statuses INTEGER NOT NULL DEFAULT 0, unknown INTEGER NOT NULL DEFAULT 0,
  missing_records INTEGER NOT NULL DEFAULT 0, missing_samples INTEGER NOT NULL DEFAULT 0,
  next_ecg_1 INTEGER, next_ecg_2 INTEGER, next_pleth INTEGER,
  UNIQUE (device, boot)) STRICT;
CREATE TABLE IF NOT EXISTS strips (
  id INTEGER PRIMARY KEY, boot INTEGER NOT NULL REFERENCES boots, sequence INTEGER NOT NULL,
  received_ms INTEGER NOT NULL, t_us INTEGER NOT NULL, channel INTEGER NOT NULL,
  first_sample INTEGER NOT NULL, rate_decihertz INTEGER NOT NULL, samples BLOB NOT NULL) STRICT;
CREATE INDEX IF NOT EXISTS strips_by_time ON strips (boot, channel, t_us);
CREATE TABLE IF NOT EXISTS numerics (
  id INTEGER PRIMARY KEY, boot INTEGER NOT NULL REFERENCES boots, sequence INTEGER NOT NULL,
  received_ms INTEGER NOT NULL, t_us INTEGER NOT NULL, body TEXT NOT NULL) STRICT;
CREATE INDEX IF NOT EXISTS numerics_by_time ON numerics (boot, t_us);
CREATE TABLE IF NOT EXISTS alarms (
  id INTEGER PRIMARY KEY, boot INTEGER NOT NULL REFERENCES boots, sequence INTEGER NOT NULL,
  received_ms INTEGER NOT NULL, t_us INTEGER NOT NULL, body TEXT NOT NULL) STRICT;
CREATE INDEX IF NOT EXISTS alarms_by_time ON alarms (boot, t_us);
CREATE TABLE IF NOT EXISTS events (
  id INTEGER PRIMARY KEY, boot INTEGER NOT NULL REFERENCES boots, sequence INTEGER NOT NULL,
  received_ms INTEGER NOT NULL, t_us INTEGER NOT NULL, body TEXT NOT NULL) STRICT;
CREATE INDEX IF NOT EXISTS events_by_time ON events (boot, t_us);
CREATE TABLE IF NOT EXISTS statuses (
  id INTEGER PRIMARY KEY, boot INTEGER NOT NULL REFERENCES boots, sequence INTEGER NOT NULL,
  received_ms INTEGER NOT NULL, t_us INTEGER NOT NULL, body TEXT NOT NULL) STRICT;
CREATE INDEX IF NOT EXISTS statuses_by_time ON statuses (boot, t_us);
CREATE TABLE IF NOT EXISTS unknown (
  id INTEGER PRIMARY KEY, boot INTEGER NOT NULL REFERENCES boots, sequence INTEGER NOT NULL,
  received_ms INTEGER NOT NULL, body BLOB NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS gaps (
  id INTEGER PRIMARY KEY, boot INTEGER NOT NULL REFERENCES boots, received_ms INTEGER NOT NULL,
  kind TEXT NOT NULL, channel TEXT, first INTEGER NOT NULL, missing INTEGER NOT NULL) STRICT;
CREATE INDEX IF NOT EXISTS gaps_by_boot ON gaps (boot, id);
";

/// Opens the database for writing, made where it is not there.
///
/// # Errors
/// What SQLite or the file system says.
pub fn open(path: &Path, limit_mib: Option<u32>) -> Result<Connection, String> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)
            .map_err(|error| format!("the folder {} cannot be made: {error}", folder.display()))?;
    }
    prepare(path, limit_mib).map_err(|error| error.to_string())
}

fn prepare(path: &Path, limit_mib: Option<u32>) -> rusqlite::Result<Connection> {
    let connection = Connection::open(path)?;
    connection.busy_timeout(BUSY)?;
    connection.pragma_update(None, "page_size", PAGE_BYTES)?;
    connection.pragma_update_and_check(None, "journal_mode", "wal", |_| Ok(()))?;
    // In WAL mode only FULL keeps a transaction through a power cut; what is acknowledged must.
    connection.pragma_update(None, "synchronous", "full")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    let pages = limit_mib.map_or(u32::MAX - 1, |mib| {
        mib.saturating_mul((1 << 20) / PAGE_BYTES)
    });
    connection.pragma_update_and_check(None, "max_page_count", pages, |_| Ok(()))?;
    let version: i32 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if version == 0 {
        connection.execute_batch(&format!(
            "BEGIN IMMEDIATE; {FORM} PRAGMA user_version = {VERSION}; COMMIT;"
        ))?;
    } else if version != VERSION {
        let text = format!("the database has form {version}; this ward writes form {VERSION}");
        return Err(rusqlite::Error::ToSqlConversionFailure(text.into()));
    }
    Ok(connection)
}

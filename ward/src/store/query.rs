//! Reading back what is stored: bounded, and never in the writer's way.

use super::{Store, schema};
use crate::readings::{CHANNELS, channel_name};
use reading::Channel;
use rusqlite::{Connection, OpenFlags, OptionalExtension as _, Statement, params};
use serde_json::{Value, json};

/// Most rows of one answer, and how many where nobody says.
const STRIP_ROWS: (u32, u32) = (500, 100);
const ROWS: (u32, u32) = (5_000, 500);

/// Which rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rows {
    /// Samples of one channel.
    Strips(Channel),
    /// Numerics.
    Numerics,
    /// Alarms.
    Alarms,
    /// Events.
    Events,
    /// Statuses.
    Statuses,
    /// What is missing.
    Gaps,
}

/// A question. Times are microseconds since power-on, both ends included; for gaps, row numbers.
#[derive(Debug, Clone)]
pub struct Query {
    /// Name of the device.
    pub device: String,
    /// Which start; none = the newest.
    pub boot: Option<u64>,
    /// Which rows.
    pub rows: Rows,
    /// From this time on.
    pub from: u64,
    /// Up to this time.
    pub to: u64,
    /// At most so many rows.
    pub limit: Option<u32>,
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum QueryError {
    /// No such device, or no such start of it.
    Unknown,
    /// The database does not answer.
    Database(String),
}

impl From<rusqlite::Error> for QueryError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Database(error.to_string())
    }
}

impl Store {
    /// Answers; it takes a while, so not on a thread that serves others.
    ///
    /// # Errors
    /// See [`QueryError`].
    pub fn query(&self, query: &Query) -> Result<Value, QueryError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(self.path(), flags)?;
        connection.busy_timeout(schema::BUSY)?;
        answer(&connection, query)
    }
}

fn answer(connection: &Connection, query: &Query) -> Result<Value, QueryError> {
    let (row, boot) = find_boot(connection, query)?.ok_or(QueryError::Unknown)?;
    let (most, usual) = match query.rows {
        Rows::Strips(_) => STRIP_ROWS,
        _ => ROWS,
    };
    let limit = query.limit.unwrap_or(usual).clamp(1, most);
    // One more than asked for tells whether there are more.
    let span = (row, time(query.from), time(query.to), i64::from(limit) + 1);
    let (name, mut rows) = match query.rows {
        Rows::Strips(channel) => ("strips", strips(connection, channel, span)?),
        Rows::Numerics => ("numerics", bodies(connection, "numerics", span)?),
        Rows::Alarms => ("alarms", bodies(connection, "alarms", span)?),
        Rows::Events => ("events", bodies(connection, "events", span)?),
        Rows::Statuses => ("statuses", bodies(connection, "statuses", span)?),
        Rows::Gaps => ("gaps", gaps(connection, span)?),
    };
    // Rows of one time stay together: the next page begins with the first row that is not in this one.
    let next = (rows.len() > limit as usize).then(|| rows.pop()).flatten();
    let key = if query.rows == Rows::Gaps {
        "number"
    } else {
        "t_us"
    };
    let mut answer =
        json!({ "device": query.device, "boot": boot, "next": next.map(|row| row[key].clone()) });
    if let Rows::Strips(channel) = query.rows {
        answer["channel"] = json!(channel_name(channel));
    }
    answer[name] = Value::Array(rows);
    Ok(answer)
}

fn time(t_us: u64) -> i64 {
    i64::try_from(t_us).unwrap_or(i64::MAX)
}

/// The row of the start that is asked for, and its number as text.
fn find_boot(connection: &Connection, query: &Query) -> rusqlite::Result<Option<(i64, String)>> {
    let sql = "SELECT boots.id, boots.boot FROM boots JOIN devices ON devices.id = boots.device
               WHERE devices.name = ?1 AND (?2 IS NULL OR boots.boot = ?2) ORDER BY boots.id DESC LIMIT 1";
    #[expect(clippy::cast_possible_wrap, reason = "the database keeps the bits")]
    let boot = query.boot.map(|boot| boot as i64);
    connection
        .query_row(sql, params![query.device, boot], |row| {
            Ok((row.get(0)?, format!("{:016x}", row.get::<_, i64>(1)?)))
        })
        .optional()
}

type Span = (i64, i64, i64, i64);

fn strips(connection: &Connection, channel: Channel, span: Span) -> rusqlite::Result<Vec<Value>> {
    let sql = "SELECT t_us, sequence, received_ms, first_sample, rate_decihertz, samples FROM strips
               WHERE boot = ?1 AND channel = ?5 AND t_us BETWEEN ?2 AND ?3 ORDER BY t_us, id LIMIT ?4";
    let (boot, from, to, limit) = span;
    let mut statement = connection.prepare(sql)?;
    let found = statement.query_map(params![boot, from, to, limit, channel as u8], |row| {
        let bytes: Vec<u8> = row.get(5)?;
        let samples: Vec<i16> = bytes
            .chunks_exact(2)
            .map(|pair| i16::from_le_bytes([pair[0], pair[1]]))
            .collect();
        Ok(json!({
            "t_us": row.get::<_, i64>(0)?,
            "sequence": row.get::<_, i64>(1)?,
            "received_unix_ms": row.get::<_, i64>(2)?,
            "first_sample": row.get::<_, i64>(3)?,
            "rate_hz": row.get::<_, f64>(4)? / 10.0,
            "samples": samples,
        }))
    })?;
    found.collect()
}

fn bodies(connection: &Connection, table: &str, span: Span) -> rusqlite::Result<Vec<Value>> {
    let sql = format!(
        "SELECT body, sequence, received_ms FROM {table} WHERE boot = ?1 AND t_us BETWEEN ?2 AND ?3
         ORDER BY t_us, id LIMIT ?4"
    );
    collect(&mut connection.prepare(&sql)?, span, |row| {
        let body: String = row.get(0)?;
        let mut value: Value = serde_json::from_str(&body).unwrap_or_default();
        value["sequence"] = json!(row.get::<_, i64>(1)?);
        value["received_unix_ms"] = json!(row.get::<_, i64>(2)?);
        Ok(value)
    })
}

fn gaps(connection: &Connection, span: Span) -> rusqlite::Result<Vec<Value>> {
    let sql = "SELECT id, received_ms, kind, channel, first, missing FROM gaps
               WHERE boot = ?1 AND id BETWEEN ?2 AND ?3 ORDER BY id LIMIT ?4";
    collect(&mut connection.prepare(sql)?, span, |row| {
        Ok(json!({
            "number": row.get::<_, i64>(0)?,
            "at_unix_ms": row.get::<_, i64>(1)?,
            "kind": row.get::<_, String>(2)?,
            "channel": row.get::<_, Option<String>>(3)?,
            "from": row.get::<_, i64>(4)?,
            "count": row.get::<_, i64>(5)?,
        }))
    })
}

fn collect(
    statement: &mut Statement<'_>,
    (boot, from, to, limit): Span,
    read: impl Fn(&rusqlite::Row<'_>) -> rusqlite::Result<Value>,
) -> rusqlite::Result<Vec<Value>> {
    let found = statement.query_map(params![boot, from, to, limit], |row| read(row))?;
    found.collect()
}

/// Every channel's name, for an answer to a question without one.
#[must_use]
pub fn channel_names() -> String {
    CHANNELS.map(channel_name).join(", ")
}

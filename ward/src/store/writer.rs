//! The one thread that writes. A batch is stored whole or not at all; only then is it acknowledged.

use super::queue::{Entry, Item, Queue, Start};
use super::{Config, State, schema};
use crate::counters::Counters;
use crate::devices::{Devices, Gap, Stored, channel_index, sample_gap, unix_ms};
use crate::log;
use crate::readings::{Component, Hello, KINDS, Reading, Strip};
use rusqlite::{Connection, ErrorCode, OptionalExtension as _, Transaction, params};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Between two tries where the database refuses.
const RETRY: Duration = Duration::from_secs(1);
/// Between two looks for readings that are too old.
const RETENTION_PERIOD: Duration = Duration::from_secs(60);
/// Readings of one table removed in one transaction.
const RETENTION_ROWS: u32 = 5_000;
/// Starts of devices whose numbers are kept in memory; more are read again from the database.
const KNOWN_STARTS: usize = 512;
/// The tables of readings.
const TABLES: [&str; KINDS.len()] = KINDS;

/// A row of `boots`.
#[derive(Debug, Clone)]
struct Row {
    id: i64,
    highest: u64,
    counts: [u64; KINDS.len()],
    missing_records: u64,
    missing_samples: u64,
    first_reading_ms: Option<i64>,
    next_sample: [Option<u64>; 3],
}

impl Row {
    const fn stored(&self) -> Stored {
        Stored::of_kinds(self.counts, self.missing_records, self.missing_samples)
    }
}

/// A device's name and which start.
type Key = (String, u64);

/// What a batch changed.
#[derive(Default)]
struct Outcome {
    rows: HashMap<Key, Row>,
    gaps: HashMap<Key, Vec<Gap>>,
    duplicates: HashMap<Key, u64>,
    stored: [u64; KINDS.len()],
}

pub(super) struct Writer {
    config: Config,
    queue: Arc<Queue>,
    state: Arc<Mutex<State>>,
    devices: Arc<Devices>,
    counters: Arc<Counters>,
    connection: Option<Connection>,
    known: HashMap<Key, Row>,
    retention_due: Instant,
}

/// Numbers of SQLite are signed; those of the device that use all 64 bits keep their bits.
#[expect(clippy::cast_possible_wrap, reason = "the bits are what is kept")]
const fn bits(number: u64) -> i64 {
    number as i64
}

#[expect(clippy::cast_sign_loss, reason = "the bits are what was kept")]
const fn unbits(number: i64) -> u64 {
    number as u64
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

impl Writer {
    pub(super) fn new(
        config: Config,
        queue: Arc<Queue>,
        state: Arc<Mutex<State>>,
        devices: Arc<Devices>,
        counters: Arc<Counters>,
    ) -> Self {
        Self {
            config,
            queue,
            state,
            devices,
            counters,
            connection: None,
            known: HashMap::new(),
            retention_due: Instant::now(),
        }
    }

    pub(super) fn run(mut self) {
        self.open();
        while let Some(batch) = self.queue.take(RETRY) {
            if self.connection.is_none() {
                self.open();
            }
            if batch.is_empty() {
                self.expire();
                continue;
            }
            if !self.keep_trying(&batch) {
                break;
            }
            self.queue.done(&batch);
            self.expire();
        }
        // The write-ahead log goes into the database with the last connection.
    }

    fn open(&mut self) {
        let opened =
            schema::open(&self.config.path, self.config.limit_mib).and_then(|connection| {
                remember(&connection, &self.devices).map_err(|error| error.to_string())?;
                Ok(connection)
            });
        match opened {
            Ok(connection) => {
                self.connection = Some(connection);
                self.say("ok", None);
            }
            Err(error) => self.say("unwritable", Some(error)),
        }
    }

    fn say(&self, state: &'static str, detail: Option<String>) {
        let mut now = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if now.state == state && now.detail == detail {
            return;
        }
        match &detail {
            Some(detail) => log!(
                "the database {} is {state}: {detail}; readings wait, devices are not acknowledged",
                self.config.path.display()
            ),
            None if now.state != "opening" => log!("the database is {state} again"),
            None => {}
        }
        *now = State {
            state,
            detail,
            since_unix_ms: unix_ms(),
        };
    }

    /// Tries until the batch is stored; false where the ward is to end before it is.
    fn keep_trying(&mut self, batch: &[Item]) -> bool {
        loop {
            match self.write(batch) {
                Ok(outcome) => {
                    self.say("ok", None);
                    self.tell(batch, outcome);
                    return true;
                }
                Err((state, detail)) => {
                    self.counters.failed_writes.add(1);
                    self.say(state, Some(detail));
                }
            }
            if self.queue.is_stopping() {
                log!(
                    "ended with {} readings not stored; devices have not been told they were",
                    self.queue.size().0
                );
                return false;
            }
            // What is too old may make room for what is new.
            self.retention_due = Instant::now();
            self.expire();
            self.queue.rest(RETRY);
            if self.connection.is_none() {
                self.open();
            }
        }
    }

    fn write(&mut self, batch: &[Item]) -> Result<Outcome, (&'static str, String)> {
        let Some(connection) = &mut self.connection else {
            let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            let detail = state.detail.clone().unwrap_or_default();
            return Err(("unwritable", detail));
        };
        let mut outcome = Outcome::default();
        let known = &self.known;
        let written = connection
            .transaction()
            .and_then(|transaction| {
                for item in batch {
                    store(&transaction, known, &mut outcome, item)?;
                }
                for row in outcome.rows.values() {
                    save(&transaction, row)?;
                }
                transaction.commit()
            })
            .map(|()| outcome);
        written.map_err(|error| {
            // Whatever a failed transaction left in memory is read again.
            self.known.clear();
            let state = match error.sqlite_error_code() {
                Some(ErrorCode::DiskFull) => "full",
                _ => "unwritable",
            };
            // A full database stays open; anything else may need another file under the same name.
            if state == "unwritable" {
                self.connection = None;
            }
            (state, error.to_string())
        })
    }

    /// Tells everybody what is stored now.
    fn tell(&mut self, batch: &[Item], mut outcome: Outcome) {
        for (counter, stored) in self.counters.stored.iter().zip(outcome.stored) {
            counter.add(stored);
        }
        for gap in outcome.gaps.values().flatten() {
            match gap.kind {
                "samples" => self.counters.missing_samples.add(gap.count),
                _ => self.counters.missing_records.add(gap.count),
            }
        }
        for (key, row) in &outcome.rows {
            let duplicates = outcome.duplicates.get(key).copied().unwrap_or(0);
            self.counters.duplicates.add(duplicates);
            let gaps = outcome.gaps.remove(key).unwrap_or_default();
            if let Some(device) = self.devices.get(&key.0) {
                device.stored(key.1, row.stored(), row.first_reading_ms, gaps);
                device.duplicates(duplicates);
            }
        }
        if self.known.len() + outcome.rows.len() > KNOWN_STARTS {
            self.known.clear();
        }
        self.known.extend(outcome.rows);
        for item in batch {
            if let Entry::Reading(sequence, _) = item.entry {
                item.start.acknowledgement.send_if_modified(|highest| {
                    let is_higher = sequence > *highest;
                    *highest = sequence.max(*highest);
                    is_higher
                });
            }
        }
    }

    /// Removes readings that are too old.
    fn expire(&mut self) {
        let Some(retain) = self.config.retain else {
            return;
        };
        if Instant::now() < self.retention_due {
            return;
        }
        let Some(connection) = &mut self.connection else {
            return;
        };
        let before =
            unix_ms().saturating_sub(i64::try_from(retain.as_millis()).unwrap_or(i64::MAX));
        let removed = connection.transaction().and_then(|transaction| {
            let mut removed = 0;
            let mut has_more = false;
            for table in TABLES.iter().copied().chain(["gaps"]) {
                let sql = format!(
                    "DELETE FROM {table} WHERE id IN (SELECT id FROM {table} ORDER BY id LIMIT {RETENTION_ROWS}) AND received_ms < ?1"
                );
                let count = transaction.prepare_cached(&sql)?.execute([before])?;
                removed += count;
                has_more |= count == RETENTION_ROWS as usize;
            }
            transaction.commit()?;
            Ok((removed, has_more))
        });
        let (removed, has_more) = removed.unwrap_or((0, false));
        self.counters.expired.add(removed as u64);
        if !has_more {
            self.retention_due = Instant::now() + RETENTION_PERIOD;
        }
    }
}

/// Stores one item, unless it was stored before.
fn store(
    transaction: &Transaction<'_>,
    known: &HashMap<Key, Row>,
    outcome: &mut Outcome,
    item: &Item,
) -> rusqlite::Result<()> {
    let start = &item.start;
    let key = (start.device.name.clone(), start.hello.boot);
    if !outcome.rows.contains_key(&key) {
        let row = match known.get(&key) {
            Some(row) => row.clone(),
            None => find_or_make(transaction, start, item.received_ms)?,
        };
        outcome.rows.insert(key.clone(), row);
    }
    let Some(row) = outcome.rows.get_mut(&key) else {
        return Ok(());
    };
    let (sequence, reading) = match &item.entry {
        Entry::Components(components) => return save_components(transaction, row, components),
        Entry::Reading(sequence, reading) => (*sequence, reading),
    };
    if sequence <= row.highest {
        *outcome.duplicates.entry(key).or_default() += 1;
        return Ok(());
    }
    let mut gaps = Vec::new();
    gaps.extend(record_gap(row, sequence));
    if let Reading::Strip(strip) = reading {
        gaps.extend(next_sample(row, strip));
    }
    for gap in &gaps {
        save_gap(transaction, row.id, gap)?;
    }
    if reading.is_of_patient() {
        row.first_reading_ms.get_or_insert(item.received_ms);
    }
    insert(transaction, row.id, sequence, item.received_ms, reading)?;
    row.highest = sequence;
    row.counts[reading.kind()] += 1;
    outcome.stored[reading.kind()] += 1;
    if !gaps.is_empty() {
        outcome.gaps.entry(key).or_default().append(&mut gaps);
    }
    Ok(())
}

fn record_gap(row: &mut Row, sequence: u64) -> Option<Gap> {
    let from = row.highest + 1;
    let count = sequence - from;
    row.missing_records = row.missing_records.saturating_add(count);
    (count > 0).then(|| Gap {
        kind: "records",
        channel: None,
        from,
        count,
        duration_ms: None,
        at_unix_ms: unix_ms(),
    })
}

/// Counts a strip's samples; the gap before it. A node that starts again numbers from anew: that is no gap.
fn next_sample(row: &mut Row, strip: &Strip) -> Option<Gap> {
    let next = &mut row.next_sample[channel_index(strip)];
    let gap = next.and_then(|expected| sample_gap(strip, expected));
    *next = Some(strip.first_sample + strip.samples.len() as u64);
    let missing = gap.as_ref().map_or(0, |gap| gap.count);
    row.missing_samples = row.missing_samples.saturating_add(missing);
    gap
}

fn find_or_make(
    transaction: &Transaction<'_>,
    start: &Start,
    now_ms: i64,
) -> rusqlite::Result<Row> {
    let hello = &start.hello;
    transaction
        .prepare_cached("INSERT OR IGNORE INTO devices (name, first_seen_ms) VALUES (?1, ?2)")?
        .execute(params![hello.device_id, now_ms])?;
    let device: i64 = transaction
        .prepare_cached("SELECT id FROM devices WHERE name = ?1")?
        .query_row([&hello.device_id], |row| row.get(0))?;
    transaction
        .prepare_cached(
            "INSERT OR IGNORE INTO boots (device, boot, product, version, manifest_sequence, components, first_seen_ms)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        )?
        .execute(params![
            device,
            bits(hello.boot),
            hello.product,
            hello.version,
            signed(hello.manifest_sequence),
            json(&hello.components),
            now_ms
        ])?;
    transaction
        .prepare_cached(&format!("{ROW} WHERE device = ?1 AND boot = ?2"))?
        .query_row(params![device, bits(hello.boot)], |row| row_of(row, 0))
}

const ROW: &str = "SELECT id, highest, strips, numerics, alarms, events, statuses, unknown,
    missing_records, missing_samples, first_reading_ms, next_ecg_1, next_ecg_2, next_pleth FROM boots";

fn row_of(row: &rusqlite::Row<'_>, from: usize) -> rusqlite::Result<Row> {
    let number = |index: usize| row.get::<_, i64>(from + index).map(unbits);
    let option = |index: usize| row.get::<_, Option<i64>>(from + index);
    Ok(Row {
        id: row.get(from)?,
        highest: number(1)?,
        counts: [
            number(2)?,
            number(3)?,
            number(4)?,
            number(5)?,
            number(6)?,
            number(7)?,
        ],
        missing_records: number(8)?,
        missing_samples: number(9)?,
        first_reading_ms: option(10)?,
        next_sample: [
            option(11)?.map(unbits),
            option(12)?.map(unbits),
            option(13)?.map(unbits),
        ],
    })
}

fn save(transaction: &Transaction<'_>, row: &Row) -> rusqlite::Result<()> {
    transaction
        .prepare_cached(
            "UPDATE boots SET highest = ?2, strips = ?3, numerics = ?4, alarms = ?5, events = ?6, statuses = ?7,
             unknown = ?8, missing_records = ?9, missing_samples = ?10, first_reading_ms = ?11,
             next_ecg_1 = ?12, next_ecg_2 = ?13, next_pleth = ?14 WHERE id = ?1",
        )?
        .execute(params![
            row.id,
            bits(row.highest),
            bits(row.counts[0]),
            bits(row.counts[1]),
            bits(row.counts[2]),
            bits(row.counts[3]),
            bits(row.counts[4]),
            bits(row.counts[5]),
            bits(row.missing_records),
            bits(row.missing_samples),
            row.first_reading_ms,
            row.next_sample[0].map(bits),
            row.next_sample[1].map(bits),
            row.next_sample[2].map(bits),
        ])?;
    Ok(())
}

fn save_components(
    transaction: &Transaction<'_>,
    row: &Row,
    components: &[Component],
) -> rusqlite::Result<()> {
    transaction
        .prepare_cached("UPDATE boots SET components = ?2 WHERE id = ?1")?
        .execute(params![row.id, json(&components)])?;
    Ok(())
}

fn save_gap(transaction: &Transaction<'_>, boot: i64, gap: &Gap) -> rusqlite::Result<()> {
    transaction
        .prepare_cached(
            "INSERT INTO gaps (boot, received_ms, kind, channel, first, missing) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )?
        .execute(params![
            boot,
            gap.at_unix_ms,
            gap.kind,
            gap.channel,
            signed(gap.from),
            signed(gap.count)
        ])?;
    Ok(())
}

fn json(value: &impl serde::Serialize) -> String {
    // Plain structs of numbers and texts always have a JSON form.
    serde_json::to_string(value).unwrap_or_default()
}

fn insert(
    transaction: &Transaction<'_>,
    boot: i64,
    sequence: u64,
    received_ms: i64,
    reading: &Reading,
) -> rusqlite::Result<()> {
    let (sequence, t_us) = (signed(sequence), signed(reading.t_us()));
    let body = match reading {
        Reading::Strip(strip) => {
            let samples: Vec<u8> = strip.samples.iter().flat_map(|s| s.to_le_bytes()).collect();
            let sql = "INSERT INTO strips (boot, sequence, received_ms, t_us, channel, first_sample, rate_decihertz, samples)
                       VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
            transaction.prepare_cached(sql)?.execute(params![
                boot,
                sequence,
                received_ms,
                t_us,
                strip.channel as u8,
                signed(strip.first_sample),
                strip.rate_decihertz,
                samples
            ])?;
            return Ok(());
        }
        Reading::Unknown(bytes) => {
            let sql =
                "INSERT INTO unknown (boot, sequence, received_ms, body) VALUES (?1, ?2, ?3, ?4)";
            transaction.prepare_cached(sql)?.execute(params![
                boot,
                sequence,
                received_ms,
                bytes
            ])?;
            return Ok(());
        }
        Reading::Numerics(numerics) => json(numerics),
        Reading::Alarm(alarm) => json(alarm),
        Reading::Event(event) => json(event),
        Reading::Status(status) => json(status),
    };
    let sql = format!(
        "INSERT INTO {} (boot, sequence, received_ms, t_us, body) VALUES (?1, ?2, ?3, ?4, ?5)",
        TABLES[reading.kind()]
    );
    transaction
        .prepare_cached(&sql)?
        .execute(params![boot, sequence, received_ms, t_us, body])?;
    Ok(())
}

/// Tells the page which devices the database knows, each with its newest start.
fn remember(connection: &Connection, devices: &Devices) -> rusqlite::Result<()> {
    let sql =
        "SELECT name, boot, product, version, manifest_sequence, components, boots.id FROM devices
               JOIN boots ON boots.id = (SELECT max(id) FROM boots WHERE device = devices.id)
               ORDER BY boots.id DESC LIMIT ?1";
    let mut statement = connection.prepare(sql)?;
    let most = crate::devices::MAX_DEVICES as i64;
    let found = statement.query_map([most], |row| {
        let components: String = row.get(5)?;
        let hello = Hello {
            device_id: row.get(0)?,
            boot: unbits(row.get(1)?),
            product: row.get(2)?,
            version: row.get(3)?,
            manifest_sequence: unbits(row.get(4)?),
            t_us: 0,
            components: serde_json::from_str(&components).unwrap_or_default(),
        };
        Ok((hello, row.get::<_, i64>(6)?))
    })?;
    for device in found {
        let (hello, id) = device?;
        let row = connection
            .query_row(&format!("{ROW} WHERE id = ?1"), [id], |row| row_of(row, 0))
            .optional()?;
        if let Some(row) = row {
            devices.remember(hello, row.stored(), row.first_reading_ms);
        }
    }
    Ok(())
}

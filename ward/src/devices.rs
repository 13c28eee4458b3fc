//! What is known of each device right now, for the page: never more than a screen or two of it.

use crate::readings::{
    Alarm, CHANNELS, Component, Event, Hello, Numerics, Reading, Status, Strip, channel_name,
};
use serde::Serialize;
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Most devices one ward knows.
pub const MAX_DEVICES: usize = 256;
/// Most components one device names.
const MAX_COMPONENTS: usize = 64;
/// Strips kept for a page that is just opened: a screen's width of all channels.
const LIVE_STRIPS: usize = 400;
/// Samples of the same.
const LIVE_SAMPLES: usize = 30_000;
/// Entries of each list the page shows.
const LIST: usize = 50;
/// Silence after which a connected device's values are called stale.
pub const STALE_AFTER: Duration = Duration::from_secs(3);

/// Milliseconds since 1970, as this host's clock has it.
#[must_use]
pub fn unix_ms() -> i64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// Something that is missing, or a time without connection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Gap {
    /// `records`, `samples`, `connection` or `restart`.
    pub kind: &'static str,
    /// The channel, of samples.
    pub channel: Option<&'static str>,
    /// Number of the first missing one.
    pub from: u64,
    /// How many are missing.
    pub count: u64,
    /// How long it took, where that is known.
    pub duration_ms: Option<u64>,
    /// When the ward saw it, milliseconds since 1970.
    pub at_unix_ms: i64,
}

/// What the database holds of the device's present start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Stored {
    /// All readings.
    pub readings: u64,
    /// Strips.
    pub strips: u64,
    /// Numerics.
    pub numerics: u64,
    /// Alarms that began or ended.
    pub alarms: u64,
    /// Events.
    pub events: u64,
    /// Statuses.
    pub statuses: u64,
    /// Records of kinds this ward does not know.
    pub unknown: u64,
    /// Records missing by their numbers.
    pub missing_records: u64,
    /// Samples missing by their numbers.
    pub missing_samples: u64,
}

impl Stored {
    /// The counts by kind, in the order of [`crate::readings::KINDS`].
    #[must_use]
    pub const fn of_kinds(counts: [u64; 6], missing_records: u64, missing_samples: u64) -> Self {
        let [strips, numerics, alarms, events, statuses, unknown] = counts;
        Self {
            readings: strips + numerics + alarms + events + statuses + unknown,
            strips,
            numerics,
            alarms,
            events,
            statuses,
            unknown,
            missing_records,
            missing_samples,
        }
    }
}

#[derive(Debug, Clone, Serialize)]
struct ActiveAlarm {
    #[serde(flatten)]
    alarm: Alarm,
    since_unix_ms: i64,
}

#[derive(Debug)]
struct Connection {
    number: u64,
    is_up: bool,
    peer: String,
    since_ms: i64,
    last_record: Option<Instant>,
    ended: Option<Instant>,
    ended_why: Option<String>,
}

#[derive(Debug)]
struct Live {
    version: u64,
    hello: Option<Hello>,
    connection: Connection,
    connects: u64,
    numerics: Option<Numerics>,
    status: Option<Status>,
    alarms: BTreeMap<&'static str, ActiveAlarm>,
    alarm_log: VecDeque<ActiveAlarm>,
    events: VecDeque<Event>,
    gaps: VecDeque<Gap>,
    strips: VecDeque<(u64, Arc<Strip>)>,
    strips_so_far: u64,
    samples: usize,
    /// Highest number shown: what comes again after a reconnect is not shown again.
    highest: u64,
    stored: Stored,
    duplicates: u64,
    first_reading_ms: Option<i64>,
    first_stored_ms: Option<i64>,
    power_on_ms: Option<i64>,
}

/// A device.
#[derive(Debug)]
pub struct Device {
    /// Its name.
    pub name: String,
    live: Mutex<Live>,
}

/// A line of the list of devices.
#[derive(Debug, Clone, Serialize)]
pub struct Summary {
    /// Its name.
    pub id: String,
    /// Name of the product.
    pub product: String,
    /// Whether it is connected.
    pub connected: bool,
    /// `live`, `stale` or `lost`.
    pub state: &'static str,
    /// Since its last record, milliseconds.
    pub age_ms: Option<u64>,
    /// Beats a minute.
    pub heart_rate_bpm: Option<f64>,
    /// Oxygen saturation, percent.
    pub spo2_percent: Option<f64>,
    /// The highest priority of its alarms.
    pub alarm: Option<&'static str>,
    /// Readings stored of its present start.
    pub readings_stored: u64,
}

/// Everything the page and the API show of a device.
#[derive(Debug, Clone, Serialize)]
pub struct Snapshot {
    id: String,
    product: String,
    version: String,
    boot: String,
    manifest_sequence: u64,
    components: Vec<Component>,
    connected: bool,
    connection: ConnectionView,
    numerics: Option<Numerics>,
    alarms: Vec<ActiveAlarm>,
    alarm_log: Vec<ActiveAlarm>,
    events: Vec<Event>,
    gaps: GapsView,
    status: Option<Status>,
    stored: Stored,
    duplicates: u64,
    first_reading_unix_ms: Option<i64>,
    first_stored_unix_ms: Option<i64>,
    power_on_unix_ms: Option<i64>,
}

#[derive(Debug, Clone, Serialize)]
struct ConnectionView {
    state: &'static str,
    protection: &'static str,
    age_ms: Option<u64>,
    peer: String,
    since_unix_ms: i64,
    connects: u64,
    ended_why: Option<String>,
}

#[derive(Debug, Clone, Serialize)]
struct GapsView {
    records: u64,
    samples: u64,
    recent: Vec<Gap>,
}

/// What a page that follows a device gets next.
#[derive(Debug)]
pub struct Update {
    /// Since the last record, milliseconds.
    pub age_ms: Option<u64>,
    /// `live`, `stale` or `lost`.
    pub state: &'static str,
    /// Strips it has not had.
    pub strips: Vec<Arc<Strip>>,
    /// Everything else, where it has changed.
    pub snapshot: Option<Snapshot>,
}

/// How far a page has followed a device.
#[derive(Debug, Clone, Copy, Default)]
pub struct Cursor {
    strips: u64,
    version: u64,
    state: &'static str,
}

fn push<T>(list: &mut VecDeque<T>, entry: T) {
    if list.len() >= LIST {
        list.pop_front();
    }
    list.push_back(entry);
}

fn ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

impl Live {
    fn new() -> Self {
        Self {
            version: 1,
            hello: None,
            connection: Connection {
                number: 0,
                is_up: false,
                peer: String::new(),
                since_ms: unix_ms(),
                last_record: None,
                ended: None,
                ended_why: None,
            },
            connects: 0,
            numerics: None,
            status: None,
            alarms: BTreeMap::new(),
            alarm_log: VecDeque::new(),
            events: VecDeque::new(),
            gaps: VecDeque::new(),
            strips: VecDeque::new(),
            strips_so_far: 0,
            samples: 0,
            highest: 0,
            stored: Stored::default(),
            duplicates: 0,
            first_reading_ms: None,
            first_stored_ms: None,
            power_on_ms: None,
        }
    }

    fn gap(&mut self, gap: Gap) {
        push(&mut self.gaps, gap);
        self.version += 1;
    }

    fn is_of_boot(&self, boot: u64) -> bool {
        self.hello.as_ref().is_some_and(|hello| hello.boot == boot)
    }

    /// Forgets the patient of the start before: nothing old may look like something new.
    fn restart(&mut self) {
        self.numerics = None;
        self.status = None;
        self.alarms.clear();
        self.strips.clear();
        self.samples = 0;
        self.highest = 0;
        self.stored = Stored::default();
        self.duplicates = 0;
        (self.first_reading_ms, self.first_stored_ms) = (None, None);
        self.power_on_ms = None;
    }

    fn age(&self) -> Option<Duration> {
        self.connection.last_record.map(|last| last.elapsed())
    }

    fn state(&self) -> &'static str {
        match self.age() {
            _ if !self.connection.is_up => "lost",
            Some(age) if age < STALE_AFTER => "live",
            _ => "stale",
        }
    }

    fn keep_strip(&mut self, strip: &Strip) {
        self.samples += strip.samples.len();
        self.strips_so_far += 1;
        self.strips
            .push_back((self.strips_so_far, Arc::new(strip.clone())));
        while self.strips.len() > LIVE_STRIPS || self.samples > LIVE_SAMPLES {
            let Some((_, old)) = self.strips.pop_front() else {
                break;
            };
            self.samples -= old.samples.len();
        }
    }

    fn alarm(&mut self, alarm: &Alarm, now_ms: i64) {
        let entry = ActiveAlarm {
            alarm: alarm.clone(),
            since_unix_ms: now_ms,
        };
        push(&mut self.alarm_log, entry.clone());
        if alarm.active {
            self.alarms.entry(alarm.kind).or_insert(entry).alarm = alarm.clone();
        } else {
            self.alarms.remove(alarm.kind);
        }
    }
}

impl Device {
    fn new(name: String) -> Self {
        Self {
            name,
            live: Mutex::new(Live::new()),
        }
    }

    fn live(&self) -> MutexGuard<'_, Live> {
        // Nothing below panics while it holds the lock; if it did, the values are still values.
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A connection says it is this device; it replaces the one before. The number it goes by.
    pub fn connected(&self, hello: &Hello, peer: String) -> u64 {
        let mut live = self.live();
        let now_ms = unix_ms();
        let is_same_start = live.is_of_boot(hello.boot);
        if live.connects > 0 || live.hello.is_some() {
            let away = live.connection.ended.map(|ended| ms(ended.elapsed()));
            live.gap(Gap {
                kind: if is_same_start {
                    "connection"
                } else {
                    "restart"
                },
                channel: None,
                from: 0,
                count: 1,
                duration_ms: away,
                at_unix_ms: now_ms,
            });
        }
        if !is_same_start {
            live.restart();
        }
        live.hello = Some(hello.clone());
        live.connects += 1;
        live.version += 1;
        let number = live.connection.number + 1;
        live.connection = Connection {
            number,
            is_up: true,
            peer,
            since_ms: now_ms,
            last_record: Some(Instant::now()),
            ended: None,
            ended_why: None,
        };
        number
    }

    /// A further Hello of a connection names further components.
    pub fn more_components(&self, components: &[Component]) {
        let mut live = self.live();
        live.version += 1;
        let Some(hello) = &mut live.hello else { return };
        for component in components {
            let known = &mut hello.components;
            match known.iter().position(|old| old.name == component.name) {
                Some(place) => known[place] = component.clone(),
                None if known.len() < MAX_COMPONENTS => known.push(component.clone()),
                None => {}
            }
        }
    }

    /// Whether connection `number` is still the device's.
    #[must_use]
    pub fn is_current(&self, number: u64) -> bool {
        self.live().connection.number == number
    }

    /// What the newest Hello said.
    #[must_use]
    pub fn hello(&self) -> Option<Hello> {
        self.live().hello.clone()
    }

    /// Connection `number` has ended.
    pub fn disconnected(&self, number: u64, why: &str) {
        let mut live = self.live();
        if live.connection.number == number {
            live.connection.is_up = false;
            live.connection.ended = Some(Instant::now());
            live.connection.ended_why = Some(why.to_owned());
            live.version += 1;
        }
    }

    /// A record has come. What came before on another connection is not shown again.
    pub fn received(&self, boot: u64, sequence: u64, reading: &Reading, now_ms: i64) {
        let mut live = self.live();
        live.connection.last_record = Some(Instant::now());
        if !live.is_of_boot(boot) || sequence <= live.highest {
            return;
        }
        live.highest = sequence;
        let t_ms = i64::try_from(reading.t_us() / 1000).unwrap_or(i64::MAX);
        if t_ms > 0 {
            let power_on = now_ms.saturating_sub(t_ms);
            live.power_on_ms = Some(live.power_on_ms.map_or(power_on, |old| old.min(power_on)));
        }
        if reading.is_of_patient() && live.first_reading_ms.is_none() {
            live.first_reading_ms = Some(now_ms);
        }
        match reading {
            // Beats and strips do not change what the panels show.
            Reading::Strip(strip) => return live.keep_strip(strip),
            Reading::Event(event) if event.code == reading::event::BEAT => return,
            Reading::Numerics(numerics) => live.numerics = Some(numerics.clone()),
            Reading::Alarm(alarm) => live.alarm(alarm, now_ms),
            Reading::Event(event) => push(&mut live.events, event.clone()),
            Reading::Status(status) => live.status = Some(status.clone()),
            Reading::Unknown(_) => {}
        }
        live.version += 1;
    }

    /// The writer has stored more of start `boot`, and has seen these gaps.
    pub fn stored(&self, boot: u64, stored: Stored, first_reading_ms: Option<i64>, gaps: Vec<Gap>) {
        let mut live = self.live();
        if !live.is_of_boot(boot) {
            return;
        }
        live.stored = stored;
        if let Some(first) = first_reading_ms {
            let known = live.first_reading_ms;
            live.first_reading_ms = Some(known.map_or(first, |known| known.min(first)));
            live.first_stored_ms.get_or_insert_with(unix_ms);
        }
        gaps.into_iter().for_each(|gap| live.gap(gap));
    }

    /// Records came that were stored before.
    pub fn duplicates(&self, count: u64) {
        self.live().duplicates += count;
    }

    /// What the database knows of a device that has not connected since the ward was started.
    fn remember(&self, hello: Hello, stored: Stored, first_reading_ms: Option<i64>) {
        let mut live = self.live();
        if live.hello.is_none() {
            live.hello = Some(hello);
            live.stored = stored;
            live.first_reading_ms = first_reading_ms;
            live.version += 1;
        }
    }

    /// For the list of devices.
    #[must_use]
    pub fn summary(&self) -> Summary {
        let live = self.live();
        let rank = |alarm: &&ActiveAlarm| {
            let ranks = ["low", "medium", "high"];
            ranks.iter().position(|p| *p == alarm.alarm.priority)
        };
        Summary {
            id: self.name.clone(),
            product: live
                .hello
                .as_ref()
                .map_or_else(String::new, |hello| hello.product.clone()),
            connected: live.connection.is_up,
            state: live.state(),
            age_ms: live.age().map(ms),
            heart_rate_bpm: live.numerics.as_ref().and_then(|n| n.heart_rate_bpm),
            spo2_percent: live.numerics.as_ref().and_then(|n| n.spo2_percent),
            alarm: live
                .alarms
                .values()
                .max_by_key(rank)
                .map(|alarm| alarm.alarm.priority),
            readings_stored: live.stored.readings,
        }
    }

    /// First reading's time, milliseconds since 1970; for the metrics.
    #[must_use]
    pub fn first_reading_ms(&self) -> Option<i64> {
        self.live().first_reading_ms
    }

    /// Everything.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        self.snapshot_of(&self.live())
    }

    fn snapshot_of(&self, live: &Live) -> Snapshot {
        let hello = live.hello.as_ref();
        let text = |of: fn(&Hello) -> String| hello.map_or_else(String::new, of);
        Snapshot {
            id: self.name.clone(),
            product: text(|hello| hello.product.clone()),
            version: text(|hello| hello.version.clone()),
            boot: text(|hello| format!("{:016x}", hello.boot)),
            manifest_sequence: hello.map_or(0, |hello| hello.manifest_sequence),
            components: hello.map_or_else(Vec::new, |hello| hello.components.clone()),
            connected: live.connection.is_up,
            connection: ConnectionView {
                state: live.state(),
                protection: crate::listener::Protection::None.name(),
                age_ms: live.age().map(ms),
                peer: live.connection.peer.clone(),
                since_unix_ms: live.connection.since_ms,
                connects: live.connects,
                ended_why: live.connection.ended_why.clone(),
            },
            numerics: live.numerics.clone(),
            alarms: live.alarms.values().cloned().collect(),
            alarm_log: live.alarm_log.iter().cloned().collect(),
            events: live.events.iter().cloned().collect(),
            gaps: GapsView {
                records: live.stored.missing_records,
                samples: live.stored.missing_samples,
                recent: live.gaps.iter().cloned().collect(),
            },
            status: live.status.clone(),
            stored: live.stored,
            duplicates: live.duplicates,
            first_reading_unix_ms: live.first_reading_ms,
            first_stored_unix_ms: live.first_stored_ms,
            power_on_unix_ms: live.power_on_ms,
        }
    }

    /// What has come since `cursor`, which goes on.
    #[must_use]
    pub fn update(&self, cursor: &mut Cursor) -> Update {
        let live = self.live();
        let state = live.state();
        let strips = live
            .strips
            .iter()
            .filter(|(number, _)| *number > cursor.strips)
            .map(|(_, strip)| Arc::clone(strip))
            .collect();
        let has_changed = live.version != cursor.version || state != cursor.state;
        *cursor = Cursor {
            strips: live.strips_so_far,
            version: live.version,
            state,
        };
        Update {
            age_ms: live.age().map(ms),
            state,
            strips,
            snapshot: has_changed.then(|| self.snapshot_of(&live)),
        }
    }
}

/// All devices.
#[derive(Debug, Default)]
pub struct Devices(RwLock<BTreeMap<String, Arc<Device>>>);

impl Devices {
    /// The device of that name, made where it is new; `None` where there are [`MAX_DEVICES`] others.
    #[must_use]
    pub fn get_or_add(&self, name: &str) -> Option<Arc<Device>> {
        if let Some(device) = self.get(name) {
            return Some(device);
        }
        let mut devices = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if devices.len() >= MAX_DEVICES && !devices.contains_key(name) {
            return None;
        }
        let device = devices
            .entry(name.to_owned())
            .or_insert_with(|| Arc::new(Device::new(name.to_owned())));
        Some(Arc::clone(device))
    }

    /// The device of that name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<Arc<Device>> {
        let devices = self.0.read().unwrap_or_else(PoisonError::into_inner);
        devices.get(name).map(Arc::clone)
    }

    /// Every device, by name.
    #[must_use]
    pub fn all(&self) -> Vec<Arc<Device>> {
        let devices = self.0.read().unwrap_or_else(PoisonError::into_inner);
        devices.values().map(Arc::clone).collect()
    }

    /// What the database knows of a device.
    pub fn remember(&self, hello: Hello, stored: Stored, first_reading_ms: Option<i64>) {
        if let Some(device) = self.get_or_add(&hello.device_id) {
            device.remember(hello, stored, first_reading_ms);
        }
    }
}

/// Index of a channel, for arrays of them.
#[must_use]
pub fn channel_index(strip: &Strip) -> usize {
    CHANNELS
        .iter()
        .position(|channel| *channel == strip.channel)
        .unwrap_or(0)
}

/// The gap before a strip, where samples are missing.
#[must_use]
pub fn sample_gap(strip: &Strip, expected: u64) -> Option<Gap> {
    let count = strip.first_sample.checked_sub(expected)?;
    (count > 0).then(|| Gap {
        kind: "samples",
        channel: Some(channel_name(strip.channel)),
        from: expected,
        count,
        duration_ms: Some(count.saturating_mul(10_000) / u64::from(strip.rate_decihertz).max(1)),
        at_unix_ms: unix_ms(),
    })
}

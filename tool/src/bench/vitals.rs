//! Scores the beat detector: the device's own code, over folders of WFDB records, by the EC57 rules.

use super::rows::{Row, Target};
use crate::{paths, ui};
use anyhow::{Context, Result, bail};
use score::{Reference, Tally};
use serde::Serialize;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use vitals::{LEAD_OFF, Limit, Limits, Monitor, Output, Priority};
use wfdb::{Annotation, Recording, Signal};

/// What both numbers shall be, percent (design: numbers to beat).
const TARGET_PERCENT: f64 = 99.8;
/// What others reach on the same records, Se and +P in percent (design: numbers to beat).
const OTHERS: [(&str, f64, f64); 2] = [("gqrs", 99.74, 99.72), ("wqrs", 99.79, 98.79)];
/// A beat may be told so long after its R peak.
const MOST_DELAY_MS: u64 = 300;
/// Units of the bus in a millivolt: 5 uV each.
const PER_MILLIVOLT: f64 = 200.0;
/// Folders in folders are looked into so deep.
const MAX_DEPTH: usize = 4;

/// What `lazaret bench vitals` is asked to do.
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// Folders of WFDB records, or archives of them (.tar.xz)
    #[arg(required = true)]
    pub folders: Vec<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    /// Look at one ECG lead only: 1 or 2
    #[arg(long, value_parser = clap::value_parser!(u8).range(1..=2))]
    pub lead: Option<u8>,
}

/// What came of one record.
#[derive(Debug, Clone, Serialize)]
pub struct Scored {
    /// Name of the record.
    pub record: String,
    /// Names of the leads that were used.
    pub leads: Vec<String>,
    /// Beats that were told, from the start on.
    pub beats: usize,
    /// Median heart rate of the numerics, beats a minute.
    pub median_rate_bpm: Option<f64>,
    /// Longest time from an R peak to the report of its beat, milliseconds.
    pub worst_delay_ms: u64,
    /// The score; none where there are no reference annotations.
    pub score: Option<Percentages>,
    /// What the files lack.
    pub problems: Vec<String>,
    #[serde(skip)]
    tally: Option<Tally>,
}

/// Counts and what they make.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Percentages {
    /// Reference beats found.
    pub found: u64,
    /// Reference beats missed.
    pub missed: u64,
    /// Detections without a beat.
    pub extra: u64,
    /// Sensitivity, percent.
    pub sensitivity: Option<f64>,
    /// Positive predictivity, percent.
    pub predictivity: Option<f64>,
}

impl From<Tally> for Percentages {
    fn from(tally: Tally) -> Self {
        Self {
            found: tally.found,
            missed: tally.missed,
            extra: tally.extra,
            sensitivity: tally.sensitivity(),
            predictivity: tally.predictivity(),
        }
    }
}

/// All records of some folders.
struct Scores {
    records: Vec<Scored>,
    gross: Tally,
}

impl Scores {
    fn average(&self, of: fn(&Tally) -> Option<f64>) -> Option<f64> {
        score::average(self.records.iter().map(|r| r.tally.as_ref().and_then(of)))
    }

    fn worst_delay_ms(&self) -> u64 {
        self.records
            .iter()
            .map(|r| r.worst_delay_ms)
            .max()
            .unwrap_or(0)
    }

    /// Whether both percentages and the delay are as they shall be.
    fn met(&self) -> bool {
        let enough = |percent: Option<f64>| percent.is_some_and(|p| p >= TARGET_PERCENT);
        enough(self.gross.sensitivity())
            && enough(self.gross.predictivity())
            && self.worst_delay_ms() <= MOST_DELAY_MS
    }
}

/// Scores and prints.
///
/// # Errors
/// Where nothing can be scored, or a number is below its target.
pub fn run(options: &Options) -> Result<()> {
    ui::quiet(options.json);
    let scores = score_all(&options.folders, options.lead)?;
    if options.json {
        println!("{}", json(&scores)?);
    } else {
        print(&scores);
    }
    if scores.gross == Tally::default() {
        ui::note("no record has reference annotations: nothing was scored");
        return Ok(());
    }
    if !scores.met() {
        bail!("below the target: {TARGET_PERCENT} % of both, told within {MOST_DELAY_MS} ms");
    }
    Ok(())
}

/// Rows for the table of all numbers: from the folder that was named, else from the records beside the project,
/// else none.
///
/// # Errors
/// Where nothing can be scored.
pub fn measure(options: &super::Options) -> Result<Vec<Row>> {
    let beside = paths::root().join("../shared/data/mitdb-ds1.tar.xz");
    let Some(folder) = options
        .records
        .clone()
        .or_else(|| beside.exists().then_some(beside))
    else {
        ui::note("no records of the MIT-BIH database here: name their folder with --records");
        return Ok(Vec::new());
    };
    let scores = score_all(&[folder], None)?;
    let others = |percent: fn(&(&str, f64, f64)) -> f64| {
        let each = OTHERS.iter().map(|o| format!("{} {:.2}", o.0, percent(o)));
        each.collect::<Vec<_>>().join(", ")
    };
    let row = |name, value: Option<f64>, others: &str| match value {
        Some(value) => Row::new(name, value, "%", Target::AtLeast(TARGET_PERCENT), others),
        None => Row::failed(name, "no reference annotations"),
    };
    let delay = scores.worst_delay_ms() as f64;
    Ok(vec![
        row(
            "beats found, Se",
            scores.gross.sensitivity(),
            &others(|o| o.1),
        ),
        row(
            "beats found, +P",
            scores.gross.predictivity(),
            &others(|o| o.2),
        ),
        Row::new(
            "R peak to report of the beat",
            delay,
            "ms",
            Target::AtMost(MOST_DELAY_MS as f64),
            "",
        ),
    ])
}

fn score_all(folders: &[PathBuf], lead: Option<u8>) -> Result<Scores> {
    let mut headers = Vec::new();
    let mut unpacked = Vec::new();
    for folder in folders {
        let folder = if folder.is_file() {
            let archive = Unpacked::new(folder)?;
            unpacked.push(archive);
            unpacked[unpacked.len() - 1].0.clone()
        } else {
            folder.clone()
        };
        find_records(&folder, MAX_DEPTH, &mut headers)?;
    }
    headers.sort();
    if headers.is_empty() {
        bail!("no WFDB record (.hea) in the folders named");
    }
    let mut records = Vec::new();
    for (path, result) in headers
        .iter()
        .zip(in_parallel(&headers, |path| score_record(path, lead)))
    {
        match result {
            Ok(record) => records.push(record),
            Err(error) => ui::note(&format!("{}: left out: {error:#}", path.display())),
        }
    }
    let gross = records.iter().filter_map(|record| record.tally).sum();
    Ok(Scores { records, gross })
}

/// An archive's content in a folder of its own, removed at the end.
struct Unpacked(PathBuf);

impl Unpacked {
    fn new(archive: &Path) -> Result<Self> {
        let name = archive
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let folder = std::env::temp_dir().join(format!("lazaret-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
        let unpacked = Self(folder);
        let status = std::process::Command::new("tar")
            .arg("-xf")
            .arg(archive)
            .arg("-C")
            .arg(&unpacked.0)
            .status()
            .context("running tar (packages tar, xz-utils)")?;
        if !status.success() {
            bail!("{}: not an archive that tar can read", archive.display());
        }
        Ok(unpacked)
    }
}

impl Drop for Unpacked {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn find_records(folder: &Path, depth: usize, found: &mut Vec<PathBuf>) -> Result<()> {
    let entries =
        std::fs::read_dir(folder).with_context(|| format!("reading {}", folder.display()))?;
    for entry in entries {
        let path = entry?.path();
        if path.is_dir() && depth > 0 {
            find_records(&path, depth - 1, found)?;
        } else if path
            .extension()
            .is_some_and(|end| end == "hea" || end == "csv")
        {
            found.push(path);
        }
    }
    Ok(())
}

/// Runs `work` on each, on all cores; results in order.
fn in_parallel<T: Sync, R: Send>(items: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let next = AtomicUsize::new(0);
    let worker = || {
        let mut done = Vec::new();
        while let Some((n, item)) = {
            let n = next.fetch_add(1, Ordering::Relaxed);
            items.get(n).map(|item| (n, item))
        } {
            done.push((n, work(item)));
        }
        done
    };
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    let mut all: Vec<(usize, R)> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..workers).map(|_| scope.spawn(worker)).collect();
        threads
            .into_iter()
            .flat_map(|thread| match thread.join() {
                Ok(done) => done,
                Err(panic) => std::panic::resume_unwind(panic),
            })
            .collect()
    });
    all.sort_by_key(|(n, _)| *n);
    all.into_iter().map(|(_, result)| result).collect()
}

fn score_record(path: &Path, lead: Option<u8>) -> Result<Scored> {
    let mut recording = Recording::open(path)?;
    let reference_path = path.with_extension("atr");
    let reference = if reference_path.exists() {
        let (annotations, problems) = wfdb::annotations(&reference_path)?;
        recording.problems.extend(problems);
        Some(annotations)
    } else {
        None
    };
    let leads = ecg_leads(&recording, reference.is_some());
    let Some(first) = leads.first() else {
        bail!("no ECG among its signals");
    };
    let rate_hz = first.rate_hz;
    let heard = listen(&leads, rate_hz, lead)?;
    let tally = reference
        .map(|annotations| score::score(&reference_of(&annotations, rate_hz), &heard.beats));
    Ok(Scored {
        record: recording.name.clone(),
        leads: leads.iter().map(|signal| signal.name.clone()).collect(),
        beats: heard.beats.len(),
        median_rate_bpm: heard.median_rate_bpm(),
        worst_delay_ms: heard.worst_delay_ms,
        score: tally.map(Percentages::from),
        problems: recording.problems,
        tally,
    })
}

/// The first two ECG leads of one rate; where none has a lead's name but beats are marked, the first two signals.
fn ecg_leads(recording: &Recording, has_reference: bool) -> Vec<&Signal> {
    let mut leads: Vec<&Signal> = recording.signals.iter().filter(|s| s.is_ecg()).collect();
    if leads.is_empty() && has_reference {
        leads = recording.signals.iter().collect();
    }
    if let Some(rate_hz) = leads.first().map(|lead| lead.rate_hz) {
        leads.retain(|lead| lead.rate_hz == rate_hz);
    }
    leads.truncate(2);
    leads
}

fn reference_of(annotations: &[Annotation], rate_hz: f64) -> Reference {
    let mut excluded = Vec::new();
    let mut since = None;
    for annotation in annotations {
        match annotation.code {
            Annotation::FLUTTER_ON => since = since.or(Some(annotation.sample)),
            Annotation::FLUTTER_OFF => {
                excluded.extend(since.take().map(|on| (on, annotation.sample)));
            }
            _ => {}
        }
    }
    excluded.extend(since.map(|on| (on, u64::MAX / 2)));
    let beats = annotations.iter().filter(|a| a.is_beat()).map(|a| a.sample);
    Reference {
        rate_hz,
        beats: beats.collect(),
        excluded,
    }
}

/// What the monitor said.
#[derive(Default)]
struct Heard {
    beats: Vec<u64>,
    rates_deci: Vec<u16>,
    worst_delay_ms: u64,
}

impl Heard {
    fn median_rate_bpm(&self) -> Option<f64> {
        let mut rates = self.rates_deci.clone();
        rates.sort_unstable();
        rates
            .get(rates.len() / 2)
            .map(|deci| f64::from(*deci) / 10.0)
    }
}

/// Gives the leads to the monitor, sample by sample, as they come over the bus.
fn listen(leads: &[&Signal], rate_hz: f64, only: Option<u8>) -> Result<Heard> {
    let mut monitor = Monitor::new(no_limits());
    let rate_decihertz = (rate_hz * 10.0).round();
    if !(0.0..=f64::from(u16::MAX)).contains(&rate_decihertz)
        || !monitor.set_rate(rate_decihertz as u16)
    {
        bail!("its rate of {rate_hz} Hz is not one of 125 to 500 Hz");
    }
    let length = leads
        .iter()
        .map(|lead| lead.samples.len())
        .max()
        .unwrap_or(0);
    // The last beat, too, has its time: the recording's end is held for as long as the monitor may take.
    let held = (rate_hz * MOST_DELAY_MS as f64 / 1000.0) as usize;
    let mut heard = Heard::default();
    for n in 0..length + held {
        let at = n.min(length.saturating_sub(1));
        let value = |index: usize| {
            let wanted = only.is_none_or(|only| usize::from(only) == index + 1);
            leads
                .get(index)
                .filter(|_| wanted)
                .map_or(LEAD_OFF, |lead| to_bus(lead, at))
        };
        let t_us = (n as f64 * 1e6 / rate_hz) as u64;
        monitor.ecg(t_us, [value(0), value(1)]);
        while let Some(output) = monitor.next_output() {
            match output {
                Output::Beat {
                    t_us: beat_us,
                    sample_index,
                } => {
                    heard.beats.push(sample_index);
                    let delay_ms = t_us.saturating_sub(beat_us) / 1000;
                    heard.worst_delay_ms = heard.worst_delay_ms.max(delay_ms);
                }
                Output::Numerics(numerics) => heard.rates_deci.extend(numerics.heart_rate_deci),
                Output::Alarm(_) => {}
            }
        }
    }
    Ok(heard)
}

/// A sample in units of the bus. What has no unit of voltage is taken as millivolts.
fn to_bus(lead: &Signal, at: usize) -> i16 {
    let per_unit = match lead.unit.to_ascii_lowercase().as_str() {
        "uv" => PER_MILLIVOLT / 1000.0,
        "v" => PER_MILLIVOLT * 1000.0,
        _ => PER_MILLIVOLT,
    };
    match lead.samples.get(at) {
        Some(value) if value.is_finite() => (f64::from(*value) * per_unit)
            .round()
            .clamp(-32_767.0, 32_767.0) as i16,
        _ => LEAD_OFF,
    }
}

/// Limits do not matter for beats.
fn no_limits() -> Limits {
    let limit = Limit {
        priority: Priority::Low,
        limit_deci: 0,
        after_ms: 120_000,
    };
    Limits {
        asystole: limit,
        tachycardia: limit,
        bradycardia: limit,
        spo2_low: limit,
        lead_off: limit,
    }
}

fn json(scores: &Scores) -> Result<String> {
    let document = serde_json::json!({
        "records": scores.records,
        "gross": Percentages::from(scores.gross),
        "average_sensitivity": scores.average(Tally::sensitivity),
        "average_predictivity": scores.average(Tally::predictivity),
        "worst_delay_ms": scores.worst_delay_ms(),
        "target_percent": TARGET_PERCENT,
        "target_delay_ms": MOST_DELAY_MS,
        "others": OTHERS.map(|(name, se, p)| serde_json::json!({
            "name": name, "sensitivity": se, "predictivity": p,
        })),
        "met": scores.met(),
    });
    Ok(serde_json::to_string_pretty(&document)?)
}

fn print(scores: &Scores) {
    let percent = |value: Option<f64>| value.map_or("-".to_owned(), |p| format!("{p:.2}"));
    println!(
        "  {:<16} {:<12} {:>7} {:>7} {:>7} {:>7} {:>8} {:>8} {:>9}",
        "record", "leads", "rate", "found", "missed", "extra", "Se %", "+P %", "delay ms"
    );
    for record in &scores.records {
        let counts = record.score.map_or([(); 3].map(|()| "-".to_owned()), |s| {
            [s.found, s.missed, s.extra].map(|n| n.to_string())
        });
        println!(
            "  {:<16} {:<12} {:>7} {:>7} {:>7} {:>7} {:>8} {:>8} {:>9}",
            record.record,
            record.leads.join(" "),
            record
                .median_rate_bpm
                .map_or("-".to_owned(), |bpm| format!("{bpm:.1}")),
            counts[0],
            counts[1],
            counts[2],
            percent(record.score.and_then(|s| s.sensitivity)),
            percent(record.score.and_then(|s| s.predictivity)),
            record.worst_delay_ms,
        );
        record
            .problems
            .iter()
            .for_each(|problem| println!("    {problem}"));
    }
    let gross = scores.gross;
    if gross == Tally::default() {
        return;
    }
    let line = |name: &str, se, p| println!("  {name:<54} {:>16} {:>8}", percent(se), percent(p));
    println!(
        "  {} found, {} missed, {} extra",
        gross.found, gross.missed, gross.extra
    );
    line(
        "ours, gross (EC57, from 5:00)",
        gross.sensitivity(),
        gross.predictivity(),
    );
    line(
        "ours, average",
        scores.average(Tally::sensitivity),
        scores.average(Tally::predictivity),
    );
    for (name, se, p) in OTHERS {
        line(&format!("{name}, gross (on mitdb-ds1)"), Some(se), Some(p));
    }
    line("target", Some(TARGET_PERCENT), Some(TARGET_PERCENT));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn annotation(sample: u64, code: u8) -> Annotation {
        Annotation { sample, code }
    }

    #[test]
    fn flutter_is_left_out_even_where_it_does_not_end() {
        let list = [
            annotation(5, 1),
            annotation(10, 28),
            annotation(20, Annotation::FLUTTER_ON),
            annotation(30, Annotation::FLUTTER_OFF),
            annotation(40, 5),
            annotation(50, Annotation::FLUTTER_ON),
        ];
        let reference = reference_of(&list, 360.0);
        assert_eq!(reference.beats, [5, 40]);
        assert_eq!(reference.excluded, [(20, 30), (50, u64::MAX / 2)]);
    }

    #[test]
    fn the_project_s_own_excerpt_is_scored() {
        let record = paths::root().join("sim/recordings/115.hea");
        let scored = score_record(&record, None).expect("scored");
        assert!(scored.beats > 10 && scored.worst_delay_ms <= MOST_DELAY_MS);
        let rate = scored.median_rate_bpm.expect("a rate");
        assert!((50.0..90.0).contains(&rate), "{rate}");
    }

    #[test]
    fn the_target_is_kept_on_the_records_beside_the_project() {
        let data = paths::root().join("../shared/data");
        let archive = data.join("mitdb-ds1.tar.xz");
        if !archive.exists() {
            println!("left out: no {}", archive.display());
            return;
        }
        let scores = score_all(&[archive], None).expect("scored");
        assert_eq!(scores.records.len(), 22);
        assert!(scores.met(), "{:?}", scores.gross);
    }

    #[test]
    fn other_bedside_recordings_give_plausible_rates() {
        let archive = paths::root().join("../shared/data/icu.tar.xz");
        if !archive.exists() {
            println!("left out: no {}", archive.display());
            return;
        }
        let scores = score_all(&[archive], None).expect("read");
        assert!(scores.records.len() >= 4);
        for record in &scores.records {
            let rate = record.median_rate_bpm.expect("a rate");
            assert!((40.0..180.0).contains(&rate), "{}: {rate}", record.record);
        }
    }
}

//! The store on a simulated flash: what is acknowledged is kept, whatever the power does; what is not authentic is refused.

extern crate std;

use crate::simulated::{Simulated, TEARS, Torn};
use crate::{Counts, Error, Found, MAX_BODY_BYTES, MAX_ENTRY_BYTES, MAX_KEYS, Store};
use seal::{Binding, Keys};
use std::collections::{BTreeMap, VecDeque};
use std::vec;
use std::vec::Vec;

const SECTOR_BYTES: usize = 8 * MAX_ENTRY_BYTES;
const SECTORS: usize = 6;

fn keys() -> Keys {
    Keys::derive(&[1; 32], &[2; 32])
}

fn blank() -> Simulated {
    Simulated::new(SECTORS, SECTOR_BYTES)
}

fn mount(medium: Simulated) -> (Store<Simulated>, Found) {
    Store::mount(medium, keys()).expect("it mounts")
}

fn remount(store: Store<Simulated>) -> Store<Simulated> {
    let (store, found) = mount(store.unmount());
    assert_eq!(found, Found::Whole);
    store
}

fn get(store: &mut Store<Simulated>, name: &[u8]) -> Result<Vec<u8>, Error> {
    let mut out = [0; 256];
    store.get(name, &mut out).map(|count| out[..count].to_vec())
}

fn append(store: &mut Store<Simulated>, record: &[u8]) -> Result<u64, Error> {
    store.append(1, record.len(), |out| out.copy_from_slice(record))
}

/// Everything that waits: numbers and bytes.
fn all(store: &mut Store<Simulated>) -> Vec<(u64, Vec<u8>)> {
    let mut found = Vec::new();
    let mut after = 0;
    while let Some((number, bytes)) =
        store.read(after, |entry, bytes| (entry.number, bytes.to_vec()))
    {
        assert!(number > after);
        after = number;
        found.push((number, bytes));
    }
    found
}

fn record(n: u64) -> Vec<u8> {
    let length = 1 + (n as usize * 577) % MAX_BODY_BYTES;
    (0..length).map(|at| (n as usize * 31 + at) as u8).collect()
}

#[test]
fn values_are_kept_replaced_and_forgotten() {
    let (mut store, found) = mount(blank());
    assert_eq!(found, Found::New);
    assert_eq!(get(&mut store, b"a"), Err(Error::Absent));
    store.put(b"a", Binding::Device, b"one").expect("kept");
    store.put(b"b", Binding::Software, &[7; 256]).expect("kept");
    store.put(b"a", Binding::Software, b"").expect("kept");
    let mut store = remount(store);
    assert_eq!(get(&mut store, b"a"), Ok(vec![]));
    assert_eq!(get(&mut store, b"b"), Ok(vec![7; 256]));
    store.delete(b"a").expect("gone");
    assert_eq!(store.delete(b"a"), Err(Error::Absent));
    let mut store = remount(store);
    assert_eq!(get(&mut store, b"a"), Err(Error::Absent));
    assert_eq!(get(&mut store, b"b"), Ok(vec![7; 256]));
    assert_eq!(store.put(b"", Binding::Device, b""), Err(Error::Size));
    assert_eq!(
        store.put(&[b'x'; 25], Binding::Device, b""),
        Err(Error::Size)
    );
    assert_eq!(
        store.put(b"c", Binding::Device, &[0; 257]),
        Err(Error::Size)
    );
    for n in 1..MAX_KEYS {
        store
            .put(&[b'k', n as u8], Binding::Device, &[n as u8; 256])
            .expect("room");
    }
    assert_eq!(store.put(b"more", Binding::Device, b""), Err(Error::Full));
    let mut store = remount(store);
    for n in 1..MAX_KEYS {
        assert_eq!(get(&mut store, &[b'k', n as u8]), Ok(vec![n as u8; 256]));
    }
}

#[test]
fn values_survive_being_copied_from_sector_to_sector() {
    let (mut store, _) = mount(blank());
    store
        .put(b"kept", Binding::Software, b"all along")
        .expect("kept");
    for n in 0..600_u32 {
        store
            .put(b"counter", Binding::Device, &n.to_le_bytes())
            .expect("kept");
        if n % 97 == 0 {
            store = remount(store);
        }
    }
    assert!(store.counts().erases > 4);
    assert_eq!(
        get(&mut store, b"counter"),
        Ok(599_u32.to_le_bytes().to_vec())
    );
    assert_eq!(get(&mut store, b"kept"), Ok(b"all along".to_vec()));
    assert_eq!(store.medium().impossible, 0);
}

#[test]
fn other_software_opens_what_is_bound_to_the_device_only() {
    let (mut store, _) = mount(blank());
    store.put(b"device", Binding::Device, b"one").expect("kept");
    store
        .put(b"software", Binding::Software, b"two")
        .expect("kept");
    append(&mut store, b"a reading").expect("kept");
    let medium = store.unmount();
    let changed = Keys::derive(&[1; 32], &[3; 32]);
    let (mut store, found) = Store::mount(medium, changed).expect("mounts");
    assert_eq!(found, Found::Whole);
    assert_eq!(get(&mut store, b"device"), Ok(b"one".to_vec()));
    assert_eq!(get(&mut store, b"software"), Err(Error::OtherSoftware));
    assert_eq!(all(&mut store).len(), 1);
    // Copied by software that cannot open it, it is still there for the one that can.
    for n in 0..200 {
        store.put(b"device", Binding::Device, &[n]).expect("kept");
    }
    let mut store = remount(store);
    assert_eq!(get(&mut store, b"software"), Ok(b"two".to_vec()));
    // Another device finds nothing it knows.
    let other = Keys::derive(&[9; 32], &[2; 32]);
    let (_, found) = Store::mount(store.unmount(), other).expect("mounts");
    assert_eq!(found, Found::Erased);
}

#[test]
fn records_come_back_in_order_and_go_when_they_are_forgotten() {
    let (mut store, _) = mount(blank());
    let mut model = VecDeque::new();
    for n in 1..=60_u64 {
        let number = append(&mut store, &record(n)).expect("kept");
        model.push_back((number, record(n)));
        if n % 7 == 0 {
            let (number, _) = model[3];
            store.forget(number).expect("forgotten");
            model.drain(..4);
        }
        if n % 11 == 0 {
            store = remount(store);
        }
        while store.counts().entries < model.len() as u64 {
            model.pop_front();
        }
        assert_eq!(all(&mut store), Vec::from(model.clone()));
    }
    let counts = store.counts();
    assert_eq!(counts.entries, model.len() as u64);
    store.forget(u64::MAX).expect("all");
    assert_eq!(all(&mut store), []);
    assert_eq!(store.counts().waiting, 0);
    let mut store = remount(store);
    assert_eq!(all(&mut store), []);
}

#[test]
fn where_there_is_no_room_the_oldest_go_and_are_counted() {
    let (mut store, _) = mount(blank());
    let total = 200;
    for n in 1..=total {
        store
            .append(3, 2000, |out| out.fill(n as u8))
            .expect("kept");
    }
    let found = all(&mut store);
    let counts = store.counts();
    assert_eq!(counts.waiting, 3 * found.len() as u64);
    assert_eq!(counts.dropped + counts.waiting, 3 * total);
    assert_eq!(counts.sectors_used as usize, SECTORS - 2);
    assert_eq!(found.last().expect("some").0, total);
    assert_eq!(found[0].0, total - found.len() as u64 + 1);
    assert!(counts.most_erases >= 3 && counts.erases >= 12, "{counts:?}");
    let mut store = remount(store);
    assert_eq!(all(&mut store), found);
    assert_eq!(store.counts().dropped, counts.dropped);
    assert_eq!(store.append(0, 1, |_| {}), Err(Error::Size));
    assert_eq!(store.append(1, 0, |_| {}), Err(Error::Size));
    let long = store.append(1, MAX_BODY_BYTES + 1, |_| {});
    assert_eq!(long, Err(Error::Size));
}

/// One step of a history.
#[derive(Debug, Clone)]
enum Step {
    Put(u8, Binding, Vec<u8>),
    Delete(u8),
    Append(Vec<u8>),
    /// Forget this many of what waits.
    Forget(usize),
    Remount,
}

/// What must be there: for each name what may be found, and the records of which the first `maybe_gone` may be forgotten
/// and the last may be missing.
#[derive(Debug, Clone, Default)]
struct Model {
    values: BTreeMap<u8, Vec<Option<Vec<u8>>>>,
    records: VecDeque<Vec<u8>>,
    maybe_gone: usize,
    maybe_missing: usize,
}

impl Model {
    fn step(&mut self, step: &Step, is_acknowledged: bool) {
        let mut set = |name: u8, value: Option<Vec<u8>>| {
            let entry = self.values.entry(name).or_insert_with(|| vec![None]);
            if is_acknowledged {
                *entry = vec![value];
            } else {
                entry.push(value);
            }
        };
        match step {
            Step::Put(name, _, value) => set(*name, Some(value.clone())),
            Step::Delete(name) => set(*name, None),
            Step::Append(record) => {
                self.records.push_back(record.clone());
                self.maybe_missing += usize::from(!is_acknowledged);
            }
            Step::Forget(count) if is_acknowledged => {
                self.records.drain(..(*count).min(self.records.len()));
            }
            Step::Forget(count) => self.maybe_gone = *count,
            Step::Remount => {}
        }
    }

    /// Compares with what is found, and becomes it.
    fn check(&mut self, store: &mut Store<Simulated>, about: &str) {
        for (name, possible) in &mut self.values {
            let found = match get(store, &[*name]) {
                Ok(value) => Some(value),
                Err(Error::Absent) => None,
                Err(error) => panic!("{about}: value {name}: {error:?}"),
            };
            assert!(possible.contains(&found), "{about}: value {name}");
            *possible = vec![found];
        }
        let found: Vec<Vec<u8>> = all(store).into_iter().map(|(_, bytes)| bytes).collect();
        let may_begin = 0..=self.maybe_gone.min(self.records.len());
        let may_end = self.records.len() - self.maybe_missing..=self.records.len();
        let records: Vec<Vec<u8>> = self.records.iter().cloned().collect();
        let is_possible = may_begin
            .flat_map(|begin| may_end.clone().map(move |end| (begin, end)))
            .any(|(begin, end)| records.get(begin..end) == Some(&found[..]));
        assert!(
            is_possible,
            "{about}: {} records of {}",
            found.len(),
            records.len()
        );
        self.records = found.into();
        (self.maybe_gone, self.maybe_missing) = (0, 0);
        assert_eq!(store.counts().damaged, 0, "{about}");
        assert_eq!(store.counts().dropped, 0, "{about}");
        assert_eq!(store.medium().impossible, 0, "{about}");
    }
}

fn run(store: &mut Store<Simulated>, step: &Step) -> Result<(), Error> {
    match step {
        Step::Put(name, binding, value) => store.put(&[*name], *binding, value),
        Step::Delete(name) => match store.delete(&[*name]) {
            Err(Error::Absent) => Ok(()),
            other => other,
        },
        Step::Append(record) => append(store, record).map(|_| ()),
        Step::Forget(count) => {
            let waiting = all(store);
            let last = (*count).min(waiting.len()).checked_sub(1);
            match last.and_then(|last| waiting.get(last)) {
                Some((number, _)) => store.forget(*number),
                None => Ok(()),
            }
        }
        Step::Remount => Ok(()),
    }
}

/// Runs the steps until one fails; how the model stands then, and the medium.
fn play(medium: Simulated, steps: &[Step], model: &mut Model) -> Simulated {
    let mut medium = medium;
    let mut steps = steps.iter();
    loop {
        let mut store = match Store::mount(medium.clone(), keys()) {
            Ok((store, _)) => store,
            Err(_) => {
                // The power went during the mount: the store took the medium with it, so do it again on a copy of its own.
                return mount_and_lose(medium);
            }
        };
        loop {
            let Some(step) = steps.next() else {
                return store.unmount();
            };
            if matches!(step, Step::Remount) {
                break;
            }
            let done = run(&mut store, step);
            model.step(step, done.is_ok());
            if done.is_err() {
                return store.unmount();
            }
        }
        medium = store.unmount();
    }
}

/// The medium as a mount that fails leaves it.
fn mount_and_lose(medium: Simulated) -> Simulated {
    let kept = Shared(std::rc::Rc::new(std::cell::RefCell::new(medium)));
    assert!(Store::mount(kept.clone(), keys()).is_err());
    kept.0.borrow().clone()
}

/// A medium that stays when its store goes.
#[derive(Clone)]
struct Shared(std::rc::Rc<std::cell::RefCell<Simulated>>);

impl crate::Medium for Shared {
    fn sector_bytes(&self) -> usize {
        self.0.borrow().sector_bytes()
    }
    fn sectors(&self) -> usize {
        self.0.borrow().sectors()
    }
    fn read(&self, offset: usize, out: &mut [u8]) {
        self.0.borrow().read(offset, out);
    }
    fn program(&mut self, offset: usize, bytes: &[u8]) -> Result<(), crate::Fault> {
        self.0.borrow_mut().program(offset, bytes)
    }
    fn erase(&mut self, sector: usize) -> Result<(), crate::Fault> {
        self.0.borrow_mut().erase(sector)
    }
    fn counter(&self) -> u64 {
        self.0.borrow().counter()
    }
    fn advance(&mut self) -> Result<(), crate::Fault> {
        self.0.borrow_mut().advance()
    }
    fn salt(&mut self) -> [u8; 16] {
        self.0.borrow_mut().salt()
    }
}

/// A history with every operation, copies of the values and sectors of the log among them.
fn history() -> Vec<Step> {
    let mut steps = Vec::new();
    for n in 0..30_u8 {
        for name in 0..3 {
            let binding = [Binding::Device, Binding::Software][usize::from((n + name) % 2)];
            steps.push(Step::Put(name, binding, vec![n; 250]));
        }
        steps.push(Step::Append(vec![n; 3000]));
        match n % 10 {
            4 => steps.push(Step::Delete(1)),
            6 => steps.push(Step::Forget(7)),
            8 => steps.push(Step::Remount),
            _ => {}
        }
    }
    steps
}

#[test]
fn a_power_cut_at_any_write_loses_nothing_that_was_acknowledged() {
    let steps = history();
    let whole = play(blank(), &steps, &mut Model::default());
    let writes = whole.writes;
    assert!(writes > 150, "{writes}");
    let mut cuts = 0;
    for at in 0..writes {
        for torn in TEARS {
            let mut medium = blank();
            medium.cut = Some((at, torn));
            let mut model = Model::default();
            let mut medium = play(medium, &steps, &mut model);
            assert!(medium.writes > at, "the cut at {at} was never reached");
            medium.power_on();
            let about = std::format!("cut at {at}, {torn:?}");
            // The power goes a second time while the first cut is dealt with.
            if at % 4 == 0 {
                medium.cut = Some((medium.writes + at / 4 % 4, TEARS[(at % 5) as usize]));
                let again = Store::mount(medium.clone(), keys());
                medium = match again {
                    Ok((store, _)) => store.unmount(),
                    Err(_) => mount_and_lose(medium),
                };
                medium.power_on();
            }
            let (mut store, found) = mount(medium);
            let is_format = at < 6;
            assert!(
                matches!(found, Found::Whole) || is_format,
                "{about}: {found:?}"
            );
            model.check(&mut store, &about);
            // And it goes on.
            store
                .put(b"\x09", Binding::Software, b"after")
                .expect("kept");
            append(&mut store, b"after").expect("kept");
            let mut store = remount(store);
            model.values.insert(9, vec![Some(b"after".to_vec())]);
            model.records.push_back(b"after".to_vec());
            model.check(&mut store, &about);
            cuts += 1;
        }
    }
    std::println!(
        "{cuts} cuts, at each of {writes} writes in {} ways",
        TEARS.len()
    );
}

#[test]
fn random_histories_with_random_cuts_keep_what_was_acknowledged() {
    let mut seed = 3_u64;
    let mut random = move |below: u64| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (seed >> 33) % below
    };
    for round in 0..60 {
        let mut medium = Simulated::new(12, SECTOR_BYTES);
        let mut model = Model::default();
        for turn in 0..6 {
            let steps: Vec<Step> = (0..15)
                .map(|_| match random(10) {
                    0..=2 => {
                        let binding = [Binding::Device, Binding::Software][random(2) as usize];
                        let value = vec![random(256) as u8; random(257) as usize];
                        Step::Put(random(5) as u8, binding, value)
                    }
                    3 => Step::Delete(random(5) as u8),
                    4..=7 => Step::Append(vec![random(256) as u8; 1 + random(2000) as usize]),
                    8 => Step::Forget(random(4) as usize),
                    _ => Step::Remount,
                })
                .collect();
            medium.cut = Some((medium.writes + random(60), TEARS[random(5) as usize]));
            medium = play(medium, &steps, &mut model);
            medium.power_on();
            let (mut store, _) = mount(medium);
            model.check(&mut store, &std::format!("round {round}, turn {turn}"));
            medium = store.unmount();
        }
    }
}

#[test]
fn a_storage_that_was_set_back_is_noticed() {
    let (mut store, _) = mount(blank());
    store.put(b"a", Binding::Device, b"old").expect("kept");
    append(&mut store, b"old").expect("kept");
    let copy = store.medium().bytes.clone();
    let rolled_back = |mut medium: Simulated| {
        medium.bytes.clone_from(&copy);
        let (mut store, found) = mount(medium);
        assert_eq!(found, Found::RolledBack);
        assert_eq!(get(&mut store, b"a"), Err(Error::Absent));
        assert_eq!(all(&mut store), []);
        // And it is of use again.
        store.put(b"a", Binding::Device, b"new").expect("kept");
        append(&mut store, b"new").expect("kept");
        let mut store = remount(store);
        assert_eq!(get(&mut store, b"a"), Ok(b"new".to_vec()));
        assert_eq!(all(&mut store).len(), 1);
    };
    // A value was written since; or nothing but a power-on happened.
    let mut later = store.medium().clone();
    store.put(b"a", Binding::Device, b"later").expect("kept");
    rolled_back(store.unmount());
    later = mount(later).0.unmount();
    rolled_back(later.clone());
    // Back by many power-ons, and by copies of the values.
    for _ in 0..400 {
        later = mount(later).0.unmount();
    }
    rolled_back(later);
}

#[test]
fn a_log_that_was_set_back_or_erased_is_noticed() {
    let (mut store, _) = mount(blank());
    append(&mut store, &[1; 4000]).expect("kept");
    let copy = store.medium().bytes.clone();
    for n in 2..20 {
        append(&mut store, &[n; 4000]).expect("kept");
    }
    let mut store = remount(store);
    let log = 2 * SECTOR_BYTES;
    let medium = store.medium().clone();
    for what in [&copy[log..], &vec![0xff; copy.len() - log]] {
        let mut medium = medium.clone();
        medium.bytes[log..].copy_from_slice(what);
        let (mut store, found) = mount(medium);
        assert_eq!(found, Found::LogRolledBack);
        append(&mut store, b"goes on").expect("kept");
        let mut store = remount(store);
        assert_eq!(all(&mut store).last().expect("some").1, b"goes on");
    }
    let mut medium = medium;
    medium.bytes[..log].fill(0xff);
    assert_eq!(mount(medium).1, Found::Erased);
}

/// Whatever single byte is changed, each value is either the one that was written last, or said to be lost.
#[test]
fn nothing_that_was_changed_is_taken_for_what_was_written() {
    let (mut store, _) = mount(blank());
    store.put(b"a", Binding::Device, b"first").expect("kept");
    store.put(b"a", Binding::Device, b"second").expect("kept");
    store.put(b"b", Binding::Software, b"third").expect("kept");
    for n in 1..5 {
        append(&mut store, &record(n)).expect("kept");
    }
    let medium = store.unmount();
    let written: Vec<usize> = (0..medium.bytes.len())
        .filter(|at| medium.bytes[*at] != 0xff)
        .collect();
    let mut noticed = 0;
    for at in written.iter().step_by(3).copied() {
        let mut medium = medium.clone();
        medium.bytes[at] ^= 1 << (at % 8);
        let (mut store, found) = mount(medium);
        let value = get(&mut store, b"a");
        assert!(
            value == Ok(b"second".to_vec()) || value.is_err(),
            "{at}: {value:?}"
        );
        let value = get(&mut store, b"b");
        assert!(
            value == Ok(b"third".to_vec()) || value.is_err(),
            "{at}: {value:?}"
        );
        let records = all(&mut store);
        for (number, bytes) in &records {
            assert_eq!(*bytes, record(*number), "{at}");
        }
        let counts: Counts = store.counts();
        let is_whole = found == Found::Whole && counts.damaged == 0 && records.len() == 4;
        noticed += usize::from(!is_whole);
    }
    // What is not noticed is padding and old copies of values.
    assert!(
        noticed > written.len() / 3 * 9 / 10,
        "{noticed} of {}",
        written.len() / 3
    );
}

#[test]
fn nothing_readable_is_on_the_flash() {
    let (mut store, _) = mount(blank());
    let secret = b"Patient: A. Nonymous, 1970-01-01";
    store
        .put(b"a name that is secret", Binding::Device, secret)
        .expect("kept");
    append(&mut store, &secret.repeat(20)).expect("kept");
    let bytes = &store.medium().bytes;
    for part in secret.windows(8).chain(b"a name that is secret".windows(8)) {
        assert!(!bytes.windows(8).any(|found| found == part));
    }
}

#[test]
fn a_flash_that_fails_is_reported_and_survived() {
    let (mut store, _) = mount(blank());
    store.put(b"a", Binding::Device, b"kept").expect("kept");
    store.medium().cut = Some((store.medium().writes, Torn::Half));
    assert_eq!(store.put(b"a", Binding::Device, b"lost"), Err(Error::Flash));
    assert_eq!(append(&mut store, b"lost"), Err(Error::Flash));
    assert_eq!(get(&mut store, b"a"), Ok(b"kept".to_vec()));
    store.medium().power_on();
    store.put(b"a", Binding::Device, b"again").expect("kept");
    append(&mut store, b"again").expect("kept");
    assert!(store.counts().faults > 0);
    let mut store = remount(store);
    assert_eq!(get(&mut store, b"a"), Ok(b"again".to_vec()));
    assert_eq!(all(&mut store).len(), 1);
    assert!(matches!(
        Store::mount(Simulated::new(4, SECTOR_BYTES), keys()),
        Err(Error::Size)
    ));
}

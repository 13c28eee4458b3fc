//! The whole path, up: the ward, the machine and the patient on its CAN bus.

use crate::machine::{Config, Machine, WardRoute};
use crate::process::{LOOK_EVERY, Process};
use crate::{build, paths};
use anyhow::{Context as _, Result, bail};
use lazaret_description::Description;
use serde_json::{Value, json};
use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// How long each part may take before it counts as hung. Emulators on loaded hosts are slow;
/// nothing here measures speed.
pub const HANG: Duration = Duration::from_secs(240);

/// What is to be started, and where.
#[derive(Debug, Clone)]
pub struct Setup {
    /// The machine; its ward's address is filled in.
    pub machine: Config,
    /// Where the ward listens for records; port 0 takes any.
    pub records: SocketAddr,
    /// Where the ward serves its page; port 0 takes any.
    pub http: SocketAddr,
    /// Further arguments for the ward.
    pub ward_arguments: Vec<String>,
    /// Further arguments for the simulator.
    pub simulator_arguments: Vec<String>,
    /// Whether to give the secure core a host core to itself.
    pub pin: bool,
}

impl Setup {
    /// A session in `directory`, on any free ports.
    #[must_use]
    pub fn new(flash: &Path, directory: &Path) -> Self {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        Self {
            machine: Config::new(flash, directory),
            records: any,
            http: any,
            ward_arguments: Vec::new(),
            simulator_arguments: Vec::new(),
            pin: true,
        }
    }
}

/// A running device with everything around it. Dropping it ends all of it.
pub struct Session {
    /// The device.
    pub machine: Machine,
    /// The simulated patient and the nodes on the bus.
    pub simulator: Process,
    /// The hospital's side.
    pub ward: Process,
    /// Where the ward listens for records.
    pub records: SocketAddr,
    /// Where the ward serves its page and its API.
    pub http: SocketAddr,
    /// When the machine was let go.
    pub power_on: Instant,
    /// The same, milliseconds since 1970.
    pub power_on_unix_ms: u64,
    /// What was said about host cores.
    pub pinned: &'static str,
    device_id: String,
}

/// Refuses a port that is in use, naming the option that changes it.
///
/// # Errors
/// Where something else listens there.
pub fn check_port(address: SocketAddr, option: &str) -> Result<()> {
    if address.port() == 0 {
        return Ok(());
    }
    match TcpListener::bind(address) {
        Ok(_) => Ok(()),
        Err(error) => bail!(
            "port {} is not free ({error}): choose another with {option} PORT (0 takes any)",
            address.port()
        ),
    }
}

impl Session {
    /// Starts the ward, the machine (stopped), the simulator, joins them, and lets the machine go.
    ///
    /// # Errors
    /// Where one of them cannot be started or does not come up.
    pub fn start(description: &Description, setup: Setup) -> Result<Self> {
        let directory = setup.machine.directory.clone();
        fs::create_dir_all(&directory)
            .with_context(|| format!("cannot make {}", directory.display()))?;
        let (ward, records, http) = start_ward(&setup, &directory)?;
        let mut config = setup.machine;
        config.ward = Some(WardRoute::new(description, records)?);
        config.stopped = true;
        let can = config.can_socket();
        let mut machine = Machine::start(config)?;
        // Ready for commands: its sockets are there.
        machine.qmp("query-status", json!({}))?;
        let mut simulator = start_simulator(&can, &directory, &setup.simulator_arguments)?;
        wait_joined(&mut machine, &mut simulator)?;
        let pinned = if setup.pin {
            machine.pin()?
        } else {
            "not pinned"
        };
        machine.qmp("cont", json!({}))?;
        let power_on = Instant::now();
        let power_on_unix_ms = unix_ms();
        let device_id = description.product.device_id.as_ref().clone();
        Ok(Self {
            machine,
            simulator,
            ward,
            records,
            http,
            power_on,
            power_on_unix_ms,
            pinned,
            device_id,
        })
    }

    /// The address of the ward's page.
    #[must_use]
    pub fn page(&self) -> String {
        format!("http://{}/", self.http)
    }

    /// What the ward answers to `GET path`.
    ///
    /// # Errors
    /// Where it does not answer, or not with JSON.
    pub fn get(&self, path: &str) -> Result<Value> {
        let text = self.get_text(path)?;
        serde_json::from_str(&text).with_context(|| format!("GET {path}: {text:.200}"))
    }

    /// What the ward answers to `GET path`, as text.
    ///
    /// # Errors
    /// Where it does not answer.
    pub fn get_text(&self, path: &str) -> Result<String> {
        let url = format!("http://{}{path}", self.http);
        let mut answer = ureq::get(&url).call().with_context(|| url.clone())?;
        answer.body_mut().read_to_string().with_context(|| url)
    }

    /// What the ward knows of the device; `None` where it has not heard of it.
    #[must_use]
    pub fn device(&self) -> Option<Value> {
        self.get(&format!("/api/devices/{}", self.device_id)).ok()
    }

    /// From power-on to the first reading in the ward's database, by the clock of this host.
    #[must_use]
    pub fn first_reading(&self, device: &Value) -> Option<Duration> {
        let stored = device["first_stored_unix_ms"].as_u64()?;
        stored
            .checked_sub(self.power_on_unix_ms)
            .map(Duration::from_millis)
    }

    /// What the simulator wrote last about the bus.
    #[must_use]
    pub fn simulator_report(&self) -> Option<Value> {
        let path = self.machine.config().directory.join("simulator.json");
        serde_json::from_str(&fs::read_to_string(path).ok()?).ok()
    }

    /// An error where a part has ended.
    ///
    /// # Errors
    /// Naming it, with its last words.
    pub fn check(&mut self) -> Result<()> {
        self.ward.check()?;
        self.simulator.check()?;
        if !self.machine.is_running() {
            bail!(
                "the machine ended; the console's last lines:\n{}",
                crate::machine::last_lines(&self.machine.console(), 15)
            );
        }
        Ok(())
    }

    /// Waits until `found` finds what it wants in what the ward knows of the device.
    ///
    /// # Errors
    /// Where a part ends, or it does not come within `limit` (for a hang).
    pub fn wait_device<T>(
        &mut self,
        what: &str,
        limit: Duration,
        found: impl Fn(&Value) -> Option<T>,
    ) -> Result<T> {
        let deadline = Instant::now() + limit;
        loop {
            let device = self.device();
            if let Some(value) = device.as_ref().and_then(&found) {
                return Ok(value);
            }
            self.check()?;
            if Instant::now() > deadline {
                bail!(
                    "the ward never had {what}; it has {}\nthe console's last lines:\n{}",
                    device.unwrap_or(Value::Null),
                    crate::machine::last_lines(&self.machine.console(), 15)
                );
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Ends the ward and starts it again, with its data and on the ports it had.
    ///
    /// # Errors
    /// Where it does not come up.
    pub fn restart_ward(&mut self, setup: &Setup) -> Result<()> {
        self.ward.stop();
        let mut setup = setup.clone();
        (setup.records, setup.http) = (self.records, self.http);
        let directory = self.machine.config().directory.clone();
        (self.ward, self.records, self.http) = start_ward(&setup, &directory)?;
        Ok(())
    }

    /// Ends everything; the simulator has then written its last report.
    pub fn stop(&mut self) {
        self.simulator.stop();
        self.machine.stop();
        self.ward.stop();
    }
}

/// Starts the ward and reads from its first line where it listens.
fn start_ward(setup: &Setup, directory: &Path) -> Result<(Process, SocketAddr, SocketAddr)> {
    let mut arguments = vec![
        "--listen".to_owned(),
        setup.records.to_string(),
        "--http".to_owned(),
        setup.http.to_string(),
        "--data".to_owned(),
        directory.join("ward").display().to_string(),
    ];
    arguments.extend(setup.ward_arguments.iter().cloned());
    let log = directory.join("ward.log");
    let mut ward = Process::start("the ward", &build::host_program("ward"), &arguments, log)?;
    let (records, http) = ward.wait_for(HANG, ward_addresses)?;
    Ok((ward, records, http))
}

/// Finds `ward: records on ADDRESS, page on http://ADDRESS` in what the ward says.
fn ward_addresses(text: &str) -> Option<(SocketAddr, SocketAddr)> {
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("ward: records on "))?;
    let (records, page) = line.split_once(", page on http://")?;
    let page = page.trim().trim_end_matches('/');
    Some((records.trim().parse().ok()?, page.parse().ok()?))
}

fn start_simulator(can: &Path, directory: &Path, further: &[String]) -> Result<Process> {
    let report: PathBuf = directory.join("simulator.json");
    let _ = fs::remove_file(&report);
    let mut arguments = vec![
        "--bus".to_owned(),
        can.display().to_string(),
        "--report".to_owned(),
        report.display().to_string(),
    ];
    arguments.extend(further.iter().cloned());
    let log = directory.join("simulator.log");
    Process::start(
        "the simulator",
        &build::host_program("sim"),
        &arguments,
        log,
    )
}

/// Waits until the simulator sits on the bus, so that the device's first frame is heard.
fn wait_joined(machine: &mut Machine, simulator: &mut Process) -> Result<()> {
    let deadline = Instant::now() + HANG;
    loop {
        let list = machine.qmp("query-chardev", json!({}))?;
        let bus = list
            .as_array()
            .and_then(|all| all.iter().find(|one| one["label"] == "can"));
        let state = bus
            .and_then(|bus| bus["filename"].as_str())
            .unwrap_or("disconnected");
        if !state.starts_with("disconnected") {
            return Ok(());
        }
        simulator.check()?;
        if Instant::now() > deadline {
            bail!("the simulator never joined the bus");
        }
        std::thread::sleep(LOOK_EVERY);
    }
}

/// Milliseconds since 1970.
fn unix_ms() -> u64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// A folder for one run, below the build's output.
#[must_use]
pub fn run_directory(name: &str) -> PathBuf {
    paths::output().join("runs").join(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wards_line_is_read() {
        let text = "noise\nward: records on 127.0.0.1:7300, page on http://127.0.0.1:7380\n";
        let (records, http) = ward_addresses(text).expect("addresses");
        assert_eq!((records.port(), http.port()), (7300, 7380));
        assert_eq!(ward_addresses("ward: records on 127.0.0.1:73"), None);
    }

    #[test]
    fn a_taken_port_is_said_with_its_option() {
        let taken = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
        let address = taken.local_addr().expect("an address");
        let error = check_port(address, "--port")
            .expect_err("taken")
            .to_string();
        assert!(error.contains("--port") && error.contains(&address.port().to_string()));
        drop(taken);
        assert!(check_port(address, "--port").is_ok());
    }
}

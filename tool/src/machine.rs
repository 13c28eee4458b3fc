//! The machine the device runs on: QEMU, started, watched and stopped by its own process id.

use anyhow::{Context as _, Result, bail};
use lazaret_description::Description;
use serde_json::{Value, json};
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

/// Longest path of a Unix socket, with its final zero (Linux, unix(7): sun_path).
const MOST_SOCKET_BYTES: usize = 108;

/// How a machine is to be started.
#[derive(Debug, Clone)]
pub struct Config {
    /// The flash image; copied, because the device writes to its flash.
    pub flash: PathBuf,
    /// A folder for this run: sockets, console log, flash copy. Made if missing.
    pub directory: PathBuf,
    /// Cores. The firmware expects four.
    pub cores: u32,
    /// DRAM in MiB.
    pub dram_mib: u64,
    /// Whether the guest has a network card.
    pub network: bool,
    /// What the guest reaches over it, and it reaches nothing else.
    pub ward: Option<WardRoute>,
    /// Whether to wait, stopped, for a `cont`.
    pub stopped: bool,
    /// Whether to open a gdb socket (`gdb.sock`).
    pub gdb: bool,
    /// Whether virtual time counts instructions (one a nanosecond) instead of following the clock.
    pub instructions: bool,
    /// Further arguments for QEMU.
    pub arguments: Vec<String>,
}

/// The one address the guest reaches, and what answers there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WardRoute {
    /// The ward's address as the guest sees it.
    pub guest: SocketAddrV4,
    /// Where the ward listens on this host.
    pub host: SocketAddr,
}

impl WardRoute {
    /// The route to a ward that listens at `host`, for a device of `description`.
    ///
    /// # Errors
    /// Where the description's ward is not named by an IPv4 address.
    pub fn new(description: &Description, host: SocketAddr) -> Result<Self> {
        let ward = &description.ward;
        let name = ward.host.as_ref();
        let address: Ipv4Addr = name.parse().with_context(|| {
            format!("[ward] host = {name:?}: QEMU's network needs an IPv4 address here")
        })?;
        let port = ward.port;
        Ok(Self {
            guest: SocketAddrV4::new(address, port),
            host,
        })
    }

    /// QEMU's user network around the ward's address: everything else is refused.
    fn netdev(&self) -> String {
        let [a, b, c, d] = self.guest.ip().octets();
        // The network's own host and name server must be somewhere else than the ward.
        let other = |wanted: u8| if d == wanted { wanted - 2 } else { wanted };
        let quoted = |text: &str| text.replace(',', ",,");
        let pipe = crate::build::host_program("lazaret").display().to_string();
        format!(
            "user,id=net,restrict=on,net={a}.{b}.{c}.0/24,host={a}.{b}.{c}.{},dns={a}.{b}.{c}.{},dhcpstart={a}.{b}.{c}.{},\
             guestfwd=tcp:{}-cmd:'{}' pipe {}",
            other(254),
            other(253),
            other(15),
            self.guest,
            quoted(&pipe),
            self.host
        )
    }
}

impl Config {
    /// The machine of the description, as the demo runs it.
    #[must_use]
    pub fn new(flash: &Path, directory: &Path) -> Self {
        Self {
            flash: flash.to_owned(),
            directory: directory.to_owned(),
            cores: 4,
            dram_mib: 1024,
            network: true,
            ward: None,
            stopped: false,
            gdb: false,
            instructions: false,
            arguments: Vec::new(),
        }
    }

    /// The socket that stands for the CAN bus (SLCAN on the secure PL011).
    #[must_use]
    pub fn can_socket(&self) -> PathBuf {
        self.socket("can.sock")
    }

    /// A socket of this run: in its folder, or, where that makes a path too long for a socket, in
    /// a folder for temporary files.
    #[must_use]
    pub fn socket(&self, name: &str) -> PathBuf {
        let path = self.directory.join(name);
        if path.as_os_str().len() < MOST_SOCKET_BYTES {
            return path;
        }
        // FNV-1a: another folder, another name.
        let bytes = self.directory.as_os_str().as_encoded_bytes();
        let hash = bytes.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, &byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
        });
        std::env::temp_dir().join(format!("lazaret-{hash:016x}-{name}"))
    }

    /// Arguments for `qemu-system-aarch64`.
    fn qemu_arguments(&self) -> Vec<String> {
        let at = |name: &str| self.directory.join(name).display().to_string();
        let socket = |name: &str| self.socket(name).display().to_string();
        let mut list: Vec<String> = [
            "-M",
            "virt,secure=on,virtualization=on,gic-version=3,iommu=smmuv3",
            "-cpu",
            "max,sve=off,sme=off,pauth-impdef=on",
            "-nodefaults",
            "-no-user-config",
            "-display",
            "none",
        ]
        .map(String::from)
        .to_vec();
        let mut add = |words: [String; 2]| list.extend(words);
        add(["-smp".into(), self.cores.to_string()]);
        add(["-m".into(), self.dram_mib.to_string()]);
        add([
            "-drive".into(),
            format!("if=pflash,unit=0,format=raw,file={}", at("flash.img")),
        ]);
        add(["-chardev".into(), "stdio,id=console,signal=off".into()]);
        add(["-serial".into(), "chardev:console".into()]);
        add([
            "-chardev".into(),
            format!(
                "socket,id=can,path={},server=on,wait=off",
                socket("can.sock")
            ),
        ]);
        add(["-serial".into(), "chardev:can".into()]);
        add([
            "-qmp".into(),
            format!("unix:{},server=on,wait=off", socket("qmp.sock")),
        ]);
        if self.network {
            let network = self
                .ward
                .as_ref()
                .map_or("user,id=net,restrict=on".into(), WardRoute::netdev);
            add(["-netdev".into(), network]);
            add([
                "-device".into(),
                "virtio-net-pci,netdev=net,addr=1.0,disable-legacy=on,iommu_platform=on,romfile="
                    .into(),
            ]);
        } else {
            add(["-nic".into(), "none".into()]);
        }
        if self.gdb {
            add([
                "-chardev".into(),
                format!(
                    "socket,id=gdb,path={},server=on,wait=off",
                    socket("gdb.sock")
                ),
            ]);
            add(["-gdb".into(), "chardev:gdb".into()]);
        }
        if self.instructions {
            add(["-icount".into(), "shift=0,sleep=off".into()]);
        }
        if self.stopped {
            list.push("-S".into());
        }
        list.extend(self.arguments.iter().cloned());
        list
    }
}

/// What the console has printed so far.
#[derive(Default)]
struct Console {
    text: Mutex<(String, bool)>,
    grown: Condvar,
}

/// A running machine. Dropping it ends QEMU.
pub struct Machine {
    child: Child,
    config: Config,
    console: Arc<Console>,
    started: Instant,
    qmp: Option<Qmp>,
}

impl Machine {
    /// Starts QEMU on a copy of the flash image.
    ///
    /// # Errors
    /// Where QEMU is missing (with the package's name), a file cannot be written, or QEMU ends at once.
    pub fn start(config: Config) -> Result<Self> {
        fs::create_dir_all(&config.directory)
            .with_context(|| format!("cannot make {}", config.directory.display()))?;
        for name in ["can.sock", "qmp.sock", "gdb.sock"] {
            let _ = fs::remove_file(config.socket(name));
        }
        let flash = config.directory.join("flash.img");
        fs::copy(&config.flash, &flash).with_context(|| {
            format!(
                "cannot copy {}: run `./lazaret build` first",
                config.flash.display()
            )
        })?;
        let errors = fs::File::create(config.directory.join("qemu.log"))?;
        let started = Instant::now();
        let mut child = Command::new("qemu-system-aarch64")
            .args(config.qemu_arguments())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(errors)
            .spawn()
            .context(
                "qemu-system-aarch64 cannot be started: it is in Debian's package qemu-system-arm",
            )?;
        let console = Arc::new(Console::default());
        let output = child.stdout.take().context("no console")?;
        let log = fs::File::create(config.directory.join("console.log"))?;
        let writer = Arc::clone(&console);
        std::thread::spawn(move || follow(output, log, &writer));
        Ok(Self {
            child,
            config,
            console,
            started,
            qmp: None,
        })
    }

    /// How it was started.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// When it was started: power-on.
    #[must_use]
    pub fn started(&self) -> Instant {
        self.started
    }

    /// Everything the console has printed.
    #[must_use]
    pub fn console(&self) -> String {
        self.console
            .text
            .lock()
            .map(|text| text.0.clone())
            .unwrap_or_default()
    }

    /// Waits until the console shows `wanted`, or QEMU ended, or `limit` (for a hang) is over.
    ///
    /// # Errors
    /// With the end of the console's text where it did not come.
    pub fn wait_for(&self, wanted: &str, limit: Duration) -> Result<String> {
        self.wait_until(limit, |text| text.contains(wanted))
            .with_context(|| format!("the console never showed {wanted:?}"))
    }

    /// Waits until `enough` says so of the console's text.
    ///
    /// # Errors
    /// As [`Machine::wait_for`].
    pub fn wait_until(&self, limit: Duration, enough: impl Fn(&str) -> bool) -> Result<String> {
        let deadline = Instant::now() + limit;
        let mut text = self
            .console
            .text
            .lock()
            .map_err(|_| anyhow::anyhow!("console reader died"))?;
        loop {
            if enough(&text.0) {
                return Ok(text.0.clone());
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() || text.1 {
                let why = if text.1 { "QEMU ended" } else { "time is over" };
                let log =
                    fs::read_to_string(self.config.directory.join("qemu.log")).unwrap_or_default();
                bail!(
                    "{why}; the console's last lines:\n{}\n{log}",
                    last_lines(&text.0, 15)
                );
            }
            text = self
                .console
                .grown
                .wait_timeout(text, left)
                .map_err(|_| anyhow::anyhow!("console reader died"))?
                .0;
        }
    }

    /// Types `text` on the console.
    ///
    /// # Errors
    /// Where QEMU is gone.
    pub fn type_text(&mut self, text: &str) -> Result<()> {
        let input = self.child.stdin.as_mut().context("no console input")?;
        input.write_all(text.as_bytes())?;
        Ok(input.flush()?)
    }

    /// Sends one QMP command and returns its answer.
    ///
    /// # Errors
    /// Where QEMU refuses the command or is gone.
    pub fn qmp(&mut self, command: &str, arguments: Value) -> Result<Value> {
        if self.qmp.is_none() {
            self.qmp = Some(Qmp::connect(&self.config.socket("qmp.sock"))?);
        }
        let qmp = self.qmp.as_mut().context("no QMP")?;
        qmp.call(command, arguments)
    }

    /// Gives core 0, the secure one, a host core to itself and urgency; the others share the rest.
    /// Where the host has one core only, or refuses, nothing is changed and that is said.
    ///
    /// # Errors
    /// Where QEMU does not answer.
    pub fn pin(&mut self) -> Result<&'static str> {
        let host_cores = std::thread::available_parallelism().map_or(1, usize::from);
        if host_cores < 2 {
            return Ok("one host core only: nothing pinned");
        }
        // The emulator's threads share one lock: a slow one would make the secure core wait for it.
        for thread in self.threads() {
            let _ =
                rustix::process::setpriority_process(rustix::process::Pid::from_raw(thread), -10);
        }
        for (core, thread) in self.core_threads()? {
            let Some(thread) = rustix::process::Pid::from_raw(thread) else {
                continue;
            };
            let mut set = rustix::thread::CpuSet::new();
            if core == 0 {
                set.set(0);
                let _ = rustix::process::setpriority_process(Some(thread), -15);
                // Real time where the host allows it; util-linux is on every Debian system.
                let id = thread.as_raw_nonzero().to_string();
                let _ = Command::new("chrt").args(["-f", "-p", "1", &id]).output();
            } else {
                (1..host_cores).for_each(|core| set.set(core));
            }
            if rustix::thread::sched_setaffinity(Some(thread), &set).is_err() {
                return Ok("the host refuses to pin threads");
            }
        }
        Ok("secure core pinned to host core 0")
    }

    /// The emulator's threads.
    fn threads(&self) -> Vec<i32> {
        let Ok(list) = fs::read_dir(format!("/proc/{}/task", self.child.id())) else {
            return Vec::new();
        };
        list.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
            .collect()
    }

    /// Each core with the host's thread that emulates it.
    fn core_threads(&mut self) -> Result<Vec<(u64, i32)>> {
        let cores = self.qmp("query-cpus-fast", json!({}))?;
        let list = cores.as_array().context("query-cpus-fast")?;
        let pair = |core: &Value| {
            let thread = core["thread-id"].as_i64()?;
            Some((core["cpu-index"].as_u64()?, i32::try_from(thread).ok()?))
        };
        Ok(list.iter().filter_map(pair).collect())
    }

    /// How long the secure core's thread was ready but not let run by the host so far.
    ///
    /// # Errors
    /// Where QEMU or the host does not tell.
    pub fn secure_core_waited(&mut self) -> Result<Duration> {
        let threads = self.core_threads()?;
        let (_, thread) = threads
            .iter()
            .find(|(core, _)| *core == 0)
            .context("no core 0")?;
        // Linux, Documentation/scheduler/sched-stats.rst: time on a processor, time waiting, in ns.
        let path = format!("/proc/{}/task/{thread}/schedstat", self.child.id());
        let text = fs::read_to_string(&path).with_context(|| path.clone())?;
        let waited = text
            .split_whitespace()
            .nth(1)
            .and_then(|word| word.parse().ok());
        Ok(Duration::from_nanos(waited.context(path)?))
    }

    /// Whether QEMU is still there.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Waits for QEMU to end by itself.
    ///
    /// # Errors
    /// Where it does not within `limit`.
    pub fn wait_end(&mut self, limit: Duration) -> Result<()> {
        let deadline = Instant::now() + limit;
        while self.is_running() {
            if Instant::now() > deadline {
                bail!(
                    "the machine did not power off; the console's last lines:\n{}",
                    last_lines(&self.console(), 15)
                );
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    /// Ends QEMU.
    pub fn stop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Copies what the console prints into memory and into `log`.
fn follow(mut output: impl Read, mut log: fs::File, console: &Console) {
    let mut buffer = [0_u8; 4096];
    loop {
        let count = output.read(&mut buffer).unwrap_or(0);
        let Ok(mut text) = console.text.lock() else {
            return;
        };
        if count == 0 {
            text.1 = true;
            console.grown.notify_all();
            return;
        }
        let _ = log.write_all(&buffer[..count]);
        text.0.push_str(&String::from_utf8_lossy(&buffer[..count]));
        console.grown.notify_all();
    }
}

/// The last `count` lines of `text`.
#[must_use]
pub fn last_lines(text: &str, count: usize) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(count)..].join("\n")
}

/// A QMP connection (QEMU Machine Protocol: JSON lines).
struct Qmp {
    reader: BufReader<UnixStream>,
    writer: UnixStream,
}

impl Qmp {
    fn connect(path: &Path) -> Result<Self> {
        let deadline = Instant::now() + Duration::from_secs(20);
        let stream = loop {
            match UnixStream::connect(path) {
                Ok(stream) => break stream,
                Err(error) if Instant::now() > deadline => return Err(error).context("QMP socket"),
                Err(_) => std::thread::sleep(Duration::from_millis(20)),
            }
        };
        stream.set_read_timeout(Some(Duration::from_secs(60)))?;
        let mut qmp = Self {
            reader: BufReader::new(stream.try_clone()?),
            writer: stream,
        };
        qmp.line()?;
        qmp.call("qmp_capabilities", json!({}))?;
        Ok(qmp)
    }

    fn line(&mut self) -> Result<Value> {
        let mut line = String::new();
        if self.reader.read_line(&mut line)? == 0 {
            bail!("QEMU closed its QMP socket");
        }
        Ok(serde_json::from_str(&line)?)
    }

    fn call(&mut self, command: &str, arguments: Value) -> Result<Value> {
        writeln!(
            self.writer,
            "{}",
            json!({"execute": command, "arguments": arguments})
        )?;
        loop {
            let mut answer = self.line()?;
            if let Some(error) = answer.get("error") {
                bail!("QMP {command}: {error}");
            }
            if let Some(value) = answer.get_mut("return") {
                return Ok(value.take());
            }
        }
    }
}

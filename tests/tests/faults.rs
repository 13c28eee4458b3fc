//! Parts die, the CAN loop goes on.
//!
//! The machine counts instructions here (`-icount shift=0,sleep=off`), all its cores in turn on one thread: when the
//! secure core sends a command is then a matter of instructions, whatever the host's scheduler and QEMU's lock do. The
//! sensors are silent while it is judged: each byte that QEMU brings from outside makes it turn to the next core,
//! whose time would count as the secure core's. Each command carries the number of its period, so one that
//! was not sent is seen at the pump. None may be missing.

use lazaret::build;
use lazaret::session::{HANG, Session, Setup};
use lazaret_description::Description;
use std::io::Write as _;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};
use system_tests::gdb::{CPSR, Gdb, PC};
use system_tests::{description, flash, folder};

/// Where every task's image lies in its own address space (`kernel_core::plan::IMAGE_ADDRESS`).
const IMAGE_ADDRESS: u64 = 0x1_0000_0000;
/// `svc #0` (Arm ARM, C6.2).
const SVC: [u8; 4] = 0xd400_0001_u32.to_le_bytes();
/// Most breakpoints to set.
const BREAKPOINTS: usize = 24;
/// The simulator's control socket.
const CONTROL: &str = "sim.sock";
/// How long to watch the pump after something died.
const WATCH: Duration = Duration::from_secs(10);

/// The device up, with its gdb stub, its state known on the ward; the sensors silent.
fn up(description: &Description, name: &str) -> Session {
    let folder = folder(name);
    let mut setup = Setup::new(&flash(), &folder);
    let control = folder.join(CONTROL).display().to_string();
    setup.simulator_arguments = ["--drop", "1", "--control", &control]
        .map(str::to_owned)
        .to_vec();
    setup.machine.gdb = true;
    setup.machine.instructions = true;
    let mut session = Session::start(description, setup).expect("everything starts");
    session
        .wait_device("the tasks' state", HANG, |device| {
            (!device["status"]["tasks"].as_array()?.is_empty()).then_some(())
        })
        .expect("the device reports");
    session
}

/// The pump's commands, as the pump counts them.
struct Commands {
    received: u64,
    missed: u64,
    restarts: u64,
}

fn commands(session: &mut Session) -> Commands {
    let report = session.simulator_report().expect("the simulator's report");
    let pump = &report["nodes"]["pump"];
    let number = |name: &str| {
        pump[name]
            .as_u64()
            .unwrap_or_else(|| panic!("{name}: {report:#}"))
    };
    Commands {
        received: number("commands_received"),
        missed: number("missed"),
        restarts: number("restarts"),
    }
}

/// Waits until the pump has had commands for as long as [`WATCH`], then compares with `before`.
fn nothing_missed_since(session: &mut Session, before: &Commands, period: Duration) {
    let wanted = before.received + (WATCH.as_micros() / period.as_micros()) as u64 * 9 / 10;
    let deadline = Instant::now() + HANG;
    let after = loop {
        let now = commands(session);
        if now.received >= wanted {
            break now;
        }
        assert!(
            Instant::now() < deadline,
            "the pump has no commands any more"
        );
        std::thread::sleep(Duration::from_millis(200));
    };
    let missed = after.missed - before.missed;
    println!(
        "{} commands, {missed} missed",
        after.received - before.received
    );
    let device = session.device().unwrap_or_default();
    assert_eq!(missed, 0, "commands missed: {:#}", device["status"]);
    assert_eq!(
        after.restarts, before.restarts,
        "the commands' numbers began anew"
    );
}

fn period(description: &Description) -> Duration {
    let pump = description
        .can
        .node
        .iter()
        .find(|node| node.name() == "pump");
    let period_us = pump
        .and_then(|pump| pump.command_period_us)
        .expect("a pump is described");
    Duration::from_micros(u64::from(period_us))
}

/// Stops the machine where `task` has just come back from a system call, and sends it to address 0.
fn make_fault(description: &Description, socket: &Path, task: &str) {
    let stages = build::stages(description);
    let name = format!("task-{task}");
    let stage = stages
        .iter()
        .find(|stage| stage.component == name)
        .expect("such a task");
    let image = build::flat(stage).expect("built");
    let mut gdb = Gdb::connect(socket).expect("gdb");
    let calls = image
        .chunks_exact(4)
        .enumerate()
        .filter(|(_, word)| *word == SVC);
    let after: Vec<u64> = calls
        .map(|(index, _)| IMAGE_ADDRESS + 4 * index as u64 + 4)
        .collect();
    assert!(!after.is_empty(), "{task} makes no system calls");
    let set: Vec<u64> = after.into_iter().take(BREAKPOINTS).collect();
    set.iter()
        .for_each(|at| gdb.set_breakpoint(*at).expect("a breakpoint"));
    // A breakpoint that another task ran into is set again at the next stop, when the core has left it.
    let mut passed = None;
    loop {
        gdb.go_until_stop().expect("a task runs");
        if let Some(at) = passed.take() {
            gdb.set_breakpoint(at).expect("a breakpoint");
        }
        // Every task's image begins at this address: the bytes say whose it is.
        let seen = gdb
            .memory(IMAGE_ADDRESS, 2048.min(image.len()))
            .expect("the task's image");
        if image.starts_with(&seen) && gdb.register(CPSR).expect("state") & 0xf == 0 {
            break;
        }
        let at = gdb.register(PC).expect("pc");
        gdb.remove_breakpoint(at).expect("there");
        passed = Some(at);
    }
    set.iter()
        .for_each(|at| gdb.remove_breakpoint(*at).expect("there"));
    gdb.set_register(PC, 0).expect("written");
    gdb.detach().expect("it goes on");
}

#[test]
fn a_task_that_faults_is_restarted_and_the_can_loop_misses_nothing() {
    let description = description();
    let mut session = up(&description, "task-fault");
    let before = commands(&mut session);
    let socket = session.machine.config().socket("gdb.sock");
    for task in ["vitals", "link"] {
        make_fault(&description, &socket, task);
        let line = format!("kernel: task {task} faulted");
        session
            .machine
            .wait_for(&line, HANG)
            .expect("the kernel says so");
        let device = session
            .wait_device("the restart", HANG, |device| {
                let tasks = device["status"]["tasks"].as_array()?;
                let found = tasks.iter().find(|found| found["name"] == task)?;
                (found["restarts"].as_u64()? == 1).then(|| device.clone())
            })
            .expect("the ward hears of the restart");
        let tasks = device["status"]["tasks"].as_array().expect("tasks").clone();
        for other in tasks
            .iter()
            .filter(|other| other["name"] == "can" || other["name"] == "audit")
        {
            assert_eq!(other["restarts"], 0, "{other}");
        }
    }
    nothing_missed_since(&mut session, &before, period(&description));
    let control = session.machine.config().directory.join(CONTROL);
    let mut control = UnixStream::connect(control).expect("the simulator's control");
    control.write_all(b"drop 0\n").expect("written");
    session
        .wait_device("strips after the faults", HANG, |device| {
            (device["stored"]["strips"].as_u64()? > 5).then_some(())
        })
        .expect("readings come");
}

/// Sends a core of Linux, inside its kernel, to an address that is none: the idle task dies of it.
fn make_panic(socket: &Path) {
    let mut gdb = Gdb::connect(socket).expect("gdb");
    for _ in 0..200 {
        for core in [1, 2] {
            gdb.core(core).expect("such a core");
            // EL1 with its own stack, in the kernel's half of the addresses.
            let level = gdb.register(CPSR).expect("state") & 0xf;
            let pc = gdb.register(PC).expect("pc");
            if level == 5 && pc >> 48 == 0xffff {
                gdb.set_register(PC, 0xffff_0000_dead_0000)
                    .expect("written");
                gdb.detach().expect("it goes on");
                return;
            }
        }
        gdb.go().expect("it goes on");
        std::thread::sleep(Duration::from_millis(5));
        gdb.stop().expect("it stops");
    }
    panic!("no core was in Linux's kernel");
}

#[test]
fn linux_panics_and_the_can_loop_misses_nothing() {
    let description = description();
    let mut session = up(&description, "linux-panic");
    let before = commands(&mut session);
    let socket = session.machine.config().socket("gdb.sock");
    make_panic(&socket);
    session
        .machine
        .wait_for("Kernel panic - not syncing", HANG)
        .expect("Linux says so");
    nothing_missed_since(&mut session, &before, period(&description));
    let console = session.machine.console();
    assert!(
        !console.contains("kernel: panic") && !console.contains("halted"),
        "{console}"
    );
    session
        .machine
        .wait_for("hypervisor: linux", HANG)
        .expect("the hypervisor says how it ended");
}

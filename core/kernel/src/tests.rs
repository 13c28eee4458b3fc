//! The kernel against memory that is a vector, and against a simple model.

extern crate std;
use crate::abi::{Call, FROM_KERNEL, Query, STATUS_DEAD, STATUS_DENIED, STATUS_OK};
use crate::plan::{IMAGE_ADDRESS, STACK_TOP, Segment, Space, TaskPlan};
use crate::{Action, Fault, Kernel, Memory, NOBODY, State};
use std::vec;
use std::vec::Vec;

const RAM: u64 = 0x10000;

const fn plan(name: &'static str, priority: u32, sends: u32, posts: u32) -> TaskPlan {
    TaskPlan {
        name,
        priority,
        budget_us: 100,
        period_us: 1000,
        stack_bytes: 4096,
        ram_bytes: 8192,
        ram_base: RAM * (priority as u64 + 1),
        image_base: 0,
        image_bytes: 0,
        sends,
        posts,
        peripherals: &[],
        shared: &[],
        interrupt: 0,
        doorbell: 0,
        guest_interrupt: 0,
    }
}

static PLANS: [TaskPlan; 3] = [
    plan("supervisor", 0, 0, 0b110),
    plan("server", 1, 0b001, 0b100),
    plan("client", 2, 0b011, 0),
];

struct Ram(Vec<u8>);

impl Memory for Ram {
    fn copy(&mut self, from: u64, to: u64, bytes: u64) {
        self.0
            .copy_within(from as usize..(from + bytes) as usize, to as usize);
    }
    fn word(&mut self, from: u64) -> u64 {
        u64::from_le_bytes(
            self.0[from as usize..from as usize + 8]
                .try_into()
                .expect("8 bytes"),
        )
    }
}

fn space(index: usize) -> Space {
    let base = RAM * (index as u64 + 1);
    Space {
        image: Segment {
            address: IMAGE_ADDRESS,
            physical: 0x100,
            bytes: 0x100,
        },
        data: Segment {
            address: IMAGE_ADDRESS + 0x1000,
            physical: base,
            bytes: 0x1000,
        },
        stack: Segment {
            address: STACK_TOP - 0x1000,
            physical: base + 0x1000,
            bytes: 0x1000,
        },
    }
}

const DATA: u64 = IMAGE_ADDRESS + 0x1000;

fn system() -> (Kernel<3>, Ram) {
    let mut kernel = Kernel::new(&PLANS, 1_000_000, 0);
    for index in 0..3 {
        kernel.start(index, space(index), IMAGE_ADDRESS + 64);
    }
    (kernel, Ram(vec![0; 0x50000]))
}

/// The current task, which must be `index`, makes a call.
fn call(
    kernel: &mut Kernel<3>,
    ram: &mut Ram,
    index: usize,
    call: Call,
    arguments: &[u64],
) -> Action {
    assert_eq!(kernel.choose(0), index, "who runs");
    let x = &mut kernel.tasks[index].registers.x;
    x[..arguments.len()].copy_from_slice(arguments);
    x[8] = call as u64;
    kernel.system_call(ram)
}

fn wait(kernel: &mut Kernel<3>, ram: &mut Ram, index: usize) {
    call(kernel, ram, index, Call::Receive, &[DATA, 64, 1, 0]);
}

#[test]
fn a_message_goes_up_and_its_answer_comes_back_with_leases() {
    let (mut kernel, mut ram) = system();
    wait(&mut kernel, &mut ram, 0);
    wait(&mut kernel, &mut ram, 1);
    let client = (3 * RAM) as usize;
    ram.0[client..client + 5].copy_from_slice(b"hello");
    // Lease 0: 16 bytes at DATA + 0x200, writable. The table is at DATA + 0x100.
    for (n, word) in [DATA + 0x200, 16, 1].iter().enumerate() {
        let at = client + 0x100 + n * 8;
        ram.0[at..at + 8].copy_from_slice(&word.to_le_bytes());
    }
    call(
        &mut kernel,
        &mut ram,
        2,
        Call::Send,
        &[1 | 7 << 16, DATA, 5, DATA + 0x300, 8, DATA + 0x100, 1],
    );
    assert_eq!(kernel.tasks[2].state(), State::Waiting(1));
    assert_eq!(kernel.tasks[1].registers.x[..5], [2, 7, 5, 8, 1]);
    let server = (2 * RAM) as usize;
    assert_eq!(&ram.0[server..server + 5], b"hello");
    ram.0[server + 8..server + 12].copy_from_slice(b"lent");
    call(
        &mut kernel,
        &mut ram,
        1,
        Call::Borrow,
        &[2, 0, 4, DATA + 8, 4, 1],
    );
    assert_eq!(kernel.tasks[1].registers.x[..2], [STATUS_OK, 4]);
    assert_eq!(&ram.0[client + 0x204..client + 0x208], b"lent");
    // Beyond the lease: cut to nothing; a lease that is not there: refused.
    call(
        &mut kernel,
        &mut ram,
        1,
        Call::Borrow,
        &[2, 0, 16, DATA + 8, 4, 1],
    );
    assert_eq!(kernel.tasks[1].registers.x[1], 0);
    call(
        &mut kernel,
        &mut ram,
        1,
        Call::Borrow,
        &[2, 1, 0, DATA + 8, 4, 1],
    );
    assert_ne!(kernel.tasks[1].registers.x[0], STATUS_OK);
    call(&mut kernel, &mut ram, 1, Call::Reply, &[2, 42, DATA, 5]);
    assert_eq!(kernel.tasks[2].registers.x[..3], [STATUS_OK, 42, 5]);
    assert_eq!(&ram.0[client + 0x300..client + 0x305], b"hello");
}

#[test]
fn rights_are_the_descriptions() {
    let (mut kernel, mut ram) = system();
    // The supervisor may not send; the client may not post; nobody but the supervisor supervises.
    call(
        &mut kernel,
        &mut ram,
        0,
        Call::Send,
        &[1, DATA, 0, DATA, 0, 0, 0],
    );
    assert_eq!(kernel.tasks[0].registers.x[0], STATUS_DENIED);
    wait(&mut kernel, &mut ram, 0);
    call(
        &mut kernel,
        &mut ram,
        1,
        Call::Supervise,
        &[Query::Restart as u64, 2],
    );
    assert_eq!(kernel.tasks[1].registers.x[0], STATUS_DENIED);
    call(&mut kernel, &mut ram, 1, Call::RaiseGuestInterrupt, &[]);
    assert_eq!(kernel.tasks[1].registers.x[0], STATUS_DENIED);
    wait(&mut kernel, &mut ram, 1);
    call(&mut kernel, &mut ram, 2, Call::Post, &[1, 1]);
    assert_eq!(kernel.tasks[2].registers.x[0], STATUS_DENIED);
    call(&mut kernel, &mut ram, 2, Call::Post, &[99, 1]);
    assert_eq!(kernel.tasks[2].registers.x[0], STATUS_DENIED);
}

#[test]
fn memory_that_is_not_the_tasks_faults_it_and_the_supervisor_hears() {
    let (mut kernel, mut ram) = system();
    call(
        &mut kernel,
        &mut ram,
        0,
        Call::Receive,
        &[DATA, 64, 1 << 31, 0],
    );
    wait(&mut kernel, &mut ram, 1);
    // A message that lies in the kernel.
    call(
        &mut kernel,
        &mut ram,
        2,
        Call::Send,
        &[1, 0x0e40_0000, 8, DATA, 0, 0, 0],
    );
    assert_eq!(kernel.tasks[2].state(), State::Faulted);
    assert_eq!(kernel.tasks[0].registers.x[..2], [FROM_KERNEL, 1 << 31]);
    call(
        &mut kernel,
        &mut ram,
        0,
        Call::Supervise,
        &[Query::NextFault as u64, 0],
    );
    assert_eq!(
        kernel.tasks[0].registers.x[..3],
        [STATUS_OK, 2, Fault::BAD_CALL]
    );
    let action = call(
        &mut kernel,
        &mut ram,
        0,
        Call::Supervise,
        &[Query::Restart as u64, 2],
    );
    assert_eq!(action, Action::Restart(2));
}

#[test]
fn constants_may_be_sent_but_not_written() {
    let space = space(0);
    assert!(space.locate(IMAGE_ADDRESS, 16, false).is_some());
    assert!(space.locate(IMAGE_ADDRESS, 16, true).is_none());
    assert!(space.locate(DATA + 0xfff, 1, true).is_some());
    assert!(space.locate(DATA + 0xfff, 2, true).is_none());
    assert!(space.locate(u64::MAX, 2, false).is_none());
    assert!(space.locate(DATA, u64::MAX, false).is_none());
    assert!(
        space.locate(STACK_TOP, 0, false).is_some() && space.locate(STACK_TOP, 1, false).is_none()
    );
}

#[test]
fn who_waits_for_a_dead_task_is_told() {
    let (mut kernel, mut ram) = system();
    wait(&mut kernel, &mut ram, 0);
    wait(&mut kernel, &mut ram, 1);
    call(
        &mut kernel,
        &mut ram,
        2,
        Call::Send,
        &[1, DATA, 0, DATA, 0, 0, 0],
    );
    assert_eq!(kernel.choose(0), 1);
    kernel.fault(Fault::default());
    assert_eq!(kernel.tasks[2].registers.x[0], STATUS_DEAD);
    assert_eq!(kernel.choose(0), 2);
    call(
        &mut kernel,
        &mut ram,
        2,
        Call::Send,
        &[1, DATA, 0, DATA, 0, 0, 0],
    );
    assert_eq!(kernel.tasks[2].registers.x[0], STATUS_DEAD);
}

#[test]
fn the_supervisors_own_fault_restarts_it() {
    let (mut kernel, mut ram) = system();
    assert_eq!(
        call(&mut kernel, &mut ram, 0, Call::Panic, &[5]),
        Action::Restart(0)
    );
}

#[test]
fn a_task_over_its_budget_stops_until_its_period_is_over() {
    let (mut kernel, mut ram) = system();
    wait(&mut kernel, &mut ram, 0);
    assert_eq!(kernel.choose(0), 1);
    assert_eq!(kernel.next_event(), 100);
    kernel.charge(100);
    kernel.tick(100);
    assert_eq!(kernel.choose(100), 2, "the other one runs");
    kernel.charge(199);
    kernel.tick(199);
    assert_eq!(kernel.choose(199), 2);
    kernel.charge(200);
    assert_eq!(kernel.choose(200), NOBODY);
    assert_eq!(kernel.next_event(), 1000);
    kernel.tick(1000);
    assert_eq!(kernel.choose(1000), 1);
    assert_eq!(kernel.tasks[1].overruns, 1);
}

#[test]
fn timers_wake_in_time() {
    let (mut kernel, mut ram) = system();
    wait(&mut kernel, &mut ram, 0);
    wait(&mut kernel, &mut ram, 1);
    call(&mut kernel, &mut ram, 2, Call::SetTimer, &[500, 1]);
    wait(&mut kernel, &mut ram, 2);
    assert_eq!((kernel.choose(0), kernel.next_event()), (NOBODY, 500));
    kernel.tick(499);
    assert_eq!(kernel.choose(499), NOBODY);
    kernel.tick(500);
    assert_eq!(kernel.choose(500), 2);
    assert_eq!(kernel.tasks[2].registers.x[..2], [FROM_KERNEL, 1]);
}

/// Any calls with any arguments: the kernel never panics, never copies outside the tasks' RAM
/// (the memory would), and what runs is always the first that can.
#[test]
fn any_calls_keep_the_kernels_invariants() {
    let mut seed = 7_u64;
    let mut random = move || {
        seed = seed
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        seed >> 33
    };
    let (mut kernel, mut ram) = system();
    let mut now = 0;
    for _ in 0..200_000 {
        now += random() % 40;
        kernel.charge(now);
        if random() % 4 == 0 {
            kernel.tick(now);
        }
        let index = kernel.choose(now);
        if index == NOBODY {
            now = now.max(kernel.next_event().min(now + 5000));
            kernel.tick(now);
            for task in 0..3 {
                if random() % 3 == 0
                    || matches!(kernel.tasks[task].state(), State::Faulted | State::Held)
                {
                    kernel.start(task, space(task), IMAGE_ADDRESS + 64);
                }
            }
            continue;
        }
        let address = |random: &mut dyn FnMut() -> u64| match random() % 5 {
            0 => DATA + random() % 0x1100,
            1 => STACK_TOP - random() % 0x1100,
            2 => IMAGE_ADDRESS + random() % 0x200,
            3 => u64::MAX - random() % 8,
            _ => DATA,
        };
        let x = &mut kernel.tasks[index].registers.x;
        x[8] = random() % 13;
        x[0] = (random() % 4) | ((random() % 3) << 16);
        x[1] = address(&mut random);
        x[2] = random() % 300;
        x[3] = address(&mut random);
        x[4] = random() % 300;
        x[5] = if random() % 2 == 0 {
            1
        } else {
            address(&mut random)
        };
        x[6] = random() % 4;
        if x[8] == Call::Receive as u64 {
            (x[0], x[1], x[2], x[3]) = (DATA, random() % 300, random() % 4, random() % 2);
        }
        if let Action::Restart(task) = kernel.system_call(&mut ram) {
            kernel.prepare_restart(task);
            kernel.start(task, space(task), IMAGE_ADDRESS + 64);
        }
        let chosen = kernel.choose(now);
        let first = kernel
            .tasks
            .iter()
            .position(|task| task.state() == State::Ready && task.left_ticks > 0);
        assert_eq!(chosen, first.unwrap_or(NOBODY));
        for task in &kernel.tasks {
            if let State::Waiting(to) = task.state() {
                assert!(!matches!(
                    kernel.tasks[to].state(),
                    State::Faulted | State::Held
                ));
            }
        }
    }
}

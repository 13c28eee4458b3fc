//! Tasks, their states, who runs next, and what time does to them.

use crate::abi::FAULT_BIT;
use crate::plan::{Space, TaskPlan};

/// No task: the index of the current task while the core idles.
pub const NOBODY: usize = usize::MAX;
/// A deadline that never comes.
pub const NEVER: u64 = u64::MAX;

/// A task's saved registers, in the order in which the vectors store them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C, align(16))]
pub struct Registers {
    /// x0 to x30.
    pub x: [u64; 31],
    /// Stack pointer.
    pub sp: u64,
    /// Program counter.
    pub pc: u64,
    /// Program status.
    pub status: u64,
}

impl Registers {
    /// All zero.
    pub const ZERO: Self = Self {
        x: [0; 31],
        sp: 0,
        pc: 0,
        status: 0,
    };
}

/// What a task is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It could run.
    Ready,
    /// It waits in `receive`.
    Receiving,
    /// It waits for task `0` to receive its message.
    Sending(usize),
    /// It waits for task `0` to answer.
    Waiting(usize),
    /// It has faulted; the supervisor knows or will.
    Faulted,
    /// The supervisor leaves it as it is.
    Held,
}

/// Why a task faulted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Fault {
    /// Exception class (ESR_ELx.EC), or [`Fault::PANIC`] or [`Fault::BAD_CALL`].
    pub cause: u64,
    /// Exception syndrome; for a panic the line.
    pub syndrome: u64,
    /// The address it was about.
    pub address: u64,
    /// Program counter.
    pub pc: u64,
}

impl Fault {
    /// The task gave up by itself.
    pub const PANIC: u64 = 0x100;
    /// A system call that no correct task makes.
    pub const BAD_CALL: u64 = 0x101;
}

/// What the binary must do to the hardware after a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Nothing but resume the current task.
    Resume,
    /// Let this shared interrupt come again, then resume.
    Unmask(u32),
    /// Pend this shared interrupt, then resume.
    Raise(u32),
    /// Make this task's memory anew and call [`Kernel::start`], then resume.
    Restart(usize),
    /// The task that ran has faulted: say so, then run what there is to run.
    Faulted,
}

/// Physical memory of tasks, as far as calls move bytes between them.
pub trait Memory {
    /// Copies `bytes` bytes; the ranges come from [`Space::locate`] and may overlap.
    fn copy(&mut self, from: u64, to: u64, bytes: u64);
    /// Reads one 8-byte word.
    fn word(&mut self, from: u64) -> u64;
}

/// One task.
pub struct Task {
    /// Its registers while it does not run.
    pub registers: Registers,
    /// What the description says of it.
    pub plan: &'static TaskPlan,
    /// Where its memory lies.
    pub space: Space,
    pub(crate) state: State,
    pub(crate) notifications: u32,
    pub(crate) mask: u32,
    pub(crate) notifications_only: bool,
    pub(crate) deadline: u64,
    pub(crate) timer_bits: u32,
    pub(crate) fault: Fault,
    pub(crate) reported: bool,
    pub(crate) restarts: u32,
    pub(crate) overruns: u32,
    pub(crate) used_ticks: u64,
    pub(crate) budget_ticks: u64,
    pub(crate) period_ticks: u64,
    pub(crate) left_ticks: u64,
    pub(crate) refill_at: u64,
}

impl Task {
    /// What the task is doing.
    #[must_use]
    pub fn state(&self) -> State {
        self.state
    }
    /// Its last fault.
    #[must_use]
    pub fn fault(&self) -> Fault {
        self.fault
    }
    /// Whether it could run now: ready, and time left in its period.
    fn runnable(&self) -> bool {
        matches!(self.state, State::Ready) && self.left_ticks > 0
    }
}

/// All tasks of the device.
pub struct Kernel<const N: usize> {
    /// The tasks, by priority.
    pub tasks: [Task; N],
    current: usize,
    since: u64,
    next_event: u64,
}

impl<const N: usize> Kernel<N> {
    /// Every task of `plans`, which are listed by priority; none has started.
    #[must_use]
    pub fn new(plans: &'static [TaskPlan; N], ticks_per_second: u64, now: u64) -> Self {
        let ticks = |us: u64| us.saturating_mul(ticks_per_second) / 1_000_000;
        let tasks = core::array::from_fn(|index| {
            let plan = &plans[index];
            let budget_ticks = ticks(plan.budget_us).max(1);
            Task {
                registers: Registers::ZERO,
                plan,
                space: Space::default(),
                state: State::Held,
                notifications: 0,
                mask: 0,
                notifications_only: false,
                deadline: NEVER,
                timer_bits: 0,
                fault: Fault::default(),
                reported: false,
                restarts: 0,
                overruns: 0,
                used_ticks: 0,
                budget_ticks,
                period_ticks: ticks(plan.period_us).max(1),
                left_ticks: budget_ticks,
                refill_at: NEVER,
            }
        });
        Self {
            tasks,
            current: NOBODY,
            since: now,
            next_event: NEVER,
        }
    }

    /// The task that runs, or [`NOBODY`].
    #[must_use]
    pub fn current(&self) -> usize {
        self.current
    }

    /// When the kernel must look at the clock again: the secure timer's deadline.
    #[must_use]
    pub fn next_event(&self) -> u64 {
        match self.tasks.get(self.current) {
            Some(task) => self
                .next_event
                .min(self.since.saturating_add(task.left_ticks)),
            None => self.next_event,
        }
    }

    /// Makes a task ready to run from its first instruction; its memory is as its image says.
    /// Who waits for it is told that it is dead. Its budget stays: restarts give no time.
    pub fn start(&mut self, index: usize, space: Space, entry: u64) {
        self.release_peers(index);
        let task = &mut self.tasks[index];
        task.registers = Registers::ZERO;
        task.registers.pc = entry;
        task.registers.sp = space.stack.address + space.stack.bytes;
        task.space = space;
        task.state = State::Ready;
        task.notifications = 0;
        task.deadline = NEVER;
        task.reported = false;
    }

    /// Takes the time that has passed from the current task's budget. Call first on every entry.
    #[inline(always)]
    pub fn charge(&mut self, now: u64) {
        // The counter never goes back.
        let passed = now.wrapping_sub(self.since);
        self.since = now;
        let Some(task) = self.tasks.get_mut(self.current) else {
            return;
        };
        task.used_ticks = task.used_ticks.wrapping_add(passed);
        if task.refill_at == NEVER {
            task.refill_at = now.saturating_sub(passed).saturating_add(task.period_ticks);
        }
        if passed < task.left_ticks {
            task.left_ticks -= passed;
            return;
        }
        task.left_ticks = 0;
        task.overruns = task.overruns.saturating_add(1);
        self.next_event = self.next_event.min(task.refill_at);
    }

    /// Expires timers and refills budgets. Call when the timer has come.
    pub fn tick(&mut self, now: u64) {
        let mut next = NEVER;
        for index in 0..N {
            let task = &mut self.tasks[index];
            if task.deadline <= now {
                task.deadline = NEVER;
                let bits = task.timer_bits;
                self.notify(index, bits);
            }
            let task = &mut self.tasks[index];
            if task.refill_at <= now {
                task.left_ticks = task.budget_ticks;
                task.refill_at = NEVER;
            }
            next = next.min(task.deadline);
            if task.left_ticks == 0 {
                next = next.min(task.refill_at);
            }
        }
        self.next_event = next;
    }

    /// Sets the current task's timer.
    pub(crate) fn set_timer(&mut self, index: usize, deadline: u64, bits: u32) {
        let task = &mut self.tasks[index];
        task.deadline = deadline;
        task.timer_bits = bits;
        self.next_event = self.next_event.min(deadline);
    }

    /// Sets notification bits of a task and wakes it where it waits for one of them.
    pub fn notify(&mut self, index: usize, bits: u32) {
        let Some(task) = self.tasks.get_mut(index) else {
            return;
        };
        task.notifications |= bits;
        if task.state == State::Receiving && task.notifications & task.mask != 0 {
            task.deliver_notifications();
        }
    }

    /// The highest-priority task that can run becomes current; a period begins where none runs.
    pub fn choose(&mut self, now: u64) -> usize {
        let chosen = self.tasks.iter().position(Task::runnable).unwrap_or(NOBODY);
        if let Some(task) = self.tasks.get_mut(chosen)
            && (task.refill_at <= now || task.refill_at == NEVER)
        {
            task.left_ticks = task.budget_ticks;
            task.refill_at = now.saturating_add(task.period_ticks);
        }
        self.current = chosen;
        self.since = now;
        chosen
    }

    /// Ends the current task with a fault and tells the supervisor; who waits for it is told it is dead.
    /// Where the supervisor itself faulted, it must be restarted by the kernel.
    pub fn fault(&mut self, fault: Fault) -> Action {
        let index = self.current;
        let Some(task) = self.tasks.get_mut(index) else {
            return Action::Resume;
        };
        task.fault = fault;
        task.state = State::Faulted;
        self.release_peers(index);
        if index == 0 {
            return Action::Restart(0);
        }
        self.notify(0, FAULT_BIT);
        Action::Faulted
    }

    /// Whoever waits for `dead` stops waiting.
    pub(crate) fn release_peers(&mut self, dead: usize) {
        for task in &mut self.tasks {
            if matches!(task.state, State::Sending(to) | State::Waiting(to) if to == dead) {
                task.finish_send(crate::abi::STATUS_DEAD, 0, 0);
            }
        }
    }

    /// Before a task's memory is made anew: it no longer runs, who waits for it is told, and the restart
    /// is counted. [`Kernel::start`] follows; where the image is broken it stays faulted.
    pub fn prepare_restart(&mut self, index: usize) {
        self.release_peers(index);
        let task = &mut self.tasks[index];
        task.state = State::Faulted;
        task.restarts = task.restarts.saturating_add(1);
        if self.current == index {
            self.current = NOBODY;
        }
    }
}

impl Task {
    /// Ends `receive` with the notifications that are set and wanted.
    pub(crate) fn deliver_notifications(&mut self) {
        let bits = self.notifications & self.mask;
        self.notifications &= !bits;
        self.registers.x[0] = crate::abi::FROM_KERNEL;
        self.registers.x[1] = u64::from(bits);
        self.state = State::Ready;
    }

    /// Ends `send` with an answer.
    pub(crate) fn finish_send(&mut self, status: u64, code: u64, length: u64) {
        self.registers.x[0] = status;
        self.registers.x[1] = code;
        self.registers.x[2] = length;
        self.state = State::Ready;
    }
}

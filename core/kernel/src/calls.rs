//! The system calls: what each checks, and what it does to whom.

use crate::abi::{
    Call, FAULT_BIT, FROM_KERNEL, MAX_LEASES, MAX_MESSAGE_BYTES, Query, STATUS_DEAD, STATUS_DENIED,
    STATUS_MALFORMED, STATUS_OK,
};
use crate::kernel::{Action, Fault, Kernel, Memory, State};

/// Bytes of an entry of a lease table.
const LEASE_BYTES: u64 = 24;

/// What comes of a call: x0 of the answer, or nothing to write yet.
type Status = u64;

impl<const N: usize> Kernel<N> {
    /// Carries out the system call of the current task, whose registers are saved.
    pub fn system_call(&mut self, memory: &mut impl Memory) -> Action {
        let index = self.current();
        let Some(task) = self.tasks.get(index) else {
            return Action::Resume;
        };
        let x = &task.registers.x;
        let (number, [a, b, c, d, e, f, _]) = (x[8], [x[0], x[1], x[2], x[3], x[4], x[5], x[6]]);
        let Some(call) = Call::of(number) else {
            return self.bad_call(index, number);
        };
        match call {
            Call::Null => self.answer(index, STATUS_OK),
            Call::Send => self.send(index, memory),
            Call::Receive => self.receive(index, memory, (a, b), c as u32, d == 1),
            Call::Reply => self.reply(index, memory, a as usize, b, (c, d)),
            Call::Borrow => self.borrow(index, memory, [a, b, c, d, e, f]),
            Call::SetTimer => {
                self.set_timer(index, a, b as u32);
                self.answer(index, STATUS_OK)
            }
            Call::Post => {
                let allowed = a < N as u64 && self.tasks[index].plan.posts & (1 << a) != 0;
                if allowed {
                    self.notify(a as usize, b as u32 & !FAULT_BIT);
                }
                self.answer(index, if allowed { STATUS_OK } else { STATUS_DENIED })
            }
            Call::InterruptUnmask => match self.tasks[index].plan.interrupt {
                0 => self.answer(index, STATUS_DENIED),
                interrupt => self.answer_with(index, STATUS_OK, Action::Unmask(interrupt)),
            },
            Call::RaiseGuestInterrupt => match self.tasks[index].plan.guest_interrupt {
                0 => self.answer(index, STATUS_DENIED),
                interrupt => self.answer_with(index, STATUS_OK, Action::Raise(interrupt)),
            },
            Call::Supervise => self.supervise(index, a, b),
            Call::Panic => {
                let pc = self.tasks[index].registers.pc;
                self.fault(Fault {
                    cause: Fault::PANIC,
                    syndrome: a,
                    address: 0,
                    pc,
                })
            }
        }
    }

    fn answer(&mut self, index: usize, status: Status) -> Action {
        self.answer_with(index, status, Action::Resume)
    }

    fn answer_with(&mut self, index: usize, status: Status, action: Action) -> Action {
        self.tasks[index].registers.x[0] = status;
        action
    }

    /// A call no correct task makes: wrong number, or memory that is not its own.
    fn bad_call(&mut self, index: usize, detail: u64) -> Action {
        let task = &self.tasks[index];
        let fault = Fault {
            cause: Fault::BAD_CALL,
            syndrome: task.registers.x[8],
            address: detail,
            pc: task.registers.pc,
        };
        self.fault(fault)
    }

    fn send(&mut self, index: usize, memory: &mut impl Memory) -> Action {
        let task = &self.tasks[index];
        let x = &task.registers.x;
        let to = (x[0] & 0xffff) as usize;
        let (message, room, leases) = ((x[1], x[2]), (x[3], x[4]), (x[5], x[6]));
        let Some(receiver) = self.tasks.get(to) else {
            return self.answer(index, STATUS_MALFORMED);
        };
        if message.1 > MAX_MESSAGE_BYTES
            || room.1 > MAX_MESSAGE_BYTES
            || leases.1 > MAX_LEASES as u64
        {
            return self.answer(index, STATUS_MALFORMED);
        }
        if task.plan.sends & (1 << to) == 0 {
            return self.answer(index, STATUS_DENIED);
        }
        let has = |(address, bytes): (u64, u64), write| {
            bytes == 0 || task.space.locate(address, bytes, write).is_some()
        };
        let table = (leases.0, leases.1 * LEASE_BYTES);
        if !has(message, false) || !has(room, true) || !has(table, false) {
            return self.bad_call(index, message.0);
        }
        match receiver.state {
            State::Faulted | State::Held => return self.answer(index, STATUS_DEAD),
            State::Receiving if !receiver.notifications_only => {
                self.deliver(memory, index, to);
            }
            _ => self.tasks[index].state = State::Sending(to),
        }
        Action::Resume
    }

    /// Hands the message of `from` to `to`, another task, which waits in `receive`.
    #[inline(always)]
    fn deliver(&mut self, memory: &mut impl Memory, from: usize, to: usize) {
        let Some((sender, receiver)) = two(&mut self.tasks, from, to) else {
            return;
        };
        let x = &sender.registers.x;
        let room = &mut receiver.registers.x;
        let bytes = x[2].min(room[1]);
        if bytes > 0 {
            let source = sender.space.locate(x[1], bytes, false);
            let target = receiver.space.locate(room[0], bytes, true);
            if let (Some(source), Some(target)) = (source, target) {
                memory.copy(source, target, bytes);
            }
        }
        room[0] = from as u64;
        room[1] = (x[0] >> 16) & 0xffff;
        room[2] = bytes;
        room[3] = x[4];
        room[4] = x[6];
        receiver.state = State::Ready;
        sender.state = State::Waiting(to);
    }

    fn receive(
        &mut self,
        index: usize,
        memory: &mut impl Memory,
        room: (u64, u64),
        mask: u32,
        only: bool,
    ) -> Action {
        let task = &mut self.tasks[index];
        if room.1 != 0 && task.space.locate(room.0, room.1, true).is_none() {
            return self.bad_call(index, room.0);
        }
        task.mask = mask;
        task.notifications_only = only;
        if task.notifications & mask != 0 {
            task.deliver_notifications();
            return Action::Resume;
        }
        task.state = State::Receiving;
        if !only {
            // Tasks are listed by priority: the most urgent sender comes first.
            if let Some(from) = self
                .tasks
                .iter()
                .position(|task| task.state == State::Sending(index))
            {
                self.deliver(memory, from, index);
            }
        }
        Action::Resume
    }

    fn reply(
        &mut self,
        index: usize,
        memory: &mut impl Memory,
        to: usize,
        code: u64,
        answer: (u64, u64),
    ) -> Action {
        let waits = self
            .tasks
            .get(to)
            .is_some_and(|task| task.state == State::Waiting(index));
        if !waits {
            // The sender was restarted meanwhile: nobody is there to answer.
            return self.answer(index, STATUS_OK);
        }
        let room = self.tasks[to].registers.x;
        let bytes = answer.1.min(room[4]);
        if bytes > 0 {
            let Some(source) = self.tasks[index].space.locate(answer.0, answer.1, false) else {
                return self.bad_call(index, answer.0);
            };
            if let Some(target) = self.tasks[to].space.locate(room[3], bytes, true) {
                memory.copy(source, target, bytes);
            }
        }
        self.tasks[to].finish_send(STATUS_OK, code & 0xffff_ffff, bytes);
        self.answer(index, STATUS_OK)
    }

    /// `[lender, lease, offset, address, bytes, write]` of the borrower.
    fn borrow(
        &mut self,
        index: usize,
        memory: &mut impl Memory,
        [lender, lease, offset, address, bytes, write]: [u64; 6],
    ) -> Action {
        let Some(own) = self.tasks[index].space.locate(address, bytes, write == 0) else {
            return self.bad_call(index, address);
        };
        let Some(lender) = self
            .tasks
            .get(lender as usize)
            .filter(|task| task.state == State::Waiting(index))
        else {
            return self.answer(index, STATUS_DEAD);
        };
        let x = lender.registers.x;
        let table = lender.space.locate(x[5], x[6] * LEASE_BYTES, false);
        let Some(table) = table.filter(|_| lease < x[6]) else {
            return self.answer(index, STATUS_MALFORMED);
        };
        let entry = table + lease * LEASE_BYTES;
        let (lent, lent_bytes, writable) = (
            memory.word(entry),
            memory.word(entry + 8),
            memory.word(entry + 16) == 1,
        );
        let count = bytes.min(lent_bytes.saturating_sub(offset));
        let theirs = lent
            .checked_add(offset)
            .and_then(|lent| lender.space.locate(lent, count, write == 1));
        let Some(theirs) = theirs.filter(|_| write == 0 || writable) else {
            return self.answer(index, STATUS_DENIED);
        };
        if write == 1 {
            memory.copy(own, theirs, count);
        } else {
            memory.copy(theirs, own, count);
        }
        self.tasks[index].registers.x[1] = count;
        self.answer(index, STATUS_OK)
    }

    fn supervise(&mut self, index: usize, query: u64, task: u64) -> Action {
        if index != 0 {
            return self.answer(index, STATUS_DENIED);
        }
        let (Some(query), true) = (Query::of(query), task < N as u64) else {
            return self.answer(index, STATUS_MALFORMED);
        };
        let task = task as usize;
        let mut answer = [0; 5];
        let mut action = Action::Resume;
        match query {
            Query::NextFault => answer = self.next_fault(task),
            Query::Restart if task != 0 => action = Action::Restart(task),
            Query::Hold if self.tasks[task].state == State::Faulted => {
                self.tasks[task].state = State::Held
            }
            Query::Restart | Query::Hold => return self.answer(index, STATUS_DENIED),
            Query::Status => answer = self.status(task),
        }
        self.tasks[0].registers.x[1..6].copy_from_slice(&answer);
        self.answer_with(0, STATUS_OK, action)
    }

    fn next_fault(&mut self, from: usize) -> [u64; 5] {
        let found = (from..N).find(|&index| {
            self.tasks[index].state == State::Faulted && !self.tasks[index].reported
        });
        let Some(index) = found else {
            return [u64::MAX, 0, 0, 0, 0];
        };
        self.tasks[index].reported = true;
        let fault = self.tasks[index].fault;
        [
            index as u64,
            fault.cause,
            fault.syndrome,
            fault.address,
            fault.pc,
        ]
    }

    fn status(&self, task: usize) -> [u64; 5] {
        let task = &self.tasks[task];
        let state = match task.state {
            State::Faulted => 1,
            State::Held => 2,
            _ => 0,
        };
        [
            state,
            task.restarts.into(),
            task.overruns.into(),
            task.used_ticks,
            N as u64,
        ]
    }
}

/// Two different elements of a slice; `None` where they are not.
#[inline(always)]
fn two<T>(list: &mut [T], first: usize, second: usize) -> Option<(&mut T, &mut T)> {
    let (low, high) = list.split_at_mut_checked(first.max(second))?;
    let (low, high) = (low.get_mut(first.min(second))?, high.first_mut()?);
    Some(if first < second {
        (low, high)
    } else {
        (high, low)
    })
}

const _: () = assert!(FROM_KERNEL > 32, "no task has that index");

//! Tasks on the machine: started from their verified images, run, answered, started anew.

use crate::entry::{Trap, run};
use crate::interrupts;
use crate::plan::{
    MEMORY_BOOT_INFO_BASE, MEMORY_TASK_IMAGES_BASE, MEMORY_TASK_IMAGES_SIZE, MEMORY_TASK_RAM_BASE,
    MEMORY_TASK_RAM_SIZE, TASK_COUNT, TASKS,
};
use crate::space::{self, TABLES};
use arch::el1::{self, TaskMemory};
use arch::registers::{esr_el1, far_el1};
use arch::translation::Table;
use board::console::Line;
use bootinfo::BootInfo;
use kernel_core::abi::{Call, DOORBELL_BIT, INTERRUPT_BIT};
use kernel_core::image::{HEADER_BYTES, Layout};
use kernel_core::plan::TaskPlan;
use kernel_core::{Action, Fault, Kernel, Memory, NOBODY};

/// Exception class of a system call (DDI 0487, D19.2.37).
const CLASS_SYSTEM_CALL: u64 = 0x15;

/// The tasks' memory as system calls see it.
struct Physical(TaskMemory);

impl Memory for Physical {
    fn copy(&mut self, from: u64, to: u64, bytes: u64) {
        self.0.copy(from, to, bytes);
    }
    fn word(&mut self, from: u64) -> u64 {
        self.0.word(from)
    }
}

/// The kernel and what it drives.
struct Machine {
    kernel: Kernel<TASK_COUNT>,
    memory: Physical,
    layouts: [Option<Layout>; TASK_COUNT],
    roots: [u64; TASK_COUNT],
    /// Whose address space is in use.
    in_space: usize,
    /// What the timer is set to.
    armed: u64,
    /// Bit n: the doorbell of task n is masked until it receives again.
    doorbells_masked: u32,
}

/// Entered by entry.S, MMU on, everything masked. This function's frame is the kernel's memory.
#[unsafe(no_mangle)]
extern "C" fn kernel_main(boot_info: u64, kernel_pages: u64) -> ! {
    el1::prepare();
    let now = arch::counter::now_ticks();
    let mut pools = [const { [Table::EMPTY; TABLES] }; TASK_COUNT];
    let mut machine = Machine {
        kernel: Kernel::new(&TASKS, arch::counter::ticks_per_second(), now),
        memory: Physical(task_memory()),
        layouts: [None; TASK_COUNT],
        roots: [0; TASK_COUNT],
        in_space: NOBODY,
        armed: u64::MAX,
        doorbells_masked: 0,
    };
    let boot_info = read_boot_info(boot_info);
    let mut started = 0;
    for (index, pool) in pools.iter_mut().enumerate() {
        match machine.load(index, boot_info, kernel_pages, pool) {
            Ok(()) => started += 1,
            Err(why) => Line::new("kernel")
                .text("task ")
                .text(TASKS[index].name)
                .text(" not started: ")
                .text(why)
                .end(),
        }
    }
    Line::new("kernel")
        .decimal(started)
        .text(" of ")
        .decimal(TASK_COUNT as u64)
        .text(" tasks started, each in its own address space")
        .end();
    interrupts::enable();
    machine.run()
}

/// The tasks' RAM and images.
fn task_memory() -> TaskMemory {
    let range = |base: usize, size: usize| (base as u64, (base + size) as u64);
    // SAFETY: entry.S maps both regions at their physical addresses, images read-only; the kernel's
    // own image and stack lie in another region (the description is checked for overlap), and
    // this is the only such object, on the only core that runs the kernel.
    unsafe {
        TaskMemory::new(
            range(MEMORY_TASK_RAM_BASE, MEMORY_TASK_RAM_SIZE),
            range(MEMORY_TASK_IMAGES_BASE, MEMORY_TASK_IMAGES_SIZE),
        )
    }
}

/// What the loader verified; `None` where it is not where it should be.
fn read_boot_info(address: u64) -> Option<&'static BootInfo> {
    if address != MEMORY_BOOT_INFO_BASE as u64 {
        return None;
    }
    let pointer = core::ptr::with_exposed_provenance::<BootInfo>(MEMORY_BOOT_INFO_BASE);
    // SAFETY: the boot-info region is mapped read-only, page aligned and larger than BootInfo
    // (checked when the description is read), every bit pattern is a valid one, and nobody writes it now.
    let boot_info = unsafe { &*pointer };
    boot_info.check().is_ok().then_some(boot_info)
}

/// Bytes of a task's image as the loader verified it, at the place kept for it.
fn verified_bytes(plan: &TaskPlan, boot_info: Option<&BootInfo>) -> Option<u64> {
    let component = boot_info?
        .components()
        .iter()
        .find(|component| component.name().strip_prefix("task-") == Some(plan.name))?;
    (component.load_address == plan.image_base && component.size <= plan.image_bytes)
        .then_some(component.size)
}

impl Machine {
    /// Builds the address space of a task from its image and makes it ready.
    fn load(
        &mut self,
        index: usize,
        boot_info: Option<&BootInfo>,
        kernel_pages: u64,
        pool: &mut [Table; TABLES],
    ) -> Result<(), &'static str> {
        let plan = &TASKS[index];
        let bytes = verified_bytes(plan, boot_info).ok_or("no verified image at its place")?;
        let header = self.memory.0.image::<HEADER_BYTES>(plan.image_base);
        let header = header.ok_or("its image lies outside of task-images")?;
        let layout = Layout::read(&header, bytes, plan.ram_bytes - plan.stack_bytes)
            .map_err(|_| "its image's header is wrong or does not fit")?;
        let root = space::build(plan, &layout, kernel_pages, pool);
        self.roots[index] = root.map_err(|_| "its address space cannot be built")?;
        self.layouts[index] = Some(layout);
        self.restart(index);
        Ok(())
    }

    /// Makes a task's memory as its image says, and the task ready to run from its first instruction.
    fn restart(&mut self, index: usize) {
        let (Some(plan), Some(Some(layout))) = (TASKS.get(index), self.layouts.get(index)) else {
            return;
        };
        if plan.interrupt != 0 {
            interrupts::mask(plan.interrupt);
        }
        // What lies between data and stack is not mapped: the task cannot have left anything there.
        let space = space::of(plan, layout);
        let memory = &mut self.memory.0;
        memory.zero_pages(space.data.physical, space.data.bytes);
        memory.zero_pages(space.stack.physical, space.stack.bytes);
        let data = plan.image_base + layout.fixed_bytes();
        memory.copy(data, space.data.physical, layout.data_bytes);
        self.kernel.start(index, space, layout.entry);
    }

    /// The kernel's loop.
    fn run(&mut self) -> ! {
        let mut now = arch::counter::now_ticks();
        loop {
            let index = self.kernel.choose(now);
            self.arm(self.kernel.next_event());
            let trap = match self.kernel.tasks.get_mut(index) {
                Some(task) => {
                    if self.in_space != index {
                        self.in_space = index;
                        // SAFETY: `load` built these tables with the kernel's own in their root
                        // before the task became ready; they are never changed again.
                        unsafe { el1::switch_space(self.roots[index], index as u16 + 1) };
                    }
                    run(&mut task.registers)
                }
                None => {
                    arch::barrier::wfi();
                    Trap::Interrupt
                }
            };
            now = arch::counter::now_ticks();
            self.kernel.charge(now);
            match trap {
                Trap::Interrupt => self.take_interrupts(now),
                Trap::Synchronous if esr_el1::read() >> 26 == CLASS_SYSTEM_CALL => {
                    self.system_call(index);
                }
                Trap::Synchronous | Trap::Error => self.fault(index),
            }
        }
    }

    /// Sets the timer, where it is not set so already.
    fn arm(&mut self, deadline: u64) {
        if self.armed != deadline {
            self.armed = deadline;
            el1::set_deadline(deadline);
        }
    }

    fn system_call(&mut self, index: usize) {
        let bit = 1 << index;
        if self.doorbells_masked & bit != 0 {
            let number = self.kernel.tasks[index].registers.x[8];
            if number == Call::Receive as u64 {
                self.doorbells_masked &= !bit;
                interrupts::unmask(TASKS[index].doorbell);
            }
        }
        let action = self.kernel.system_call(&mut self.memory);
        if action != Action::Resume {
            self.act(index, action);
        }
    }

    /// What the task did is a fault of the task.
    fn fault(&mut self, index: usize) {
        let syndrome = esr_el1::read();
        let fault = Fault {
            cause: (syndrome >> 26) & 0x3f,
            syndrome,
            address: far_el1::read(),
            pc: self.kernel.tasks[index].registers.pc,
        };
        let action = self.kernel.fault(fault);
        self.act(index, action);
    }

    /// What a task's call or fault asks of the machine.
    #[inline(never)]
    fn act(&mut self, index: usize, action: Action) {
        match action {
            Action::Resume => {}
            Action::Faulted => self.tell(index),
            Action::Unmask(interrupt) => interrupts::unmask(interrupt),
            Action::Raise(interrupt) => interrupts::raise(interrupt),
            Action::Restart(other) => {
                // Nobody else asks for the own restart: the supervisor has faulted.
                if other == index {
                    self.tell(index);
                }
                self.kernel.prepare_restart(other);
                self.restart(other);
            }
        }
    }

    /// One line on the console: which task faulted, and where.
    fn tell(&self, index: usize) {
        let fault = self.kernel.tasks[index].fault();
        Line::new("kernel")
            .text("task ")
            .text(TASKS[index].name)
            .text(" faulted: cause ")
            .hex(fault.cause)
            .text(" syndrome ")
            .hex(fault.syndrome)
            .text(" address ")
            .hex(fault.address)
            .text(" pc ")
            .hex(fault.pc)
            .end();
    }

    /// Everything that is pending becomes notifications.
    fn take_interrupts(&mut self, now: u64) {
        while let Some(interrupt) = el1::acknowledge() {
            if interrupt == interrupts::TIMER {
                self.kernel.tick(now);
                self.arm(u64::MAX);
            } else {
                interrupts::mask(interrupt);
                if let Some(index) = interrupts::owner(interrupt) {
                    let doorbell = interrupt < arch::gic::FIRST_SHARED;
                    if doorbell {
                        self.doorbells_masked |= 1 << index;
                    }
                    let bits = if doorbell {
                        DOORBELL_BIT
                    } else {
                        INTERRUPT_BIT
                    };
                    self.kernel.notify(index, bits);
                }
            }
            el1::end(interrupt);
        }
    }
}

//! Power off and restart of the whole board: secure world only.

use crate::pl061::Registers;
use crate::qemu_virt::SECURE_GPIO_BASE;

/// Pin that switches the board off (QEMU `hw/arm/virt.c`, SECURE_GPIO_POWEROFF).
const OFF_PIN: u32 = 0;
/// Pin that restarts the board (SECURE_GPIO_RESET).
const RESTART_PIN: u32 = 1;

fn gpio() -> &'static Registers {
    // SAFETY: QEMU's VIRT_SECURE_GPIO, 4 KiB, mapped at its physical address by the stages that
    // may switch the board off (boot stages with the MMU off, monitor, kernel).
    unsafe { arch::mmio::block(SECURE_GPIO_BASE) }
}

/// Switches the board off.
pub fn off() -> ! {
    gpio().raise(OFF_PIN);
    arch::barrier::halt()
}

/// Restarts the board from its reset vector.
pub fn restart() -> ! {
    gpio().raise(RESTART_PIN);
    arch::barrier::halt()
}

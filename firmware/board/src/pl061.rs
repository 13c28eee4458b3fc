//! The PL061 GPIO (Arm DDI 0190): eight pins.

use arch::mmio::{ReadWrite, Reserved};

/// Registers (DDI 0190, 3.2).
#[repr(C)]
pub struct Registers {
    /// Levels; the word's index is the mask of the pins that are accessed.
    pub data: [ReadWrite<u32>; 256],
    /// 1 = output.
    pub direction: ReadWrite<u32>,
    _reserved: Reserved<0xbfc>,
}

const _: () = {
    assert!(core::mem::offset_of!(Registers, direction) == 0x400);
    assert!(core::mem::size_of::<Registers>() == 0x1000);
};

impl Registers {
    /// Makes pin `pin` (0 to 7; more are ignored) an output and drives it low, then high.
    pub fn raise(&self, pin: u32) {
        let Some(mask) = 1usize.checked_shl(pin).filter(|mask| *mask < 256) else {
            return;
        };
        self.data[mask].write(0);
        self.direction.modify(|direction| direction | mask as u32);
        self.data[mask].write(mask as u32);
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;

    #[test]
    fn raise_touches_its_pin_only() {
        // SAFETY: integers in cells; all zeroes is a value of each.
        let gpio = unsafe { std::boxed::Box::<Registers>::new_zeroed().assume_init() };
        gpio.raise(1);
        assert_eq!((gpio.data[2].read(), gpio.direction.read()), (2, 2));
        gpio.raise(8);
        assert_eq!(gpio.direction.read(), 2);
    }
}

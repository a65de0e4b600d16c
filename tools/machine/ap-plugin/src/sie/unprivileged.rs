// SPDX-License-Identifier: GPL-2.0
//! Corrects instructions that a guest executes natively and whose results would show the host. They
//! do not trap.

use super::Sie;
use super::state_description as field;
use crate::cpu::Cpu;

/// An instruction whose result would show the host.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(crate) enum Leak {
    /// Extract PSW: the result is the mask of the CPU.
    Epsw { r1: u8 },
    /// Store clock, fast or extended: the result is the clock of the host, at this offset from the
    /// operand's address.
    StoreClock {
        base: u8,
        displacement: u16,
        offset: u8,
    },
    /// Store facility list extended: the result is the facility list of the host.
    Stfle { base: u8, displacement: u16 },
}

/// A correction after the end of an instruction.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Correction {
    /// The left half of the guest's PSW mask, and its register.
    Mask { register: u8, mask: u64 },
    /// The absolute addresses of the bytes of the clock value, and the number to add.
    Clock { places: Vec<u64>, epoch: u64 },
    /// The guest's own facilities, and the absolute addresses of the bytes of the stored list.
    Facilities { places: Vec<u64>, list: Vec<u8> },
}

/// The condition code and the program mask, which the guest sees natively.
const SEEN: u64 = 0x3f00;

impl Sie {
    /// Returns the correction of `leak`, which the guest is about to execute. An address that is
    /// not mapped yet needs no correction, because the instruction cannot finish before the address
    /// is mapped.
    pub(crate) fn before(&self, cpu: &impl Cpu, leak: Leak) -> Option<Correction> {
        let running = self.running.as_ref()?;
        let description = running.description;
        let places = |base: u8, displacement: u64, count: u64| -> Option<Vec<u64>> {
            let base = match base {
                0 => 0,
                base => cpu.gr(base),
            };
            let address = base.wrapping_add(displacement);
            (0..count)
                .map(|offset| cpu.translate(address.wrapping_add(offset)))
                .collect()
        };
        Some(match leak {
            Leak::Epsw { r1 } => Correction::Mask {
                register: r1,
                mask: running.mask,
            },
            Leak::StoreClock {
                base,
                displacement,
                offset,
            } => Correction::Clock {
                places: places(base, u64::from(displacement) + u64::from(offset), 8)?,
                epoch: description.get(cpu, field::EPOCH),
            },
            Leak::Stfle { base, displacement } => {
                let length = 8 * ((cpu.gr(0) & 0xff) + 1);
                let address = description.facilities(cpu)?;
                Correction::Facilities {
                    places: places(base, displacement.into(), length)?,
                    list: cpu.read_absolute(address, length as usize)?,
                }
            }
        })
    }
}

/// Corrects the result of a finished instruction.
pub(crate) fn correct(cpu: &mut impl Cpu, correction: &Correction) {
    match correction {
        &Correction::Mask { register, mask } => {
            let value = cpu.gr(register);
            let left = mask >> 32 & !SEEN;
            cpu.set_gr(register, value & (SEEN | !0xffff_ffff) | left);
        }
        Correction::Clock { places, epoch } => {
            let clock = places.iter().fold(0, |clock, &place| {
                clock << 8 | cpu.number_at(place, 1).unwrap_or(0)
            });
            let clock: u64 = clock;
            store(cpu, places, &clock.wrapping_add(*epoch).to_be_bytes());
        }
        Correction::Facilities { places, list } => {
            // General register 0 contains the number of stored doublewords minus one.
            let stored = 8 * ((cpu.gr(0) as usize & 0xff) + 1);
            let length = stored.min(list.len());
            store(cpu, places, &list[..length]);
        }
    }
}

fn store(cpu: &mut impl Cpu, places: &[u64], bytes: &[u8]) {
    for (&place, byte) in places.iter().zip(bytes) {
        cpu.write_absolute(place, &[*byte]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cpu::fake::FakeCpu;

    #[test]
    fn the_mask_is_the_guests_but_for_what_it_sees() {
        let mut cpu = FakeCpu::new();
        cpu.gr[3] = 0x1111_2222_0705_2a01;
        let correction = Correction::Mask {
            register: 3,
            mask: 0x0600_c000_8000_0000,
        };
        correct(&mut cpu, &correction);
        assert_eq!(cpu.gr[3], 0x1111_2222_0600_ea00 & !0x3f00 | 0x2a00 & 0x3f00);
    }

    #[test]
    fn the_clock_is_moved_by_the_epoch_wherever_its_bytes_are() {
        let mut cpu = FakeCpu::new();
        cpu.storage[0x1fff] = 1;
        let places: Vec<u64> = (0x1ffc..0x2000).chain(0x3000..0x3004).collect();
        let correction = Correction::Clock {
            places,
            epoch: u64::MAX,
        };
        correct(&mut cpu, &correction);
        assert_eq!(cpu.storage[0x1ffc..0x2000], [0; 4]);
        assert_eq!(cpu.storage[0x3000..0x3004], [0xff; 4]);
    }

    #[test]
    fn no_more_facilities_are_stored_than_the_cpu_has() {
        let mut cpu = FakeCpu::new();
        cpu.gr[0] = 0;
        let correction = Correction::Facilities {
            places: (0x1000..0x1010).collect(),
            list: vec![0xee; 16],
        };
        correct(&mut cpu, &correction);
        assert_eq!(
            cpu.storage[0x1000..0x1010],
            [[0xee; 8], [0; 8]].concat()[..]
        );
    }
}

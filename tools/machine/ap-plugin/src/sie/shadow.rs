// SPDX-License-Identifier: GPL-2.0
//! The shadow tables, which translate the addresses of guests on the CPU.
//!
//! A real CPU translates a guest's addresses twice, and the emulated CPU can do it once. Shadow
//! tables map the addresses of the guest's program to those of the host in one step. They begin
//! empty and are filled page by page when the guest accesses a missing page. They act as a TLB:
//! every purge empties them.
//!
//! The tables are in storage that the machine hides from its programs (see [`crate::facilities`]).
//! Each CPU has its own arena.

use super::translation::{GuestStorage, Level, Place, Space, entry, page};
use crate::cpu::Cpu;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// The size of the storage for the tables of a CPU.
pub(crate) const ARENA: u64 = 16 << 20;

const TABLE: u64 = 0x4000;
const PAGE_TABLE: u64 = 0x800;
/// The maximum number of spaces, which exceeds the number of programs that run at a time. With more
/// spaces, all tables are cleared.
const SPACES: usize = 64;
/// The maximum storage for mapping a page: four tables, a page table, and the loss by alignment.
const MOST_PER_PAGE: u64 = 6 * TABLE;

/// The owner of tables.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(crate) enum Owner {
    Host,
    Guest,
}

/// Translations that become invalid.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Purge {
    /// All translations.
    All,
    /// The translations by `count` entries of the page table at `table`. The first entry has number
    /// `first`, and entry 0 follows the last one of the table.
    Pages {
        owner: Owner,
        table: u64,
        first: u8,
        count: u16,
    },
    /// The translations by the tables of this ASCE.
    Space { owner: Owner, asce: u64 },
}

impl Purge {
    /// Returns the purge by INVALIDATE PAGE TABLE ENTRY with these operands: the table, an address,
    /// and the number of additional entries.
    pub(crate) const fn pages(owner: Owner, table: u64, address: u64, more: u64) -> Self {
        Self::Pages {
            owner,
            table: table & entry::PAGE_TABLE,
            first: (address >> 12) as u8,
            count: (more & 0xff) as u16 + 1,
        }
    }
}

/// The maximum number of collected purges. More purges become one purge of all translations.
const PURGES: usize = 64;

/// The purges that other CPUs request from a CPU.
#[derive(Default)]
struct Inbox {
    is_filled: AtomicBool,
    purges: Mutex<Vec<Purge>>,
}

/// The state that all CPUs share: the place of the arenas, and the requested purges.
pub(crate) struct Shared {
    /// The address of the arenas, or 0 if it is unknown.
    arenas: AtomicU64,
    /// True if a CPU has tables. Without tables, there is nothing to purge.
    are_used: AtomicBool,
    inboxes: Vec<Inbox>,
    /// The number of requested purges.
    asked: AtomicU64,
}

impl Shared {
    pub(crate) fn new(cpus: usize) -> Self {
        Self {
            arenas: AtomicU64::new(0),
            are_used: AtomicBool::new(false),
            inboxes: (0..cpus).map(|_| Inbox::default()).collect(),
            asked: AtomicU64::new(0),
        }
    }

    /// Returns the size of the storage that programs cannot use.
    pub(crate) fn size(&self) -> u64 {
        self.inboxes.len() as u64 * ARENA
    }

    /// Sets the start of that storage.
    pub(crate) fn place(&self, start: u64) {
        self.arenas.store(start, Ordering::Relaxed);
    }

    /// Requests a purge by all CPUs before their next blocks of instructions.
    pub(crate) fn purge(&self, purge: Purge) {
        if !self.are_used.load(Ordering::SeqCst) {
            return;
        }
        for inbox in &self.inboxes {
            let mut purges = inbox.purges.lock().unwrap_or_else(PoisonError::into_inner);
            if purge == Purge::All || purges.len() >= PURGES {
                *purges = vec![Purge::All];
            } else if *purges != [Purge::All] {
                purges.push(purge);
            }
            inbox.is_filled.store(true, Ordering::SeqCst);
        }
        self.asked.fetch_add(1, Ordering::SeqCst);
    }

    /// Returns the number of requested purges.
    pub(crate) fn asked(&self) -> u64 {
        self.asked.load(Ordering::SeqCst)
    }

    /// Returns true if `cpu` has to purge translations.
    pub(crate) fn has_purges(&self, cpu: u32) -> bool {
        self.inboxes
            .get(cpu as usize)
            .is_some_and(|inbox| inbox.is_filled.load(Ordering::SeqCst))
    }

    /// Removes and returns the purges for `cpu`.
    pub(crate) fn take(&self, cpu: u32) -> Vec<Purge> {
        let inbox = &self.inboxes[cpu as usize];
        if !inbox.is_filled.load(Ordering::SeqCst) {
            return Vec::new();
        }
        let mut purges = inbox.purges.lock().unwrap_or_else(PoisonError::into_inner);
        inbox.is_filled.store(false, Ordering::SeqCst);
        std::mem::take(&mut *purges)
    }

    fn arena(&self, cpu: u32) -> Option<u64> {
        match self.arenas.load(Ordering::Relaxed) {
            0 => None,
            start => Some(start + u64::from(cpu) * ARENA),
        }
    }
}

/// A space of a guest, and the real ASCE for it.
struct Entry {
    storage: GuestStorage,
    space: Space,
    asce: u64,
}

/// The tables of a CPU.
#[derive(Default)]
pub(crate) struct Shadow {
    start: u64,
    next: u64,
    spaces: Vec<Entry>,
    /// The shadow entries that were made from a page-table entry, by its address.
    sources: HashMap<(Owner, u64), Vec<u64>>,
}

impl Shadow {
    /// Returns true if there is storage for the tables of `cpu`.
    pub(crate) fn is_placed(&mut self, shared: &Shared, cpu: u32) -> bool {
        if self.start == 0
            && let Some(start) = shared.arena(cpu)
        {
            shared.are_used.store(true, Ordering::SeqCst);
            self.start = start;
            self.clear();
        }
        self.start != 0
    }

    /// Clears all tables. The real ASCEs become invalid.
    pub(crate) fn clear(&mut self) {
        self.next = self.start;
        self.spaces.clear();
        self.sources.clear();
    }

    /// Removes the translations of a purge. The caller purges the TLB of the CPU.
    pub(crate) fn purge(&mut self, cpu: &mut impl Cpu, purge: Purge) {
        match purge {
            Purge::All => self.clear(),
            Purge::Pages {
                owner,
                table,
                first,
                count,
            } => {
                for number in 0..count {
                    let index = first.wrapping_add(number as u8);
                    let source = (owner, table + 8 * u64::from(index));
                    for at in self.sources.remove(&source).unwrap_or_default() {
                        cpu.write_absolute(at, &page::INVALID.to_be_bytes());
                    }
                }
            }
            Purge::Space {
                owner: Owner::Guest,
                asce,
            } => {
                let space = Space::designated_by(asce);
                self.spaces.retain(|entry| entry.space != space);
            }
            Purge::Space {
                owner: Owner::Host,
                asce,
            } => {
                let origin = |asce: u64| asce & entry::ORIGIN;
                self.spaces
                    .retain(|entry| origin(entry.storage.gmap) != origin(asce));
            }
        }
    }

    /// Makes room for `spaces` more spaces and a page. Returns true if all tables were cleared for
    /// it.
    pub(crate) fn make_room(&mut self, spaces: usize) -> bool {
        let left = self.start + ARENA - self.next;
        let full =
            self.spaces.len() + spaces > SPACES || left < MOST_PER_PAGE + spaces as u64 * 2 * TABLE;
        if full {
            self.clear();
        }
        full
    }

    /// Returns the real ASCE for a space of a guest.
    pub(crate) fn asce(&mut self, cpu: &mut impl Cpu, storage: GuestStorage, space: Space) -> u64 {
        if let Some(entry) = self
            .spaces
            .iter()
            .find(|entry| entry.space == space && entry.storage == storage)
        {
            return entry.asce;
        }
        // The level is that of the guest's table, so both have the same limit of addresses.
        let level = match space {
            Space::Real => Level(1),
            Space::Virtual(asce) => Level::of(asce),
        };
        const FULL_LENGTH: u64 = 3;
        let asce = self.table(cpu, level) | u64::from(level.0) << 2 | FULL_LENGTH;
        self.spaces.push(Entry {
            storage,
            space,
            asce,
        });
        asce
    }

    /// Maps the page of `address` in the space of `asce`. The caller has made room.
    pub(crate) fn map(&mut self, cpu: &mut impl Cpu, asce: u64, address: u64, place: Place) {
        let mut level = Level::of(asce);
        if level.is_beyond(address) {
            return;
        }
        let mut origin = asce & entry::ORIGIN;
        while let Some(below) = level.below() {
            let at = origin + 8 * level.index(address);
            let mut value = cpu.number_at(at, 8).unwrap_or(entry::INVALID);
            if value & entry::INVALID != 0 {
                const FULL_LENGTH: u64 = 3;
                value = self.table(cpu, below) | u64::from(level.0) << 2 | FULL_LENGTH;
                cpu.write_absolute(at, &value.to_be_bytes());
            }
            origin = value & entry::ORIGIN;
            level = below;
        }
        let at = origin + 8 * level.index(address);
        let mut value = cpu.number_at(at, 8).unwrap_or(entry::INVALID);
        if value & entry::INVALID != 0 {
            value = self.page_table(cpu);
            cpu.write_absolute(at, &value.to_be_bytes());
        }
        let at = (value & entry::PAGE_TABLE) + 8 * (address >> 12 & 0xff);
        let mut value = place.absolute & entry::ORIGIN;
        if place.read_only {
            value |= page::PROTECTED;
        }
        if place.no_execute {
            value |= page::NO_EXECUTE;
        }
        cpu.write_absolute(at, &value.to_be_bytes());
        for (owner, source) in [
            (Owner::Host, place.entries.host),
            (Owner::Guest, place.entries.guest),
        ] {
            if let Some(source) = source {
                let targets = self.sources.entry((owner, source)).or_default();
                if !targets.contains(&at) {
                    targets.push(at);
                }
            }
        }
    }

    /// Returns a new table without valid entries.
    fn table(&mut self, cpu: &mut impl Cpu, level: Level) -> u64 {
        let origin = self.next.next_multiple_of(0x1000);
        self.next = origin + TABLE;
        let empty = entry::INVALID | u64::from(level.0) << 2;
        cpu.write_absolute(origin, &empty.to_be_bytes().repeat(TABLE as usize / 8));
        origin
    }

    fn page_table(&mut self, cpu: &mut impl Cpu) -> u64 {
        let origin = self.next;
        self.next = origin + PAGE_TABLE;
        let empty = page::INVALID.to_be_bytes();
        cpu.write_absolute(origin, &empty.repeat(PAGE_TABLE as usize / 8));
        origin
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cpu::fake::FakeCpu;
    use crate::sie::translation::Entries;

    const STORAGE: GuestStorage = GuestStorage {
        gmap: 0x1234_5007,
        prefix: 0,
        large: true,
    };
    const START: u64 = 0x1_0000;

    fn shadow() -> (FakeCpu, Shadow) {
        let mut cpu = FakeCpu::new();
        cpu.storage = vec![0; 0x8_0000];
        let shared = Shared::new(2);
        let mut shadow = Shadow::default();
        assert!(!shadow.is_placed(&shared, 0));
        shared.place(START);
        assert!(shadow.is_placed(&shared, 0));
        (cpu, shadow)
    }

    /// Translates an address by the tables, with the walk for the tables of the host.
    fn look(cpu: &FakeCpu, asce: u64, address: u64, store: bool) -> Option<u64> {
        let tables = GuestStorage {
            gmap: asce,
            prefix: 0x7000_0000,
            large: true,
        };
        let place = tables.locate_real(cpu, address, store).ok()?;
        Some(place.absolute)
    }

    #[test]
    fn pages_are_found_where_they_were_mapped() {
        let (mut cpu, mut shadow) = shadow();
        let asce = shadow.asce(&mut cpu, STORAGE, Space::Real);
        assert_eq!(asce & 0xf, 0b0111, "a third region table of full length");
        let place = |absolute, read_only| Place {
            absolute,
            read_only,
            no_execute: false,
            entries: Entries::default(),
        };
        shadow.map(&mut cpu, asce, 0x12_3456, place(0x98_7456, false));
        shadow.map(&mut cpu, asce, 0x12_4000, place(0x98_8000, true));
        shadow.map(&mut cpu, asce, 0x1_0000_0000, place(0x1000, false));
        assert_eq!(look(&cpu, asce, 0x12_3abc, true), Some(0x98_7abc));
        assert_eq!(look(&cpu, asce, 0x12_4abc, false), Some(0x98_8abc));
        assert_eq!(look(&cpu, asce, 0x12_4abc, true), None);
        assert_eq!(look(&cpu, asce, 0x1_0000_0008, true), Some(0x1008));
        assert_eq!(look(&cpu, asce, 0x12_5000, false), None);
    }

    #[test]
    fn what_may_not_be_executed_stays_so() {
        let (mut cpu, mut shadow) = shadow();
        let asce = shadow.asce(&mut cpu, STORAGE, Space::Virtual(0x5000));
        let entries: Vec<u64> = [false, true]
            .map(|no_execute| {
                let place = Place {
                    absolute: 0x90_0000,
                    read_only: false,
                    no_execute,
                    entries: Entries::default(),
                };
                shadow.map(&mut cpu, asce, 0x3000, place);
                let table = cpu.number_at(asce & entry::ORIGIN, 8).unwrap();
                cpu.number_at((table & entry::PAGE_TABLE) + 8 * 3, 8)
                    .unwrap()
            })
            .to_vec();
        assert_eq!(entries, [0x90_0000, 0x90_0000 | page::NO_EXECUTE]);
    }

    #[test]
    fn spaces_are_told_apart_and_found_again() {
        let (mut cpu, mut shadow) = shadow();
        let real = shadow.asce(&mut cpu, STORAGE, Space::Real);
        let other = GuestStorage {
            prefix: 0x2000,
            ..STORAGE
        };
        let mut all = vec![real];
        all.push(shadow.asce(&mut cpu, other, Space::Real));
        all.push(shadow.asce(&mut cpu, STORAGE, Space::Virtual(0x5000)));
        assert_eq!(all[2] & 0xf, 3, "a segment table, like the guest's");
        assert_eq!(shadow.asce(&mut cpu, STORAGE, Space::Real), real);
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), 3);
    }

    #[test]
    fn there_is_always_room_in_the_end() {
        let (mut cpu, mut shadow) = shadow();
        assert!(!shadow.make_room(2));
        let asce = shadow.asce(&mut cpu, STORAGE, Space::Real);
        shadow.next = START + ARENA - TABLE;
        assert!(shadow.make_room(0));
        assert_eq!(
            shadow.asce(&mut cpu, STORAGE, Space::Real),
            asce,
            "from the start"
        );
    }

    #[test]
    fn invalidating_an_entry_takes_what_comes_from_it_and_no_more() {
        let (mut cpu, mut shadow) = shadow();
        let space = Space::Virtual(0x5000);
        let asce = shadow.asce(&mut cpu, STORAGE, space);
        // The pages are 0xfe, 0xff and 0 of the next segment. Their entries are at other places in
        // the tables of the host.
        for page in 0xfe..0x101 {
            let place = Place {
                absolute: 0x90_0000 + page * 0x1000,
                read_only: false,
                no_execute: false,
                entries: Entries {
                    host: Some(0xa000 + 8 * ((page + 1) & 0xff)),
                    guest: Some(0x4_0800 + 8 * page),
                },
            };
            shadow.map(&mut cpu, asce, page * 0x1000, place);
        }
        let pages = |cpu: &FakeCpu| {
            [0xfe, 0xff, 0x100].map(|page: u64| look(cpu, asce, page * 0x1000, true).is_some())
        };
        shadow.purge(&mut cpu, Purge::pages(Owner::Host, 0x4_0800, 0, 255));
        assert_eq!(pages(&cpu), [true; 3], "another's table");
        shadow.purge(
            &mut cpu,
            Purge::pages(Owner::Guest, 0x4_0800, 0x777f_e000, 0),
        );
        assert_eq!(pages(&cpu), [false, true, true]);
        shadow.purge(&mut cpu, Purge::pages(Owner::Host, 0xa000, 0xff000, 1));
        assert_eq!(pages(&cpu), [false, false, true], "wrapping around");
    }

    #[test]
    fn spaces_go_by_their_asce() {
        let (mut cpu, mut shadow) = shadow();
        shadow.asce(&mut cpu, STORAGE, Space::Real);
        shadow.asce(&mut cpu, STORAGE, Space::Virtual(0x5000));
        let purge = |owner, asce| Purge::Space { owner, asce };
        shadow.purge(&mut cpu, purge(Owner::Guest, 0x5100));
        assert_eq!(shadow.spaces.len(), 1);
        shadow.purge(&mut cpu, purge(Owner::Host, 0x5000));
        assert_eq!(shadow.spaces.len(), 1);
        shadow.purge(&mut cpu, purge(Owner::Host, STORAGE.gmap));
        assert!(shadow.spaces.is_empty());
    }

    #[test]
    fn a_purge_reaches_all_cpus_once() {
        let shared = Shared::new(2);
        let page = Purge::pages(Owner::Guest, 0x1000, 0, 0);
        shared.purge(page);
        assert_eq!(shared.take(0), [], "there are no tables yet");
        shared.place(START);
        assert!(Shadow::default().is_placed(&shared, 0));
        let asked = shared.asked();
        shared.purge(page);
        assert_ne!(shared.asked(), asked);
        assert!(shared.has_purges(0) && shared.has_purges(1));
        assert_eq!(shared.take(0), [page]);
        assert!(!shared.has_purges(0) && shared.has_purges(1));
        assert_eq!(shared.take(0), []);
        shared.purge(Purge::All);
        shared.purge(page);
        assert_eq!(shared.take(1), [Purge::All], "the page is part of it");
        for _ in 0..=PURGES {
            shared.purge(page);
        }
        assert_eq!(shared.take(1), [Purge::All]);
        assert_eq!(shared.size(), 2 * ARENA);
    }
}

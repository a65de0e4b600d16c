// SPDX-License-Identifier: GPL-2.0

//! `/sys/kernel/debug/vfio_ap/<uuid>`: the reasons for the masks of a guest.
//!
//! Owns the history of commits, and the text of the file.

use core::fmt;

use kernel::{
    debugfs::Writer,
    prelude::*,
    sync::aref::ARef, //
};

use crate::{
    driver::Mdev,
    linux::{
        clock,
        debugfs::{
            Dir,
            File, //
        }, //
    },
    matrix::{
        cause::{
            Cause,
            Event,
            Text, //
        },
        mask::Mask,
        text::Ranges,
        Matrix,
        User, //
    }, //
};

/// The number of commits in the history.
const REMEMBERED: usize = 32;

/// A change of a guest.
#[derive(Clone, Copy)]
struct Record {
    /// In nanoseconds since 1970.
    time: i64,
    cause: Cause,
    /// The masks of the guest after the change.
    guest: Matrix,
}

/// The history of an mdev.
#[derive(Default)]
pub(crate) struct History {
    commits: u64,
    queues_lost: u64,
    records: u64,
    /// The last records. The index of a record is its number modulo [`REMEMBERED`].
    last: KVec<Record>,
}

impl History {
    /// Creates an empty history.
    ///
    /// # Errors
    ///
    /// `ENOMEM` if there is no memory.
    pub(crate) fn new() -> Result<Self> {
        Ok(Self {
            last: KVec::with_capacity(REMEMBERED, GFP_KERNEL)?,
            ..Self::default()
        })
    }

    /// Counts a commit that takes a number of queues from the guest.
    pub(crate) fn count_commit(&mut self, lost: u32) {
        self.commits = self.commits.wrapping_add(1);
        self.queues_lost = self.queues_lost.wrapping_add(lost.into());
    }

    /// Adds a record.
    pub(crate) fn add(&mut self, cause: Cause, guest: &Matrix) {
        let record = Record {
            time: clock::real_nanoseconds(),
            cause,
            guest: *guest,
        };
        match self.last.get_mut(index(self.records)) {
            Some(oldest) => *oldest = record,
            // The capacity suffices.
            None => drop(self.last.push_within_capacity(record)),
        }
        self.records = self.records.wrapping_add(1);
    }
}

fn index(number: u64) -> usize {
    (number % REMEMBERED as u64) as usize
}

/// The file of an mdev.
pub(crate) struct Report(ARef<Mdev>);

impl Report {
    /// Creates the file. Returns [`None`] if there is no memory, which is not an error of the mdev.
    pub(crate) fn publish(dir: &Dir, mdev: &ARef<Mdev>) -> Option<File<Self>> {
        dir.read_only_file(mdev.parent().name(), Self(mdev.clone()))
            .ok()
    }
}

impl Writer for Report {
    fn write(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mdev = &*self.0;
        let (masks, config, (interruptions, kept)) = {
            let state = mdev.driver.state();
            (
                *mdev.masks(&state),
                *state.host.config(),
                state.interruptions.count(mdev),
            )
        };
        let user = match masks.user {
            User::Nobody => "nobody",
            User::Guest => "guest",
            User::Stopped => "guest, stopped",
            User::Leaving => "guest, asked to leave",
        };
        writeln!(f, "used by: {user}")?;

        let absent = masks.assigned.minus(&config);
        absent_ids(f, "adapters", absent.apm, 2)?;
        absent_ids(f, "domains", absent.aqm, 4)?;
        absent_ids(f, "control domains", absent.adm, 4)?;
        let wanted = masks.assigned.intersect(&config);
        for apid in wanted.apm.iter() {
            // The lock is released after each adapter, as there can be many.
            let state = mdev.driver.state();
            let missing = state.host.queues.unusable(apid, wanted.aqm);
            let adapter_state = state.host.adapter_state(apid);
            drop(state);
            if let Some(missing) = missing {
                writeln!(f, "filtered: adapter {:02x}, for {missing}", apid.0)?;
            }
            if masks.granted.apm.contains(apid) && adapter_state != Event::InOrder {
                let what = adapter_state.text();
                writeln!(f, "out of order: adapter {:02x}, {what}", apid.0)?;
            }
        }

        let state = mdev.driver.state();
        let History {
            commits,
            queues_lost,
            records,
            last,
        } = mdev.history(&state);
        writeln!(
            f,
            "queues with interruptions: {interruptions}\n\
             commits: {commits}\n\
             queues taken from guests: {queues_lost}"
        )?;
        if kept != 0 {
            writeln!(
                f,
                "page frames held for queues that may still interrupt: {kept}"
            )?;
        }
        let now = clock::real_nanoseconds();
        // The oldest record is the first.
        for number in records.saturating_sub(REMEMBERED as u64)..*records {
            let Some(Record { time, cause, guest }) = last.get(index(number)) else {
                continue;
            };
            let kind = if cause.event.is_state() {
                "event"
            } else {
                "commit"
            };
            // The clock may have been set back.
            let ago = (now - time).max(0) / 1_000_000;
            let seconds = time / 1_000_000_000;
            let text = Text {
                cause: *cause,
                guest,
            };
            writeln!(f, "{kind} {ago} ms ago: {text} time={seconds}")?;
        }
        Ok(())
    }
}

fn absent_ids<I: Copy + From<u8> + Into<u8>>(
    f: &mut fmt::Formatter<'_>,
    what: &str,
    mask: Mask<I>,
    width: usize,
) -> fmt::Result {
    if mask.is_empty() {
        return Ok(());
    }
    let ids = Ranges { mask, width };
    writeln!(f, "not in the host configuration: {what} {ids}")
}

// SPDX-License-Identifier: GPL-2.0

//! `/sys/kernel/debug/vfio_ap/<uuid>`: the reasons for the masks of a guest.
//!
//! Owns the history of commits, and the text of the file.

use core::fmt;

use kernel::{
    debugfs::Writer,
    sync::aref::ARef,
    time::{
        Instant,
        Monotonic, //
    }, //
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
        cause::Cause,
        mask::Mask,
        text::Ranges,
        Matrix,
        User, //
    }, //
};

/// The number of commits in the history.
const REMEMBERED: usize = 24;

/// A change of a guest.
#[derive(Clone, Copy)]
struct Record {
    when: Instant<Monotonic>,
    /// In seconds since 1970.
    time: i64,
    cause: Cause,
    /// The committed masks, if the change was a commit.
    commit: Option<Matrix>,
}

/// The history of an mdev.
#[derive(Default)]
pub(crate) struct History {
    commits: u64,
    queues_lost: u64,
    records: u64,
    /// The last records. The index of a record is its number modulo the length.
    last: [Option<Record>; REMEMBERED],
}

impl History {
    /// Adds a commit that takes a number of queues from the guest.
    pub(crate) fn add_commit(&mut self, cause: Cause, matrix: &Matrix, lost: u32) {
        self.commits += 1;
        self.queues_lost += u64::from(lost);
        self.add(cause, Some(*matrix));
    }

    /// Adds a new state of an adapter, which does not change the APCB.
    pub(crate) fn add_event(&mut self, cause: Cause) {
        self.add(cause, None);
    }

    fn add(&mut self, cause: Cause, commit: Option<Matrix>) {
        let place = self.records % REMEMBERED as u64;
        self.last[place as usize] = Some(Record {
            when: Instant::now(),
            time: clock::real_seconds(),
            cause,
            commit,
        });
        self.records += 1;
    }

    /// Returns the record with this number, if the history has it.
    fn get(&self, number: u64) -> Option<Record> {
        self.last[(number % REMEMBERED as u64) as usize]
    }
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
            drop(state);
            if let Some(missing) = missing {
                writeln!(f, "filtered: adapter {:02x}, for {missing}", apid.0)?;
            }
        }

        let outages = {
            let state = mdev.driver.state();
            state.outages.of(&mdev.masks(&state).granted.apm)
        };
        for (adapters, what) in [
            (outages.deconfigured, "deconfigured"),
            (outages.checkstopped, "in check stop"),
        ] {
            if !adapters.is_empty() {
                let ids = Ranges {
                    mask: adapters,
                    width: 2,
                };
                writeln!(f, "out of order: adapters {ids} {what}")?;
            }
        }

        let (commits, queues_lost, records) = {
            let state = mdev.driver.state();
            let history = mdev.history(&state);
            (history.commits, history.queues_lost, history.records)
        };
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
        // The oldest record is the first. The stack has no room for all of them.
        for number in records.saturating_sub(REMEMBERED as u64)..records {
            let record = mdev.history(&mdev.driver.state()).get(number);
            let Some(Record {
                when,
                time,
                cause,
                commit,
            }) = record
            else {
                continue;
            };
            let ago = when.elapsed().as_millis();
            match commit {
                Some(matrix) => write!(f, "commit {ago} ms ago: {matrix}")?,
                None => write!(f, "event {ago} ms ago:")?,
            }
            writeln!(f, " cause={cause} time={time}")?;
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

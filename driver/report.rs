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
        debugfs::{
            Dir,
            File, //
        }, //
    },
    matrix::{
        mask::Mask,
        text::Ranges,
        Matrix,
        User, //
    }, //
};

/// The number of commits in the history.
const REMEMBERED: usize = 8;

/// The history of an mdev.
#[derive(Default)]
pub(crate) struct History {
    commits: u64,
    queues_lost: u64,
    /// The last commits. The index of a commit is its number modulo the length.
    last: [Option<(Instant<Monotonic>, Matrix)>; REMEMBERED],
}

impl History {
    /// Adds a commit that takes a number of queues from the guest.
    pub(crate) fn add(&mut self, matrix: &Matrix, lost: u32) {
        let place = self.commits % REMEMBERED as u64;
        self.last[place as usize] = Some((Instant::now(), *matrix));
        self.commits += 1;
        self.queues_lost += u64::from(lost);
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

        let state = mdev.driver.state();
        let History {
            commits,
            queues_lost,
            last,
        } = *mdev.history(&state);
        drop(state);
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
        // The oldest commit is the first.
        for number in commits.saturating_sub(REMEMBERED as u64)..commits {
            if let Some((when, matrix)) = &last[(number % REMEMBERED as u64) as usize] {
                let ago = when.elapsed().as_millis();
                writeln!(f, "commit {ago} ms ago: {matrix}")?;
            }
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

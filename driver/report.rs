// SPDX-License-Identifier: GPL-2.0

//! `/sys/kernel/debug/vfio_ap/<uuid>`: why a guest has what it has.
//!
//! Owns what is counted and remembered for people only, and the text that they read.

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

/// How many commits are remembered.
const REMEMBERED: usize = 8;

/// What has happened to one mdev.
#[derive(Default)]
pub(crate) struct History {
    commits: u64,
    queues_lost: u64,
    /// The last commits, each at the place of its number.
    last: [Option<(Instant<Monotonic>, Matrix)>; REMEMBERED],
}

impl History {
    /// Masks are being committed, by which the guest loses so many queues.
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
    /// Makes the file, which is there until it is dropped.
    ///
    /// Nothing depends on it: that there is no memory for it is not an error.
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
            // The lock is given back after each adapter: this may be long.
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
        // The oldest comes first.
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

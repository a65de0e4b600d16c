// SPDX-License-Identifier: GPL-2.0

//! The migration of a guest to another host.
//!
//! Owns the state of an mdev in a migration, and the stream. Stopping a guest takes all queues from it
//! and resets them. The stream has the [description](crate::matrix::migration) of the queues that the
//! guest had, and of their interruptions. The destination compares it with the queues of its mdev before
//! the guest runs. A guest that runs again, here or there, has its interruptions enabled again.
//!
//! C header: [`include/uapi/linux/vfio.h`](srctree/include/uapi/linux/vfio.h), protocol version 2

use kernel::{
    fmt,
    fs::File,
    new_mutex,
    prelude::*,
    sync::{
        aref::ARef,
        Arc,
        Mutex, //
    },
    uaccess::{
        UserSliceReader,
        UserSliceWriter, //
    }, //
};

use crate::{
    ap_bus::pqap,
    driver::{
        aqic,
        matrix_mdev::MatrixMdev,
        wait::{
            Wait,
            DEFAULT_TIMEOUT,
            RESET_TIMEOUT, //
        },
        Mdev,
        State as DriverState, //
    },
    linux::{
        migration::{
            self,
            State, //
        },
        ratelimit,
        stream::{
            self,
            Direction,
            Stream, //
        }, //
    },
    matrix::{
        mask::Apqn,
        migration::{
            header,
            length,
            queues,
            Description,
            Mismatch,
            QueueInfo,
            Record,
            Records,
            Refusal,
            MAX_LENGTH, //
        },
        Change,
        Matrix,
        QueueSet, //
    }, //
};

/// The maximum number of bytes that one `read` or `write` of a stream copies.
const CHUNK: usize = 16 << 10;

/// The stream of a migration.
///
/// No lock is held while memory of a user is accessed, because a page fault can last.
#[pin_data]
pub(crate) struct DataStream {
    /// The data. [`None`] if the device has left the state that the file came with.
    #[pin]
    data: Mutex<Option<Data>>,
}

/// The data of a stream.
struct Data {
    bytes: KVVec<u8>,
    /// The number of bytes that were read.
    position: usize,
}

impl DataStream {
    fn new(bytes: KVVec<u8>) -> Result<Arc<Self>> {
        let data = Data { bytes, position: 0 };
        Arc::pin_init(
            pin_init!(Self {
                data <- new_mutex!(Some(data), "vfio_ap::stream"),
            }),
            GFP_KERNEL_ACCOUNT,
        )
    }

    /// Ends the stream. Returns what it has.
    fn close(&self) -> Option<KVVec<u8>> {
        Some(self.data.lock().take()?.bytes)
    }
}

impl Stream for DataStream {
    const NAME: &'static CStr = c"vfio_ap_migration";

    fn read(&self, user: &mut UserSliceWriter) -> Result<usize> {
        let mut chunk = KVVec::new();
        {
            let mut guard = self.data.lock();
            let Data { bytes, position } = Option::as_mut(&mut *guard).ok_or(ENODEV)?;
            let left = &bytes[*position..];
            let length = left.len().min(user.len()).min(CHUNK);
            chunk.extend_from_slice(&left[..length], GFP_KERNEL)?;
            *position += length;
        }
        user.write_slice(&chunk)?;
        Ok(chunk.len())
    }

    fn write(&self, user: &mut UserSliceReader) -> Result<usize> {
        let length = user.len().min(CHUNK);
        let mut chunk = KVVec::from_elem(0, length, GFP_KERNEL)?;
        user.read_slice(&mut chunk)?;
        let mut guard = self.data.lock();
        let Data { bytes, .. } = Option::as_mut(&mut *guard).ok_or(ENODEV)?;
        if bytes.len() + length > MAX_LENGTH {
            return Err(EFBIG);
        }
        bytes.extend_from_slice(&chunk, GFP_KERNEL_ACCOUNT)?;
        Ok(length)
    }
}

/// The state of an mdev in a migration.
#[derive(Default)]
pub(crate) struct Progress {
    state: State,
    /// The description of the guest when it was stopped, without the properties of queues.
    stopped: KVVec<u8>,
    /// The stream of the state, if the state has one.
    stream: Option<Arc<DataStream>>,
    /// The description of the guest from another host, until the guest runs.
    incoming: Option<KVVec<u8>>,
}

impl Progress {
    /// Ends the stream. Returns what the stream has.
    fn close_stream(&mut self) -> Option<KVVec<u8>> {
        self.stream.take()?.close()
    }

    /// Forgets the migration, when the mdev is reset or closed.
    fn forget(&mut self) {
        self.close_stream();
        *self = Self::default();
    }
}

impl migration::Migration for MatrixMdev {
    fn set_state(mdev: &Mdev, new: State) -> Result<Option<ARef<File>>> {
        let progress = &mut *mdev.migration.lock();
        let mut file = None;
        while progress.state != new {
            let next = mdev.next_migration_state(progress.state, new)?;
            file = step(mdev, progress, next)?;
            progress.state = next;
        }
        Ok(file)
    }

    fn state(mdev: &Mdev) -> State {
        mdev.migration.lock().state
    }

    fn data_size(mdev: &Mdev) -> usize {
        let progress = mdev.migration.lock();
        match progress.state {
            State::Running => length(&mdev.masks(&mdev.driver.state()).granted),
            _ => progress
                .incoming
                .as_ref()
                .unwrap_or(&progress.stopped)
                .len(),
        }
    }
}

/// Ends a migration when the user resets the mdev. The guest runs after that.
pub(crate) fn reset(mdev: &Mdev) {
    let progress = &mut *mdev.migration.lock();
    if progress.state != State::Running {
        progress.forget();
        change(mdev, &Change::Run);
    }
}

/// Ends a migration when the user closes the mdev.
pub(crate) fn close(mdev: &Mdev) {
    mdev.migration.lock().forget();
}

/// Makes one step from a state to the next one.
fn step(mdev: &Mdev, progress: &mut Progress, next: State) -> Result<Option<ARef<File>>> {
    match (progress.state, next) {
        (State::Running, State::Stop) => progress.stopped = stop(mdev)?,
        (State::Stop, State::Running) => {
            if let Some(incoming) = &progress.incoming {
                arrive(mdev, incoming)?;
            } else {
                run(mdev, &progress.stopped);
            }
            progress.incoming = None;
            progress.stopped = KVVec::new();
        }
        (State::Stop, State::StopCopy) => {
            let description = match &progress.incoming {
                // The guest has not run here.
                Some(incoming) => {
                    let mut copy = KVVec::new();
                    copy.extend_from_slice(incoming, GFP_KERNEL_ACCOUNT)?;
                    copy
                }
                None => {
                    let guest = Description::parse(&progress.stopped).map_err(|_| EINVAL)?;
                    describe(mdev, guest.masks(), Some(guest.records()))?
                }
            };
            let stream = DataStream::new(description)?;
            progress.stream = Some(stream.clone());
            return stream::open(stream, Direction::Read).map(Some);
        }
        (State::StopCopy, State::Stop) => {
            progress.close_stream();
        }
        (State::Stop, State::Resuming) => {
            let stream = DataStream::new(KVVec::new())?;
            progress.stream = Some(stream.clone());
            return stream::open(stream, Direction::Write).map(Some);
        }
        (State::Resuming, State::Stop) => {
            let incoming = progress.close_stream().ok_or(EINVAL)?;
            check(mdev, &incoming)?;
            progress.incoming = Some(incoming);
        }
        _ => return Err(EINVAL),
    }
    Ok(None)
}

/// Applies a change, and commits the masks. Returns the revoked queues.
fn change(mdev: &Mdev, change: &Change) -> QueueSet {
    let revoked = MatrixMdev::change_and_commit(mdev, change);
    mdev.driver.reconcile();
    revoked
}

/// Takes all queues from the guest. Returns the description of the guest, without the properties of its
/// queues.
///
/// # Errors
///
/// - `EOPNOTSUPP` if the guest is a protected one, whose queues have secrets that cannot move.
/// - `EIO` if a queue could not be reset in time. The guest has its queues again then.
/// - `ENOMEM` if there is no memory.
fn stop(mdev: &Mdev) -> Result<KVVec<u8>> {
    if mdev.kvm().is_some_and(|kvm| kvm.is_protected()) {
        refuse(mdev, &"the guest is protected");
        return Err(EOPNOTSUPP);
    }
    let had = mdev.masks(&mdev.driver.state()).granted;
    let guest = describe(mdev, &had, None)?;
    let revoked = change(mdev, &Change::Stop);
    mdev.wait_until_ready(&Wait::new(RESET_TIMEOUT), &revoked);
    let is_stopped = {
        let state: &DriverState = &mdev.driver.state();
        let queues = &state.host.queues;
        mdev.masks(state).is_committed()
            && revoked
                .rows()
                .all(|(apid, row)| (row & queues.bound(apid)).is_subset(&queues.reset_done(apid)))
    };
    if !is_stopped {
        run(mdev, &guest);
        return Err(EIO);
    }
    Ok(guest)
}

/// Describes a guest that has some masks. For a guest that was stopped, the result is its earlier
/// description, completed by the properties of its queues. Otherwise these are 0.
///
/// # Errors
///
/// - `ENODEV` if a queue of the guest has gone since the guest was stopped.
/// - `ENOMEM` if there is no memory.
// Not inlined: two callers would each have it.
#[inline(never)]
fn describe(mdev: &Mdev, masks: &Matrix, mut stopped: Option<Records<'_>>) -> Result<KVVec<u8>> {
    let mut bytes = KVVec::with_capacity(length(masks), GFP_KERNEL_ACCOUNT)?;
    bytes.extend_from_slice(&header(masks), GFP_KERNEL_ACCOUNT)?;
    for apqn in queues(masks) {
        let record = if let Some(records) = &mut stopped {
            let info = queue_info(mdev, apqn).inspect_err(|_| {
                refuse(mdev, &Refusal::Queue(apqn, Mismatch::Missing));
            })?;
            let indicator = records.next().and_then(|(_, record)| record.indicator);
            Record { info, indicator }
        } else {
            let indicator = mdev.driver.state().interruptions.indicator(mdev, apqn);
            let info = QueueInfo(0);
            Record { info, indicator }
        };
        bytes.extend_from_slice(&record.to_bytes(), GFP_KERNEL_ACCOUNT)?;
    }
    Ok(bytes)
}

/// Gives the guest the queues that it may have, and the interruptions of its description as far as
/// possible.
fn run(mdev: &Mdev, guest: &[u8]) {
    change(mdev, &Change::Run);
    mdev.wait_until_ready(&Wait::new(RESET_TIMEOUT), &QueueSet::NONE);
    // The guest may have lost a queue while it was stopped.
    let _ = enable_interruptions(mdev, guest);
}

/// Gives a guest from another host the queues that it may have, if they fit its description.
///
/// # Errors
///
/// - Those of [`check`], as the queues may have changed since the description was checked.
/// - `EIO` if interruptions of a queue cannot be enabled. The guest has no queues then.
fn arrive(mdev: &Mdev, guest: &[u8]) -> Result {
    check(mdev, guest)?;
    change(mdev, &Change::Run);
    mdev.wait_until_ready(&Wait::new(RESET_TIMEOUT), &QueueSet::NONE);
    enable_interruptions(mdev, guest).map_err(|apqn| {
        let revoked = change(mdev, &Change::Stop);
        mdev.wait_until_ready(&Wait::new(RESET_TIMEOUT), &revoked);
        refuse(mdev, &Refusal::Queue(apqn, Mismatch::Interruptions));
        EIO
    })
}

/// Enables the interruptions of a description. Returns a queue as the error if that fails.
fn enable_interruptions(mdev: &Mdev, guest: &[u8]) -> Result<(), Apqn> {
    let (Ok(guest), Some(kvm)) = (Description::parse(guest), mdev.kvm()) else {
        return Ok(());
    };
    let wait = Wait::new(DEFAULT_TIMEOUT);
    let mut result = Ok(());
    for (apqn, record) in guest.records() {
        let Some(indicator) = record.indicator else {
            continue;
        };
        if aqic::enable_again(mdev, &kvm, apqn, indicator, &wait).is_err() {
            result = Err(apqn);
            if !wait.sleep() {
                break;
            }
        }
    }
    result
}

/// Returns the properties of a queue of this driver.
///
/// # Errors
///
/// `ENODEV` if the driver does not have the queue, or if the machine does not.
fn queue_info(mdev: &Mdev, apqn: Apqn) -> Result<QueueInfo> {
    let state = mdev.driver.state();
    if !state.host.queues.is_bound(apqn) {
        return Err(ENODEV);
    }
    pqap::queue_info(apqn).map_err(|_| ENODEV)
}

/// Checks that the mdev can give a guest the queues of its description.
///
/// # Errors
///
/// - `EINVAL` if `bytes` is not a description.
/// - `ENODEV` if a queue or a control domain is missing, or does not fit.
fn check(mdev: &Mdev, bytes: &[u8]) -> Result {
    let description = Description::parse(bytes).map_err(|malformed| {
        refuse(mdev, &malformed);
        EINVAL
    })?;
    mdev.wait_until_ready(&Wait::new(RESET_TIMEOUT), &QueueSet::NONE);
    let permitted = {
        let state = mdev.driver.state();
        state.host.permitted(&mdev.masks(&state).assigned)
    };
    description
        .check(&permitted, |apqn| queue_info(mdev, apqn).ok())
        .map_err(|refusal| {
            refuse(mdev, &refusal);
            ENODEV
        })
}

/// Logs the reason for which a migration is refused.
fn refuse(mdev: &Mdev, reason: &dyn fmt::Display) {
    if ratelimit::admits_refusal() {
        dev_info!(mdev.parent(), "migration refused: {reason}\n");
    }
}

// SPDX-License-Identifier: GPL-2.0

//! The migration of a guest to another host.
//!
//! Owns the state of an mdev in a migration, and the stream. Stopping a guest takes all queues from it
//! and resets them. The stream has the [description](crate::matrix::migration) of the queues that the
//! guest had. The destination compares it with the queues of its mdev before the guest runs.
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
        matrix_mdev::MatrixMdev,
        wait::{
            Wait,
            RESET_TIMEOUT, //
        },
        Mdev, //
    },
    linux::{
        migration::State,
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

    /// Ends the stream. Returns its data, if it has not ended before.
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
    /// The masks that the guest had when it was stopped.
    stopped: Matrix,
    /// The stream of the state, if the state has one.
    stream: Option<Arc<DataStream>>,
    /// The description of the guest from another host, until the guest runs.
    incoming: Option<KVVec<u8>>,
}

impl Progress {
    /// Ends the stream. Returns its data, if there is one.
    fn close_stream(&mut self) -> Option<KVVec<u8>> {
        self.stream.take()?.close()
    }

    /// Forgets the migration, when the mdev is reset or closed.
    fn forget(&mut self) {
        self.close_stream();
        *self = Self::default();
    }
}

/// Changes the state of an mdev. Returns the file that the new state comes with.
///
/// # Errors
///
/// - `EINVAL` if there is no way to the state, or if the stream is not a description.
/// - `EIO` if a queue could not be reset in time.
/// - `ENODEV` if a queue or a control domain is missing, or does not fit.
/// - `ENOMEM` if there is no memory, and `ENFILE` if the system has too many files.
pub(crate) fn set_state(mdev: &Mdev, new: State) -> Result<Option<ARef<File>>> {
    let progress = &mut *mdev.migration.lock();
    let mut file = None;
    while progress.state != new {
        let next = mdev.next_migration_state(progress.state, new)?;
        file = step(mdev, progress, next)?;
        progress.state = next;
    }
    Ok(file)
}

/// Returns the state of an mdev.
pub(crate) fn state(mdev: &Mdev) -> State {
    mdev.migration.lock().state
}

/// Returns the length of the stream in bytes.
pub(crate) fn data_size(mdev: &Mdev) -> usize {
    let progress = mdev.migration.lock();
    length(&match progress.state {
        State::Running => mdev.masks(&mdev.driver.state()).granted,
        _ => progress.stopped,
    })
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
                // The queues may have changed since the description was checked.
                check(mdev, incoming)?;
            }
            progress.incoming = None;
            run(mdev);
        }
        (State::Stop, State::StopCopy) => {
            let stream = DataStream::new(save(mdev, &progress.stopped)?)?;
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

/// Takes all queues from the guest. Returns the masks that it had.
///
/// # Errors
///
/// `EIO` if a queue could not be reset in time. The guest has its queues again then.
fn stop(mdev: &Mdev) -> Result<Matrix> {
    let had = mdev.masks(&mdev.driver.state()).granted;
    let revoked = change(mdev, &Change::Stop);
    mdev.wait_until_ready(&Wait::new(RESET_TIMEOUT), &revoked);
    let is_stopped = {
        let state = mdev.driver.state();
        let queues = &state.host.queues;
        mdev.masks(&state).is_committed()
            && revoked
                .rows()
                .all(|(apid, row)| (row & queues.bound(apid)).is_subset(&queues.reset_done(apid)))
    };
    if !is_stopped {
        run(mdev);
        return Err(EIO);
    }
    Ok(had)
}

/// Gives the guest the queues that it may have.
fn run(mdev: &Mdev) {
    change(mdev, &Change::Run);
    mdev.wait_until_ready(&Wait::new(RESET_TIMEOUT), &QueueSet::NONE);
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

/// Describes a guest that had some masks.
///
/// # Errors
///
/// - `ENODEV` if a queue of the guest has gone since the guest was stopped.
/// - `ENOMEM` if there is no memory.
fn save(mdev: &Mdev, masks: &Matrix) -> Result<KVVec<u8>> {
    let mut bytes = KVVec::with_capacity(length(masks), GFP_KERNEL_ACCOUNT)?;
    bytes.extend_from_slice(&header(masks), GFP_KERNEL_ACCOUNT)?;
    for apqn in queues(masks) {
        let QueueInfo(info) = queue_info(mdev, apqn).inspect_err(|_| {
            refuse(mdev, &Refusal::Queue(apqn, Mismatch::Missing));
        })?;
        bytes.extend_from_slice(&info.to_be_bytes(), GFP_KERNEL_ACCOUNT)?;
    }
    Ok(bytes)
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

/// Logs the reason against a migration.
fn refuse(mdev: &Mdev, reason: &dyn fmt::Display) {
    if ratelimit::admits_refusal() {
        dev_info!(mdev.parent(), "migration refused: {reason}\n");
    }
}

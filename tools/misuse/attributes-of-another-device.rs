// SPDX-License-Identifier: GPL-2.0
// A driver for queues that gives them the attributes of mdevs: what is behind a queue would be taken
// for an mdev.
// appended to: driver/queue.rs
// error: E0308

struct Misuse;

impl ap_bus::Driver for Misuse {
    type Data = Queue;

    fn attributes() -> &'static sysfs::Groups<QueueData<Queue>> {
        &crate::driver::attributes::MDEV
    }

    fn prepare(queue: &ap_bus::Queue<device::Core<'_>>) -> Result<Queue> {
        QueueDriver::prepare(queue)
    }

    fn bound(queue: &Queue) {
        QueueDriver::bound(queue)
    }

    fn unbound(queue: &Queue) {
        QueueDriver::unbound(queue)
    }

    fn may_reserve(apm: Mask<Apid>, aqm: Mask<Apqi>) -> Result {
        QueueDriver::may_reserve(apm, aqm)
    }

    fn config_changed(config: &ConfigInfo) {
        QueueDriver::config_changed(config)
    }

    fn scan_complete(config: &ConfigInfo) {
        QueueDriver::scan_complete(config)
    }
}

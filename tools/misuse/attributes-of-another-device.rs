// SPDX-License-Identifier: GPL-2.0
// A driver for queues that registers the attributes of mdevs. The attributes would use a queue as
// an mdev.
// appended to: driver/ap_driver.rs
// error: E0308

struct Misuse;

impl ap_bus::Driver for Misuse {
    type Data = Queue;
    const ID_TABLE: ap_bus::IdTable = &IDS;

    fn attributes() -> &'static sysfs::Groups<QueueData<Queue>> {
        &crate::driver::attributes::MDEV
    }

    fn probe(queue: &ap_bus::Queue<device::Core<'_>>) -> Result<Queue> {
        QueueDriver::probe(queue)
    }

    fn bound(queue: &Queue) {
        QueueDriver::bound(queue)
    }

    fn unbind(queue: &Queue) {
        QueueDriver::unbind(queue)
    }

    fn in_use(apm: Mask<Apid>, aqm: Mask<Apqi>) -> Result {
        QueueDriver::in_use(apm, aqm)
    }

    fn on_config_changed(config: &ConfigInfo) {
        QueueDriver::on_config_changed(config)
    }

    fn on_scan_complete(config: &ConfigInfo) {
        QueueDriver::on_scan_complete(config)
    }
}

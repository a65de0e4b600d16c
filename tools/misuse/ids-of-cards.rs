// SPDX-License-Identifier: GPL-2.0
// A driver for queues whose table of ids matches cards. The driver would use a card as a queue.
// appended to: driver/ap_driver.rs
// error: E0423

fn misuse() -> DeviceId {
    DeviceId(b::ap_device_id {
        match_flags: b::AP_DEVICE_ID_MATCH_CARD_TYPE as u16,
        ..Default::default()
    })
}

// SPDX-License-Identifier: GPL-2.0
//! The roles of the stress test, with one process for each role, and their outcomes.
//!
//! No role knows the actions of the others, and nearly every request may be refused.
//! [`Tally::unexpected`] reports the outcomes that are not allowed.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use fastrand::Rng;
use nix::errno::Errno;

use crate::error::{Error, Result, Step};
use crate::host::{AP, DRIVER, create, driverless, mdev, probe, uuid};
use crate::kvm_run::Cpu;
use crate::memory::{Memory, SEGMENT};
use crate::payload::STORAGE;
use crate::race::{self, End, Named};
use crate::scheduling::Starving;
use crate::vm::{Backend, Deed, Device, Guest, GuestOptions, Irq, Vm};
use crate::{backdoor, interview, module, sysfs};

/// The mdev with several users.
///
/// They use its group. If a second user tries to open the character device, VFIO's core forgets the
/// virtual machine of the first user and leaks a reference to it (`second-bind-forgets-kvm`).
const SHARED: char = 'B';
/// The mdevs that are created and removed.
pub const FLEETING: [char; 4] = ['A', 'B', 'C', 'D'];
/// The mdevs that stay for a round, used by the role `hold`.
pub const LASTING: [char; 2] = ['E', 'F'];
/// The number of adapters and of domains.
pub const IDS: u8 = 4;

/// The numbers of operations by name and by outcome (`ok` or an errno).
#[derive(Default)]
pub struct Tally(BTreeMap<String, BTreeMap<String, u64>>);

impl Tally {
    fn add(&mut self, operation: &str, outcome: &str, count: u64) {
        let outcomes = self.0.entry(operation.into()).or_default();
        *outcomes.entry(outcome.into()).or_default() += count;
    }

    /// Counts an outcome of an operation.
    fn note<T>(&mut self, operation: &str, result: &Result<T>) {
        match result {
            Ok(_) => self.add(operation, "ok", 1),
            Err(Error { errno, .. }) => self.add(operation, &format!("{errno:?}"), 1),
        }
    }

    /// Adds a line of another process. Returns false if the line does not have the format of
    /// [`fmt::Display`].
    pub fn merge(&mut self, line: &str) -> bool {
        let mut words = line.split(' ');
        let (Some("did"), Some(operation)) = (words.next(), words.next()) else {
            return false;
        };
        for word in words {
            if let Some((outcome, count)) = word.split_once('=') {
                self.add(operation, outcome, count.parse().unwrap_or(0));
            }
        }
        true
    }

    /// Returns the number of operations.
    pub fn total(&self) -> u64 {
        self.0.values().flat_map(BTreeMap::values).sum()
    }

    /// Returns the outcomes that no other role can cause.
    pub fn unexpected(&self) -> Vec<String> {
        let outcomes = |(operation, outcomes): (&String, &BTreeMap<String, u64>)| {
            let operation = operation.clone();
            let wrong: Vec<_> = outcomes
                .keys()
                .filter(|outcome| {
                    *outcome != "ok" && !expected(&operation).contains(&outcome.as_str())
                })
                .map(|outcome| format!("{operation}: {outcome}"))
                .collect();
            wrong
        };
        self.0.iter().flat_map(outcomes).collect()
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (operation, outcomes) in &self.0 {
            write!(f, "did {operation}")?;
            for (outcome, count) in outcomes {
                write!(f, " {outcome}={count}")?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}

/// Returns the errnos that an operation may fail with while all other roles act.
fn expected(operation: &str) -> &'static [&'static str] {
    // ENODEV and ENOENT: the object does not exist, or is just being removed.
    match operation {
        "create" => &["EEXIST", "ENODEV", "ENOENT", "EAGAIN"],
        "remove" => &["ENODEV", "ENOENT", "EAGAIN"],
        // EADDRNOTAVAIL: reserved for the host. EADDRINUSE: assigned to another mdev.
        "assign" | "unassign" | "ap_config" => {
            &["EADDRNOTAVAIL", "EADDRINUSE", "ENODEV", "ENOENT", "EBUSY"]
        }
        // debugfs returns ENXIO while the owner of a file is being unloaded.
        "read" => &["ENODEV", "ENOENT", "EIO", "ENXIO"],
        "open" => &["EBUSY", "ENODEV", "ENOENT"],
        "reset" => &["EIO", "ENODEV"],
        "set-irq" => &["ENODEV"],
        // EAGAIN: the queue is just being added.
        "bind" => &["EAGAIN", "EBUSY", "ENODEV", "ENOENT"],
        "unbind" => &["EBUSY", "ENODEV", "ENOENT"],
        "reserve" => &["EBUSY", "ENODEV"],
        "override" => &["EBUSY", "ENODEV", "ENOENT"],
        "probe" => &["EINVAL", "ENODEV", "EAGAIN", "EBUSY"],
        "config" => &["EIO", "ENODEV", "ENOENT", "EBUSY"],
        "unload" => &["EAGAIN", "ENOENT", "EBUSY"],
        "load" => &["EEXIST", "EBUSY"],
        _ => &[],
    }
}

/// A process with a role.
pub struct Worker {
    tally: Tally,
    random: Rng,
    end: Instant,
    /// The storage for adding and removing a memory slot.
    more: Option<Memory>,
}

impl Worker {
    /// Returns a worker that acts for `duration`.
    pub fn new(duration: Duration, seed: u64) -> Self {
        Self {
            tally: Tally::default(),
            random: Rng::with_seed(seed),
            end: Instant::now() + duration,
            more: None,
        }
    }

    /// Plays a role until the end of the duration, and returns its outcomes.
    ///
    /// # Errors
    ///
    /// Returns an error if the role does not exist or cannot start.
    pub fn play(mut self, role: &str, name: char) -> Result<Tally> {
        match role {
            "hold" => return self.hold(name),
            "use" => self.open_and_close(name)?,
            _ => {
                while Instant::now() < self.end {
                    self.step(role, name)?;
                }
            }
        }
        Ok(self.tally)
    }

    fn step(&mut self, role: &str, name: char) -> Result<()> {
        match role {
            "mdevs" => self.create_or_remove(),
            "assign" => self.assign(),
            "look" => self.look(),
            "kill" => self.kill(name)?,
            "machine" => self.change_machine(),
            "break" => self.break_queue(),
            "flap" => self.flap(),
            "scan" => self.write("scan", &Path::new(AP).join("scans"), "1"),
            "bind" => self.bind_or_unbind(),
            "reserve" => self.reserve(),
            "override" => self.override_drivers(),
            "config" => self.configure(),
            "module" => self.load_or_unload(),
            _ => return Err(Errno::EINVAL).step(format!("no such role: {role}")),
        }
        Ok(())
    }

    fn id(&mut self) -> u8 {
        self.random.u8(..IDS)
    }

    fn queue(&mut self) -> String {
        format!("{:02x}.{:04x}", self.id(), self.id())
    }

    /// Selects a CPU of a guest.
    fn cpu(&mut self, guest: &Guest) -> String {
        self.random.usize(..guest.cpus.len()).to_string()
    }

    fn any_mdev(&mut self) -> char {
        let names = [&FLEETING[..], &LASTING[..]].concat();
        names[self.random.usize(..names.len())]
    }

    fn pause(&mut self, milliseconds: u64) {
        thread::sleep(Duration::from_millis(self.random.u64(..milliseconds)));
    }

    fn write(&mut self, operation: &str, file: &Path, text: &str) {
        self.tally.note(operation, &sysfs::write(file, text));
    }

    fn create_or_remove(&mut self) {
        let name = FLEETING[self.random.usize(..FLEETING.len())];
        if self.random.f32() < 0.7 {
            self.tally.note("create", &create(name));
        } else {
            self.write("remove", &mdev(name).join("remove"), "1");
        }
        self.pause(40);
    }

    fn assign(&mut self) {
        let mdev = mdev(self.any_mdev());
        if self.random.u8(..8) == 0 {
            // The first four bits of each mask are the existing numbers.
            let mut mask = || format!("0x{:x}{:063}", self.random.u8(..16), 0);
            let text = [mask(), mask(), mask()].join(",");
            return self.write("ap_config", &mdev.join("ap_config"), &text);
        }
        let verb = if self.random.f32() < 0.6 {
            "assign"
        } else {
            "unassign"
        };
        let what = ["adapter", "domain", "control_domain"][self.random.usize(..3)];
        let text = self.id().to_string();
        self.write(verb, &mdev.join(format!("{verb}_{what}")), &text);
    }

    fn look(&mut self) {
        let name = self.any_mdev();
        let file = match self.random.u8(..7) {
            0 => mdev(name).join("matrix"),
            1 => mdev(name).join("guest_matrix"),
            2 => mdev(name).join("ap_config"),
            3 => mdev(name).join("control_domains"),
            4 => Path::new("/sys/kernel/debug/vfio_ap").join(uuid(name)),
            5 => "/sys/kernel/debug/s390dbf/vfio_ap/sprintf".into(),
            _ => Path::new(AP)
                .join("devices")
                .join(self.queue())
                .join("status"),
        };
        self.tally.note("read", &sysfs::read(file));
    }

    fn guest(&mut self) -> Result<Vm> {
        let cpus = self.random.usize(..3);
        if cpus == 0 {
            return Vm::new(1);
        }
        Vm::with_guest(GuestOptions::new(cpus, IDS - 1))
    }

    fn open(&mut self, vm: &Vm, name: char) -> Result<Device> {
        let backend = if name == SHARED || self.random.bool() {
            Backend::Group
        } else {
            Backend::Iommufd
        };
        let device = vm.open(&uuid(name), backend, true);
        self.tally.note("open", &device);
        device
    }

    /// Executes an action of a user or its guest.
    fn use_device(&mut self, vm: &Vm, device: &mut Device) {
        match self.random.u8(..12) {
            8 => self.race(vm, device),
            9 => self.starve_a_cpu(vm, device),
            10 => self.starve_a_thread(vm, device),
            11 => self.plug(vm, device),
            0 | 1 => {
                let irq = [Irq::Request, Irq::ConfigChanged][self.random.usize(..2)];
                let on = self.random.bool();
                self.tally.note("set-irq", &device.set_irq(irq, on));
            }
            2 => self.tally.note("reset", &device.reset()),
            3 => {
                if let Ok(guest) = vm.guest() {
                    self.tally.note("unmap", &device.unmap(guest.memory));
                    self.pause(5);
                    self.tally.note("map", &device.map(guest.memory));
                }
            }
            _ => {
                if let Ok(guest) = vm.guest() {
                    let cpu = self.cpu(guest);
                    let queue = self.queue();
                    let word =
                        ["enable", "enable", "disable", "send", "receive"][self.random.usize(..5)];
                    let answer = interview::ask(guest, &[&cpu, word, &queue]);
                    self.tally.note(&format!("guest-{word}"), &answer);
                }
            }
        }
    }

    /// Returns an action that removes memory, and may add it again.
    fn deed(&mut self, guest: &Guest, device: &Device) -> Option<Named<'static>> {
        let names: &[_] = match device.backend() {
            Backend::Group => &["unmap"],
            Backend::Iommufd => &["unmap", "detach", "replace"],
        };
        Named::new(names[self.random.usize(..names.len())], guest)
    }

    /// Reverts an action.
    fn undo(&mut self, what: &Named<'_>, guest: &Guest, device: &Device) {
        match what.deed {
            Deed::Unmap(_) => self.tally.note("map", &device.map(guest.memory)),
            Deed::Detach => {
                let attached = device.access().and_then(|access| access.act(Deed::Attach));
                self.tally.note("attach", &attached);
            }
            _ => {}
        }
    }

    fn note_end(&mut self, end: &Result<End<'_>>) {
        match end {
            Ok(end) => self.tally.note(end.name, &end.result),
            Err(_) => self.tally.note("race", end),
        }
    }

    /// Repeatedly enables interruptions in the guest while its user acts.
    fn race(&mut self, vm: &Vm, device: &Device) {
        let Ok(guest) = vm.guest() else { return };
        let what = match self.random.u8(..3) {
            0 => Named::new("reset", guest),
            _ => self.deed(guest, device),
        };
        let Some(what) = what else { return };
        let (cpu, queue) = (self.cpu(guest), self.queue());
        let delay = Duration::from_millis(self.random.u64(..4));
        let question = [&cpu, "enable", &queue];
        let account = race::race(guest, device, &what, delay, &question);
        self.note_end(&account.map(|account| account.end));
        self.undo(&what, guest, device);
    }

    /// Enables interruptions on a CPU of the guest that gets no CPU time, while its user unmaps
    /// memory.
    fn starve_a_cpu(&mut self, vm: &Vm, device: &Device) {
        let Ok(guest) = vm.guest() else { return };
        let Some(what) = self.deed(guest, device) else {
            return;
        };
        let (cpu, queue) = (self.cpu(guest), self.queue());
        let threads: Vec<_> = guest.cpus.iter().map(Cpu::thread).collect();
        let delay = Duration::from_millis(self.random.u64(..4));
        let question = [&cpu, "enable", &queue];
        let ready = move || Starving::new(&threads);
        let account = race::after(guest, device, &what, delay, ready, &question);
        self.note_end(&account.map(|account| account.end));
        self.undo(&what, guest, device);
    }

    /// Resets the device in a thread of the user without CPU time, while another thread unmaps
    /// memory.
    fn starve_a_thread(&mut self, vm: &Vm, device: &Device) {
        let Ok(guest) = vm.guest() else { return };
        let Some(what) = Named::new("reset", guest) else {
            return;
        };
        let delay = Duration::from_millis(self.random.u64(..20));
        match race::starve(guest, device, &what, delay, 0) {
            Ok(ends) => {
                for end in ends {
                    self.note_end(&Ok(end));
                }
            }
            Err(e) => self.note_end(&Err(e)),
        }
        self.tally.note("map", &device.map(guest.memory));
    }

    /// Adds memory, uses it for an indicator, and removes it.
    fn plug(&mut self, vm: &Vm, device: &Device) {
        let Ok(guest) = vm.guest() else { return };
        let more = match self.more {
            Some(more) => more,
            // The storage is never freed.
            None => match Memory::new(STORAGE as u64, SEGMENT) {
                Ok(more) => *self.more.insert(more),
                Err(_) => return,
            },
        };
        self.tally.note("plug", &vm.set_more_memory(Some(more)));
        self.tally.note("map", &device.map(more));
        // The address is at the start of the storage, or at the end of the storage before it.
        let at = STORAGE as u64 - [0, 8, 4096][self.random.usize(..3)];
        let (cpu, queue) = (self.cpu(guest), self.queue());
        let answer = interview::ask(guest, &[&cpu, "enable", &queue, &at.to_string()]);
        self.tally.note("guest-enable", &answer);
        self.pause(5);
        // Either can be removed first.
        if self.random.bool() {
            self.tally.note("unplug", &vm.set_more_memory(None));
            self.tally.note("unmap", &device.unmap(more));
        } else {
            self.tally.note("unmap", &device.unmap(more));
            self.tally.note("unplug", &vm.set_more_memory(None));
        }
    }

    /// Plays the role `use`: a virtual machine that opens and closes a device.
    fn open_and_close(&mut self, name: char) -> Result<()> {
        let vm = self.guest()?;
        while Instant::now() < self.end {
            let Ok(mut device) = self.open(&vm, name) else {
                self.pause(20);
                continue;
            };
            for _ in 0..self.random.u8(..10) {
                self.use_device(&vm, &mut device);
            }
            drop(device);
            self.tally.add("close", "ok", 1);
        }
        Ok(())
    }

    /// Plays the role `hold`: a guest that keeps its device until the test has compared its state.
    fn hold(mut self, name: char) -> Result<Tally> {
        let vm = Vm::with_guest(GuestOptions::new(1, IDS - 1))?;
        let mut device = self.open(&vm, name)?;
        while Instant::now() < self.end {
            self.use_device(&vm, &mut device);
            self.pause(20);
        }
        println!("holding");
        let mut line = String::new();
        while std::io::stdin().read_line(&mut line).step("question")? != 0 {
            let answer = match line.trim() {
                "masks" => crate::crycb::Question::Masks
                    .answer(std::process::id())
                    .step("KVM debug feature")?,
                _ => interview::ask(vm.guest()?, &["queues"])?,
            };
            println!("{answer}");
            line.clear();
        }
        drop(device);
        self.tally.add("close", "ok", 1);
        Ok(self.tally)
    }

    /// Starts a user and kills it at a random time.
    fn kill(&mut self, name: char) -> Result<()> {
        let seed = self.random.u64(..).to_string();
        let program = std::env::current_exe().step("own name")?;
        let mut user = Command::new(program)
            .args(["role", "use", &name.to_string(), "1000", &seed])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .step("start a user")?;
        self.pause(400);
        user.kill().step("kill a user")?;
        self.tally.note("kill", &user.wait().step("wait"));
        Ok(())
    }

    /// Changes the host configuration, or makes hardware fail or slow.
    fn change_machine(&mut self) {
        let (id, queue) = (self.id(), self.queue());
        let command = match self.random.u8(..16) {
            0..=7 => {
                let mask = ["apm", "apm", "aqm", "adm"][self.random.usize(..4)];
                let sign = ["+", "+", "-"][self.random.usize(..3)];
                format!("{mask} {sign} {id}")
            }
            8 => {
                let states = ["online", "online", "deconfigured", "checkstopped"];
                format!("adapter {id} state {}", states[self.random.usize(..4)])
            }
            9 => format!(
                "adapter {id} {}",
                ["cex7a", "cex8p", "none"][self.random.usize(..3)]
            ),
            10 => format!("queue {queue} reset-polls {}", self.random.u8(..5)),
            11 => format!("queue {queue} irq-polls {}", self.random.u8(..5)),
            12 | 13 => {
                let function = ["zapq", "tapq", "aqic"][self.random.usize(..3)];
                let code = ["01", "03", "04", "05", "07", "42"][self.random.usize(..6)];
                let times = self.random.u8(1..4);
                format!("queue {queue} {function} rc={code} times={times}")
            }
            _ => {
                // The host scans its configuration automatically, but rarely.
                let scan = Path::new(AP).join("scans");
                return self.write("scan", &scan, "1");
            }
        };
        // An adapter that is not installed has no state.
        let _ = backdoor::ask(&command);
        self.tally.add("machine", "ok", 1);
        self.pause(20);
    }

    /// Makes a queue fail for some time. The machine does not reset the queue, or does not enable
    /// and disable its interruptions.
    fn break_queue(&mut self) {
        let queue = self.queue();
        let (broken, mended) = [
            ("zapq rc=05", "zapq clear"),
            ("zapq rc=42", "zapq clear"),
            ("aqic rc=05", "aqic clear"),
            ("reset-polls forever", "reset-polls 1"),
            ("reset-polls 40", "reset-polls 1"),
            ("irq-polls forever", "irq-polls 1"),
            ("irq-polls 150", "irq-polls 1"),
        ][self.random.usize(..7)];
        let _ = backdoor::ask(&format!("queue {queue} {broken}"));
        self.pause(400);
        let _ = backdoor::ask(&format!("queue {queue} {mended}"));
        self.tally.add("break", "ok", 1);
        self.pause(400);
    }

    /// Removes an adapter or a domain and adds it again within a scan.
    fn flap(&mut self) {
        let mask = ["apm", "apm", "aqm"][self.random.usize(..3)];
        let id = self.id();
        let _ = backdoor::ask(&format!("{mask} - {id}"));
        let scans = Path::new(AP).join("scans");
        let scan = thread::spawn(move || sysfs::write(scans, "1"));
        self.pause(30);
        let _ = backdoor::ask(&format!("{mask} + {id}"));
        let scan = scan.join().unwrap_or(Err(Errno::EIO).step("thread"));
        self.tally.note("scan", &scan);
        self.pause(200);
    }

    fn bind_or_unbind(&mut self) {
        let queue = self.queue();
        let driver = Path::new(AP).join("drivers/vfio_ap");
        if self.random.f32() < 0.6 {
            self.write("bind", &driver.join("bind"), &queue);
        } else {
            self.write("unbind", &driver.join("unbind"), &queue);
        }
    }

    /// Sets drivers for single queues. Linux accepts this only while no mask reserves queues.
    fn override_drivers(&mut self) {
        let queue = self.queue();
        let file = format!("{AP}/devices/{queue}/driver_override");
        let text = ["vfio_ap", "vfio_ap", "", "cex4queue"][self.random.usize(..4)];
        self.write("override", Path::new(&file), text);
        let driver = Path::new(AP).join("devices").join(&queue).join("driver");
        self.write("unbind", &driver.join("unbind"), &queue);
        self.tally.note("probe", &probe(&queue));
        self.pause(40);
    }

    fn reserve(&mut self) {
        let mask = ["apmask", "aqmask"][self.random.usize(..2)];
        let sign = ["+", "-", "-"][self.random.usize(..3)];
        let text = format!("{sign}{}", self.id());
        self.write("reserve", &Path::new(AP).join(mask), &text);
        for queue in driverless() {
            self.tally.note("probe", &probe(&queue));
        }
        self.pause(40);
    }

    fn configure(&mut self) {
        let file = format!("{AP}/devices/card{:02x}/config", self.id());
        let text = if self.random.f32() < 0.7 { "1" } else { "0" };
        self.write("config", Path::new(&file), text);
        self.pause(50);
    }

    fn load_or_unload(&mut self) {
        self.tally.note("unload", &module::remove("vfio_ap"));
        self.tally.note("load", &module::insert(DRIVER, ""));
        self.pause(1000);
    }
}

// SPDX-License-Identifier: GPL-2.0
//! `apwalk FILE`: execute the steps in FILE, and check the expected state after each step.
//!
//! A shell would start several processes for a step, which is slow in the emulated machine. Here, a
//! step takes some milliseconds, and a random walk can have thousands of steps.
//!
//! A step begins with an operation. Mdevs are called A to F, as in scenarios:
//!
//! ```text
//! do A create | A remove      (refused while A is open)
//! do A write ATTRIBUTE TEXT
//! do A open group|iommufd | A close | A reset
//! do A replace | A detach     replace the I/O address space, or remove it for a moment
//! do A plug                   map more memory for the device for a moment
//! do machine COMMAND...       control the emulated machine
//! do scan                     scan the AP bus
//! do ap FILE TEXT             write to a file in /sys/bus/ap
//! do reserve MASK CHANGE      write to apmask or aqmask, and then bind each queue without a
//!                             driver
//! ```
//!
//! The expected state follows, in any order:
//!
//! ```text
//! answer ERRNO|any            the operation fails; the default is `ok`
//! soon                        the state is reached after some time
//! retried                     the state is reached after the driver has repeated failed resets
//! commits A MIN MAX           the number of commits; the default is 0
//! expect A ATTRIBUTE = TEXT   from this step on, in one line; `absent` if it cannot be read
//! expect A kvm = MASKS        the masks that KVM last put into the CRYCB
//! expect QUEUE status = TEXT
//! ```
//!
//! At the first unexpected state it prints the difference and exits with status 1.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;
use std::time::{Duration, Instant};

use machine_programs::crycb::{self, Commit};
use machine_programs::error::{Result, Step as _};
use machine_programs::host::{self, AP};
use machine_programs::memory::{Memory, SEGMENT};
use machine_programs::vm::{Backend, Deed, Device, Vm};
use machine_programs::{backdoor, sysfs};
use nix::errno::Errno;

/// The maximum wait for a state that is reached `soon`. It is longer than the driver's wait for
/// resets.
const PATIENCE: Duration = Duration::from_secs(5);

/// The time after which the driver has retried failed resets: `RETRY_INTERVAL` and a second.
const RETRIED: Duration = Duration::from_secs(6);

/// The text for empty masks and for masks that were never set.
const NOTHING: &str = "apm=none aqm=none adm=none";

/// The pages of KVM's debug feature: enough for the commits of one step, and copied quickly.
const DEBUG_PAGES: &str = "2";

/// A step of a walk.
#[derive(Default)]
struct Step {
    action: String,
    answer: String,
    soon: bool,
    retried: bool,
    commits: BTreeMap<char, (usize, usize)>,
    changes: Vec<(String, String)>,
}

fn parse(text: &str) -> std::result::Result<Vec<Step>, String> {
    let mut steps: Vec<Step> = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let wrong = || format!("line {}: {line}", number + 1);
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        if word == "do" {
            steps.push(Step {
                action: rest.into(),
                answer: "ok".into(),
                ..Step::default()
            });
            continue;
        }
        let step = steps.last_mut().ok_or_else(wrong)?;
        match word {
            "answer" => step.answer = rest.into(),
            "soon" => step.soon = true,
            "retried" => step.retried = true,
            "commits" => {
                let words: Vec<&str> = rest.split(' ').collect();
                let [name, min, max] = words[..] else {
                    return Err(wrong());
                };
                let number = |word: &str| word.parse().map_err(|_| wrong());
                let name = name.parse().map_err(|_| wrong())?;
                step.commits.insert(name, (number(min)?, number(max)?));
            }
            "expect" => {
                let (what, value) = rest.split_once(" =").ok_or_else(wrong)?;
                step.changes.push((what.into(), value.trim().into()));
            }
            _ => return Err(wrong()),
        }
    }
    Ok(steps)
}

/// A virtual machine in its own thread. KVM names its debug feature after the thread that has
/// created the machine.
struct Monitor {
    task: u32,
    orders: Sender<Order>,
    answers: Receiver<Result<()>>,
    is_open: bool,
    /// The last masks that KVM put into the CRYCB.
    masks: String,
    commits: usize,
}

enum Order {
    Open(String, Backend),
    Close,
    Reset,
    Replace,
    Detach,
    Plug,
}

fn obey(vm: &Vm, memory: Memory, device: &mut Option<Device>, order: Order) -> Result<()> {
    match (order, device.as_ref()) {
        (Order::Open(..), Some(_)) => return Err(Errno::EBUSY).step("open"),
        (Order::Open(uuid, backend), None) => *device = Some(vm.open(&uuid, backend, true)?),
        (_, None) => return Err(Errno::ENODEV).step("no open device"),
        (Order::Close, Some(_)) => *device = None,
        (Order::Reset, Some(device)) => device.reset()?,
        (Order::Replace, Some(device)) => device.access()?.act(Deed::Replace(None))?,
        (Order::Detach, Some(device)) => {
            let access = device.access()?;
            access.act(Deed::Detach)?;
            access.act(Deed::Attach)?;
        }
        (Order::Plug, Some(device)) => {
            device.map(memory)?;
            device.unmap(memory)?;
        }
    }
    Ok(())
}

impl Monitor {
    fn new() -> Result<Self> {
        let (orders, inbox) = mpsc::channel();
        let (outbox, answers) = mpsc::channel();
        let (hello, task) = mpsc::channel();
        thread::spawn(move || {
            let begin = || {
                let vm = Vm::new(0)?;
                let path = fs::read_link("/proc/thread-self").step("thread-self")?;
                let memory = Memory::new(0, SEGMENT).step("memory")?;
                Ok((vm, memory, path))
            };
            let (vm, memory) = match begin() {
                Ok((vm, memory, path)) => {
                    let _ = hello.send(Ok(path));
                    (vm, memory)
                }
                Err(e) => {
                    let _ = hello.send(Err(e));
                    return;
                }
            };
            let mut device = None;
            for order in inbox {
                if outbox.send(obey(&vm, memory, &mut device, order)).is_err() {
                    break;
                }
            }
        });
        let path = task.recv().map_err(|_| Errno::ESRCH).step("thread")??;
        let number = path.file_name().and_then(|name| name.to_str());
        let task = number
            .and_then(|number| number.parse().ok())
            .ok_or(Errno::ESRCH)
            .step("number of a thread")?;
        sysfs::write(debug_feature(task).join("pages"), DEBUG_PAGES)?;
        Ok(Self {
            task,
            orders,
            answers,
            is_open: false,
            masks: NOTHING.into(),
            commits: 0,
        })
    }

    fn order(&mut self, order: Order) -> Result<()> {
        let opens = matches!(order, Order::Open(..));
        let closes = matches!(order, Order::Close);
        let gone = "the thread of a virtual machine is gone";
        self.orders
            .send(order)
            .map_err(|_| Errno::ESRCH)
            .step(gone)?;
        self.answers.recv().map_err(|_| Errno::ESRCH).step(gone)??;
        self.is_open = (self.is_open || opens) && !closes;
        Ok(())
    }

    /// Records new commits.
    fn look(&mut self) -> Result<()> {
        let commits = crycb::read(self.task).step("KVM debug feature")?;
        if let Some(last) = commits.last() {
            self.masks = match last {
                Commit::Clear => NOTHING.into(),
                set => set.to_string(),
            };
            self.commits += commits.len();
            sysfs::write(debug_feature(self.task).join("flush"), "-")?;
        }
        Ok(())
    }
}

fn debug_feature(task: u32) -> PathBuf {
    Path::new("/sys/kernel/debug/s390dbf").join(format!("kvm-{task}"))
}

/// The objects of a walk.
#[derive(Default)]
struct World {
    monitors: BTreeMap<char, Monitor>,
}

impl World {
    fn monitor(&mut self, name: char) -> Result<&mut Monitor> {
        Ok(match self.monitors.entry(name) {
            Entry::Vacant(place) => place.insert(Monitor::new()?),
            Entry::Occupied(monitor) => monitor.into_mut(),
        })
    }

    /// Executes an action. Returns `ok`, `refused` if the machine refuses it, or an errno.
    fn act(&mut self, action: &str) -> String {
        let words: Vec<&str> = action.splitn(4, ' ').collect();
        let result = match words[..] {
            ["machine", ..] => {
                return match backdoor::ask(&action["machine".len()..]) {
                    Ok(_) => "ok".into(),
                    Err(_) => "refused".into(),
                };
            }
            ["scan"] => host::scan(),
            ["ap", file, text] => sysfs::write(Path::new(AP).join(file), text),
            ["reserve", mask, change] => reserve(mask, change),
            [name, ref words @ ..] if name.len() == 1 => {
                self.act_on(char::from(name.as_bytes()[0]), words)
            }
            _ => Err(Errno::EINVAL).step("no such action"),
        };
        match result {
            Ok(()) => "ok".into(),
            Err(e) => format!("{:?}", e.errno),
        }
    }

    fn act_on(&mut self, name: char, words: &[&str]) -> Result<()> {
        let uuid = host::uuid(name);
        let mdev = host::mdev(name);
        match *words {
            ["create"] => host::create(name),
            // Removing an open mdev would wait until it is closed.
            ["remove"] if self.monitors.get(&name).is_some_and(|m| m.is_open) => {
                Err(Errno::EBUSY).step("remove")
            }
            ["remove"] => sysfs::write(mdev.join("remove"), "1"),
            ["write", rest] | ["write", rest, ""] => sysfs::write(mdev.join(rest), ""),
            ["write", attribute, text] => sysfs::write(mdev.join(attribute), text),
            ["open", "group"] => self.monitor(name)?.order(Order::Open(uuid, Backend::Group)),
            ["open", "iommufd"] => {
                let order = Order::Open(uuid, Backend::Iommufd);
                self.monitor(name)?.order(order)
            }
            ["close"] => self.monitor(name)?.order(Order::Close),
            ["reset"] => self.monitor(name)?.order(Order::Reset),
            ["replace"] => self.monitor(name)?.order(Order::Replace),
            ["detach"] => self.monitor(name)?.order(Order::Detach),
            ["plug"] => self.monitor(name)?.order(Order::Plug),
            _ => Err(Errno::EINVAL).step("no such action"),
        }
    }

    /// Returns the current value of `what`.
    fn see(&mut self, what: &str) -> String {
        let (of, attribute) = what.split_once(' ').unwrap_or((what, ""));
        let seen = if of.len() > 1 {
            sysfs::read(Path::new(AP).join("devices").join(of).join(attribute))
        } else {
            let name = char::from(of.as_bytes()[0]);
            if attribute == "kvm" {
                return match self.monitors.get_mut(&name) {
                    None => NOTHING.into(),
                    Some(monitor) => match monitor.look() {
                        Ok(()) => monitor.masks.clone(),
                        Err(e) => e.to_string(),
                    },
                };
            }
            sysfs::read(host::mdev(name).join(attribute))
        };
        seen.unwrap_or_else(|_| "absent".into())
    }

    /// Returns the first difference from the expected state.
    fn check(&mut self, expected: &BTreeMap<String, String>) -> Option<String> {
        expected.iter().find_map(|(what, value)| {
            let seen = self.see(what);
            (seen != *value).then(|| format!("{what}: expected '{value}', got '{seen}'"))
        })
    }

    /// Executes a step. Returns the first difference from the expected state.
    fn take(&mut self, step: &Step, expected: &BTreeMap<String, String>) -> Option<String> {
        for monitor in self.monitors.values_mut() {
            monitor.commits = 0;
        }
        let answer = self.act(&step.action);
        if step.answer != "any" && answer != step.answer {
            return Some(format!(
                "answer: expected '{}', got '{answer}'",
                step.answer
            ));
        }
        if step.retried {
            thread::sleep(RETRIED);
        }
        let begun = Instant::now();
        loop {
            match self.check(expected) {
                None => break,
                Some(_) if step.soon && begun.elapsed() < PATIENCE => {
                    thread::sleep(Duration::from_millis(5));
                }
                wrong => return wrong,
            }
        }
        self.monitors.iter().find_map(|(name, monitor)| {
            let (min, max) = step.commits.get(name).copied().unwrap_or_default();
            let n = monitor.commits;
            (!(min..=max).contains(&n))
                .then(|| format!("commits to {name}: expected {min} to {max}, got {n}"))
        })
    }
}

fn reserve(mask: &str, change: &str) -> Result<()> {
    let result = sysfs::write(Path::new(AP).join(mask), change);
    for queue in host::driverless() {
        host::probe(&queue)?;
    }
    result
}

fn walk(steps: &[Step]) -> std::result::Result<(), String> {
    let mut world = World::default();
    let mut expected = BTreeMap::new();
    for (number, step) in steps.iter().enumerate() {
        println!("{number} {}", step.action);
        expected.extend(step.changes.iter().cloned());
        if let Some(wrong) = world.take(step, &expected) {
            return Err(format!("step {number}: {}: {wrong}", step.action));
        }
    }
    Ok(())
}

fn main() -> ExitCode {
    let Some(file) = std::env::args().nth(1) else {
        eprintln!("usage: apwalk FILE");
        return ExitCode::from(2);
    };
    let steps = match fs::read_to_string(&file)
        .map_err(|e| e.to_string())
        .and_then(|text| parse(&text))
    {
        Ok(steps) => steps,
        Err(e) => {
            eprintln!("apwalk: {file}: {e}");
            return ExitCode::from(2);
        }
    };
    backdoor::explain_absence();
    let begun = Instant::now();
    let result = walk(&steps);
    let seconds = begun.elapsed().as_secs_f32();
    match result {
        Ok(()) => {
            println!("walked {} steps in {seconds:.1} s", steps.len());
            ExitCode::SUCCESS
        }
        Err(wrong) => {
            println!("walk: {wrong}");
            ExitCode::FAILURE
        }
    }
}

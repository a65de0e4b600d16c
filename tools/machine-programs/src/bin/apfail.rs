// SPDX-License-Identifier: GPL-2.0
//! `apfail [CASE[:FIRST]...]`: test the driver with failing allocations.
//!
//! Each case is one system call, or one instruction of a guest. The first run fails the first
//! allocation, the second run fails the second one, and so on until no allocation fails. Caches of
//! the kernel make the order of allocations vary. The series is therefore repeated until no new
//! allocation fails.
//!
//! If the operation fails, it has to return a suitable errno and must not change the state. If the
//! operation succeeds, it has to be complete. Undoing the operation has to restore the initial
//! state.
//!
//! With `FIRST`, a case starts with the failure of that allocation.
//!
//! The case `load` runs only on request. It takes minutes, and the kernel's module loader leaks
//! memory.
//!
//! The program needs adapters 1 and 2 with domains 0 to 3 bound to the driver, and no mdevs. It
//! prints the number of failed allocations, the number of those with the driver among their
//! callers, and the kernel messages.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use machine_programs::error::{Result, Step};
use machine_programs::faults::{Injector, Messages};
use machine_programs::host::{self, AP, CREATE, DRIVER, create, mdev, uuid};
use machine_programs::memory::{Memory, SEGMENT};
use machine_programs::payload::STORAGE;
use machine_programs::vm::{Backend, Deed, Device, GuestOptions, Irq, Vm};
use machine_programs::{backdoor, interview, module, sysfs};
use nix::errno::Errno;
use nix::kmod::{ModuleInitFlags, finit_module};

const DEBUG_FEATURE: &str = "/sys/kernel/debug/s390dbf/vfio_ap/sprintf";
/// A queue of the guest.
const QUEUE: &str = "01.0001";
/// The driver's name in a list of callers.
const OWN: &str = "[vfio_ap]";
/// The maximum number of allocations of a case.
const MANY: u32 = 5000;
/// The maximum number of repetitions of a case.
const PASSES: u32 = 5;

/// Returns the text of `ap_config` for domains 0 to 2, control domain 0, and these adapters. `6`
/// means adapters 1 and 2.
fn matrix(adapters: char) -> String {
    let mask = |digit| format!("0x{digit}{:063}", 0);
    [mask(adapters), mask('e'), mask('8')].join(",")
}

/// A file that is open for writing, so that only one system call is left.
struct Written {
    file: File,
    text: String,
}

impl Written {
    fn new(file: impl AsRef<Path>, text: &str) -> Result<Self> {
        let file = OpenOptions::new().write(true).open(file).step("open")?;
        let text = format!("{text}\n");
        Ok(Self { file, text })
    }

    fn write(mut self) -> Result<()> {
        self.file
            .write(self.text.as_bytes())
            .map(drop)
            .step("write")
    }
}

/// The operation during which allocations fail.
type Act = Box<dyn FnOnce(&mut World) -> Result<()>>;

/// The objects of a case.
#[derive(Default)]
struct World {
    vm: Option<Vm>,
    device: Option<Device>,
}

/// The thread whose allocations fail.
#[derive(Clone, Copy, PartialEq)]
enum Where {
    /// The thread of the system call.
    Here,
    /// The thread of the virtual CPU.
    Guest,
}

/// The changes of the host by a case.
#[derive(Clone, Copy, PartialEq)]
enum Host {
    Same,
    /// Queues may have lost their driver.
    Unbound,
    /// The masks or the host configuration have changed.
    Changed,
}

struct Case {
    name: &'static str,
    host: Host,
    place: Where,
    /// Creates the initial state.
    prepare: fn(&mut World) -> Result<()>,
    /// Prepares the operation, and returns its system call.
    ready: fn(&mut World) -> Result<Act>,
    /// The allowed errnos other than ENOMEM. Each has a function that must be among the callers of
    /// the failed allocation.
    errors: &'static [(Errno, &'static str)],
    /// True if the operation may be incomplete, for example because queues could not be bound.
    partly: bool,
}

impl Case {
    /// Returns true if the operation may fail with `errno` after a failed allocation with these
    /// callers.
    fn may_end_with(&self, errno: Errno, callers: &[String]) -> bool {
        let is_known = |(known, caller): &(Errno, &str)| {
            *known == errno && callers.iter().any(|line| line.contains(caller))
        };
        errno == Errno::ENOMEM || self.errors.iter().any(is_known)
    }
}

fn nothing(_: &mut World) -> Result<()> {
    Ok(())
}

/// Creates an mdev with queues.
fn with_mdev(_: &mut World) -> Result<()> {
    create('A')?;
    sysfs::write(mdev('A').join("ap_config"), &matrix('6'))
}

/// Starts a guest with an mdev.
fn with_guest(world: &mut World) -> Result<()> {
    with_mdev(world)?;
    open(world, Backend::Group)
}

/// Starts a guest with an mdev through an iommufd.
fn with_guest_of_iommufd(world: &mut World) -> Result<()> {
    with_mdev(world)?;
    open(world, Backend::Iommufd)
}

fn open(world: &mut World, backend: Backend) -> Result<()> {
    let vm = world.vm.as_ref().ok_or(Errno::ENODEV).step("VM")?;
    world.device = Some(vm.open(&uuid('A'), backend, true)?);
    Ok(())
}

fn without_mdev(world: &mut World) -> Result<()> {
    world.device = None;
    match mdev('A').exists() {
        true => sysfs::write(mdev('A').join("remove"), "1"),
        false => Ok(()),
    }
}

fn write(file: PathBuf, text: &str) -> Result<Act> {
    let written = Written::new(file, text)?;
    Ok(Box::new(|_| written.write()))
}

/// Returns an operation on the device.
fn on_device(act: fn(&mut Device, &Vm) -> Result<()>) -> Result<Act> {
    Ok(Box::new(move |world| {
        match (&mut world.device, &world.vm) {
            (Some(device), Some(vm)) => act(device, vm),
            _ => Err(Errno::ENODEV).step("no device"),
        }
    }))
}

fn close(world: &mut World) -> Result<()> {
    world.device = None;
    Ok(())
}

/// Returns an operation that reads whole files.
fn read(files: Vec<PathBuf>) -> Result<Act> {
    let mut buffer = vec![0_u8; 8192];
    Ok(Box::new(move |_| {
        for path in &files {
            let mut file = File::open(path).step("open")?;
            while file.read(&mut buffer).step("read")? != 0 {}
        }
        Ok(())
    }))
}

/// Makes the guest execute AQIC, and returns the answer as an errno.
fn aqic(world: &mut World, word: &str) -> Result<()> {
    let vm = world.vm.as_ref().ok_or(Errno::ENODEV).step("VM")?;
    let answer = interview::ask(vm.guest()?, &[word, "01.0001"])?;
    match answer.get(..5) {
        Some("rc=00") => Ok(()),
        Some("rc=05") => Err(Errno::EBUSY).step("AQIC"),
        Some("rc=06") => Err(Errno::EFAULT).step("AQIC"),
        _ => Err(Errno::EIO).step(answer),
    }
}

/// Starts a guest with interruptions enabled.
fn with_interruptions(world: &mut World) -> Result<()> {
    with_guest(world)?;
    aqic(world, "enable")
}

fn with_interruptions_of_iommufd(world: &mut World) -> Result<()> {
    with_guest_of_iommufd(world)?;
    aqic(world, "enable")
}

/// Starts a guest with interruptions enabled, and removes the I/O address space of the device.
fn without_io_address_space(world: &mut World) -> Result<()> {
    with_interruptions_of_iommufd(world)?;
    let device = world.device.as_ref().ok_or(Errno::ENODEV);
    device.step("no device")?.access()?.act(Deed::Detach)
}

/// Prepares an action of the user on the device, with all that the action needs.
fn act(world: &World, deed: Deed) -> Result<Act> {
    let device = world.device.as_ref().ok_or(Errno::ENODEV);
    let access = device.step("no device")?.access()?;
    Ok(Box::new(move |_| access.act(deed)))
}

fn driver(file: &str) -> PathBuf {
    Path::new(AP).join("drivers/vfio_ap").join(file)
}

fn report() -> PathBuf {
    Path::new("/sys/kernel/debug/vfio_ap").join(uuid('A'))
}

fn tell(command: &str) -> Result<()> {
    let answer = backdoor::ask(command);
    answer.map(drop).or(Err(Errno::EIO)).step(command)
}

/// Starts a guest that lacks a queue.
fn without_queue(world: &mut World) -> Result<()> {
    with_guest(world)?;
    sysfs::write(driver("unbind"), QUEUE)
}

/// Starts a guest, and removes one of its adapters without a scan by the host.
fn without_adapter(world: &mut World) -> Result<()> {
    with_guest(world)?;
    tell("apm - 1")
}

fn attribute(name: &str) -> PathBuf {
    mdev('A').join(name)
}

fn unload(_: &mut World) -> Result<()> {
    host::unload()
}

fn cases() -> Vec<Case> {
    use Where::{Guest, Here};
    let case = |name, prepare, ready| Case {
        name,
        host: Host::Same,
        place: Here,
        prepare,
        ready,
        errors: &[],
        partly: false,
    };
    vec![
        case("create", nothing, |_| write(CREATE.into(), &uuid('A'))),
        case("remove", with_mdev, |_| write(attribute("remove"), "1")),
        case("assign", with_mdev, |_| {
            write(attribute("assign_domain"), "3")
        }),
        case("assign-guest", with_guest, |_| {
            write(attribute("assign_domain"), "3")
        }),
        case("unassign-guest", with_guest, |_| {
            write(attribute("unassign_adapter"), "1")
        }),
        case(
            "ap_config",
            |_| create('A'),
            |_| write(attribute("ap_config"), &matrix('6')),
        ),
        case("ap_config-guest", with_guest, |_| {
            write(attribute("ap_config"), &matrix('4'))
        }),
        case("read", with_guest, |_| {
            let names = ["matrix", "guest_matrix", "ap_config", "control_domains"];
            read(names.map(attribute).to_vec())
        }),
        case("debugfs", with_guest, |_| read(vec![report()])),
        case("debug-feature", with_guest, |_| {
            read(vec![DEBUG_FEATURE.into()])
        }),
        case("open-group", with_mdev, |_| {
            Ok(Box::new(|world| open(world, Backend::Group)))
        }),
        case("open-iommufd", with_mdev, |_| {
            Ok(Box::new(|world| open(world, Backend::Iommufd)))
        }),
        case("close-group", with_guest, |_| Ok(Box::new(close))),
        case("close-iommufd", with_guest_of_iommufd, |_| {
            Ok(Box::new(close))
        }),
        case("set-irqs", with_guest, |_| {
            on_device(|device, _| device.set_irq(Irq::ConfigChanged, true))
        }),
        case("reset", with_guest, |_| {
            on_device(|device, _| device.reset())
        }),
        Case {
            place: Guest,
            // The guest gets the response to retry, or that the address is invalid.
            errors: &[(Errno::EBUSY, OWN), (Errno::EFAULT, OWN)],
            ..case("enable", with_guest, |_| {
                Ok(Box::new(|world| aqic(world, "enable")))
            })
        },
        Case {
            place: Guest,
            errors: &[(Errno::EBUSY, OWN), (Errno::EFAULT, OWN)],
            ..case("enable-iommufd", with_guest_of_iommufd, |_| {
                Ok(Box::new(|world| aqic(world, "enable")))
            })
        },
        Case {
            place: Guest,
            ..case("disable", with_interruptions, |_| {
                Ok(Box::new(|world| aqic(world, "disable")))
            })
        },
        case("unmap", with_interruptions, |_| {
            on_device(|device, vm| device.unmap(vm.guest()?.memory))
        }),
        case("plug", with_interruptions, |_| {
            let more = Memory::new(STORAGE as u64, SEGMENT).step("memory")?;
            Ok(Box::new(move |world| {
                let device = world.device.as_ref().ok_or(Errno::ENODEV);
                device.step("no device")?.map(more)
            }))
        }),
        case("detach", with_interruptions_of_iommufd, |world| {
            act(world, Deed::Detach)
        }),
        case("attach", without_io_address_space, |world| {
            act(world, Deed::Attach)
        }),
        case("replace", with_interruptions_of_iommufd, |world| {
            let memory = world
                .vm
                .as_ref()
                .ok_or(Errno::ENODEV)
                .step("VM")?
                .guest()?
                .memory;
            act(world, Deed::Replace(Some(memory)))
        }),
        Case {
            host: Host::Unbound,
            ..case("unbind", with_guest, |_| write(driver("unbind"), QUEUE))
        },
        Case {
            host: Host::Unbound,
            ..case("bind", without_queue, |_| write(driver("bind"), QUEUE))
        },
        Case {
            host: Host::Changed,
            ..case("reserve", with_mdev, |_| {
                write(Path::new(AP).join("apmask"), "+3,+9")
            })
        },
        Case {
            host: Host::Changed,
            ..case("scan", without_adapter, |_| {
                write(Path::new(AP).join("scans"), "1")
            })
        },
        Case {
            host: Host::Unbound,
            // A queue without memory is not bound, but the module is loaded.
            partly: true,
            // A bug of the kernel: the driver core returns EINVAL if it cannot create the directory
            // `drivers` of a module.
            errors: &[(Errno::EINVAL, "module_add_driver")],
            ..case("load", unload, |_| {
                let file = File::open(DRIVER).step("open")?;
                let flags = ModuleInitFlags::empty();
                Ok(Box::new(move |_| {
                    finit_module(&file, c"", flags).step("finit_module")
                }))
            })
        },
        Case {
            host: Host::Unbound,
            ..case("unload", nothing, |_| {
                Ok(Box::new(|_| module::remove("vfio_ap")))
            })
        },
    ]
}

/// Returns the visible state by name.
fn look(world: &World) -> BTreeMap<String, String> {
    let mut seen = BTreeMap::new();
    let mut see = |path: PathBuf| {
        let text = sysfs::read(&path).unwrap_or_else(|e| format!("{:?}", e.errno));
        seen.insert(path.display().to_string(), text);
    };
    for name in ["matrix", "guest_matrix", "ap_config", "control_domains"] {
        see(attribute(name));
    }
    for (adapter, domain) in [1, 2].into_iter().flat_map(|a| (0..4).map(move |d| (a, d))) {
        see(format!("{AP}/devices/{adapter:02x}.{domain:04x}/status").into());
    }
    see(Path::new(AP).join("apmask"));
    // The report without the times of events.
    if let Ok(report) = fs::read_to_string(report()) {
        let lines = report.lines().filter(|line| !line.contains("commit"));
        let lines = lines.filter(|line| !line.starts_with("queues taken"));
        seen.insert("report".into(), lines.collect::<Vec<_>>().join("; "));
    }
    seen.insert("pinned pages".into(), pinned().to_string());
    seen.insert("open".into(), world.device.is_some().to_string());
    seen
}

/// Returns the number of pages that are pinned for devices.
fn pinned() -> i64 {
    let _ = fs::write("/proc/sys/vm/stat_refresh", "1");
    let text = fs::read_to_string("/proc/vmstat").unwrap_or_default();
    let count = |name| {
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        line.and_then(|count| count.trim().parse::<i64>().ok())
            .unwrap_or(0)
    };
    count("nr_foll_pin_acquired") - count("nr_foll_pin_released")
}

/// Returns the differences of two states.
fn difference(before: &BTreeMap<String, String>, after: &BTreeMap<String, String>) -> String {
    let names = before.keys().chain(after.keys());
    let lines = names.filter(|name| before.get(*name) != after.get(*name));
    let lines: BTreeSet<_> = lines
        .map(|name| format!("{name}: {:?}, then {:?}", before.get(name), after.get(name)))
        .collect();
    lines.into_iter().collect::<Vec<_>>().join("\n  ")
}

/// Returns the thread of the virtual CPU.
fn guest_thread(world: &World) -> Result<u32> {
    let guest = world.vm.as_ref().ok_or(Errno::ENODEV).step("VM")?.guest()?;
    let cpu = guest.cpus.first().ok_or(Errno::ESRCH).step("no CPU")?;
    Ok(cpu.thread().as_raw().cast_unsigned())
}

/// The counts of a case.
#[derive(Default)]
struct Count {
    faults: u32,
    own: u32,
    /// The callers of the failed allocations.
    callers: BTreeSet<Vec<String>>,
    /// The outcomes and their numbers.
    outcomes: BTreeMap<String, u32>,
}

/// Restores the initial state.
fn restore(world: &mut World, host: Host) -> Result<()> {
    without_mdev(world)?;
    if host == Host::Same {
        return Ok(());
    }
    host::load()?;
    if host == Host::Changed {
        tell("apm = 0-3")?;
        sysfs::write(Path::new(AP).join("apmask"), "+0,-1,-2,-3,+9")?;
        host::scan()?;
    }
    for queue in host::driverless() {
        host::probe(&queue)?;
    }
    Ok(())
}

/// A case, whose allocations fail one after the other.
struct Sweep<'a> {
    world: &'a mut World,
    case: &'a Case,
    injector: &'a Injector,
    messages: &'a Messages,
    count: Count,
    /// The visible state after success.
    expected: Option<BTreeMap<String, String>>,
}

impl Sweep<'_> {
    /// Runs the operation once with a fault in the `nth` allocation, or without a fault for 0.
    /// Returns the distance to the next allocation to fail, or 0 if `nth` exceeds the number of
    /// allocations.
    fn attempt(&mut self, nth: u32) -> std::result::Result<u32, String> {
        let say = |e: machine_programs::error::Error| format!("{e}");
        let at_rest = look(self.world);
        (self.case.prepare)(self.world).map_err(say)?;
        let act = (self.case.ready)(self.world).map_err(say)?;
        let before = look(self.world);
        for line in self.messages.hear().rest {
            println!("{line}");
        }
        if nth != 0 {
            self.injector.arm(nth).map_err(say)?;
        }
        let result = act(self.world);
        let injected = self.injector.disarm().map_err(say)? && nth != 0;
        let heard = self.messages.hear();
        heard.rest.iter().for_each(|line| println!("{line}"));
        let after = look(self.world);
        if injected {
            self.count.faults += 1;
            self.count.own += heard.own.min(1);
        }
        let outcome = match &result {
            Ok(()) => "ok".to_owned(),
            Err(e) => format!("{:?}", e.errno),
        };
        *self.count.outcomes.entry(outcome).or_default() += u32::from(injected);
        match result {
            Ok(()) => {
                let mut reference = self.expected.get_or_insert_with(|| after.clone()).clone();
                // The state without a report equals the state with one, because the driver omits
                // the report if it has no memory.
                if !after.contains_key("report") {
                    reference.remove("report");
                }
                if after != reference && !self.case.partly {
                    let difference = difference(&reference, &after);
                    return Err(format!("it succeeds, but not completely:\n  {difference}"));
                }
            }
            Err(e) => {
                if !injected || !self.case.may_end_with(e.errno, &heard.callers) {
                    let callers = heard.callers.join("\n  ");
                    return Err(format!("it fails with {e}; callers:\n  {callers}"));
                }
                if after != before {
                    let difference = difference(&before, &after);
                    return Err(format!(
                        "it fails with {e}, but has changed the state:\n  {difference}"
                    ));
                }
            }
        }
        restore(self.world, self.case.host).map_err(|e| format!("afterwards: {e}"))?;
        let difference = difference(&at_rest, &look(self.world));
        if !difference.is_empty() {
            return Err(format!("afterwards:\n  {difference}"));
        }
        Ok(match (injected, heard.callers.is_empty()) {
            (false, _) => 0,
            (true, true) => 1,
            // The next allocation is that of kmemleak's record, which has a reserve.
            (true, false) => {
                self.count.callers.insert(heard.callers);
                2
            }
        })
    }

    /// Runs the operation with a fault in each allocation from `first` on.
    fn pass(&mut self, first: u32) -> std::result::Result<(), String> {
        let mut nth = first;
        while nth < MANY {
            match self.attempt(nth) {
                Ok(0) => return Ok(()),
                Ok(distance) => nth += distance,
                Err(wrong) => return Err(format!("allocation {nth}: {wrong}")),
            }
        }
        Err(format!("it makes more than {MANY} allocations"))
    }
}

fn sweep(
    world: &mut World,
    case: &Case,
    first: u32,
    here: &Injector,
    messages: &Messages,
) -> std::result::Result<Count, String> {
    let guest;
    let injector = match case.place {
        Where::Here => here,
        Where::Guest => {
            let injector = guest_thread(world).and_then(Injector::new);
            guest = injector.map_err(|e| e.to_string())?;
            &guest
        }
    };
    let mut sweep = Sweep {
        world,
        case,
        injector,
        messages,
        count: Count::default(),
        expected: None,
    };
    // A run without a fault determines the expected state.
    sweep.attempt(0)?;
    for _ in 0..PASSES {
        let known = sweep.count.callers.len();
        sweep.pass(first)?;
        if sweep.count.callers.len() == known {
            break;
        }
    }
    Ok(sweep.count)
}

fn new_world() -> Result<World> {
    Ok(World {
        vm: Some(Vm::with_guest(GuestOptions::new(1, 3))?),
        device: None,
    })
}

/// Returns the first allocation for a case if the argument names the case.
fn first_of(case: &Case, argument: &str) -> Option<u32> {
    let (name, first) = argument.split_once(':').unwrap_or((argument, "1"));
    (name == case.name).then(|| first.parse().unwrap_or(1))
}

fn run(wanted: &[String]) -> Result<bool> {
    let is_unknown = |text: &&String| cases().iter().all(|case| first_of(case, text).is_none());
    if let Some(unknown) = wanted.iter().find(is_unknown) {
        return Err(Errno::EINVAL).step(unknown);
    }
    let messages = Messages::listen()?;
    let here = Injector::new(std::process::id())?;
    let mut world = new_world()?;
    let (mut faults, mut own, mut wrong) = (0, 0, 0);
    for case in cases() {
        let first = match wanted {
            [] => (case.name != "load").then_some(1),
            _ => wanted.iter().find_map(|text| first_of(&case, text)),
        };
        let Some(first) = first else {
            continue;
        };
        let begun = Instant::now();
        match sweep(&mut world, &case, first, &here, &messages) {
            Ok(count) => {
                let outcomes = count
                    .outcomes
                    .iter()
                    .map(|(what, n)| format!(" {what}={n}"));
                let outcomes: String = outcomes.collect();
                let seconds = begun.elapsed().as_secs();
                println!(
                    "{}: {} faults in {} places, {} own, {seconds} s:{outcomes}",
                    case.name,
                    count.faults,
                    count.callers.len(),
                    count.own
                );
                faults += count.faults;
                own += count.own;
            }
            Err(text) => {
                println!("wrong: {}: {text}", case.name);
                wrong += 1;
                restore(&mut world, Host::Changed)?;
            }
        }
    }
    println!("faults: {faults}, {own} of them with the driver among the callers; wrong: {wrong}");
    Ok(wrong == 0)
}

fn main() -> ExitCode {
    backdoor::explain_absence();
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    match run(&wanted) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(e) => {
            println!("wrong: {e}");
            ExitCode::FAILURE
        }
    }
}

// SPDX-License-Identifier: GPL-2.0
//! `apvmm [--vcpus N | --run N] [--unlinked] [--backend group|iommufd] UUID`: a minimal
//! virtual machine monitor that uses vfio_ap.
//!
//! It creates a KVM virtual machine with AP interpretation, opens the mediated device UUID, prints
//! `ok`, and then executes one command per line:
//!
//! ```text
//! info                GET_INFO
//! irq-info N          GET_IRQ_INFO
//! reset               RESET
//! set-irq req|cfg eventfd|none
//! events              eventfd signals since the last call
//! masks               the masks that KVM last put into the CRYCB
//! commits             the number of changes of the CRYCB
//! history             all changes of the CRYCB
//! open UUID [group|iommufd]   open another device for the same machine
//! close               close the last opened device, and keep the machine
//! leave               close all descriptors of the machine, and keep the devices
//! unmap | map         unmap or map the storage of the guest for the device
//! detach | attach     detach the device from its I/O address space, or attach it (iommufd)
//! replace             attach another I/O address space with the storage of the guest; destroy
//!                     the old one
//! dma START [MEGABYTES]   map new storage for the device at guest address START, without a
//!                     memslot
//! slot add | remove   add or remove a memslot of a megabyte at 0x200000
//! slot map | unmap    map or unmap the storage of that slot for the device
//! slot byte           print its first byte, and set it to 0
//! ioctl REQUEST [WORD...]   a request to the device, with these words of 32 bits as its
//!                     argument at the end of accessible memory; without words, no argument
//! ioctl read-only REQUEST WORD...   the same with an argument in read-only memory
//! hold REQUEST WORD...   the same with an argument that is withheld until `release`
//! hold machine        make KVM hold the lock of the machine, which has no CPU, until `release`
//! hold container      make VFIO hold the lock of the device's container until `release`
//! release             end the request of `hold`, and print its result
//! release after N     the same after N seconds, in the background
//! migration state | flags | size   VFIO's information about the migration of the device
//! migration to STATE  change the state: running, stop, stop-copy, resuming, pre-copy, error or a
//!                     number. The file of a new state replaces that of an earlier one
//! migration save FILE CHUNK   read the stream in pieces of CHUNK bytes, and write it to FILE
//! migration load FILE CHUNK   write FILE to the stream in pieces of CHUNK bytes
//! migration drop      close the stream
//! guest COMMAND...    a command for the running guest, see below
//! race WHAT [MS] COMMAND...   execute WHAT (reset, map, unmap, detach, attach or replace, see
//!                     above) in another thread, immediately or after MS milliseconds; repeat
//!                     COMMAND in the guest until WHAT has finished
//! after MS HOGS WHAT COMMAND...   execute COMMAND in the guest once, and WHAT after MS
//!                     milliseconds; HOGS threads take all CPU time until WHAT has finished
//! starve              run the CPUs of the guest only on idle CPUs of the host
//! nice N              run the CPUs of the guest with niceness N; the default is 0
//! starve WHAT MS [HOGS]   execute WHAT in a thread without CPU time, and `unmap` after MS
//!                     milliseconds
//! measure COMMAND...  execute COMMAND, and print its cost in instructions and time
//! quit
//! ```
//!
//! REQUEST is get-info, get-irq-info, set-irqs, reset or a code such as 0x3b6b. WORD is a number,
//! `eventfd` for the descriptor of an eventfd, or `file` for the descriptor of another file.
//!
//! With `--run N`, a guest runs on N virtual CPUs from the start. `--vcpus N` only creates them.
//! The guest repeatedly tests all queues of adapters 0 to 15 and domains 0 to 15, or of others with
//! `--look A,D` (see [`machine_programs::payload`]). With `--pin`, its CPU N runs on CPU N + 1 of
//! the host. The commands for the guest are:
//!
//! ```text
//! guest [CPU] queues  the available queues, after another test of all queues
//! guest [CPU] rc APQN         the response for a queue, such as 01.0002
//! guest [CPU] pqap GR0 [GR1 [GR2]]   PQAP, numbers as in 0x0102
//! guest [CPU] masks   the masks that QCI returns
//! guest [CPU] enable APQN [ADDRESS [SUBCLASS]] | disable APQN   AQIC
//! guest [CPU] send APQN | receive APQN     NQAP, DQAP
//! guest [CPU] rsa APQN        compute RSA on an accelerator, and check the result
//! guest [CPU] interruptions   the number of interruptions, and the indicator byte
//! guest [CPU] wait            load an enabled wait PSW
//! guest [CPU] woken           `yes` or `no`: the interruption has ended the wait
//! guest [CPU] scans   the number of tests of all queues
//! ```
//!
//! The last line of an answer is `ok` or `STEP: error ERRNO`. If the first device
//! cannot be opened, the program prints that line and exits with status 1.

use std::fs::File;
use std::io::{self, BufRead, Write};
use std::os::fd::{AsFd, AsRawFd};
use std::process::ExitCode;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use machine_programs::argument::{Argument, Hold};
use machine_programs::crycb::Question;
use machine_programs::error::{Result, Step};
use machine_programs::instructions::{self, Places};
use machine_programs::memory::{Memory, SEGMENT};
use machine_programs::migration::Migration;
use machine_programs::payload::STORAGE;
use machine_programs::race::{self, Named};
use machine_programs::scheduling::{self, Hogs, Share};
use machine_programs::vm::{Backend, Deed, Device, Guest, GuestOptions, Irq, Vm};
use machine_programs::{interview, kvm_run, uapi};
use nix::errno::Errno;
use nix::libc::Ioctl;
use nix::sys::eventfd::EventFd;

struct Options {
    vcpus: usize,
    guest: GuestOptions,
    linked: bool,
    backend: Backend,
    uuid: String,
}

fn backend(name: &str) -> Option<Backend> {
    match name {
        "group" => Some(Backend::Group),
        "iommufd" => Some(Backend::Iommufd),
        _ => None,
    }
}

fn options() -> std::result::Result<Options, lexopt::Error> {
    use lexopt::prelude::*;
    let mut options = Options {
        vcpus: 0,
        guest: GuestOptions::new(0, 15),
        linked: true,
        backend: Backend::Group,
        uuid: String::new(),
    };
    let mut parser = lexopt::Parser::from_env();
    while let Some(argument) = parser.next()? {
        match argument {
            Long("vcpus") => options.vcpus = parser.value()?.parse()?,
            Long("run") => options.guest.cpus = parser.value()?.parse()?,
            Long("pin") => options.guest.pinned = true,
            Long("look") => {
                let (adapter, domain) = parser.value()?.parse_with(|text| {
                    let (adapter, domain) = text.split_once(',').ok_or("A,D")?;
                    let number = |text: &str| text.parse().map_err(|_| "0 to 255");
                    Ok::<_, &str>((number(adapter)?, number(domain)?))
                })?;
                options.guest.last_adapter = adapter;
                options.guest.last_domain = domain;
            }
            Long("unlinked") => options.linked = false,
            Long("backend") => {
                options.backend = parser
                    .value()?
                    .parse_with(|name| backend(name).ok_or("group or iommufd"))?;
            }
            Value(uuid) => options.uuid = uuid.string()?,
            other => return Err(other.unexpected()),
        }
    }
    if options.uuid.is_empty() {
        return Err("the UUID of a mediated device is missing".into());
    }
    Ok(options)
}

/// Returns the code of a request to a device.
fn request(name: &str) -> Result<Ioctl> {
    Ok(match name {
        "get-info" => uapi::device_request_code(7),
        "get-irq-info" => uapi::device_request_code(9),
        "set-irqs" => uapi::device_request_code(10),
        "reset" => uapi::device_request_code(11),
        code => interview::number(code)? as Ioctl,
    })
}

/// The words of an argument, and the descriptors in them, which stay open as long as the argument
/// is needed.
struct Words {
    words: Vec<u32>,
    _eventfd: EventFd,
    _file: File,
}

impl Words {
    fn new(words: &[&str]) -> Result<Self> {
        let eventfd = EventFd::new().step("eventfd")?;
        let file = File::open("/dev/null").step("open /dev/null")?;
        let words = words.iter().map(|&word| match word {
            "eventfd" => Ok(eventfd.as_fd().as_raw_fd().cast_unsigned()),
            "file" => Ok(file.as_raw_fd().cast_unsigned()),
            word => match word.parse::<i32>() {
                Ok(number) => Ok(number.cast_unsigned()),
                Err(_) => interview::number(word).map(|number| number as u32),
            },
        });
        Ok(Self {
            words: words.collect::<Result<_>>()?,
            _eventfd: eventfd,
            _file: file,
        })
    }
}

/// A request whose argument is withheld.
struct HeldRequest {
    hold: Hold,
    outcome: JoinHandle<nix::Result<()>>,
}

impl HeldRequest {
    /// Issues a request, and returns as soon as the kernel accesses the argument.
    fn new(
        words: &[u32],
        request: impl FnOnce(Argument) -> nix::Result<()> + Send + 'static,
    ) -> Result<Self> {
        let (argument, hold) = Hold::new(words).step("userfaultfd")?;
        let outcome = thread::spawn(move || request(argument));
        hold.wait().step("wait for userfaultfd")?;
        Ok(Self { hold, outcome })
    }

    /// Releases the argument, and waits for the end of the request.
    fn release(self) -> Result<()> {
        self.hold.release().step("UFFDIO_COPY")?;
        let outcome = self.outcome.join().unwrap_or(Err(Errno::EIO));
        outcome.step("ioctl")
    }
}

/// The machine and its devices. Commands are for the last opened device.
struct Session {
    vm: Option<Vm>,
    devices: Vec<Device>,
    linked: bool,
    held: Option<HeldRequest>,
    /// The storage that was last added to the guest. It may have been removed.
    more: Option<Memory>,
    migration: Migration,
}

impl Session {
    fn device(&mut self) -> Result<&mut Device> {
        self.devices
            .last_mut()
            .ok_or(Errno::ENODEV)
            .step("no open device")
    }

    fn vm(&self) -> Result<&Vm> {
        let vm = self.vm.as_ref();
        vm.ok_or(Errno::ENXIO).step("no virtual machine")
    }

    fn held(&mut self) -> Result<HeldRequest> {
        self.held.take().ok_or(Errno::ESRCH).step("no request")
    }

    fn more(&self) -> Result<Memory> {
        self.more.ok_or(Errno::ENOENT).step("no slot was added")
    }

    /// Returns the parts of a race: the guest, the device and the action.
    fn race<'a>(&self, what: &'a str) -> Result<(&Guest, &Device, Named<'a>)> {
        let guest = self.vm()?.guest()?;
        let device = self.devices.last().ok_or(Errno::ENODEV);
        let what = Named::new(what, guest).ok_or(Errno::EINVAL);
        Ok((
            guest,
            device.step("no open device")?,
            what.step("no such action")?,
        ))
    }

    /// Sets the CPU share of all CPUs of the guest.
    fn share(&self, share: Share) -> Result<()> {
        let mut cpus = self.vm()?.guest()?.cpus.iter();
        cpus.try_for_each(|cpu| scheduling::give(cpu.thread(), share))
            .step("scheduling")
    }

    fn map_or_unmap(&mut self, how: &str, memory: Memory) -> Result<()> {
        let device = self.device()?;
        match how {
            "map" => device.map(memory),
            _ => device.unmap(memory),
        }
    }

    /// Executes a command. Returns the output before `ok`.
    fn obey(&mut self, command: &[&str]) -> Result<String> {
        let unknown = || Err(Errno::EINVAL).step("no such command");
        Ok(match command {
            ["info"] => {
                let info = self.device()?.info()?;
                format!(
                    "flags={:#x} regions={} irqs={}",
                    info.flags, info.num_regions, info.num_irqs
                )
            }
            ["irq-info", index] => {
                let Ok(index) = index.parse() else {
                    return unknown();
                };
                let info = self.device()?.irq_info(index)?;
                format!("flags={:#x} count={}", info.flags, info.count)
            }
            ["migration", command @ ..] => self.migration.execute(self.devices.last(), command)?,
            ["reset"] => {
                self.device()?.reset()?;
                String::new()
            }
            ["set-irq", irq @ ("req" | "cfg"), to @ ("eventfd" | "none")] => {
                let irq = if *irq == "req" {
                    Irq::Request
                } else {
                    Irq::ConfigChanged
                };
                self.device()?.set_irq(irq, *to == "eventfd")?;
                String::new()
            }
            ["events"] => {
                let device = self.device()?;
                format!(
                    "req={} cfg={}",
                    device.events(Irq::Request),
                    device.events(Irq::ConfigChanged)
                )
            }
            ["ioctl", rest @ ..] => {
                let (read_only, rest) = match rest {
                    ["read-only", rest @ ..] => (true, rest),
                    rest => (false, rest),
                };
                let [name, words @ ..] = rest else {
                    return unknown();
                };
                let words = Words::new(words)?;
                let argument = match words.words.as_slice() {
                    [] => None,
                    words => Some(Argument::new(words).step("argument")?),
                };
                let argument = match argument {
                    Some(argument) if read_only => Some(argument.read_only().step("mprotect")?),
                    argument => argument,
                };
                self.device()?.request(request(name)?, argument.as_ref())?;
                String::new()
            }
            ["hold", "machine"] => {
                let machine = self.vm()?.duplicate()?;
                let held = HeldRequest::new(&kvm_run::NO_PROCESSOR, move |argument| {
                    kvm_run::read_processor(machine.as_fd(), &argument)
                })?;
                self.held = Some(held);
                String::new()
            }
            ["hold", "container"] => {
                let memory = self.vm()?.guest()?.memory;
                let container = self.device()?.duplicate_container()?;
                kvm_run::track_dirty_pages(container.as_fd()).step("VFIO_IOMMU_DIRTY_PAGES")?;
                let held = HeldRequest::new(&kvm_run::dirty_bitmap(memory), move |argument| {
                    kvm_run::read_dirty_pages(container.as_fd(), memory, &argument)
                })?;
                self.held = Some(held);
                String::new()
            }
            ["hold", name, words @ ..] => {
                let words = Words::new(words)?;
                let (device, request) = (self.device()?.duplicate()?, request(name)?);
                let held = HeldRequest::new(&words.words, move |argument| {
                    uapi::device_request(device.as_fd(), request, Some(&argument))
                })?;
                self.held = Some(held);
                String::new()
            }
            ["release"] => {
                self.held()?.release()?;
                String::new()
            }
            ["release", "after", seconds] => {
                let held = self.held()?;
                let seconds = interview::number(seconds)?;
                thread::spawn(move || {
                    thread::sleep(Duration::from_secs(seconds));
                    // The error has no reader at this point.
                    let _ = held.release();
                });
                String::new()
            }
            [how @ ("map" | "unmap")] => {
                let memory = self.vm()?.guest()?.memory;
                self.map_or_unmap(how, memory)?;
                String::new()
            }
            [what @ ("detach" | "attach" | "replace")] => {
                let deed = match *what {
                    "detach" => Deed::Detach,
                    "attach" => Deed::Attach,
                    _ => Deed::Replace(self.vm()?.guest().ok().map(|guest| guest.memory)),
                };
                self.device()?.access()?.act(deed)?;
                String::new()
            }
            ["dma", start, megabytes @ ..] if megabytes.len() <= 1 => {
                let megabytes = megabytes
                    .first()
                    .map_or(Ok(1), |word| interview::number(word))?;
                let length = megabytes as usize * SEGMENT;
                let memory = Memory::new(interview::number(start)?, length).step("memory")?;
                self.device()?.map(memory)?;
                String::new()
            }
            ["race", what, rest @ ..] => {
                let (guest, device, what) = self.race(what)?;
                let (ms, question) = match rest {
                    [first, question @ ..] if first.parse::<u64>().is_ok() => {
                        (interview::number(first)?, question)
                    }
                    question => (0, question),
                };
                let delay = Duration::from_millis(ms);
                race::race(guest, device, &what, delay, question)?.to_string()
            }
            ["after", ms, hogs, what, question @ ..] => {
                let (guest, device, what) = self.race(what)?;
                let delay = Duration::from_millis(interview::number(ms)?);
                let hogs = interview::number(hogs)? as usize;
                let hogs = move || Hogs::new(hogs);
                race::after(guest, device, &what, delay, hogs, question)?.to_string()
            }
            ["starve"] => {
                self.share(Share::Idle)?;
                String::new()
            }
            ["nice", niceness] => {
                let niceness = niceness.parse().map_err(|_| Errno::EINVAL);
                self.share(Share::Nice(niceness.step("niceness")?))?;
                String::new()
            }
            ["starve", what, ms, hogs @ ..] if hogs.len() <= 1 => {
                let (guest, device, what) = self.race(what)?;
                let delay = Duration::from_millis(interview::number(ms)?);
                let hogs = hogs.first().map_or(Ok(0), |word| interview::number(word))?;
                let [unmapped, end] = race::starve(guest, device, &what, delay, hogs as usize)?;
                format!("{unmapped}\n{end}")
            }
            ["slot", "add"] => {
                let more = Memory::new(STORAGE as u64, SEGMENT).step("guest memory")?;
                self.vm()?.set_more_memory(Some(more))?;
                self.more = Some(more);
                String::new()
            }
            ["slot", "remove"] => {
                self.vm()?.set_more_memory(None)?;
                String::new()
            }
            ["slot", how @ ("map" | "unmap")] => {
                let memory = self.more()?;
                self.map_or_unmap(how, memory)?;
                String::new()
            }
            ["slot", "byte"] => {
                let more = self.more()?;
                let byte = more.load(more.start()) >> 56;
                more.store(more.start(), 0);
                format!("{byte:02x}")
            }
            ["open", uuid, rest @ ..] => {
                let backend = match rest {
                    [] => Some(Backend::Group),
                    [name] => backend(name),
                    _ => None,
                };
                let Some(backend) = backend else {
                    return unknown();
                };
                let device = self.vm()?.open(uuid, backend, self.linked)?;
                self.devices.push(device);
                String::new()
            }
            ["close"] => {
                self.device()?;
                self.devices.pop();
                String::new()
            }
            ["leave"] => {
                self.vm = None;
                self.devices.iter_mut().for_each(Device::leave);
                String::new()
            }
            ["guest", rest @ ..] => interview::ask(self.vm()?.guest()?, rest)?,
            ["measure", rest @ ..] => {
                let places = Places::find().step("the driver's address")?;
                let measured = instructions::measure(&places, || self.obey(rest));
                let (result, cost) = measured.or_else(|what| Err(Errno::EIO).step(what))?;
                result?;
                cost.to_string()
            }
            [name] => match Question::named(name) {
                Some(question) => question
                    .answer(std::process::id())
                    .step("KVM debug feature")?,
                None => return unknown(),
            },
            _ => return unknown(),
        })
    }
}

fn start(options: &Options) -> Result<Session> {
    let vm = match options.guest.cpus {
        0 => Vm::new(options.vcpus)?,
        _ => Vm::with_guest(options.guest)?,
    };
    let device = vm.open(&options.uuid, options.backend, options.linked)?;
    Ok(Session {
        vm: Some(vm),
        devices: vec![device],
        linked: options.linked,
        held: None,
        more: None,
        migration: Migration::default(),
    })
}

/// Writes a whole answer at once, because its reader may be waiting at the other end of a pipe for
/// the last line.
fn answer(result: Result<String>) -> io::Result<()> {
    let text = match result {
        Ok(text) if text.is_empty() => "ok\n".into(),
        Ok(text) => format!("{text}\nok\n"),
        Err(e) => format!("{e}\n"),
    };
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}

fn main() -> ExitCode {
    let options = match options() {
        Ok(options) => options,
        Err(e) => {
            eprintln!("apvmm: {e}");
            return ExitCode::from(2);
        }
    };
    let mut session = match start(&options) {
        Ok(session) => session,
        Err(e) => {
            println!("{e}");
            return ExitCode::FAILURE;
        }
    };
    if answer(Ok(String::new())).is_err() {
        return ExitCode::FAILURE;
    }
    for line in io::stdin().lock().lines() {
        let Ok(line) = line else { break };
        let words: Vec<&str> = line.split_whitespace().collect();
        if words == ["quit"] {
            // The devices are closed before the answer.
            drop(session);
            let _ = answer(Ok(String::new()));
            return ExitCode::SUCCESS;
        }
        if !words.is_empty() && answer(session.obey(&words)).is_err() {
            break;
        }
    }
    ExitCode::SUCCESS
}

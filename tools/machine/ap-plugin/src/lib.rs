// SPDX-License-Identifier: GPL-2.0
//! An IBM Z machine with AP adapters: a plugin for `qemu-system-s390x` 11.1.
//!
//! ```text
//! qemu-system-s390x … -plugin libap_plugin.so,config=FILE,socket=PATH,trace=on
//! ```
//!
//! QEMU's emulation (TCG) has no AP instructions. The plugin is called for each
//! instruction that QEMU translates, executes PQAP, NQAP and DQAP itself on a model of
//! the architecture ([`ap_model`]), and sees to it that Linux finds the facilities that
//! go with them. All arguments are optional:
//!
//! | argument | meaning |
//! |---|---|
//! | `config=FILE` | commands ([`ap_model::control`]) that configure a bare machine; without it there are adapters 0 cex8c, 1 cex8p, 2 cex7a and domains 0 to 3 |
//! | `socket=PATH` | take commands on a Unix socket: a request per line, answered by its reply and a line `ok` or `error: …` |
//! | `trace=on` | print each AP instruction and its outcome on stderr |
//! | `count=on` | count the instructions that are executed, for the command `instructions` |
//!
//! Programs in the machine give commands with opcode B2FE0000; the module `control`
//! has the registers.
//!
//! # Limits
//!
//! - An adapter interruption is taken by a CPU that executes something. It does not wake
//!   one that waits; but what causes one is an instruction of a CPU.
//! - What a command on the socket causes is seen at the next AP instruction.
//! - A reboot of the machine does not reset the queues. Linux resets each that it finds.
//! - Of the storage that the machine is given, the last 16 MiB for each CPU are kept
//!   from its programs.
//! - The target of EXECUTE is not looked at.
//!
//! # Modules
//!
//! | module | owns |
//! |---|---|
//! | `ffi` | the C declarations |
//! | `hooks` | being called by QEMU, and the life of an instruction |
//! | `cpu` | registers and storage of a CPU, as a trait |
//! | `decode` | which instructions are of interest |
//! | `ap`, `facilities`, `control` | what those instructions do |
//! | `interruption` | adapter interruptions of the host, and alerts for guests |
//! | `sie` | guests: what KVM needs to run them |
//! | `machine` | the model, shared |
//! | `scoreboard` | numbers that translated code looks at and adds to |
//! | `instructions` | how many are executed, and where, if that is wanted |
//! | `arguments` | command line and configuration file |
//!
//! `unsafe` is in `ffi`, `hooks`, `cpu`, `scoreboard` and this file, and once in `control`
//! for signals.

mod ap;
mod arguments;
mod control;
mod cpu;
mod decode;
mod facilities;
mod ffi;
mod hooks;
mod instructions;
mod interruption;
mod lowcore_return;
mod machine;
mod scoreboard;
mod sie;

use arguments::Arguments;
use control::Socket;
use machine::{Machine, say};
use scoreboard::Counts;
use std::ffi::{CStr, c_char, c_int, c_void};
use std::path::PathBuf;
use std::ptr;

/// The version of the API that the plugin was made for; QEMU looks it up.
#[unsafe(no_mangle)]
static qemu_plugin_version: c_int = ffi::API_VERSION;

/// Called by QEMU when it loads the plugin.
///
/// Returns 0, or another value after an error that was printed; QEMU refuses to start
/// then.
///
/// # Safety
///
/// `info` has to point to a `qemu_info_t`, and `argv` to `argc` C strings.
#[unsafe(no_mangle)]
unsafe extern "C" fn qemu_plugin_install(
    id: ffi::PluginId,
    info: *const ffi::Info,
    argc: c_int,
    argv: *const *const c_char,
) -> c_int {
    // SAFETY: The caller's promise.
    let (info, arguments) = unsafe { (&*info, strings(argc, argv)) };
    match install(id, info, &arguments) {
        Ok(()) => 0,
        Err(message) => {
            say(format_args!("{message}"));
            1
        }
    }
}

/// # Safety
///
/// `argv` has to point to `argc` C strings.
unsafe fn strings(argc: c_int, argv: *const *const c_char) -> Vec<String> {
    (0..usize::try_from(argc).unwrap_or(0))
        .map(|index| {
            // SAFETY: The caller's promise; `index` is in range.
            let argument = unsafe { CStr::from_ptr(*argv.add(index)) };
            argument.to_string_lossy().into_owned()
        })
        .collect()
}

fn install(id: ffi::PluginId, info: &ffi::Info, arguments: &[String]) -> Result<(), String> {
    // SAFETY: QEMU's name for its target is a C string.
    let target = unsafe { CStr::from_ptr(info.target_name) }.to_string_lossy();
    if target != "s390x" || !info.system_emulation {
        return Err(format!(
            "this is a plugin for qemu-system-s390x, not for {target}"
        ));
    }
    let max_vcpus = usize::try_from(info.max_vcpus).map_err(|error| error.to_string())?;
    let arguments = Arguments::parse(arguments)?;
    let mut machine = Machine::new(arguments.machine()?, arguments.trace).with_cpus(max_vcpus);
    if arguments.count {
        machine = machine.counting_instructions(Counts::new());
    }
    let machine: &'static Machine = Box::leak(Box::new(machine));
    if let Some(path) = arguments.socket {
        let socket =
            Socket::open(&path).map_err(|error| format!("socket {}: {error}", path.display()))?;
        socket.serve(machine);
        let path: &'static PathBuf = Box::leak(Box::new(path));
        // SAFETY: `id` is ours; the callback has the right type and is given the path
        // that it wants.
        unsafe {
            ffi::qemu_plugin_register_atexit_cb(id, on_exit, ptr::from_ref(path).cast_mut().cast());
        }
    }
    hooks::install(id, machine, max_vcpus);
    Ok(())
}

/// `userdata` is a `&'static PathBuf`, the path of the socket.
extern "C" fn on_exit(userdata: *mut c_void) {
    // SAFETY: Registered with a reference to a path that lives for ever.
    control::remove_socket(unsafe { &*userdata.cast::<PathBuf>() });
}

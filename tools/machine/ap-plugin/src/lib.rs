// SPDX-License-Identifier: GPL-2.0
//! An IBM Z machine with AP adapters: a plugin for `qemu-system-s390x` 11.1.
//!
//! ```text
//! qemu-system-s390x … -plugin libap_plugin.so,config=FILE,socket=PATH,trace=on
//! ```
//!
//! QEMU's emulation (TCG) has no AP instructions. QEMU calls the plugin for each
//! instruction that it translates. The plugin executes PQAP, NQAP and DQAP on a model of
//! the architecture ([`ap_model`]), and reports their facilities to Linux. All arguments
//! are optional:
//!
//! | argument | meaning |
//! |---|---|
//! | `config=FILE` | commands ([`ap_model::control`]) that configure a bare machine; the default has adapters 0 cex8c, 1 cex8p, 2 cex7a and domains 0 to 3 |
//! | `socket=PATH` | take commands on a Unix socket: one request per line; the answer is the reply
//! and a line `ok` or `error: …` |
//! | `trace=on` | print each AP instruction and its outcome on stderr |
//! | `count=on` | count the executed instructions, for the command `instructions` |
//!
//! Programs in the machine give commands with opcode B2FE0000; the module `control`
//! has the registers.
//!
//! # Limits
//!
//! - Only a running CPU takes an adapter interruption. An interruption does not wake a waiting CPU.
//!   Instructions of CPUs cause all interruptions.
//! - Effects of commands on the socket appear at the next AP instruction.
//! - A reboot of the machine does not reset the queues. Linux resets all queues that it finds.
//! - Programs in the machine cannot use the last 16 MiB of storage for each CPU.
//! - Instructions that are targets of EXECUTE are ignored.
//!
//! # Modules
//!
//! | module | contents |
//! |---|---|
//! | `ffi` | the C declarations |
//! | `hooks` | the callbacks of QEMU, and the life of an instruction |
//! | `cpu` | registers and storage of a CPU, as a trait |
//! | `decode` | the instructions of interest |
//! | `ap`, `facilities`, `control` | the execution of those instructions |
//! | `interruption` | adapter interruptions of the host, and alerts for guests |
//! | `sie` | SIE, by which KVM runs guests |
//! | `machine` | the shared model |
//! | `scoreboard` | numbers that translated code tests and adds to |
//! | `instructions` | counters of executed instructions |
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

/// The version of the API that the plugin uses. QEMU looks up this symbol.
#[unsafe(no_mangle)]
static qemu_plugin_version: c_int = ffi::API_VERSION;

/// Installs the plugin. QEMU calls this function when it loads the plugin.
///
/// Returns 0, or another value after it has printed an error. QEMU then does not start.
///
/// # Safety
///
/// `info` points to a `qemu_info_t`, and `argv` points to `argc` C strings.
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

/// Returns the arguments as strings.
///
/// # Safety
///
/// `argv` points to `argc` C strings.
unsafe fn strings(argc: c_int, argv: *const *const c_char) -> Vec<String> {
    (0..usize::try_from(argc).unwrap_or(0))
        .map(|index| {
            // SAFETY: The caller's promise. `index` is in range.
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
        // SAFETY: `id` is ours. The callback has the right type, and its user data is the path that
        // it expects.
        unsafe {
            ffi::qemu_plugin_register_atexit_cb(id, on_exit, ptr::from_ref(path).cast_mut().cast());
        }
    }
    hooks::install(id, machine, max_vcpus);
    Ok(())
}

/// Handles the end of QEMU. `userdata` is a `&'static PathBuf`, the path of the socket.
extern "C" fn on_exit(userdata: *mut c_void) {
    // SAFETY: Registered with a reference to a path with a static lifetime.
    control::remove_socket(unsafe { &*userdata.cast::<PathBuf>() });
}

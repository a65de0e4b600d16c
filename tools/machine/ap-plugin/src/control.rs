// SPDX-License-Identifier: GPL-2.0
//! The control of a running machine: the back door for programs inside, and the socket for programs
//! outside. The language of both is [`ap_model::control`].

use crate::cpu::Cpu;
use crate::interruption;
use crate::machine::{Machine, say};
use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::thread;

/// The length of the longest request, in bytes.
const MAX_REQUEST: usize = 64 * 1024;

/// Executes the back door, opcode B2FE0000. It also works in the problem state.
///
/// | register | before | after |
/// |---|---|---|
/// | 2 | address of the request | length of the stored reply |
/// | 3 | length of the request | |
/// | 4 | address of the buffer for the reply | |
/// | 5 | length of the buffer | |
///
/// With condition code 0, the reply is the result. With condition code 1, the reply is an error
/// message, and the machine has not changed. A reply that is longer than the buffer is truncated.
///
/// The caller touches both areas first. A request that is not mapped is an error, and a reply that
/// is not mapped is not stored and has length 0.
pub(crate) fn back_door(cpu: &mut impl Cpu, machine: &Machine) {
    let [request, length, buffer, space] = [2, 3, 4, 5].map(|number| cpu.gr(number));
    let result = usize::try_from(length)
        .ok()
        .filter(|&length| length <= MAX_REQUEST)
        .ok_or_else(|| format!("the request is longer than {MAX_REQUEST} bytes"))
        .and_then(|length| {
            cpu.read(request, length)
                .ok_or_else(|| "the request is not mapped".into())
        })
        .and_then(|bytes| String::from_utf8(bytes).map_err(|_| "the request is not UTF-8".into()))
        .and_then(|text| {
            machine.trace(cpu.index(), || format!("control: {}", text.trim_end()));
            machine.control(&text).map_err(|e| e.to_string())
        });
    // The command may have made a reply available.
    interruption::present(cpu, machine);
    let (cc, reply) = match result {
        Ok(reply) => (0, reply),
        Err(message) => (1, message + "\n"),
    };
    let fitting = usize::try_from(space).map_or(reply.len(), |space| space.min(reply.len()));
    let stored = cpu.write(buffer, &reply.as_bytes()[..fitting]);
    cpu.set_gr(2, if stored { fitting as u64 } else { 0 });
    cpu.set_cc(cc);
}

/// The socket. Each line is a request. The answer is the reply and a line `ok` or `error: …`.
pub(crate) struct Socket {
    listener: UnixListener,
}

impl Socket {
    /// Listens at `path`. Replaces the socket of an earlier run, but no other file.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        if fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_socket()) {
            fs::remove_file(path)?;
        }
        let listener = UnixListener::bind(path)?;
        Ok(Self { listener })
    }

    /// Serves clients in threads of the plugin.
    pub(crate) fn serve(self, machine: &'static Machine) {
        spawn("ap-control", move || {
            for stream in self.listener.incoming() {
                match stream {
                    Ok(stream) => spawn("ap-client", move || {
                        // A client that disconnects is not an error.
                        let _ = converse(&stream, machine);
                    }),
                    Err(error) => {
                        say(format_args!("control socket: {error}"));
                        return;
                    }
                }
            }
        });
    }
}

/// Removes the socket at `path` at the end of QEMU.
pub(crate) fn remove_socket(path: &PathBuf) {
    // The socket may be removed already.
    let _ = fs::remove_file(path);
}

/// Starts a thread without signals, which QEMU expects in its own threads.
fn spawn(name: &str, work: impl FnOnce() + Send + 'static) {
    let result = thread::Builder::new().name(name.into()).spawn(move || {
        block_signals();
        work();
    });
    if let Err(error) = result {
        say(format_args!("control socket: no thread: {error}"));
    }
}

fn block_signals() {
    let mut all = std::mem::MaybeUninit::uninit();
    // SAFETY: sigfillset() initialises the set at the given address. pthread_sigmask() reads the
    // set, changes the mask of this thread only, and stores no old mask because its address is
    // null.
    unsafe {
        libc::sigfillset(all.as_mut_ptr());
        libc::pthread_sigmask(libc::SIG_SETMASK, all.as_ptr(), std::ptr::null_mut());
    }
}

fn converse(stream: &UnixStream, machine: &Machine) -> io::Result<()> {
    let mut input = BufReader::new(stream);
    let mut output = stream;
    loop {
        let mut line = String::new();
        let count = input
            .by_ref()
            .take(MAX_REQUEST as u64)
            .read_line(&mut line)?;
        if count == 0 {
            return Ok(());
        }
        let answer = if count == MAX_REQUEST && !line.ends_with('\n') {
            format!("error: the request is longer than {MAX_REQUEST} bytes\n")
        } else {
            match machine.control(&line) {
                Ok(reply) => reply + "ok\n",
                Err(error) => format!("error: {}\n", error.message),
            }
        };
        output.write_all(answer.as_bytes())?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cpu::fake::FakeCpu;

    fn machine() -> Machine {
        Machine::new(ap_model::Machine::preset(), false)
    }

    fn call(cpu: &mut FakeCpu, machine: &Machine, request: &str, space: u64) -> (u64, String) {
        cpu.storage[0x1000..0x1000 + request.len()].copy_from_slice(request.as_bytes());
        cpu.gr[2..6].copy_from_slice(&[0x1000, request.len() as u64, 0x2000, space]);
        back_door(cpu, machine);
        let length = usize::try_from(cpu.gr[2]).unwrap();
        let reply = cpu.storage[0x2000..0x2000 + length].to_vec();
        (cpu.cc(), String::from_utf8(reply).unwrap())
    }

    #[test]
    fn the_back_door_answers_and_tells_errors() {
        let mut cpu = FakeCpu::new();
        let machine = machine();
        cpu.psw_mask |= 1 << 48;
        assert_eq!(call(&mut cpu, &machine, "apm = 0", 100), (0, "".into()));
        let (cc, reply) = call(&mut cpu, &machine, "show", 0x1000);
        assert!(cc == 0 && reply.contains("\napm = 0\n"), "{reply}");
        let (cc, reply) = call(&mut cpu, &machine, "apm ! 1", 100);
        assert_eq!(
            (cc, reply.as_str()),
            (1, "line 1: '=', '+' or '-' expected after 'apm'\n")
        );
        let (cc, reply) = call(&mut cpu, &machine, "instructions", 100);
        assert!(cc == 1 && reply.contains("count=on"), "{reply}");
        assert_eq!(
            call(&mut cpu, &machine, "counters zapq", 1),
            (0, "0".into())
        );
    }

    #[test]
    fn what_is_not_mapped_or_too_long_is_an_error() {
        let mut cpu = FakeCpu::new();
        let machine = machine();
        cpu.gr[2..6].copy_from_slice(&[0x10_0000, 4, 0x2000, 100]);
        back_door(&mut cpu, &machine);
        assert_eq!(cpu.cc(), 1);
        cpu.gr[2..6].copy_from_slice(&[0x1000, u64::MAX, 0x2000, 100]);
        back_door(&mut cpu, &machine);
        assert_eq!(cpu.cc(), 1);
        cpu.storage[0x1000..0x1004].copy_from_slice(b"show");
        cpu.gr[2..6].copy_from_slice(&[0x1000, 4, 0x10_0000, 100]);
        back_door(&mut cpu, &machine);
        assert_eq!(cpu.gr[2], 0);
    }

    #[test]
    fn a_conversation_over_a_socket() {
        let (near, far) = UnixStream::pair().unwrap();
        let server = thread::spawn(move || converse(&far, &machine()).unwrap());
        (&near)
            .write_all(b"apm - 1\ncounters zapq\nnonsense\n")
            .unwrap();
        near.shutdown(std::net::Shutdown::Write).unwrap();
        let mut answer = String::new();
        (&near).read_to_string(&mut answer).unwrap();
        server.join().unwrap();
        assert_eq!(
            answer,
            "ok\n0\nok\nerror: unknown command 'nonsense'; see 'help'\n"
        );
    }
}

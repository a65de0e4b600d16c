// SPDX-License-Identifier: GPL-2.0
//! The callbacks of QEMU: translation, instructions of interest, and discontinuities.
//!
//! An instruction is handled in one of three ways ([`Effect`]):
//!
//! - The plugin executes it, and QEMU continues after it.
//! - QEMU executes it, and the plugin amends its result at the first opportunity: before the next
//!   instruction of the same translation block, before the next block, or at an interruption.
//! - It ends in a program interruption. A plugin cannot request one. QEMU does not know the
//!   instruction and raises an operation exception. After QEMU has stored the parameters of the
//!   interruption, the plugin replaces the code.
//!
//! Each vCPU has its deferred work. Scoreboards hold numbers for each vCPU that translated code
//! tests without a callback. A gate is open if there is deferred work, and a clock runs while a
//! guest runs. All other blocks run without a callback.
//!
//! While a vCPU runs a guest, other instructions are of interest. Most of them trap, and QEMU
//! reports a trap as a discontinuity (see [`crate::sie`]).

use crate::cpu::{Cpu, Vcpu, learn_registers, learn_storage};
use crate::decode::Instruction;
use crate::facilities::{self, Amendment, Chsc};
use crate::machine::Machine;
use crate::scoreboard::{Clock, Gate};
use crate::sie::{self, Correction, Owner, Psw, Purge, Sie};
use crate::{ap, control, ffi, interruption, lowcore_return};
use ap_model::ProgramInterruption;
use std::collections::HashMap;
use std::ffi::{c_int, c_uint, c_void};
use std::ptr;
use std::sync::atomic::{Ordering, fence};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

/// The location of an instruction of interest.
#[derive(Clone, Copy, Eq, Hash, PartialEq)]
struct Site {
    address: u64,
    instruction: Instruction,
}

impl Site {
    /// Returns the address of the next instruction.
    fn next(&self) -> u64 {
        self.address.wrapping_add(self.instruction.length())
    }
}

/// The way in which an instruction continues.
enum Effect {
    /// The plugin has executed the instruction.
    Executed,
    /// The plugin has executed the instruction, and the program continues with this PSW.
    Load(Psw),
    /// QEMU executes the instruction.
    Native,
    /// QEMU executes the instruction, and the plugin performs this task afterwards.
    Unfinished(Task),
}

/// A task after an instruction.
enum Task {
    /// Amends the result.
    Amend(Amendment),
    /// Corrects the result for a guest.
    Correct(Correction),
    /// Purges translations again, because the invalidated entry was valid until the instruction.
    Purge(Purge),
    /// Replaces the code of the operation exception.
    Interrupt(ProgramInterruption),
}

/// A task, and the address of the instruction that it belongs to.
struct Pending {
    address: u64,
    task: Task,
}

/// The state of a vCPU. Only the thread of the vCPU uses it.
#[derive(Default)]
struct PerVcpu {
    pending: Option<Pending>,
    sie: Sie,
}

/// The data of all callbacks.
struct Hooks {
    machine: &'static Machine,
    /// The states of the vCPUs, by number.
    vcpus: Vec<Mutex<PerVcpu>>,
    /// Open for a vCPU with due work.
    gate: Gate,
    /// Runs for a vCPU that runs a guest.
    clock: Clock,
    /// The sites of all instructions. Translated code refers to them, so they are never freed. A
    /// program that is translated again reuses its sites.
    sites: Mutex<HashMap<Site, &'static Site>>,
}

static HOOKS: OnceLock<Hooks> = OnceLock::new();

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Hooks {
    /// Executes an instruction of interest, or prepares to amend its result.
    fn execute(&self, cpu: &mut Vcpu, vcpu: &mut PerVcpu, site: Site) -> Effect {
        if vcpu.sie.runs_guest() {
            if site.instruction == Instruction::Tprot {
                let length = site.instruction.length() as usize;
                return Effect::Load(vcpu.sie.trap(cpu, self.machine, site.address, length));
            }
            return guest_effect(cpu, &vcpu.sie, site.instruction);
        }
        let machine = self.machine;
        let limits = *machine.model().limits();
        let amend = |amendment: Option<Amendment>| match amendment {
            Some(amendment) => Effect::Unfinished(Task::Amend(amendment)),
            None => Effect::Native,
        };
        let result = match site.instruction {
            Instruction::Pqap | Instruction::Nqap { .. } | Instruction::Dqap { .. }
                if !limits.ap =>
            {
                return Effect::Native;
            }
            Instruction::Pqap => ap::pqap(cpu, machine, None),
            Instruction::Nqap { r1, r2 } => ap::nqap(cpu, machine, None, r1, r2),
            Instruction::Dqap { r1, r2 } => ap::dqap(cpu, machine, None, r1, r2),
            Instruction::Stfle { base, displacement } => {
                return amend(facilities::before_stfle(cpu, &limits, base, displacement));
            }
            Instruction::Servc { r1, r2 } => return amend(facilities::before_servc(cpu, r1, r2)),
            Instruction::Chsc { r1 } => {
                return match facilities::before_chsc(cpu, machine, r1) {
                    Chsc::Executed => Effect::Executed,
                    Chsc::Native(amendment) => amend(amendment),
                };
            }
            Instruction::Plo if facilities::plo(cpu) => Ok(()),
            Instruction::Plo | Instruction::Tprot | Instruction::Leak(_) => return Effect::Native,
            Instruction::Sie { .. } if cpu.in_problem_state() => return Effect::Native,
            Instruction::Sie { base, displacement } => {
                let base = if base == 0 { 0 } else { cpu.gr(base) };
                let origin = base.wrapping_add(displacement.into());
                return Effect::Load(vcpu.sie.enter(cpu, machine, origin, site.next()));
            }
            Instruction::Ipte { .. } | Instruction::Idte { .. } | Instruction::Purge => {
                let purge = purged_by(cpu, site.instruction);
                machine.shadows().purge(purge);
                return Effect::Unfinished(Task::Purge(purge));
            }
            Instruction::BranchToLowcore { target } => {
                return match lowcore_return::psw(cpu, target) {
                    Some(psw) => Effect::Load(psw),
                    None => Effect::Native,
                };
            }
            Instruction::BackDoor => {
                control::back_door(cpu, machine);
                Ok(())
            }
        };
        match result {
            Ok(()) => Effect::Executed,
            Err(interruption) => Effect::Unfinished(Task::Interrupt(interruption)),
        }
    }

    /// Calls `f` with the state of a vCPU. Opens the vCPU's gate afterwards if the vCPU has work.
    /// Opens the gates of all vCPUs if an interruption of the host has become pending, or a purge of
    /// translations was requested.
    fn with<T>(&self, vcpu: c_uint, f: impl FnOnce(&mut PerVcpu) -> T) -> T {
        let machine = self.machine;
        let before = (machine.pending().is_pending(), machine.shadows().asked());
        let mut state = lock(&self.vcpus[vcpu as usize]);
        let ran_guest = state.sie.runs_guest();
        let result = f(&mut state);
        let runs_guest = state.sie.runs_guest();
        if runs_guest != ran_guest {
            self.clock.run(vcpu, runs_guest);
        }
        self.gate.set(vcpu, false);
        // Work that becomes due after this point opens the gate again.
        fence(Ordering::SeqCst);
        let is_pending = machine.pending().is_pending();
        if is_pending && !before.0 || machine.shadows().asked() != before.1 {
            (0..self.vcpus.len() as c_uint).for_each(|vcpu| self.gate.set(vcpu, true));
        } else if is_pending || state.pending.is_some() || state.sie.is_due(machine, vcpu) {
            self.gate.set(vcpu, true);
        }
        result
    }

    /// Performs the task of an instruction that has finished without an interruption.
    fn finish(&self, cpu: &mut Vcpu, vcpu: &mut PerVcpu) {
        if let Some(Pending { task, .. }) = vcpu.pending.take() {
            self.complete(cpu, &task);
        }
    }

    fn complete(&self, cpu: &mut Vcpu, task: &Task) {
        match task {
            Task::Amend(amendment) => facilities::amend(cpu, self.machine, amendment),
            Task::Correct(correction) => sie::correct(cpu, correction),
            Task::Purge(purge) => self.machine.shadows().purge(*purge),
            Task::Interrupt(_) => {}
        }
    }

    /// Handles an interruption to the handler at `to`. `exception` is true if the instruction at
    /// `from` has caused it.
    fn interrupted(&self, cpu: &mut Vcpu, vcpu: &mut PerVcpu, exception: bool, from: u64, to: u64) {
        if let Some(Pending { address, task }) = vcpu.pending.take() {
            let by_it = exception && from == address;
            match task {
                Task::Interrupt(interruption) if by_it => {
                    const CODE: u64 = 0x8e;
                    cpu.write_absolute(cpu.prefix() + CODE, &interruption.code().to_be_bytes());
                }
                // The instruction has no result. For example, its operand has to be paged in.
                Task::Amend(_) | Task::Correct(_) if by_it => {}
                task => self.complete(cpu, &task),
            }
        }
        if vcpu.sie.is_active() {
            vcpu.sie.interrupted(cpu, self.machine, to);
        }
    }

    /// Handles the start of a block at `address`. Returns the PSW if the program continues
    /// elsewhere.
    fn at_block(&self, cpu: &mut Vcpu, vcpu: &mut PerVcpu, address: u64) -> Option<Psw> {
        if vcpu.sie.is_active() {
            return vcpu.sie.at_block(cpu, self.machine, address);
        }
        let mask = cpu.psw_mask();
        let subclass = interruption::claim(cpu, self.machine, mask)?;
        interruption::interrupt(cpu, self.machine, subclass, Psw { mask, address })
    }

    fn site(&self, site: Site) -> &'static Site {
        lock(&self.sites)
            .entry(site)
            .or_insert_with(|| Box::leak(Box::new(site)))
    }
}

/// Returns the translations that an instruction of the host is about to invalidate.
fn purged_by(cpu: &impl Cpu, instruction: Instruction) -> Purge {
    const BY_ASCE: u64 = 0x800;
    match instruction {
        Instruction::Ipte { r1, r2, r3 } => {
            let more = if r3 == 0 { 0 } else { cpu.gr(r3) };
            Purge::pages(Owner::Host, cpu.gr(r1), cpu.gr(r2), more)
        }
        Instruction::Idte { r2, r3 } if cpu.gr(r2) & BY_ASCE != 0 => Purge::Space {
            owner: Owner::Host,
            asce: cpu.gr(r3),
        },
        _ => Purge::All,
    }
}

/// Returns the effect of an instruction that a guest is about to execute. Instructions that trap
/// are not handled here, but after their trap.
fn guest_effect(cpu: &impl Cpu, sie: &Sie, instruction: Instruction) -> Effect {
    let leak = match instruction {
        Instruction::Leak(leak) => leak,
        Instruction::Stfle { base, displacement } => sie::Leak::Stfle { base, displacement },
        _ => return Effect::Native,
    };
    match sie.before(cpu, leak) {
        Some(correction) => Effect::Unfinished(Task::Correct(correction)),
        None => Effect::Native,
    }
}

/// Registers the callbacks with QEMU. It is called once.
pub(crate) fn install(id: ffi::PluginId, machine: &'static Machine, max_vcpus: usize) {
    let hooks = Hooks {
        machine,
        vcpus: (0..max_vcpus).map(|_| Mutex::default()).collect(),
        gate: Gate::new(),
        clock: Clock::new(),
        sites: Mutex::default(),
    };
    assert!(HOOKS.set(hooks).is_ok(), "the plugin is installed twice");
    // SAFETY: `id` is ours. The callbacks have the types that QEMU expects. They live as long as
    // the plugin, which is never unloaded, and use no user data.
    unsafe {
        ffi::qemu_plugin_register_vcpu_init_cb(id, on_vcpu_init, ptr::null_mut());
        ffi::qemu_plugin_register_vcpu_tb_trans_cb(id, on_translation, ptr::null_mut());
        ffi::qemu_plugin_register_vcpu_discon_cb(
            id,
            ffi::DISCON_ALL,
            on_discontinuity,
            ptr::null_mut(),
        );
    }
}

fn hooks() -> &'static Hooks {
    HOOKS.get().expect("called back before installed")
}

// A panic in an `extern "C"` function ends QEMU with a message. Nothing unwinds into C.

extern "C" fn on_vcpu_init(_vcpu: c_uint, _userdata: *mut c_void) {
    learn_registers();
}

extern "C" fn on_translation(block: *mut ffi::TranslationBlock, _userdata: *mut c_void) {
    let hooks = hooks();
    // SAFETY: QEMU lends `block` for this call, and the block has at least one instruction. The
    // callbacks have the right type and a static lifetime. The user data of `on_block` and
    // `on_tick` is an address in the program.
    let (address, count) = unsafe {
        let first = ffi::qemu_plugin_tb_get_insn(block, 0);
        learn_storage(first);
        if ffi::qemu_plugin_insn_haddr(first).is_null() {
            // The target of an EXECUTE is a block of its own. The plugin cannot stop there.
            return;
        }
        let address = ffi::qemu_plugin_tb_vaddr(block);
        let userdata = ptr::without_provenance_mut(address as usize);
        ffi::qemu_plugin_register_vcpu_tb_exec_cond_cb(
            block,
            on_block,
            ffi::flags::RW_REGS_PC,
            ffi::COND_NE,
            hooks.gate.entry(),
            0,
            userdata,
        );
        ffi::qemu_plugin_register_vcpu_tb_exec_inline_per_vcpu(
            block,
            ffi::INLINE_ADD_U64,
            hooks.clock.entry(),
            1,
        );
        ffi::qemu_plugin_register_vcpu_tb_exec_cond_cb(
            block,
            on_tick,
            ffi::flags::RW_REGS_PC,
            ffi::COND_GE,
            hooks.clock.entry(),
            Clock::TICK,
            userdata,
        );
        (address, ffi::qemu_plugin_tb_n_insns(block))
    };
    let counted = hooks.machine.instructions().map(|i| i.of_block(address));
    let mut amended = false;
    for index in 0..count {
        let mut bytes = [0; Instruction::MAX_LENGTH];
        // SAFETY: `index` is in range, the instruction lives as long as its block, and the buffer
        // has room for all copied bytes.
        let (instruction, address) = unsafe {
            let instruction = ffi::qemu_plugin_tb_get_insn(block, index);
            ffi::qemu_plugin_insn_data(instruction, bytes.as_mut_ptr().cast(), bytes.len());
            (instruction, ffi::qemu_plugin_insn_vaddr(instruction))
        };
        if let Some(counted) = counted {
            // SAFETY: As for the block. The scoreboard has a static lifetime.
            unsafe {
                ffi::qemu_plugin_register_vcpu_insn_exec_inline_per_vcpu(
                    instruction,
                    ffi::INLINE_ADD_U64,
                    counted,
                    1,
                );
            }
        }
        if amended {
            // This callback has to be registered before the instruction's own callback.
            // SAFETY: As for the block.
            unsafe {
                ffi::qemu_plugin_register_vcpu_insn_exec_cb(
                    instruction,
                    on_next,
                    ffi::flags::RW_REGS,
                    ptr::null_mut(),
                );
            }
        }
        let decoded = Instruction::decode(bytes);
        amended = decoded.is_some_and(Instruction::is_amended);
        if let Some(decoded) = decoded {
            let site = hooks.site(Site {
                address,
                instruction: decoded,
            });
            // SAFETY: As for the block. The user data is a site, which `on_instruction` expects.
            unsafe {
                ffi::qemu_plugin_register_vcpu_insn_exec_cb(
                    instruction,
                    on_instruction,
                    ffi::flags::RW_REGS_PC,
                    ptr::from_ref(site).cast_mut().cast(),
                );
            }
        }
    }
}

/// Handles an instruction of interest. `userdata` is a `&'static Site`.
extern "C" fn on_instruction(vcpu: c_uint, userdata: *mut c_void) {
    // SAFETY: Registered with a reference to a site with a static lifetime.
    let site = unsafe { &*userdata.cast::<Site>() };
    let next = hooks().with(vcpu, |state| {
        // SAFETY: Registered to read and write registers.
        let mut cpu = unsafe { Vcpu::current(vcpu) };
        run(&mut cpu, state, *site)
    });
    if let Some(next) = next {
        // SAFETY: Registered to set the program counter. The function does not return. QEMU jumps
        // over this frame, which owns nothing.
        unsafe { ffi::qemu_plugin_set_pc(next) };
    }
}

/// Runs the instruction at `site`. Returns the next address if QEMU does not execute the
/// instruction.
fn run(cpu: &mut Vcpu, vcpu: &mut PerVcpu, site: Site) -> Option<u64> {
    match hooks().execute(cpu, vcpu, site) {
        Effect::Executed => Some(site.next()),
        Effect::Load(psw) => {
            cpu.set_psw_mask(psw.mask);
            Some(psw.address)
        }
        Effect::Native => None,
        Effect::Unfinished(task) => {
            vcpu.pending = Some(Pending {
                address: site.address,
                task,
            });
            None
        }
    }
}

/// Handles the instruction after one that has left a task.
extern "C" fn on_next(vcpu: c_uint, _userdata: *mut c_void) {
    let hooks = hooks();
    hooks.with(vcpu, |state| {
        // SAFETY: Registered to read and write registers.
        let mut cpu = unsafe { Vcpu::current(vcpu) };
        hooks.finish(&mut cpu, state);
    });
}

/// Handles the start of the block at the address `userdata` if work is due.
extern "C" fn on_block(vcpu: c_uint, userdata: *mut c_void) {
    let hooks = hooks();
    let next = hooks.with(vcpu, |state| {
        // SAFETY: Registered to read and write registers.
        let mut cpu = unsafe { Vcpu::current(vcpu) };
        hooks.finish(&mut cpu, state);
        let address = userdata.addr() as u64;
        let psw = hooks.at_block(&mut cpu, state, address)?;
        cpu.set_psw_mask(psw.mask);
        Some(psw.address)
    });
    if let Some(next) = next {
        // SAFETY: As in `on_instruction`.
        unsafe { ffi::qemu_plugin_set_pc(next) };
    }
}

/// Handles the start of the block at the address `userdata`, periodically while a guest runs.
extern "C" fn on_tick(vcpu: c_uint, userdata: *mut c_void) {
    let hooks = hooks();
    hooks.clock.run(vcpu, true);
    let next = hooks.with(vcpu, |state| {
        // SAFETY: Registered to read and write registers.
        let mut cpu = unsafe { Vcpu::current(vcpu) };
        let address = userdata.addr() as u64;
        let psw = state.sie.look(&mut cpu, hooks.machine, address)?;
        cpu.set_psw_mask(psw.mask);
        Some(psw.address)
    });
    if let Some(next) = next {
        // SAFETY: As in `on_instruction`.
        unsafe { ffi::qemu_plugin_set_pc(next) };
    }
}

extern "C" fn on_discontinuity(
    vcpu: c_uint,
    kind: c_int,
    from: u64,
    to: u64,
    _userdata: *mut c_void,
) {
    let hooks = hooks();
    hooks.with(vcpu, |state| {
        // SAFETY: Discontinuity callbacks may access registers.
        let mut cpu = unsafe { Vcpu::current(vcpu) };
        let exception = kind == ffi::DISCON_EXCEPTION;
        hooks.interrupted(&mut cpu, state, exception, from, to);
    });
}

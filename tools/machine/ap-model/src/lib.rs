// SPDX-License-Identifier: GPL-2.0
//! The AP architecture of the emulated machine, and the language that controls it.
//!
//! The library is pure. It works on registers, words and texts, without an emulator, storage or a
//! clock. The plugin and the tests use it.
//!
//! ```
//! use ap_model::{Machine, Pqap, PqapAnswer};
//!
//! let mut machine = Machine::preset();
//! machine.control("queue 01.0003 tapq rc=05 times=1").unwrap();
//! // PQAP(TAPQ) on queue 01.0003:
//! let tapq = Pqap { gr0: 0x0103, gr1: 0, gr2: 0, gr2_is_storage: false };
//! let Ok(PqapAnswer::Status(status, _)) = machine.pqap(&tapq) else { panic!() };
//! assert_eq!((status.rc.0, status.cc()), (5, 3));
//! assert_eq!(machine.control("counters 01.0003 tapq").unwrap(), "1\n");
//! ```
//!
//! | module | contents |
//! |---|---|
//! | [`machine`] | hardware, host configuration, all state |
//! | [`execute`] | the AP instructions |
//! | [`view`] | the AP instructions for the guest of an APCB |
//! | [`queue`] | the state machine of a queue, and its forced responses |
//! | [`control`] | the control language |
//! | [`message`] | messages and replies |
//! | [`accelerator`], [`cca`], [`ep11`] | the replies of an adapter in each mode |
//! | [`error_reply`] | the replies to messages that an adapter refuses |
//! | the others | one layout or one concept each |

pub mod accelerator;
pub mod adapter;
pub mod cca;
pub mod control;
pub mod counters;
pub(crate) mod cprb;
pub mod ep11;
pub mod error_reply;
pub mod execute;
pub mod function;
pub mod ids;
pub mod interruption;
pub mod limits;
pub mod machine;
pub mod mask;
pub mod message;
pub mod qci;
pub mod queue;
pub mod sie;
pub mod status;
pub mod view;

pub use execute::{DqapAnswer, Pqap, PqapAnswer};
pub use function::Function;
pub use ids::{Apid, Apqi, Apqn};
pub use limits::Limits;
pub use machine::{Machine, SclpAnswer};
pub use mask::Mask;
pub use status::{ProgramInterruption, ResponseCode, Status};
pub use view::{Apcb, View};

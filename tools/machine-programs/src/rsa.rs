// SPDX-License-Identifier: GPL-2.0
//! RSA on an adapter, with known results. The keys, messages and results are those of OpenSSL
//! (`tools/vectors`).

use nix::errno::Errno;
use nix::libc::Ioctl;
use nix::request_code_readwrite;

use crate::uapi::by_reference;
use std::os::fd::BorrowedFd;

/// The two methods of computing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// Modular exponentiation with the public exponent.
    Exponentiation,
    /// The Chinese remainder theorem with the private key, which restores the message.
    Remainders,
}

impl Method {
    /// Returns the method with this name, which is that of the ioctls.
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "modexpo" => Some(Self::Exponentiation),
            "crt" => Some(Self::Remainders),
            _ => None,
        }
    }
}

/// A key with a message and its result. Numbers are as long as the modulus or half as long.
#[derive(Clone, Copy)]
pub struct Vector {
    text: &'static str,
}

const ICARSAMODEXPO: Ioctl = request_code_readwrite!(b'z', 0x05, 0);
const ICARSACRT: Ioctl = request_code_readwrite!(b'z', 0x06, 0);

/// `struct ica_rsa_modexpo` of `asm/zcrypt.h`.
#[repr(C)]
struct ModExpo {
    input: *const u8,
    input_length: u32,
    output: *mut u8,
    output_length: u32,
    exponent: *const u8,
    modulus: *const u8,
}

/// `struct ica_rsa_modexpo_crt`.
#[repr(C)]
struct Crt {
    input: *const u8,
    input_length: u32,
    output: *mut u8,
    output_length: u32,
    dp: *const u8,
    dq: *const u8,
    p: *const u8,
    q: *const u8,
    u: *const u8,
}

impl Vector {
    /// Returns the vector with a key of 1024, 2048 or 4096 bits.
    pub fn of(bits: &str) -> Option<Self> {
        let text = match bits {
            "1024" => include_str!("../../vectors/rsa-1024.txt"),
            "2048" => include_str!("../../vectors/rsa-2048.txt"),
            "4096" => include_str!("../../vectors/rsa-4096.txt"),
            _ => return None,
        };
        Some(Self { text })
    }

    /// Returns the number with this name.
    fn number(&self, name: &str) -> Vec<u8> {
        let digits = self.text.lines().find_map(|line| {
            let (found, digits) = line.split_once(" = ")?;
            (found == name).then_some(digits)
        });
        let digits = digits.unwrap_or_default().as_bytes().chunks_exact(2);
        digits
            .filter_map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok())
            .collect()
    }

    /// Returns the input, and the expected output.
    fn input_and_output(&self, method: Method) -> [Vec<u8>; 2] {
        match method {
            Method::Exponentiation => ["message", "result"],
            Method::Remainders => ["result", "message"],
        }
        .map(|name| self.number(name))
    }

    /// Returns true if the output is correct.
    pub fn is_right(&self, method: Method, output: &[u8]) -> bool {
        let [_, right] = self.input_and_output(method);
        output == right
    }

    /// Computes the output with zcrypt through `device` (/dev/z90crypt).
    ///
    /// # Errors
    ///
    /// Returns the error of zcrypt.
    pub fn compute(&self, device: BorrowedFd<'_>, method: Method) -> nix::Result<Vec<u8>> {
        let [input, right] = self.input_and_output(method);
        let mut output = vec![0; right.len()];
        let length = u32::try_from(input.len()).map_err(|_| Errno::EMSGSIZE)?;
        match method {
            Method::Exponentiation => {
                let [exponent, modulus] = ["e", "n"].map(|name| self.number(name));
                let mut request = ModExpo {
                    input: input.as_ptr(),
                    input_length: length,
                    output: output.as_mut_ptr(),
                    output_length: length,
                    exponent: exponent.as_ptr(),
                    modulus: modulus.as_ptr(),
                };
                // SAFETY: this is the structure of this request. The buffers have the required
                // lengths and live through the call.
                unsafe { by_reference(device, ICARSAMODEXPO, &mut request) }?;
            }
            Method::Remainders => {
                let [dq, q] = ["dq", "q"].map(|name| self.number(name));
                // These numbers have eight additional bytes on the left.
                let [dp, p, u] =
                    ["dp", "p", "u"].map(|name| [vec![0; 8], self.number(name)].concat());
                let mut request = Crt {
                    input: input.as_ptr(),
                    input_length: length,
                    output: output.as_mut_ptr(),
                    output_length: length,
                    dp: dp.as_ptr(),
                    dq: dq.as_ptr(),
                    p: p.as_ptr(),
                    q: q.as_ptr(),
                    u: u.as_ptr(),
                };
                // SAFETY: as above.
                unsafe { by_reference(device, ICARSACRT, &mut request) }?;
            }
        }
        Ok(output)
    }

    /// Returns the message of type 50 for a modular exponentiation by an accelerator. The result is
    /// at [`RESULT`] in the reply.
    pub fn message(&self) -> Vec<u8> {
        const TYPE_50: u8 = 0x50;
        const HEADER: usize = 16;
        let operands = ["e", "n", "message"].map(|name| self.number(name));
        // Key blocks 1, 2 and 3 are for moduli of 1024, 2048 and 4096 bits.
        let key_block = operands[1].len().ilog2() - 6;
        let mut message = vec![0; HEADER];
        message.extend(operands.concat());
        message[1] = TYPE_50;
        let length = message.len() as u16;
        message[2..4].copy_from_slice(&length.to_be_bytes());
        message[9] = key_block as u8;
        message
    }
}

/// The offset of the result in a reply of type 80.
pub const RESULT: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_have_the_length_of_their_key_block() {
        for (bits, kind, length) in [("1024", 1, 400), ("2048", 2, 784), ("4096", 3, 1552)] {
            let message = Vector::of(bits).unwrap().message();
            assert_eq!(message.len(), length);
            assert_eq!(message[9], kind);
            assert_eq!(message[2..4], (length as u16).to_be_bytes());
        }
    }

    #[test]
    fn what_goes_in_one_way_comes_out_the_other() {
        let vector = Vector::of("1024").unwrap();
        let [input, output] = vector.input_and_output(Method::Exponentiation);
        assert_eq!(
            vector.input_and_output(Method::Remainders),
            [output.clone(), input]
        );
        assert!(vector.is_right(Method::Exponentiation, &output));
        assert!(!vector.is_right(Method::Remainders, &output));
    }
}

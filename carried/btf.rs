// SPDX-License-Identifier: GPL-2.0

//! Reads BTF, which describes the types of a kernel.
//!
//!     btf declare NAME... -- FILE            print C declarations of structures and enumerations
//!     btf check BINDINGS... -- FILE...       compare layouts that bindgen has computed
//!
//! A FILE is BTF, or an ELF file with BTF. The first file is the kernel. The others are modules, and their
//! types refer to those of the kernel.

use std::{collections::HashMap, fs, process::exit};

/// The kind of a type. Types have numbers, and 0 is `void`.
enum Kind {
    /// A number, or a type of which only the name is known. The string is the keyword before the name.
    Named(&'static str),
    Pointer(u32),
    Array(u32, u32),
    /// A union (true) or a structure, and the members.
    Aggregate(bool, Vec<Member>),
    Enumeration(Vec<(String, i64)>),
    /// A qualifier such as `const`, and the qualified type.
    Qualified(&'static str, u32),
    /// The type of the result, and the types of the parameters.
    Function(u32, Vec<u32>),
}

struct Type {
    name: String,
    size: u32,
    kind: Kind,
    /// The type that a `typedef` stands for, or 0.
    target: u32,
}

struct Member {
    name: String,
    kind: u32,
    /// The offset in bits.
    offset: u32,
    /// The width of a bit field in bits, or 0.
    width: u32,
}

/// The types of a kernel or of a module.
#[derive(Default)]
struct Btf {
    types: Vec<Type>,
    strings: Vec<u8>,
    /// The number of the first type of the file.
    own: usize,
}

/// A reader of numbers in either byte order.
struct Reader<'a> {
    data: &'a [u8],
    big: bool,
}

impl Reader<'_> {
    fn u32(&self, at: usize) -> Option<u32> {
        let bytes = self.data.get(at..at + 4)?.try_into().ok()?;
        Some(if self.big {
            u32::from_be_bytes(bytes)
        } else {
            u32::from_le_bytes(bytes)
        })
    }

    fn u64(&self, at: usize) -> Option<usize> {
        let (first, second) = (u64::from(self.u32(at)?), u64::from(self.u32(at + 4)?));
        usize::try_from(if self.big {
            first << 32 | second
        } else {
            second << 32 | first
        })
        .ok()
    }

    fn u16(&self, at: usize) -> Option<usize> {
        let bytes = self.data.get(at..at + 2)?.try_into().ok()?;
        Some(usize::from(if self.big {
            u16::from_be_bytes(bytes)
        } else {
            u16::from_le_bytes(bytes)
        }))
    }
}

fn string(strings: &[u8], at: usize) -> Option<String> {
    let text = strings.get(at..)?.split(|&byte| byte == 0).next()?;
    Some(String::from_utf8_lossy(text).into_owned())
}

/// Returns the section `.BTF` of an ELF file of 64 bits. Returns other files as a whole.
fn section(data: &[u8]) -> Option<&[u8]> {
    if !data.starts_with(b"\x7fELF") {
        return Some(data);
    }
    let elf = Reader {
        data,
        big: *data.get(5)? == 2,
    };
    let (table, size, names) = (elf.u64(40)?, elf.u16(58)?, elf.u16(62)?);
    let strings = data.get(elf.u64(table + names * size + 24)?..)?;
    (0..elf.u16(60)?).map(|i| table + i * size).find_map(|at| {
        let name = string(strings, elf.u32(at)? as usize)?;
        let start = elf.u64(at + 24)?;
        (name == ".BTF").then(|| data.get(start..start + elf.u64(at + 32)?))?
    })
}

impl Btf {
    /// Reads the types of a file. `base` has the types of the kernel, for a module.
    fn read(&mut self, file: &[u8], base: Option<&Self>) -> Option<()> {
        let data = section(file)?;
        let btf = Reader {
            data,
            big: data.starts_with(b"\xeb\x9f"),
        };
        if !btf.big && !data.starts_with(b"\x9f\xeb") {
            return None;
        }
        let header = btf.u32(4)? as usize;
        let (types, length) = (header + btf.u32(8)? as usize, btf.u32(12)? as usize);
        let names = header + btf.u32(16)? as usize;
        self.strings = base.map_or(Vec::new(), |base| base.strings.clone());
        self.strings
            .extend_from_slice(data.get(names..names + btf.u32(20)? as usize)?);
        let own = base.map_or(0, |base| base.types.len());
        if base.is_none() {
            self.types.push(Type::named("void".into(), 0, "", 0));
        }
        self.own = own;
        let mut at = types;
        while at < types + length {
            at = self.read_type(&btf, at)?;
        }
        Some(())
    }

    /// Reads a type. Returns the position of the next one.
    fn read_type(&mut self, btf: &Reader<'_>, at: usize) -> Option<usize> {
        let name = |at| string(&self.strings, btf.u32(at)? as usize);
        let (info, size) = (btf.u32(at + 4)?, btf.u32(at + 8)?);
        let (kind, count, flag) = (info >> 24 & 31, (info & 0xffff) as usize, info >> 31 == 1);
        let rest = at + 12;
        let (kind, length) = match kind {
            1 | 16 => (Kind::Named(""), if kind == 1 { 4 } else { 0 }),
            2 => (Kind::Pointer(size), 0),
            3 => (Kind::Array(btf.u32(rest)?, btf.u32(rest + 8)?), 12),
            4 | 5 => {
                let member = |i| {
                    let (at, bits) = (rest + 12 * i, btf.u32(rest + 12 * i + 8)?);
                    let (offset, width) = if flag {
                        (bits & 0xff_ffff, bits >> 24)
                    } else {
                        (bits, 0)
                    };
                    Some(Member {
                        name: name(at)?,
                        kind: btf.u32(at + 4)?,
                        offset,
                        width,
                    })
                };
                let members = (0..count).map(member).collect::<Option<_>>()?;
                (Kind::Aggregate(kind == 5, members), 12 * count)
            }
            6 | 19 => {
                let step = if kind == 6 { 8 } else { 12 };
                let value = |i| {
                    let at = rest + step * i;
                    let low = i64::from(btf.u32(at + 4)?);
                    let high = if kind == 19 {
                        i64::from(btf.u32(at + 8)?) << 32
                    } else {
                        0
                    };
                    let value = if kind == 6 && flag {
                        i64::from(low as i32)
                    } else {
                        high | low
                    };
                    Some((name(at)?, value))
                };
                (
                    Kind::Enumeration((0..count).map(value).collect::<Option<_>>()?),
                    step * count,
                )
            }
            7 => (Kind::Named(if flag { "union " } else { "struct " }), 0),
            8 => (Kind::Named(""), 0),
            9 => (Kind::Qualified("volatile ", size), 0),
            10 => (Kind::Qualified("const ", size), 0),
            11 => (Kind::Qualified("restrict ", size), 0),
            18 => (Kind::Qualified("", size), 0),
            13 => {
                let parameter = |i| btf.u32(rest + 8 * i + 4);
                (
                    Kind::Function(size, (0..count).map(parameter).collect::<Option<_>>()?),
                    8 * count,
                )
            }
            // No type refers to functions, variables, sections and tags of declarations.
            12 => (Kind::Named(""), 0),
            14 | 17 => (Kind::Named(""), 4),
            15 => (Kind::Named(""), 12 * count),
            _ => return None,
        };
        let target = if info >> 24 & 31 == 8 { size } else { 0 };
        let name = name(at)?;
        self.types.push(Type {
            name,
            size,
            kind,
            target,
        });
        Some(rest + length)
    }

    fn get<'a>(&'a self, base: Option<&'a Self>, number: u32) -> &'a Type {
        let own = self.own;
        match base {
            Some(base) if (number as usize) < own => &base.types[number as usize],
            _ => &self.types[number as usize - own],
        }
    }

    /// Returns the C declaration of `inner` with a type.
    fn declare(&self, number: u32, inner: &str) -> String {
        let of = self.get(None, number);
        match &of.kind {
            Kind::Named(keyword) => format!("{keyword}{} {inner}", of.name),
            Kind::Pointer(to) => match self.get(None, *to).kind {
                Kind::Array(..) | Kind::Function(..) => self.declare(*to, &format!("(*{inner})")),
                _ => self.declare(*to, &format!("*{inner}")),
            },
            Kind::Array(element, count) => self.declare(*element, &format!("{inner}[{count}]")),
            Kind::Qualified(keyword, to) => match self.get(None, *to).kind {
                Kind::Pointer(_) => self.declare(*to, &format!("{keyword}{inner}")),
                _ => format!("{keyword}{}", self.declare(*to, inner)),
            },
            Kind::Function(result, parameters) => {
                let parameters: Vec<_> = parameters.iter().map(|&p| self.declare(p, "")).collect();
                let parameters = if parameters.is_empty() {
                    "void".into()
                } else {
                    parameters.join(", ")
                };
                self.declare(*result, &format!("{inner}({parameters})"))
            }
            Kind::Aggregate(..) if of.name.is_empty() => format!("{} {inner}", self.body(of)),
            Kind::Aggregate(true, _) => format!("union {} {inner}", of.name),
            Kind::Aggregate(false, _) => format!("struct {} {inner}", of.name),
            Kind::Enumeration(_) if of.name.is_empty() => format!("{} {inner}", self.body(of)),
            Kind::Enumeration(_) => format!("enum {} {inner}", of.name),
        }
    }

    /// Returns the definition of a structure, a union or an enumeration.
    fn body(&self, of: &Type) -> String {
        match &of.kind {
            Kind::Aggregate(union, members) => {
                let mut text = format!(
                    "{} {} {{\n",
                    if *union { "union" } else { "struct" },
                    of.name
                );
                for member in members {
                    text += &self.declare(member.kind, &member.name);
                    if member.width != 0 {
                        text += &format!(":{}", member.width);
                    }
                    text += ";\n";
                }
                text + "}"
            }
            Kind::Enumeration(values) => {
                let values: Vec<_> = values
                    .iter()
                    .map(|(name, value)| format!("{name} = {value}"))
                    .collect();
                format!("enum {} {{ {} }}", of.name, values.join(", "))
            }
            _ => String::new(),
        }
    }

    /// Adds the offset of each member of a structure, also of the members of unnamed members.
    fn offsets(
        &self,
        base: Option<&Self>,
        of: &Type,
        start: u32,
        found: &mut HashMap<String, u32>,
    ) {
        let Kind::Aggregate(_, members) = &of.kind else {
            return;
        };
        for member in members.iter().filter(|member| member.width == 0) {
            let at = start + member.offset / 8;
            if member.name.is_empty() {
                self.offsets(base, self.get(base, member.kind), at, found);
            } else {
                found.insert(member.name.clone(), at);
            }
        }
    }

    /// Adds the layouts of all structures by their names and by the names of their `typedef`s.
    fn layouts(&self, base: Option<&Self>, all: &mut HashMap<String, Vec<Layout>>) {
        for of in &self.types {
            let is = if of.target != 0 {
                self.get(base, of.target)
            } else {
                of
            };
            if of.name.is_empty() || !matches!(is.kind, Kind::Aggregate(..)) {
                continue;
            }
            let mut members = HashMap::new();
            self.offsets(base, is, 0, &mut members);
            all.entry(of.name.clone())
                .or_default()
                .push((is.size, members));
        }
    }
}

impl Type {
    fn named(name: String, size: u32, keyword: &'static str, target: u32) -> Self {
        Self {
            name,
            size,
            kind: Kind::Named(keyword),
            target,
        }
    }
}

/// The size of a structure, and the offsets of its members, in bytes.
type Layout = (u32, HashMap<String, u32>);

/// Returns the sizes and offsets in the tests that bindgen has written.
fn computed(bindings: &str) -> HashMap<String, (u32, Vec<(String, u32)>)> {
    let mut all: HashMap<String, (u32, Vec<(String, u32)>)> = HashMap::new();
    for test in bindings.split("[\"").skip(1) {
        let Some((what, rest)) = test.split_once("\"]") else {
            continue;
        };
        let value = rest
            .split("usize")
            .next()
            .and_then(|text| text.rsplit([' ', '-']).next());
        let Some(value) = value.and_then(|value| value.parse().ok()) else {
            continue;
        };
        if let Some(name) = what.strip_prefix("Size of ") {
            all.entry(name.into()).or_default().0 = value;
        } else if let Some((name, member)) = what
            .strip_prefix("Offset of field: ")
            .and_then(|what| what.split_once("::"))
        {
            all.entry(name.into())
                .or_default()
                .1
                .push((member.into(), value));
        }
    }
    all
}

/// Compares a structure with that of the kernel. Returns the difference, and the number of compared
/// members.
fn compare(size: u32, members: &[(String, u32)], kernel: &Layout) -> (Option<String>, usize) {
    let mut count = 0;
    for (name, offset) in members {
        // bindgen appends an underscore to a keyword of Rust.
        let known = kernel
            .1
            .get(name)
            .or_else(|| kernel.1.get(name.strip_suffix('_')?));
        let Some(known) = known else { continue };
        count += 1;
        if known != offset {
            return (
                Some(format!(
                    "{name} is at {offset}, and at {known} in the kernel"
                )),
                count,
            );
        }
    }
    let differs =
        (size != kernel.0).then(|| format!("{size} bytes, and {} in the kernel", kernel.0));
    (differs, count)
}

fn fail(text: &str) -> ! {
    eprintln!("error: {text}");
    exit(1)
}

fn main() {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let (wanted, files) = match arguments.split_first() {
        Some((_, rest)) => match rest.iter().position(|word| word == "--") {
            Some(at) if at + 1 < rest.len() => (&rest[..at], &rest[at + 1..]),
            _ => fail("btf declare|check WANTED... -- FILE..."),
        },
        None => fail("btf declare|check WANTED... -- FILE..."),
    };
    let read =
        |name: &String| fs::read(name).unwrap_or_else(|error| fail(&format!("{name}: {error}")));
    let mut kernel = Btf::default();
    if kernel.read(&read(&files[0]), None).is_none() {
        fail(&format!("{} has no BTF that can be read", files[0]));
    }
    if arguments[0] == "declare" {
        for name in wanted {
            let is = |of: &&Type| {
                of.name == *name && matches!(of.kind, Kind::Aggregate(..) | Kind::Enumeration(_))
            };
            let Some(of) = kernel.types.iter().find(is) else {
                fail(&format!(
                    "{} does not know {name}: it needs CONFIG_AP=y",
                    files[0]
                ));
            };
            println!("{};", kernel.body(of));
            if let Kind::Aggregate(union, _) = of.kind {
                let keyword = if union { "union" } else { "struct" };
                println!(
                    "_Static_assert(sizeof({keyword} {name}) == {}, \"{name}\");",
                    of.size
                );
            }
        }
        return;
    }
    let mut layouts = HashMap::new();
    kernel.layouts(None, &mut layouts);
    for name in &files[1..] {
        let mut module = Btf::default();
        if module.read(&read(name), Some(&kernel)).is_none() {
            fail(&format!("{name} has no BTF that can be read"));
        }
        module.layouts(Some(&kernel), &mut layouts);
    }
    let (mut structures, mut members, mut unknown) = (0, 0, 0);
    for file in wanted {
        let text = String::from_utf8_lossy(&read(file)).into_owned();
        for (name, (size, offsets)) in computed(&text) {
            let Some(candidates) = layouts.get(&name) else {
                unknown += 1;
                continue;
            };
            let results: Vec<_> = candidates
                .iter()
                .map(|kernel| compare(size, &offsets, kernel))
                .collect();
            match results.iter().find(|(differs, _)| differs.is_none()) {
                Some((_, count)) => {
                    structures += 1;
                    members += count;
                }
                None => fail(&format!(
                    "struct {name} is not that of the kernel: {}",
                    results[0].0.as_deref().unwrap_or_default()
                )),
            }
        }
    }
    println!(
        "{structures} structures with {members} members are as the kernel has them; \
         {unknown} it does not know by a name"
    );
}

// SPDX-License-Identifier: GPL-2.0
//! Runs one scenario, from its file to its outcome.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use tempfile::TempDir;

use crate::artifacts::Artifacts;
use crate::console::{Record, Verdict};
use crate::initramfs::Archive;
use crate::machine::{self, Config};
use crate::scenario::{Driver, Flavour, Scenario};

/// The first process in the machine.
const INIT: &[u8] = include_bytes!("init.sh");

/// The first process in a guest that runs Linux.
const GUEST_INIT: &[u8] = include_bytes!("guest-init.sh");

/// The programs of the machine.
const PROGRAMS: [&str; 12] = [
    "apclose", "apcore", "apcount", "apctl", "apfail", "apmap", "aprsa", "apstress", "apvmm",
    "apwalk", "crycb", "ktry",
];

/// The modules that the driver needs, in the order of loading. Init reads the list.
const MODULES: [&str; 6] = [
    "drivers/iommu/iommufd/iommufd.ko",
    "drivers/vfio/vfio.ko",
    "drivers/vfio/vfio_iommu_type1.ko",
    "drivers/vfio/mdev/mdev.ko",
    "drivers/s390/crypto/zcrypt.ko",
    "drivers/s390/crypto/zcrypt_cex4.ko",
];

/// The modules for Debian's kernel, which has fewer built-in features.
const DEBIAN_MODULES: [&str; 7] = [
    "virt/lib/irqbypass.ko",
    "drivers/vfio/vfio.ko",
    "drivers/vfio/vfio_iommu_type1.ko",
    "arch/s390/kvm/kvm.ko",
    "drivers/vfio/mdev/mdev.ko",
    "drivers/s390/crypto/zcrypt.ko",
    "drivers/s390/crypto/zcrypt_cex4.ko",
];

/// The modules that a guest needs for its queues.
const GUEST_MODULES: [&str; 2] = [
    "drivers/s390/crypto/zcrypt.ko",
    "drivers/s390/crypto/zcrypt_cex4.ko",
];

/// A scenario, a bench or a shell, and the driver.
#[derive(Clone, Copy, Debug)]
pub struct Job<'a> {
    /// The name of the scenario or bench, or `None` for a shell.
    pub name: Option<&'a str>,
    /// The driver.
    pub driver: Driver,
    /// The number of adapters, which is also the number of domains. The default is the number in
    /// `default.machine`.
    pub size: Option<u8>,
    /// True if a bench shows the costs of functions.
    pub profile: bool,
    /// Additional variables, each as `NAME=VALUE`.
    pub settings: &'a [String],
}

impl Job<'_> {
    /// Returns the variables for init and the scenario.
    fn variables(&self) -> String {
        let size = self.size.map(|size| format!("SIZE={size}\n"));
        let profile = if self.profile { "PROFILE=1\n" } else { "" };
        let settings = self.settings.iter().map(|setting| {
            let (name, value) = setting.split_once('=').unwrap_or((setting, ""));
            format!("{name}='{}'\n", value.replace('\'', "'\\''"))
        });
        format!(
            "DRIVER={}\nSCENARIO={}\n{}{profile}{}",
            self.driver,
            self.name.unwrap_or_default(),
            size.unwrap_or_default(),
            settings.collect::<String>()
        )
    }

    /// Returns the commands that configure a machine of the job's size.
    fn machine(&self) -> String {
        match self.size {
            Some(size) => {
                let last = size - 1;
                format!("adapter 0-{last} cex7c ; apm = 0-{last} ; aqm = 0-{last} ; adm = 0-{last}")
            }
            None => String::new(),
        }
    }
}

/// The temporary files of a machine.
struct Files {
    directory: TempDir,
    initrd: PathBuf,
    ap: Option<PathBuf>,
    /// The path of the initramfs of guests.
    linux: Option<PathBuf>,
}

impl Files {
    fn new(artifacts: &Artifacts, job: Job<'_>, scenario: &Scenario) -> Result<Self> {
        let directory = TempDir::new()?;
        let initrd = directory.path().join("initrd");
        write_initrd(&initrd, artifacts, job).context("initramfs")?;
        let ap = if scenario.has_ap {
            let path = directory.path().join("machine");
            let own = scenario.machine.join("\n");
            let default = artifacts.default_machine()?;
            fs::write(&path, format!("{default}\n{}\n{own}\n", job.machine()))?;
            Some(path)
        } else {
            None
        };
        let linux = if scenario.has_linux {
            let path = directory.path().join("linux");
            write_guest_initrd(&path, artifacts).context("initramfs of guests")?;
            Some(path)
        } else {
            None
        };
        Ok(Self {
            directory,
            initrd,
            ap,
            linux,
        })
    }

    fn config<'a>(&'a self, artifacts: &'a Artifacts, scenario: &Scenario) -> Result<Config<'a>> {
        debug_assert!(self.initrd.starts_with(self.directory.path()));
        let mut disks = Vec::new();
        if scenario.has_clients {
            let Some(clients) = &artifacts.clients else {
                bail!("the image of the clients is missing; give its path with --clients");
            };
            disks.push(("clients", clients.clone()));
        }
        if scenario.has_suite {
            let Some(suite) = &artifacts.suite else {
                bail!("this needs a suite; give its path with --suite, or run make judges");
            };
            disks.push(("suite", suite.clone()));
        }
        if let Some(linux) = &self.linux {
            disks.extend([
                ("linux", artifacts.kernel_image()),
                ("initrd", linux.clone()),
            ]);
        }
        Ok(Config {
            initrd: &self.initrd,
            ap: self.ap.as_deref(),
            cpus: scenario.cpus,
            counts: scenario.counts,
            memory: scenario.memory.max(artifacts.memory),
            disks,
        })
    }
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| path.display().to_string())
}

/// Writes an initramfs without the end of the archive.
fn begin_initrd(
    path: &Path,
    artifacts: &Artifacts,
    init: &[u8],
    programs: &[&str],
    modules: &[&str],
) -> Result<Archive<File>> {
    let mut file = File::create(path)?;
    file.write_all(&read(&artifacts.image)?)?;
    let mut archive = Archive::new(file);
    archive.file("init", init)?;
    for program in programs {
        archive.file(
            &format!("bin/{program}"),
            &read(&artifacts.programs.join(program))?,
        )?;
    }
    let mut order = String::new();
    for module in modules {
        let module = artifacts.kernel_module(module);
        let name = module.file_name().unwrap_or_default().to_string_lossy();
        archive.file(&format!("lib/modules/{name}"), &read(&module)?)?;
        order += &format!("{name}\n");
    }
    archive.file("lib/modules/order", order.as_bytes())?;
    Ok(archive)
}

fn write_guest_initrd(path: &Path, artifacts: &Artifacts) -> Result<()> {
    begin_initrd(path, artifacts, GUEST_INIT, &["aprsa"], &GUEST_MODULES)?.finish()?;
    Ok(())
}

fn write_initrd(path: &Path, artifacts: &Artifacts, job: Job<'_>) -> Result<()> {
    let modules: &[_] = match artifacts.flavour {
        Flavour::Debian => &DEBIAN_MODULES,
        _ => &MODULES,
    };
    let mut archive = begin_initrd(path, artifacts, INIT, &PROGRAMS, modules)?;
    let module = artifacts
        .module(job.driver)
        .context("this driver is not built; give its path with --module")?;
    archive.file("lib/modules/vfio_ap.ko", &read(&module)?)?;
    archive.directory("scenarios")?;
    for directory in [&artifacts.scenarios, &artifacts.benches] {
        for entry in fs::read_dir(directory)? {
            let path = entry?.path();
            if path
                .extension()
                .is_some_and(|e| e == "sh" || e == "machine")
            {
                let name = path.file_name().unwrap_or_default().to_string_lossy();
                archive.file(&format!("scenarios/{name}"), &read(&path)?)?;
            }
        }
    }
    // Scenarios execute the commands on these pages. A directory of scenarios outside this tree has
    // no pages.
    for page in ["guide.rst", "lost-card.rst"] {
        let path = artifacts.scenarios.join("../../Documentation").join(page);
        if path.exists() {
            archive.file(&format!("scenarios/{page}"), &read(&path)?)?;
        }
    }
    archive.file("etc/job", job.variables().as_bytes())?;
    archive.finish()?;
    Ok(())
}

/// The outcome of a scenario.
pub struct Outcome {
    /// The verdict.
    pub verdict: Verdict,
    /// The lines of the console.
    pub console: Vec<String>,
    /// The path of the console log.
    pub log: PathBuf,
    /// The duration.
    pub elapsed: Duration,
}

/// Returns the verdict of a scenario that needs programs from Debian if there is no disk with them.
fn without_clients(artifacts: &Artifacts, scenario: &Scenario) -> Option<Verdict> {
    if !scenario.has_clients || artifacts.clients.is_some() {
        return None;
    }
    match &artifacts.no_clients {
        Some(reason) if std::env::var_os("CI").is_some() => Some(Verdict::Fail(reason.clone())),
        Some(reason) => Some(Verdict::Skip(reason.clone())),
        None => Some(Verdict::Skip("there is no image of the clients".into())),
    }
}

/// Runs a scenario in its own machine. Each console line is passed to `watch` and written to a log
/// file.
///
/// # Errors
///
/// Returns an error if the scenario has a wrong header, or if the machine cannot be started.
pub fn scenario(
    artifacts: &Artifacts,
    name: &str,
    driver: Driver,
    watch: impl FnMut(&str),
) -> Result<Outcome> {
    let job = Job {
        name: Some(name),
        driver,
        size: None,
        profile: false,
        settings: &[],
    };
    in_machine(artifacts, job, name, watch)
}

/// Runs a job with a name in its own machine. `log` is the name of its log file.
///
/// # Errors
///
/// Returns an error if the header is wrong, or if the machine cannot be started.
pub fn in_machine(
    artifacts: &Artifacts,
    job: Job<'_>,
    log: &str,
    mut watch: impl FnMut(&str),
) -> Result<Outcome> {
    let begun = Instant::now();
    let Job { name, driver, .. } = job;
    let name = name.context("a job without a name is for a shell")?;
    let scenario = Scenario::parse(&artifacts.scenario(name)?, driver)
        .with_context(|| format!("header of {name}.sh"))?;
    let path = artifacts.logs.join(format!("{driver}-{log}.log"));
    let unfit = scenario.unfit_for(artifacts.flavour).map(Verdict::Skip);
    if let Some(verdict) = unfit.or_else(|| without_clients(artifacts, &scenario)) {
        return Ok(Outcome {
            verdict,
            console: Vec::new(),
            log: path,
            elapsed: begun.elapsed(),
        });
    }
    let files = Files::new(artifacts, job, &scenario)?;
    fs::create_dir_all(&artifacts.logs)?;
    let mut log = File::create(&path).with_context(|| path.display().to_string())?;

    let mut record = Record::default();
    let mut console = Vec::new();
    let mut broken = None;
    let end = machine::run(
        artifacts,
        &files.config(artifacts, &scenario)?,
        scenario.timeout * artifacts.patience,
        |line| {
            record.note(line);
            watch(line);
            if let Err(e) = writeln!(log, "{line}") {
                broken.get_or_insert(e);
            }
            console.push(line.to_owned());
            record.has_verdict()
        },
    )?;
    if let Some(e) = broken {
        return Err(e).context(path.display().to_string());
    }
    Ok(Outcome {
        verdict: record.judge(end, &scenario.expect_kernel),
        console,
        log: path,
        elapsed: begun.elapsed(),
    })
}

/// Runs a shell for the user in a machine with the driver.
///
/// # Errors
///
/// Returns an error if the machine cannot be started.
pub fn shell(artifacts: &Artifacts, driver: Driver, machine: &[String], cpus: u32) -> Result<()> {
    let scenario = Scenario {
        machine: machine.to_vec(),
        has_ap: artifacts.plugin.is_some(),
        has_clients: artifacts.clients.is_some(),
        has_linux: artifacts.clients.is_some(),
        cpus,
        ..Scenario::default()
    };
    let job = Job {
        name: None,
        driver,
        size: None,
        profile: false,
        settings: &[],
    };
    let files = Files::new(artifacts, job, &scenario)?;
    machine::interact(artifacts, &files.config(artifacts, &scenario)?)
}

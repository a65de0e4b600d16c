// SPDX-License-Identifier: GPL-2.0
//! The paths of the kernel, the modules, the plugin, the programs of the machine and the scenarios.
//! `tools/testbed/vm` builds these files and passes the paths in environment variables.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::scenario::{Driver, Flavour};

/// The default of a missing path. With this default, the usage of a command does not list all the
/// paths that the script passes.
const NOWHERE: &str = "nowhere";

/// The options with the paths.
#[derive(Clone, Debug, clap::Args)]
pub struct Artifacts {
    /// Built kernel tree: arch/s390/boot/bzImage, the modules, the C driver
    #[arg(
        long,
        env = "VM_KERNEL",
        value_name = "DIR",
        default_value = NOWHERE,
        hide_default_value = true
    )]
    pub kernel: PathBuf,
    /// Kind of the kernel
    #[arg(long, env = "VM_FLAVOUR", default_value_t = Flavour::Usual)]
    pub flavour: Flavour,
    /// Base of the initramfs, with busybox
    #[arg(
        long,
        env = "VM_IMAGE",
        value_name = "CPIO",
        default_value = NOWHERE,
        hide_default_value = true
    )]
    pub image: PathBuf,
    /// File system with programs from Debian, for scenarios with `image: clients`
    #[arg(long, env = "VM_CLIENTS", value_name = "EXT4")]
    pub clients: Option<PathBuf>,
    /// Reason for a missing file system. Scenarios that need it fail if $CI is set, and are skipped
    /// otherwise
    #[arg(long, env = "VM_NO_CLIENTS", value_name = "REASON")]
    pub no_clients: Option<String>,
    /// File system with a foreign suite of tests, for scenarios with `image: clients suite`
    #[arg(long, env = "VM_SUITE", value_name = "EXT4")]
    pub suite: Option<PathBuf>,
    /// Reason for a missing kernel, image or program; with a reason, each test fails
    #[arg(long, env = "VM_MISSING", value_name = "REASON")]
    pub missing: Option<String>,
    /// Directory with the programs of the machine
    #[arg(
        long,
        env = "VM_PROGRAMS",
        value_name = "DIR",
        default_value = NOWHERE,
        hide_default_value = true
    )]
    pub programs: PathBuf,
    /// vfio_ap.ko of this driver; without it, only the C driver is tested
    #[arg(long = "module", env = "VM_DRIVER", value_name = "KO")]
    pub rust_module: Option<PathBuf>,
    /// QEMU plugin that emulates AP; without it, only machines without AP work
    #[arg(long, env = "VM_PLUGIN", value_name = "SO")]
    pub plugin: Option<PathBuf>,
    /// Directory of the scenarios
    #[arg(
        long,
        env = "VM_SCENARIOS",
        value_name = "DIR",
        default_value = NOWHERE,
        hide_default_value = true
    )]
    pub scenarios: PathBuf,
    /// Directory of the benches
    #[arg(
        long,
        env = "VM_BENCHES",
        value_name = "DIR",
        default_value = NOWHERE,
        hide_default_value = true
    )]
    pub benches: PathBuf,
    /// Directory for console logs
    #[arg(
        long,
        env = "VM_LOGS",
        value_name = "DIR",
        default_value = NOWHERE,
        hide_default_value = true
    )]
    pub logs: PathBuf,
    /// The emulator
    #[arg(
        long,
        env = "VM_QEMU",
        value_name = "FILE",
        default_value = "qemu-system-s390x"
    )]
    pub qemu: PathBuf,
    /// Minimum memory of a machine
    #[arg(long, env = "VM_MEMORY", value_name = "MIB", default_value_t = 512)]
    pub memory: u32,
    /// Factor for the time limits of scenarios, for slow machines
    #[arg(long, env = "VM_PATIENCE", value_name = "FACTOR", default_value_t = 1)]
    pub patience: u32,
    /// Print each AP instruction on the console
    #[arg(long, global = true)]
    pub trace: bool,
    /// Additional parameters of the kernel
    #[arg(long, env = "VM_APPEND", value_name = "TEXT", default_value = "")]
    pub append: String,
}

impl Artifacts {
    /// Returns the path of the kernel image.
    pub fn kernel_image(&self) -> PathBuf {
        self.kernel.join("arch/s390/boot/bzImage")
    }

    /// Returns the path of a driver's module, if the driver is available.
    pub fn module(&self, driver: Driver) -> Option<PathBuf> {
        match driver {
            Driver::Rust => self.rust_module.clone(),
            // Debian does not build the C driver.
            Driver::C if self.flavour == Flavour::Debian => None,
            Driver::C => Some(self.kernel.join("drivers/s390/crypto/vfio_ap.ko")),
        }
    }

    /// Returns the path of a module of the kernel. A module that the kernel lacks is built with our
    /// driver.
    pub fn kernel_module(&self, path: &str) -> PathBuf {
        let module = self.kernel.join(path);
        match (&self.rust_module, module.file_name()) {
            (Some(driver), Some(name)) if !module.exists() => driver.with_file_name(name),
            _ => module,
        }
    }

    /// Returns the names of all scenarios, sorted, without `demo`, which is not a test.
    ///
    /// # Errors
    ///
    /// Returns an error if the directory cannot be read.
    pub fn scenario_names(&self) -> Result<Vec<String>> {
        let entries = std::fs::read_dir(&self.scenarios)
            .with_context(|| format!("scenarios in {}", self.scenarios.display()))?;
        let mut names = Vec::new();
        for entry in entries {
            let path = entry?.path();
            let name = path.file_stem().and_then(|stem| stem.to_str());
            if let (Some(name), Some("sh")) = (name, path.extension().and_then(|e| e.to_str()))
                && !matches!(name, "lib" | "lib-clients" | "demo")
            {
                names.push(name.to_owned());
            }
        }
        names.sort();
        Ok(names)
    }

    /// Returns the text of a scenario or a bench.
    ///
    /// # Errors
    ///
    /// Returns an error if the file does not exist or cannot be read.
    pub fn scenario(&self, name: &str) -> Result<String> {
        let file = format!("{name}.sh");
        let bench = self.benches.join(&file);
        let path = if bench.exists() {
            bench
        } else {
            self.scenarios.join(&file)
        };
        if !path.exists() {
            let names = self.scenario_names()?.join(" ");
            bail!("no scenario {name:?}; the scenarios are: {names}");
        }
        std::fs::read_to_string(&path).with_context(|| format!("scenario {}", path.display()))
    }

    /// Returns the commands that configure the default machine of scenarios.
    ///
    /// # Errors
    ///
    /// Returns an error if the file cannot be read.
    pub fn default_machine(&self) -> Result<String> {
        let path = self.scenarios.join("default.machine");
        std::fs::read_to_string(&path).with_context(|| path.display().to_string())
    }

    /// Checks that all necessary files exist.
    ///
    /// # Errors
    ///
    /// Returns an error that names the first missing file.
    pub fn check(&self) -> Result<()> {
        let exists = |what: &str, path: &Path| {
            if path.starts_with(NOWHERE) {
                bail!(
                    "{what}: no path is given. Give it by an option, or use tools/testbed/vm, which builds it"
                );
            }
            if path.exists() {
                Ok(())
            } else {
                bail!("{what}: {} does not exist", path.display())
            }
        };
        exists("kernel", &self.kernel_image())?;
        exists("image", &self.image)?;
        if let Some(clients) = &self.clients {
            exists("image of the clients", clients)?;
        }
        if let Some(suite) = &self.suite {
            exists("suite", suite)?;
        }
        exists("programs of the machine", &self.programs)?;
        for driver in Driver::ALL {
            if let Some(module) = self.module(driver) {
                exists("driver", &module)?;
            }
        }
        if let Some(plugin) = &self.plugin {
            exists("plugin", plugin)?;
        }
        Ok(())
    }
}

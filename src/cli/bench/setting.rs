//! What a figure depends on, and how figures of many runs are told.

use crate::cli::exit::{Failure, Outcome};
use crate::config::Config;
use crate::config::ledgers::Opened;
use sdpp_ledger::Key;
use serde::{Deserialize, Serialize};
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use sysinfo::{CpuRefreshKind, RefreshKind, System};
use tempfile::TempDir;

/// The machine and the programs that were measured.
#[derive(Debug, Serialize)]
pub(super) struct Setting {
    cpu: String,
    cores: usize,
    kernel: String,
    /// The file system that files for a moment are on, and its device.
    disk: String,
    sdpp: &'static str,
    /// Whether the compiler optimised it.
    build: &'static str,
    /// What the chain's node says that it is, where one is measured.
    #[serde(skip_serializing_if = "Option::is_none")]
    node: Option<String>,
}

impl Setting {
    /// Looks at this machine, and asks the ledger's node.
    pub(super) async fn look(ledger: &Opened) -> Outcome<Setting> {
        let node = ledger.software().await?.unwrap_or_else(unknown);
        Ok(Setting { node: Some(node), ..Setting::here() })
    }

    /// Looks at this machine.
    pub(super) fn here() -> Setting {
        let kind = RefreshKind::nothing().with_cpu(CpuRefreshKind::nothing());
        let system = System::new_with_specifics(kind);
        let brand = system.cpus().first().map(|cpu| cpu.brand().trim().to_owned());
        Setting {
            cpu: brand.filter(|brand| !brand.is_empty()).unwrap_or_else(unknown),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            kernel: System::kernel_long_version(),
            disk: disk(&std::env::temp_dir()).unwrap_or_else(unknown),
            sdpp: env!("CARGO_PKG_VERSION"),
            build: if cfg!(debug_assertions) { "debug" } else { "release" },
            node: None,
        }
    }

    /// The same for a person.
    pub(super) fn line(&self) -> String {
        let Setting { cpu, cores, kernel, disk, sdpp, build, node } = self;
        let node = node.as_ref().map_or(String::new(), |node| format!("; {node}"));
        format!("{cpu}, {cores} cores; {kernel}; {disk}; sdpp {sdpp} ({build}){node}")
    }
}

/// A folder for configs and journals, removed at the end.
pub(super) fn folder() -> Outcome<TempDir> {
    folder_in(None)
}

/// The same on another disk.
pub(super) fn folder_in(dir: Option<&Path>) -> Outcome<TempDir> {
    let place = dir.map_or_else(std::env::temp_dir, Path::to_path_buf);
    let made = tempfile::Builder::new().prefix("sdpp-bench-").tempdir_in(&place);
    made.map_err(Failure::io("make a folder in", &place))
}

/// Writes a secret key where a config can name it: nobody else may read it.
pub(super) fn write_key(path: &Path, key: &Key) -> Outcome {
    let made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    let written = made.and_then(|mut file| writeln!(file, "0x{}", hex::encode(*key.to_bytes())));
    written.map_err(Failure::io("write", path))
}

/// What a path is on, as the kernel tells it.
fn disk(path: &Path) -> Option<String> {
    let (path, mounts) = (path.canonicalize().ok()?, fs::read_to_string("/proc/mounts").ok()?);
    let mounted = mounts.lines().filter_map(|line| {
        let mut words = line.split(' ');
        let (device, at, kind) = (words.next()?, words.next()?, words.next()?);
        path.starts_with(at).then(|| (at.len(), format!("{kind} on {device}")))
    });
    mounted.max_by_key(|(length, _)| *length).map(|(_, disk)| disk)
}

/// Writes a config there, with a journal of its own and a key that is never opened, and reads it.
pub(super) fn config(dir: &TempDir, name: &str, text: &str) -> Outcome<Config> {
    let path = dir.path().join(format!("{name}.toml"));
    let own =
        format!("[identity]\nkey = \"file:{name}.key\"\n[journal]\ndir = \"{name}-journal\"\n");
    fs::write(&path, own + text).map_err(Failure::io("write", &path))?;
    Ok(Config::load(&path)?)
}

/// What the system tells of a process's memory under this name, in MiB: `VmRSS`, what it has, or
/// `VmHWM`, the most that it had so far.
pub(super) fn memory(process: &str, name: &str) -> Option<f64> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    let kib: f64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib / 1024.0)
}

fn unknown() -> String {
    "unknown".to_owned()
}

/// The middle of some measurements, and their ends.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(super) struct Spread {
    pub(super) median: f64,
    pub(super) min: f64,
    pub(super) max: f64,
}

impl Spread {
    /// Of these; all zero where there is none.
    pub(super) fn of(measured: impl IntoIterator<Item = f64>) -> Spread {
        let mut sorted: Vec<f64> = measured.into_iter().collect();
        sorted.sort_by(f64::total_cmp);
        let at = |index: usize| sorted.get(index).copied().unwrap_or(0.0);
        let last = sorted.len().saturating_sub(1);
        // The mean of the two in the middle, or of the one with itself.
        let median = f64::midpoint(at(last / 2), at(last - last / 2));
        Spread { median, min: at(0), max: at(last) }
    }

    /// A row of a table: what was measured, and the three with so many decimals.
    pub(super) fn row(&self, what: &str, decimals: usize) -> [String; 4] {
        let Spread { median, min, max } = self;
        let cell = |figure: &f64| format!("{figure:.decimals$}");
        [what.to_owned(), cell(median), cell(min), cell(max)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_in_the_middle_of_however_many() {
        let spread = Spread::of([9.0, 1.0, 5.0]);
        assert_eq!(spread, Spread { median: 5.0, min: 1.0, max: 9.0 });
        let spread = Spread::of([9.0, 1.0, 5.0, 6.0]);
        assert_eq!(spread, Spread { median: 5.5, min: 1.0, max: 9.0 });
        assert_eq!(Spread::of([]), Spread { median: 0.0, min: 0.0, max: 0.0 });
    }
}

//! A script of the project that starts a ledger to play on: where it keeps what it started, and the
//! sentence for whoever has not run it.

use super::exit::{Exit, Failure, Outcome};
use serde::de::DeserializeOwned;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

/// What a script says of a network that it started; a few lines.
const NETWORK_BYTES_MAX: u64 = 64 * 1024;

/// A script under `scripts`.
pub(super) struct Script {
    /// Its name.
    pub(super) name: &'static str,
    /// What it starts, as in "no Anvil is up".
    pub(super) starts: &'static str,
    /// The file that is there once it has started that.
    pub(super) writes: &'static str,
}

impl Script {
    /// Looks for what it wrote: in `$SDPP_NAME_DIR`, or `.name` in this folder or one above.
    pub(super) fn find(&self) -> Outcome<PathBuf> {
        let Script { name, writes, .. } = self;
        let variable = format!("SDPP_{}_DIR", name.to_uppercase());
        if let Some(dir) = std::env::var_os(variable).filter(|dir| !dir.is_empty()) {
            let dir = Path::new(&dir);
            let file = dir.join(writes);
            let nothing = || self.not_up(&format!("{} holds none", dir.display()));
            return if file.exists() { Ok(file) } else { Err(nothing()) };
        }
        let here = std::env::current_dir()
            .map_err(|error| Failure::new(Exit::Failed, format!("where are we? {error}")))?;
        let hidden = format!(".{name}");
        let mut above = here.ancestors().map(|folder| folder.join(&hidden).join(writes));
        let nothing =
            || self.not_up(&format!("there is no {hidden} in {} or above", here.display()));
        above.find(|file| file.exists()).ok_or_else(nothing)
    }

    /// Reads what it wrote, as JSON.
    pub(super) fn read<T: DeserializeOwned>(&self) -> Outcome<T> {
        let path = self.find()?;
        let wrong = |why: String| self.not_up(&format!("{}: {why}", path.display()));
        let mut text = String::new();
        let read = File::open(&path)
            .and_then(|file| file.take(NETWORK_BYTES_MAX).read_to_string(&mut text));
        read.map_err(|error| wrong(error.to_string()))?;
        serde_json::from_str(&text).map_err(|error| wrong(error.to_string()))
    }

    /// The sentence for whoever has none.
    pub(super) fn not_up(&self, why: &str) -> Failure {
        let Script { name, starts, .. } = self;
        let hint = format!("run `scripts/{name} up` in the project's folder first");
        Failure::new(Exit::Ledger, format!("no {starts} is up: {why}: {hint}"))
    }
}

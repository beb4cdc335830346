//! Items that another program prints, one a line. This is how any sensor is connected that has
//! a program to read it.

use super::feed::Feed;
use super::{Batch, SourceError, WhenSlow};
use rustix::process::{Pid, Signal, kill_process_group};
use std::num::NonZeroUsize;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tokio::process::Child;

/// The environment variables that a program gets. Others stay with us: one may be our password.
const VARIABLES: [&str; 7] = ["PATH", "HOME", "USER", "LANG", "LC_ALL", "TZ", "TMPDIR"];

/// How long a program may live on after it has closed its output. Nothing more can come from it.
const LINGER_MAX: Duration = Duration::from_secs(1);

/// A program to run, without a shell. What it writes to standard error goes to ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    /// The program and its arguments. A program with a `/` in it is relative to `dir`, another
    /// is looked for in `PATH`.
    pub argv: Vec<String>,
    /// The folder that it runs in.
    pub dir: PathBuf,
    /// What happens to lines while no buyer has credit.
    pub when_slow: WhenSlow,
}

impl Command {
    /// The program's name as the config says it.
    pub fn program(&self) -> &str {
        self.argv.first().map_or("", String::as_str)
    }

    /// Whether there is such a program. It is not run.
    pub(super) fn check(&self) -> Result<(), SourceError> {
        self.path().map(|_| ())
    }

    pub(super) fn open(&self, item_bytes_max: usize) -> Result<Open, SourceError> {
        let place = format!("the command {:?}", self.program());
        let (reader, writer) =
            std::io::pipe().map_err(SourceError::io("make a pipe for", &place))?;
        let mut command = tokio::process::Command::new(self.path()?);
        command
            .args(self.argv.iter().skip(1))
            .current_dir(&self.dir)
            .env_clear()
            .envs(VARIABLES.iter().filter_map(|name| Some((name, std::env::var_os(name)?))))
            .stdin(Stdio::null())
            .stdout(writer)
            .kill_on_drop(true)
            .process_group(0);
        let child = command.spawn().map_err(SourceError::io("run", &place))?;
        // It holds our copy of the pipe's other end, which would keep the pipe open.
        drop(command);
        let mut feed = Feed::start(reader, "the command's output", item_bytes_max)?;
        feed.begin(self.when_slow);
        Ok(Open { program: self.program().to_owned(), child, feed })
    }

    fn path(&self) -> Result<PathBuf, SourceError> {
        let program = self.program();
        let found = if program.contains('/') {
            Some(self.dir.join(program)).filter(|path| is_program(path))
        } else {
            in_path(program)
        };
        found.ok_or_else(|| {
            let why = "there is no such program that may be run: write its whole path, or put it into PATH, \
                       and see to its x permission";
            SourceError::unfit(format!("command {program:?}"), why)
        })
    }
}

fn in_path(program: &str) -> Option<PathBuf> {
    let folders = std::env::var_os("PATH")?;
    let mut candidates = std::env::split_paths(&folders).map(|folder| folder.join(program));
    candidates.find(|path: &PathBuf| !program.is_empty() && is_program(path))
}

fn is_program(path: &Path) -> bool {
    let about = std::fs::metadata(path);
    about.is_ok_and(|about| about.is_file() && about.permissions().mode() & 0o111 != 0)
}

/// A program that is running. Dropping it kills the program and what it started.
#[derive(Debug)]
pub(super) struct Open {
    program: String,
    child: Child,
    feed: Feed,
}

impl Open {
    pub(super) async fn next(
        &mut self,
        at_most: NonZeroUsize,
        bytes: usize,
    ) -> Result<Batch, SourceError> {
        if let Batch::Items(items) = self.feed.next(at_most, bytes).await? {
            return Ok(Batch::Items(items));
        }
        let Ok(wait) = tokio::time::timeout(LINGER_MAX, self.child.wait()).await else {
            return Ok(Batch::End);
        };
        let status = wait.map_err(SourceError::io("wait for", &self.program))?;
        if status.success() {
            return Ok(Batch::End);
        }
        Err(SourceError::Failed { program: self.program.clone(), status })
    }

    pub(super) fn skipped(&self) -> u64 {
        self.feed.skipped()
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        // `id` is there until the program was waited for, so the group cannot be another's.
        let id = self.child.id().and_then(|id| i32::try_from(id).ok());
        if let Some(group) = id.and_then(Pid::from_raw) {
            // It fails only when the whole group has ended by itself.
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}

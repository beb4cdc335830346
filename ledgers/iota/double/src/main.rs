//! The double as a program, for `scripts/iota` and for tests in other processes.

#![forbid(unsafe_code)]

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::{env, fs, io, thread};

use ed25519_dalek::SigningKey;
use iota_sdk_types::Ed25519PublicKey;
use sdpp_iota_double::{Double, GenesisCoin, Options};
use serde_json::json;

const USAGE: &str = "usage: sdpp-iota-double --dir DIR [--ports NODE,FAUCET,CONTROL] \
    [--checkpoint-ms MS] [--read-lag-ms MS] [--rich KEY_FILE]...";

/// What each coin of somebody rich has, in NANOS: as much as the faucet gives at once.
const RICH: u64 = 1_000_000_000_000;

fn main() -> ExitCode {
    let Some(asked) = Asked::read(env::args().skip(1)) else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    match run(asked) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("sdpp-iota-double: {error}");
            ExitCode::FAILURE
        }
    }
}

/// What the command line asks for.
struct Asked {
    dir: PathBuf,
    options: Options,
}

impl Asked {
    fn read(mut arguments: impl Iterator<Item = String>) -> Option<Asked> {
        let (mut dir, mut options) = (None, Options::real_pace());
        while let Some(name) = arguments.next() {
            let value = arguments.next()?;
            match name.as_str() {
                "--dir" => dir = Some(PathBuf::from(value)),
                "--checkpoint-ms" => options.checkpoint_ms = value.parse().ok()?,
                "--read-lag-ms" => options.read_lag_ms = value.parse().ok()?,
                "--ports" => {
                    let ports: Option<Vec<u16>> =
                        value.split(',').map(|p| p.parse().ok()).collect();
                    options.ports = ports?.try_into().ok()?;
                }
                "--rich" => options.coins.push(coin_of(&value, options.coins.len())?),
                _ => return None,
            }
        }
        Some(Asked { dir: dir?, options })
    }
}

/// A coin of the account whose Ed25519 key is in a file, as 64 hex digits behind `0x`.
fn coin_of(path: &str, nth: usize) -> Option<GenesisCoin> {
    let text = fs::read_to_string(path).ok()?;
    let secret: [u8; 32] = hex::decode(text.trim().strip_prefix("0x")?).ok()?.try_into().ok()?;
    let public = SigningKey::from_bytes(&secret).verifying_key().to_bytes();
    let owner = Ed25519PublicKey::new(public).derive_address();
    Some(GenesisCoin::new(owner, RICH, u64::try_from(nth).ok()?))
}

/// Serves until the process is ended from outside.
fn run(asked: Asked) -> io::Result<()> {
    let double = Double::start(asked.options)?;
    write(&asked.dir.join("network.json"), &double)?;
    loop {
        thread::park();
    }
}

/// Under another name first: who sees the file sees all of it.
fn write(path: &Path, double: &Double) -> io::Result<()> {
    let network = json!({
        "double": "this is no IOTA node, and nothing of it lasts",
        "url": double.url(),
        "faucet": double.faucet_url(),
        "control": double.admin_url(),
        "chain_id": double.chain_id(),
        "pids": { "double": std::process::id() },
    });
    let unfinished = path.with_extension("new");
    fs::write(&unfinished, format!("{network:#}\n"))?;
    fs::rename(&unfinished, path)
}

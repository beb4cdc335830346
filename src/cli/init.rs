//! `sdpp init`: a folder that works at once: two configs, two keys, something to sell.

use super::exit::{Exit, Failure, Outcome};
use super::out;
use crate::config::{Config, templates};
use crate::keystore::{self, PasswordFrom};
use clap::Args;
use sdpp_ledger::PublicKey;
use serde::Serialize;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// What is written, and refused to be overwritten.
const WRITTEN: [&str; 5] = ["seller.toml", "buyer.toml", "password", "keys", "data"];

/// Write configs for a seller and a buyer, with keys, ready to run.
///
/// Both keys are in DIR/keys. A random password opens them; it is in DIR/password, which only you
/// can read, and the configs point there. To hold it yourself, move it elsewhere and write
/// password = "env:NAME", "file:PATH" or "prompt" in both. Seller and buyer share the folder to
/// try things out: for two people, each needs a config and a key of their own.
#[derive(Args)]
#[command(after_help = "Example:\n  sdpp init --dir shop && sdpp config check shop/seller.toml")]
pub(super) struct Init {
    /// Where; made if it is not there.
    #[arg(long, value_name = "DIR", default_value = ".")]
    dir: PathBuf,
    /// Answer with JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Made {
    seller: Side,
    buyer: Side,
}

#[derive(Serialize)]
struct Side {
    config: PathBuf,
    public_key: PublicKey,
    account: sdpp_ledger::Account,
}

impl Init {
    pub(super) fn run(self) -> Outcome {
        let dir = &self.dir;
        if let Some(there) = WRITTEN.iter().map(|name| dir.join(name)).find(|path| path.exists()) {
            return Err(Failure::usage(exists(dir, &there)));
        }
        let made = write_all(dir)?;
        for side in [&made.seller, &made.buyer] {
            Config::load(&side.config)?;
        }
        if self.json {
            return out::json(&made);
        }
        for (name, side) in [("seller", &made.seller), ("buyer", &made.buyer)] {
            out::line(format!("{name}  {}  account {}", side.config.display(), side.account))?;
        }
        let there = |name: &str| out::typed(&dir.join(name));
        out::line(format!("Next: sdpp ledger serve --dir {}", there("ledger")))?;
        out::line(format!("      sdpp ledger fund 1000000 --config {}", there("buyer.toml")))?;
        out::line(format!("      sdpp sell --config {}", there("seller.toml")))
    }
}

/// What is said of a file that is there already. The buyer's config is written last: without it this is
/// what a kill left, if it is ours at all.
fn exists(dir: &Path, there: &Path) -> String {
    let said =
        format!("{} exists already: nothing was written; choose another --dir", there.display());
    if dir.join("buyer.toml").exists() {
        return said;
    }
    let left = WRITTEN.iter().map(|name| dir.join(name)).filter(|path| path.exists());
    let left: Vec<_> = left.map(|path| out::typed(&path)).collect();
    format!(
        "{said}. There is no {}, so an `sdpp init` may have been cut short here: if nothing of your own \
         is in them, remove {} and type this again",
        dir.join("buyer.toml").display(),
        left.join(" ")
    )
}

fn write_all(dir: &Path) -> Outcome<Made> {
    fs::create_dir_all(dir).map_err(Failure::io("create", dir))?;
    let secret = dir.join("password");
    write_new(&secret, 0o600, random_password()?.as_bytes())?;
    let password = PasswordFrom::File(secret).read("")?;
    let keys = dir.join("keys");
    let seller = made(dir, "seller.toml", keystore::new(&keys, "seller", &password)?);
    let buyer = made(dir, "buyer.toml", keystore::new(&keys, "buyer", &password)?);
    let (name, data) = templates::DATA;
    let place = dir.join(name);
    fs::create_dir_all(dir.join("data")).map_err(Failure::io("create", dir))?;
    write_new(&place, 0o644, data.as_bytes())?;
    let here = "password = \"file:password\"";
    let text = filled(templates::SELLER, templates::PASSWORD, here)?;
    write_new(&seller.config, 0o644, text.as_bytes())?;
    let known = format!("\"{}\" = \"{}\"", templates::SELLER_ADDRESS, seller.public_key);
    let text = filled(templates::BUYER, templates::PASSWORD, here)?;
    let text = filled(&text, templates::KNOWN_SELLER, &known)?;
    write_new(&buyer.config, 0o644, text.as_bytes())?;
    Ok(Made { seller, buyer })
}

fn made(dir: &Path, name: &str, public_key: PublicKey) -> Side {
    Side { config: dir.join(name), public_key, account: public_key.account() }
}

/// A template with one line replaced.
fn filled(template: &str, line: &str, by: &str) -> Outcome<String> {
    if !template.contains(line) {
        let why = format!("the template of this version has no line {line:?}");
        return Err(Failure::new(Exit::Failed, why));
    }
    Ok(template.replacen(line, by, 1))
}

fn random_password() -> Outcome<Zeroizing<String>> {
    let mut bytes = Zeroizing::new([0; 24]);
    getrandom::getrandom(&mut *bytes).map_err(|error| {
        Failure::new(Exit::Failed, format!("the system's random source failed: {error}"))
    })?;
    Ok(Zeroizing::new(hex::encode(bytes.as_slice())))
}

fn write_new(path: &Path, mode: u32, bytes: &[u8]) -> Outcome {
    let file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path);
    file.and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()))
        .map_err(Failure::io("write", path))
}

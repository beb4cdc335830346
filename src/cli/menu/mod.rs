//! `sdpp menu`: asks a seller for its menu. Needs no config, no key and no trust.

mod shown;

pub(super) use shown::show;

use super::dial::{dial, host_port, way};
use super::exit::{Exit, Failure, Outcome};
use super::tls::Believing;
use super::{out, wait_for};
use crate::actors::wire::Wire;
use crate::config::Config;
use crate::message::{
    Choice, Code, Codec, Draft, ENCODING, Envelope, ErrorMessage, Hello, Menu, VERSION, legible,
};
use crate::terms::SessionId;
use clap::Args;
use sdpp_ledger::PublicKey;
use std::path::PathBuf;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// The longest menu that is read, in bytes.
const MENU_BYTES_MAX: usize = 1 << 20;

/// Asks a seller for its menu and checks its signature. That says who made it by key alone:
/// compare the key with the one that the seller gave you.
#[derive(Debug, Args)]
#[command(name = "menu", after_help = "Example:\n  sdpp menu 127.0.0.1:9620")]
pub(super) struct AskMenu {
    /// Where the seller listens, HOST:PORT, or tls://HOST:PORT for one that speaks TLS.
    #[arg(value_name = "ADDR")]
    address: String,
    /// One JSON object: the menu's data as the seller signed it.
    #[arg(long)]
    json: bool,
    /// Ask as this buyer, by its public key: shows the prices that it has for itself.
    #[arg(long, value_name = "KEY")]
    buyer: Option<PublicKey>,
    /// How long to wait for it, in seconds.
    #[arg(long, default_value_t = 10)]
    wait_s: u64,
    /// Under TLS: believe the authorities in this PEM file, not the public ones.
    #[arg(long, value_name = "FILE", conflicts_with = "config")]
    tls_roots: Option<PathBuf>,
    /// Under TLS: do as this buyer's config says, and show its certificate to a seller that asks.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

impl AskMenu {
    /// Runs it.
    pub(super) fn run(self) -> Outcome {
        let wait = Duration::from_secs(self.wait_s);
        let config = self.config.as_deref().map(Config::load).transpose()?;
        let believing = match config.as_ref().and_then(|config| config.buyer.as_ref()) {
            Some(buyer) => Believing::of(buyer, host_port(&self.address)),
            None => Believing::roots(self.tls_roots),
        };
        let menu = wait_for(ask(&self.address, &believing, wait, self.buyer))?;
        if self.json { out::json(&menu) } else { show(&menu) }
    }
}

/// Asks for a menu, and checks that whoever has the key in it has signed it. Where some buyers have
/// prices of their own, `buyer` is named, and the menu has its prices: to ask as a buyer takes no more
/// than its public key.
pub(super) async fn ask(
    address: &str,
    believing: &Believing,
    wait: Duration,
    buyer: Option<PublicKey>,
) -> Outcome<Menu> {
    let mut counter = Counter::connect(address, believing, wait).await?;
    let menu = counter.menu().await?;
    if buyer.is_none() || !menu.prices_by_buyer {
        return Ok(menu);
    }
    counter.say_hello(buyer).await?;
    counter.menu().await
}

/// A connection to a seller.
struct Counter<'a> {
    address: &'a str,
    line: Wire,
    codec: Codec,
    /// How long each thing may take.
    wait: Duration,
}

impl<'c> Counter<'c> {
    async fn connect(
        address: &'c str,
        believing: &Believing,
        wait: Duration,
    ) -> Outcome<Counter<'c>> {
        let line = dial(&way(address, believing)?, (address, believing), wait).await?;
        Ok(Counter { address, line, codec: Codec::new(MENU_BYTES_MAX), wait })
    }

    async fn say_hello(&mut self, buyer: Option<PublicKey>) -> Outcome {
        let (versions, encodings) = (vec![VERSION.to_owned()], vec![ENCODING.to_owned()]);
        let hello = Hello::Speaks(Choice { versions, encodings, buyer, resume: None });
        let frame = Draft::new(SessionId::NONE, &hello).bare();
        let said = async {
            self.line.write_all(&frame).await?;
            self.line.flush().await
        };
        let said = tokio::time::timeout(self.wait, said).await;
        said.unwrap_or_else(|late| Err(late.into())).map_err(|error| no_menu(self.address, &error))
    }

    async fn menu(&mut self) -> Outcome<Menu> {
        let address = self.address;
        let frame = self.frame().await?;
        let peer = |error| Failure::new(Exit::Peer, format!("{address}: {error}"));
        let envelope = Envelope::parse(&frame).map_err(|error| peer(error.to_string()))?;
        if envelope.kind() == crate::crypto::layout::MessageKind::Error {
            let said: ErrorMessage = envelope.unproven().map_err(|e| peer(e.to_string()))?;
            let exit = if said.code == Code::Busy { Exit::Failed } else { Exit::Peer };
            let why = format!("{address} says: {}: {}", said.code, legible(&said.message));
            return Err(Failure::new(exit, why));
        }
        let key = envelope.unproven::<Menu>().map_err(|e| peer(e.to_string()))?.public_key;
        let menu = envelope.signed_by::<Menu>(&key, SessionId::NONE);
        Ok(menu.map_err(|error| peer(error.to_string()))?.body)
    }

    async fn frame(&mut self) -> Outcome<Vec<u8>> {
        let address = self.address;
        let failed = |error| no_menu(address, &error);
        let mut bytes = vec![0; 64 * 1024];
        loop {
            match self.codec.next_frame() {
                Ok(Some(frame)) => return Ok(frame.to_vec()),
                Ok(None) => {}
                Err(error) => return Err(Failure::new(Exit::Peer, format!("{address}: {error}"))),
            }
            let read = tokio::time::timeout(self.wait, self.line.read(&mut bytes)).await;
            let read = read.unwrap_or_else(|late| Err(late.into())).map_err(failed)?;
            if read == 0 {
                return Err(failed(std::io::ErrorKind::UnexpectedEof.into()));
            }
            self.codec.push(&bytes[..read]);
        }
    }
}

fn no_menu(address: &str, error: &std::io::Error) -> Failure {
    Failure::new(Exit::Failed, format!("no menu from {address}: {error}"))
}

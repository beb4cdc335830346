//! `sdpp menu`: asks a seller for its menu. Needs no config, no key and no trust.

use super::exit::{Exit, Failure, Outcome};
use super::out;
use crate::message::{Code, Codec, Envelope, ErrorMessage, Menu};
use crate::terms::SessionId;
use clap::Args;
use std::io::Read;
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

/// The longest menu that is read, in bytes.
const MENU_BYTES_MAX: usize = 1 << 20;

/// Asks a seller for its menu and checks its signature. That says who made it by key alone:
/// compare the key with the one that the seller gave you.
#[derive(Debug, Args)]
#[command(name = "menu", after_help = "Example:\n  sdpp menu 127.0.0.1:9620")]
pub(super) struct AskMenu {
    /// Where the seller listens, HOST:PORT.
    #[arg(value_name = "ADDR")]
    address: String,
    /// One JSON object: the menu's data as the seller signed it.
    #[arg(long)]
    json: bool,
    /// How long to wait for it, in seconds.
    #[arg(long, default_value_t = 10)]
    wait_s: u64,
}

impl AskMenu {
    /// Runs it.
    pub(super) fn run(self) -> Outcome {
        let menu = ask(&self.address, Duration::from_secs(self.wait_s))?;
        if self.json { out::json(&menu) } else { show(&menu) }
    }
}

/// Asks for a menu, and checks that whoever has the key in it has signed it.
pub(super) fn ask(address: &str, wait: Duration) -> Outcome<Menu> {
    let frame = first_line(address, wait)?;
    let peer = |error| Failure::new(Exit::Peer, format!("{address}: {error}"));
    let envelope = Envelope::parse(&frame).map_err(|error| peer(error.to_string()))?;
    if envelope.kind() == crate::crypto::layout::MessageKind::Error {
        let said: ErrorMessage = envelope.unproven().map_err(|e| peer(e.to_string()))?;
        let exit = if said.code == Code::Busy { Exit::Failed } else { Exit::Peer };
        let why = format!("{address} says: {}: {}", said.code, said.message);
        return Err(Failure::new(exit, why));
    }
    let key = envelope.unproven::<Menu>().map_err(|e| peer(e.to_string()))?.public_key;
    let menu = envelope.signed_by::<Menu>(&key, SessionId::NONE);
    Ok(menu.map_err(|error| peer(error.to_string()))?.body)
}

fn first_line(address: &str, wait: Duration) -> Outcome<Vec<u8>> {
    let failed = |error: std::io::Error| {
        Failure::new(Exit::Failed, format!("no menu from {address}: {error}"))
    };
    let nowhere = || Failure::usage(format!("{address:?} is no HOST:PORT that is known here"));
    let resolved = address.to_socket_addrs().map_err(|_| nowhere())?.next().ok_or_else(nowhere)?;
    let mut stream = TcpStream::connect_timeout(&resolved, wait).map_err(failed)?;
    stream.set_read_timeout(Some(wait)).map_err(failed)?;
    let (mut codec, mut bytes) = (Codec::new(MENU_BYTES_MAX), vec![0; 64 * 1024]);
    loop {
        let read = stream.read(&mut bytes).map_err(failed)?;
        codec.push(&bytes[..read]);
        match codec.next_frame() {
            Ok(Some(frame)) => return Ok(frame.to_vec()),
            Ok(None) if read > 0 => {}
            Ok(None) => return Err(failed(std::io::ErrorKind::UnexpectedEof.into())),
            Err(error) => return Err(Failure::new(Exit::Peer, format!("{address}: {error}"))),
        }
    }
}

/// For people, at a glance.
pub(super) fn show(menu: &Menu) -> Outcome {
    out::line(format_args!("seller   {}", menu.public_key))?;
    let (k, w) = (menu.payment_granularity, menu.credit_windows);
    let signed = if menu.signature_required { "signed" } else { "under a MAC" };
    out::line(format_args!("terms    K = {k} items a window, W = {w} unpaid, items {signed}"))?;
    if let Some(records) = &menu.records {
        let (ledger, batch, anchor) = (&records.ledger, &records.batch, &records.anchor);
        out::line(format_args!("records  on {ledger}, {batch}, anchored {anchor}"))?;
    }
    out::line(format_args!("good     until {}\n", menu.expires_at))?;
    let default = menu.currencies_accepted.iter().find(|c| c.currency == menu.default_currency);
    let decimals = default.map_or(0, |c| c.decimals);
    let mut rows = vec![["topic", "items", "price of one", "units"].map(str::to_owned)];
    for (topic, count) in &menu.available_data {
        let price = menu.prices.get(topic).copied().unwrap_or_default();
        let count = count.map_or("no end".to_owned(), |count| count.to_string());
        let units = menu.units.get(topic).cloned().unwrap_or_default();
        let price = format!("{} {}", price.to_decimal(decimals), menu.default_currency);
        rows.push([topic.clone(), count, price, units]);
    }
    out::table(&rows)?;
    out::line("")?;
    let mut rows = vec![["currency", "by", "ledger", "asset", "paid to"].map(str::to_owned)];
    for offer in &menu.currencies_accepted {
        let (ledger, asset) = (offer.ledger.to_string(), offer.asset.to_string());
        let (method, to) = (offer.method.to_string(), offer.payment_address.to_string());
        rows.push([offer.currency.clone(), method, ledger, asset, to]);
    }
    out::table(&rows)
}

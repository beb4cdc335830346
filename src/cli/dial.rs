//! Reaching a seller: `HOST:PORT`, in the clear, or `tls://HOST:PORT`.

use super::exit::{Exit, Failure, Outcome};
use super::tls::Believing;
use crate::actors::wire::{Unreached, Way, Wire};
use crate::crypto::layout::MessageKind;
use crate::message::{Envelope, ErrorMessage, legible};
use crate::tls::DialError;
use std::io;
use std::time::Duration;

/// What an address of a seller under TLS begins with.
const TLS: &str = "tls://";

/// `HOST:PORT`, whatever stands before it.
pub(super) fn host_port(address: &str) -> &str {
    address.strip_prefix(TLS).unwrap_or(address)
}

/// The host of an address, where it names one and a port of it.
pub(super) fn host(address: &str) -> Outcome<&str> {
    let parts = host_port(address).rsplit_once(':');
    let is_place = |(host, port): &(&str, &str)| !host.is_empty() && port.parse::<u16>().is_ok();
    parts.filter(is_place).map(|(host, _)| host).ok_or_else(|| nowhere(address))
}

/// The way to a seller. What is wrong with our own files is said before anybody is dialled.
pub(super) fn way(address: &str, believing: &Believing) -> Outcome<Way> {
    let (at, host) = (host_port(address), host(address)?);
    let is_tls = address.starts_with(TLS);
    let tls = is_tls.then(|| believing.open(host.trim_matches(['[', ']']))).transpose()?;
    Ok(Way { at: at.to_owned(), tls })
}

/// Goes it. A seller under TLS has begun to speak when this is done.
pub(super) async fn dial(
    way: &Way,
    (address, believing): (&str, &Believing),
    patience: Duration,
) -> Outcome<Wire> {
    way.go(patience).await.map_err(|unreached| match unreached {
        Unreached::Line(error) => unreachable(address, &error),
        Unreached::Tls(error) => refused(address, believing, error),
    })
}

fn nowhere(address: &str) -> Failure {
    Failure::usage(format!(
        "{address:?} is no HOST:PORT: write where the seller listens, such as 127.0.0.1:9620"
    ))
}

fn unreachable(address: &str, error: &io::Error) -> Failure {
    if error.kind() == io::ErrorKind::InvalidInput {
        return nowhere(address);
    }
    let hint = "is the seller running there?";
    Failure::new(Exit::Failed, format!("cannot connect to {address}: {error}: {hint}"))
}

fn refused(address: &str, believing: &Believing, error: DialError) -> Failure {
    let place = believing.place();
    match error {
        DialError::Unproven(why) => {
            let why = format!("{address} does not prove who it is: {why} (see {place})");
            Failure::new(Exit::Peer, why)
        }
        DialError::WeAreRefused(why) => {
            Failure::usage(format!("{address} does not let us in: {why} (see {place})"))
        }
        DialError::InTheClear(heard) => Failure::new(Exit::Failed, in_the_clear(address, &heard)),
        DialError::Handshake(why) => {
            Failure::new(Exit::Failed, format!("no TLS with {address}: {why}"))
        }
        DialError::Line(error) => {
            let hint = "does the seller there speak TLS?";
            Failure::new(Exit::Failed, format!("no TLS with {address}: {error}: {hint}"))
        }
    }
}

/// Who answers in the clear may have said why; nobody has proved that it is the seller's word.
fn in_the_clear(address: &str, heard: &[u8]) -> String {
    let line = heard.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let said = Envelope::parse(line).ok().filter(|said| said.kind() == MessageKind::Error);
    match said.and_then(|said| said.unproven::<ErrorMessage>().ok()) {
        Some(said) => {
            let (code, message) = (said.code, legible(&said.message));
            format!("{address} answers in the clear: {code}: {message}")
        }
        None => format!(
            "{address} answers in the clear, without TLS: where that is the seller that you mean, \
             dial {} and all but the items is open to who listens",
            host_port(address)
        ),
    }
}

//! A gate between a buyer and its seller: lets the buyer take so many items and acknowledge so
//! many, and from then on nothing that it says gets through. The buyer behind it is the real one;
//! what it signs is good, and what its seller hears of it is up to the gate.

use serde_json::Value;
use std::io::{self, BufRead, BufReader, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::process::Child;
use std::sync::{Arc, Condvar, Mutex, PoisonError};

/// How far the buyer is let go.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// The last item that reaches the buyer.
    pub take: u64,
    /// The last item that it may acknowledge or pay for.
    pub ack: u64,
}

/// The seqs that the buyer has acknowledged, whether or not its seller heard of it.
type Acked = Arc<(Mutex<u64>, Condvar)>;

/// Lets a buyer's process through, until it has taken its last item and its ack of the last that it
/// may acknowledge has left. Gives the line to the seller: as long as that is kept, nobody has hung
/// up.
///
/// # Errors
/// When a line breaks before, or the buyer's process ends.
pub fn vanish(
    listener: &TcpListener,
    buyer: &mut Child,
    seller: &str,
    limits: Limits,
) -> io::Result<TcpStream> {
    loop {
        let line = arrival(listener, buyer)?;
        match through(&line, seller, limits) {
            // It only asked for the menu.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {}
            done => return done,
        }
    }
}

/// The buyer at the gate.
fn arrival(listener: &TcpListener, buyer: &mut Child) -> io::Result<TcpStream> {
    listener.set_nonblocking(true)?;
    loop {
        match listener.accept() {
            Ok((stream, _)) => {
                stream.set_nonblocking(false)?;
                return Ok(stream);
            }
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => return Err(error),
            Err(_) if buyer.try_wait()?.is_some() => {
                return Err(io::Error::other("the buyer ended before it had taken its items"));
            }
            Err(_) => std::thread::yield_now(),
        }
    }
}

/// One connection of the buyer's.
fn through(buyer: &TcpStream, seller: &str, limits: Limits) -> io::Result<TcpStream> {
    let seller = TcpStream::connect(seller)?;
    let acked: Acked = Arc::default();
    let (from, to, told) = (buyer.try_clone()?, seller.try_clone()?, Arc::clone(&acked));
    let upwards = std::thread::spawn(move || up(from, to, limits, &told));
    down(seller.try_clone()?, buyer, limits, &acked)?;
    // The buyer has opened its last item, and whatever it still says is said to nobody.
    wait_for(&acked, limits.take);
    buyer.shutdown(Shutdown::Both)?;
    match upwards.join() {
        Ok(result) => result?,
        Err(_) => return Err(io::Error::other("the gate broke")),
    }
    Ok(seller)
}

/// What the seller says, one message after the other: the next item only when the one before it is
/// acknowledged, so that each ack is of one item.
fn down(seller: TcpStream, mut buyer: &TcpStream, limits: Limits, acked: &Acked) -> io::Result<()> {
    for line in BufReader::new(seller).lines() {
        let line = line?;
        let (kind, data) = read(&line);
        let is_item = kind == "data" || (kind == "data_invoice" && !data["body"].is_null());
        let seq = data["seq"].as_u64().unwrap_or_default();
        if is_item {
            wait_for(acked, seq - 1);
        }
        writeln!(buyer, "{line}")?;
        if is_item && seq == limits.take {
            return Ok(());
        }
    }
    Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the seller closed before the last item"))
}

/// What the buyer says: nothing of items that it is not to acknowledge.
fn up(buyer: TcpStream, mut seller: TcpStream, limits: Limits, acked: &Acked) -> io::Result<()> {
    for line in BufReader::new(buyer).lines() {
        // The line to the buyer is cut when all is said.
        let Ok(line) = line else { break };
        let (kind, data) = read(&line);
        let seq = match kind.as_str() {
            "ack" => data["seq"].as_u64(),
            "payment_ack" => data["ack"]["seq"].as_u64(),
            _ => None,
        };
        if seq.is_none_or(|seq| seq <= limits.ack) && kind != "exit" && kind != "error" {
            writeln!(seller, "{line}")?;
        }
        if let ("ack", Some(seq)) = (kind.as_str(), seq) {
            *acked.0.lock().unwrap_or_else(PoisonError::into_inner) = seq;
            acked.1.notify_all();
        }
    }
    // Nobody waits for what is never said; and a buyer that leaves by itself has hung up.
    let mut last = acked.0.lock().unwrap_or_else(PoisonError::into_inner);
    if *last < limits.take {
        *last = u64::MAX;
        seller.shutdown(Shutdown::Both)?;
    }
    acked.1.notify_all();
    Ok(())
}

fn read(line: &str) -> (String, Value) {
    let mut frame: Value = serde_json::from_str(line).unwrap_or_default();
    let kind = frame["message_type"].as_str().unwrap_or_default().to_owned();
    (kind, frame["data"].take())
}

fn wait_for(acked: &Acked, seq: u64) {
    let now = acked.0.lock().unwrap_or_else(PoisonError::into_inner);
    drop(acked.1.wait_while(now, |now| *now < seq));
}

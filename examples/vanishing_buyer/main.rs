//! A buyer that takes items, acknowledges fewer, and vanishes before it pays for the last window:
//! what its seller can do then is `sdpp dispute show` and `sdpp dispute settle`.
//!
//! `cargo run --example vanishing_buyer -- ADDR TOPIC --config buyer.toml --take 95 --ack 93`
//!
//! By transfer, give `--quantity all` or more than is taken as well: the last item of an order brings
//! its invoice, and the buyer pays that at once.
//!
//! The buyer is the real `sdpp buy`, in a process of its own behind a gate, which is killed where it
//! vanishes; other arguments are handed on to it, such as `--currency ETH`.

mod gate;

use gate::{Limits, vanish};
use std::env;
use std::error::Error;
use std::net::TcpListener;
use std::process::{Command, ExitCode, Stdio};

/// Set in the process that is the buyer.
const IS_BUYER: &str = "SDPP_VANISHING_BUYER";

const USAGE: &str = "usage: vanishing_buyer ADDR TOPIC --config FILE --take ITEMS --ack ITEMS \
    [--quantity ITEMS|all] [further arguments of `sdpp buy`]";

fn main() -> ExitCode {
    if env::var_os(IS_BUYER).is_some() {
        return sdpp::cli::main();
    }
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Box<dyn Error>> {
    let mut rest: Vec<String> = env::args().skip(1).collect();
    let number = |text: Option<String>| -> Result<u64, Box<dyn Error>> {
        Ok(text.ok_or(USAGE)?.parse().map_err(|_| USAGE)?)
    };
    let take = number(option(&mut rest, "--take"))?;
    let ack = number(option(&mut rest, "--ack"))?;
    let quantity = option(&mut rest, "--quantity").unwrap_or(take.to_string());
    if rest.len() < 2 || ack > take || take == 0 {
        return Err(USAGE.into());
    }
    let (seller, topic) = (rest.remove(0), rest.remove(0));
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let mut buy = Command::new(env::current_exe()?);
    buy.env(IS_BUYER, "1").arg("buy").arg(listener.local_addr()?.to_string());
    buy.args([&topic, &quantity, "--trust-on-first-use"]).args(rest);
    let mut buyer = buy.stdin(Stdio::null()).stdout(Stdio::null()).spawn()?;
    let vanished = vanish(&listener, &mut buyer, &seller, Limits { take, ack });
    // Nobody is told, the disk neither: so does a process end that is killed.
    buyer.kill()?;
    buyer.wait()?;
    drop(vanished?);
    println!("took {take} items of {topic}, acknowledged {ack}, and vanished");
    Ok(())
}

/// Takes an option with its value out of the arguments.
fn option(arguments: &mut Vec<String>, name: &str) -> Option<String> {
    let at = arguments.iter().position(|argument| argument == name)?;
    let mut taken = arguments.drain(at..arguments.len().min(at + 2));
    taken.nth(1)
}

//! Appends a second to the journal, beside what bare sled does with the same bytes in the same
//! run: one batch of 64 values of 256 bytes, flush, fdatasync.
//!
//! `cargo run --release --example journal_appends [DIR]`

use sdpp::crypto::layout::MessageKind;
use sdpp::journal::{Journal, Write};
use sdpp::record::{Record, SignedMessage};
use sdpp::terms::{Role, SessionId};
use sdpp_ledger::{Amount, ChannelId, Digest, Domain, Key};
use std::error::Error;
use std::path::Path;
use std::time::{Duration, Instant};

const BATCH: u64 = 64;
const BATCHES: u64 = 400;
const ROUNDS: u32 = 5;

fn main() -> Result<(), Box<dyn Error>> {
    let base = std::env::args().nth(1).unwrap_or_else(|| ".".to_owned());
    let dir = tempfile::TempDir::new_in(base)?;
    let mut ratios = Vec::new();
    for round in 0..ROUNDS {
        let bare = bare_sled(&dir.path().join(format!("sled-{round}")))?;
        let ours = journal(&dir.path().join(format!("journal-{round}")))?;
        let ratio = bare.as_secs_f64() / ours.as_secs_f64();
        println!(
            "bare sled {:>8.0}/s   journal {:>8.0}/s   ratio {ratio:.2}",
            per_second(bare),
            per_second(ours)
        );
        ratios.push(ratio);
    }
    ratios.sort_by(f64::total_cmp);
    println!("median ratio {:.2}", ratios[ratios.len() / 2]);
    Ok(())
}

fn per_second(time: Duration) -> f64 {
    (BATCH * BATCHES) as f64 / time.as_secs_f64()
}

fn bare_sled(dir: &Path) -> Result<Duration, Box<dyn Error>> {
    let db = sled::Config::new().path(dir).flush_every_ms(None).open()?;
    let file = std::fs::File::options().write(true).open(dir.join("db"))?;
    let started = Instant::now();
    for batch in 0..BATCHES {
        let mut writes = sled::Batch::default();
        for n in 0..BATCH {
            writes.insert(&(batch * BATCH + n).to_be_bytes(), vec![n as u8; 256]);
        }
        db.apply_batch(writes)?;
        db.flush()?;
        file.sync_data()?;
    }
    Ok(started.elapsed())
}

fn journal(dir: &Path) -> Result<Duration, Box<dyn Error>> {
    let key = Key::from_bytes(&[1; 32])?;
    let mut journal = Journal::open(dir, key.public())?;
    let session = SessionId(Digest([7; 32]));
    let record = Box::new(order(&key));
    commit(&mut journal, vec![append(session, record)])?;
    let signature = key.sign(&Digest::ZERO);
    let domain = Domain { chain_id: 1, contract: key.public().account() };
    let started = Instant::now();
    for batch in 0..BATCHES {
        let vouchers = (0..BATCH).map(|n| Record::Voucher {
            channel: ChannelId([3; 32]),
            domain: domain.clone(),
            amount: Amount::new((batch * BATCH + n).into()),
            signature,
        });
        let writes = vouchers.map(|record| append(session, Box::new(record)));
        commit(&mut journal, writes.collect())?;
    }
    Ok(started.elapsed())
}

fn append(session: SessionId, record: Box<Record>) -> Write {
    let session = Some(session);
    Write::Append { session, record }
}

fn commit(journal: &mut Journal, writes: Vec<Write>) -> Result<(), Box<dyn Error>> {
    for answer in journal.commit(1_700_000_000_000, writes)? {
        answer?;
    }
    Ok(())
}

fn order(key: &Key) -> Record {
    let message = |kind| SignedMessage {
        kind,
        session: SessionId::NONE,
        number: 0,
        commitment: Digest::ZERO,
        amount_total: Amount::ZERO,
        data: None,
        data_digest: Digest::ZERO,
        verification: String::new(),
        signature: key.sign(&Digest::ZERO),
    };
    Record::Order {
        role: Role::Seller,
        peer: key.public(),
        menu: Box::new(message(MessageKind::Menu)),
        order: Box::new(message(MessageKind::Order)),
        owed: None,
    }
}

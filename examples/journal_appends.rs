//! Appends a second to the journal, beside what bare sled does with the same bytes in the same
//! run: one batch of 64 values of 256 bytes, flush, fdatasync.
//!
//! `cargo run --release --example journal_appends [DIR]`

use sdpp::crypto::layout::MessageKind;
use sdpp::journal::{Journal, Write};
use sdpp::record::{Record, SignedMessage};
use sdpp::terms::{Role, SessionId};
use sdpp_ledger::{Amount, ChannelId, Digest, Domain, Key, Signature};
use std::error::Error;
use std::fs::File;
use std::path::Path;
use std::time::{Duration, Instant};

const BATCH: u64 = 64;
const BATCHES: u64 = 200;
const ROUNDS: u32 = 5;

fn main() -> Result<(), Box<dyn Error>> {
    let base = std::env::args().nth(1).unwrap_or_else(|| ".".to_owned());
    let dir = tempfile::TempDir::new_in(base)?;
    let mut bare = Bare::open(&dir.path().join("sled"))?;
    let mut ours = Ours::open(&dir.path().join("journal"))?;
    let mut ratios = Vec::new();
    for _ in 0..ROUNDS {
        let (mut theirs_took, mut ours_took) = (Duration::ZERO, Duration::ZERO);
        // Batch by batch in turn: what else the machine does falls on both alike.
        for _ in 0..BATCHES {
            theirs_took += bare.batch()?;
            ours_took += ours.batch()?;
        }
        let ratio = theirs_took.as_secs_f64() / ours_took.as_secs_f64();
        println!(
            "bare sled {:>8.0}/s   journal {:>8.0}/s   ratio {ratio:.2}",
            per_second(theirs_took),
            per_second(ours_took)
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

struct Bare {
    db: sled::Db,
    file: File,
    next: u64,
}

impl Bare {
    fn open(dir: &Path) -> Result<Self, Box<dyn Error>> {
        let db = sled::Config::new().path(dir).flush_every_ms(None).open()?;
        let file = File::options().write(true).open(dir.join("db"))?;
        Ok(Bare { db, file, next: 0 })
    }

    fn batch(&mut self) -> Result<Duration, Box<dyn Error>> {
        let started = Instant::now();
        let mut writes = sled::Batch::default();
        for _ in 0..BATCH {
            writes.insert(&self.next.to_be_bytes(), vec![self.next as u8; 256]);
            self.next += 1;
        }
        self.db.apply_batch(writes)?;
        self.db.flush()?;
        self.file.sync_data()?;
        Ok(started.elapsed())
    }
}

struct Ours {
    journal: Journal,
    session: SessionId,
    domain: Domain,
    signature: Signature,
    next: u64,
}

impl Ours {
    fn open(dir: &Path) -> Result<Self, Box<dyn Error>> {
        let key = Key::from_bytes(&[1; 32])?;
        let mut journal = Journal::open(dir, key.public())?;
        let session = SessionId(Digest([7; 32]));
        commit(&mut journal, vec![append(session, Box::new(order(&key)))])?;
        let domain = Domain { chain_id: 1, contract: key.public().account() };
        let signature = key.sign(&Digest::ZERO);
        Ok(Ours { journal, session, domain, signature, next: 0 })
    }

    fn batch(&mut self) -> Result<Duration, Box<dyn Error>> {
        let started = Instant::now();
        let vouchers = (0..BATCH).map(|n| Record::Voucher {
            channel: ChannelId([3; 32]),
            domain: self.domain.clone(),
            amount: Amount::new((self.next + n).into()),
            signature: self.signature,
        });
        let writes = vouchers.map(|record| append(self.session, Box::new(record)));
        commit(&mut self.journal, writes.collect())?;
        self.next += BATCH;
        Ok(started.elapsed())
    }
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

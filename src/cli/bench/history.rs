//! A seller's history as its journal has it: sessions by transfer and by escrow, in turn, each
//! signature of it real. No ledger has part in it: what it says is final is its own word.

use crate::cli::exit::{Exit, Failure, Outcome};
use crate::crypto::{SaltSecret, running_digest};
use crate::journal::{Write, obligation};
use crate::message::{
    Ack, Cumulative, CurrencyOffer, DataInvoice, Draft, EscrowChoice, Exit as ExitBody, Invoice,
    Menu, Moment, Order, OrderLimits, PaymentAck, Reason, Voucher as VoucherBody,
};
use crate::record::{Act, End, Leaves, Owed, Record, SignedMessage};
use crate::terms::{Method, Purpose, Rate, Role, SessionId};
use sdpp_ledger::{
    Amount, Asset, ChannelId, Claim, Digest, Domain, Evidence, Key, LedgerId, Signature, Transfer,
    TxId, Voucher, keccak, merkle,
};
use std::collections::BTreeMap;

/// Windows of each session, and items of each window.
const WINDOWS: u64 = 50;
const ITEMS: u64 = 10;
const PRICE: u128 = 3;

/// Who sells and who buys, and where.
pub(super) struct History {
    pub(super) seller: Key,
    buyer: Key,
    ledger: LedgerId,
    domain: Domain,
}

/// One session of it.
pub(super) struct Told {
    /// What is written, in order.
    pub(super) writes: Vec<Write>,
    /// How many signatures stand in it.
    pub(super) signatures: u64,
}

/// A session that is being told.
struct Telling<'a> {
    history: &'a History,
    method: Method,
    session: SessionId,
    channel: ChannelId,
    digest: Digest,
    told: Told,
}

impl History {
    pub(super) fn new() -> Outcome<History> {
        let never = |_| Failure::new(Exit::Failed, "the keys of the history cannot be made");
        let key = |name: &[u8]| Key::from_bytes(&keccak(&[b"sdpp bench audit", name]).0);
        let (seller, buyer) = (key(b"seller").map_err(never)?, key(b"buyer").map_err(never)?);
        let ledger = "sdpp:bench".parse().map_err(|error| Failure::new(Exit::Failed, error))?;
        let domain = Domain { chain_id: 1, contract: seller.public().account() };
        Ok(History { seller, buyer, ledger, domain })
    }

    /// A session, told from beginning to end.
    pub(super) fn session(&self, number: u64) -> Outcome<Told> {
        let is_escrow = number % 2 == 1;
        let method = if is_escrow { Method::Escrow } else { Method::Transfer };
        let channel = ChannelId(keccak(&[b"channel", &number.to_be_bytes()]).0);
        let (session, order) = self.order(number, method, channel);
        let told = Told { writes: Vec::new(), signatures: 2 };
        let digest = session.0;
        let mut telling = Telling { history: self, method, session, channel, digest, told };
        telling.write(order);
        let salt_secret = SaltSecret(keccak(&[b"salt", &number.to_be_bytes()]));
        telling.write(Record::Epoch { key: None, epoch: 0, salt_secret });
        for window in 1..=WINDOWS {
            telling.window(window)?;
        }
        telling.end();
        Ok(telling.told)
    }

    /// A session that has begun, and what is written then.
    pub(super) fn begin(&self, number: u64) -> (SessionId, Write) {
        let channel = ChannelId(keccak(&[b"channel", &number.to_be_bytes()]).0);
        let (session, order) = self.order(number, Method::Transfer, channel);
        (session, Write::Append { session: Some(session), record: Box::new(order) })
    }

    fn order(&self, number: u64, method: Method, channel: ChannelId) -> (SessionId, Record) {
        let menu = Draft::new(SessionId::NONE, &self.menu(number));
        let buyer = self.buyer.public();
        let escrow = EscrowChoice { channel, base: Amount::ZERO };
        let order = Order {
            version: "SDPP/1".to_owned(),
            encoding: "json".to_owned(),
            data_type: "gas".to_owned(),
            order_quantity: Some(WINDOWS * ITEMS),
            price: None,
            currency_type: "SDP".to_owned(),
            method,
            address: buyer.account(),
            public_key_signature: buyer,
            public_key_encryption: buyer,
            menu_digest: menu.data_digest(),
            nonce: keccak(&[b"nonce", &number.to_be_bytes()]),
            escrow: (method == Method::Escrow).then_some(escrow),
            resumes: false,
            bond: None,
        };
        let order = Draft::new(SessionId::NONE, &order);
        let session = SessionId::of(&menu.data_digest(), &order.data_digest());
        let (menu, order) = (menu.sign(&self.seller, "").0, order.sign(&self.buyer, "").0);
        let (menu, order) = (Box::new(menu), Box::new(order));
        (session, Record::Order { role: Role::Seller, peer: buyer, menu, order, owed: None })
    }

    fn menu(&self, number: u64) -> Menu {
        let seller = self.seller.public();
        let offer = |method| CurrencyOffer {
            currency: "SDP".to_owned(),
            symbol: "SDP".to_owned(),
            decimals: 6,
            ledger: self.ledger.clone(),
            asset: Asset::coin(),
            method,
            payment_address: seller.account(),
            rate: Rate::ONE,
            quote: None,
            finality: "final".to_owned(),
            limits: OrderLimits::default(),
            bond: None,
        };
        Menu {
            versions: vec!["SDPP/1".to_owned()],
            encodings: vec!["json".to_owned()],
            public_key: seller,
            challenge: keccak(&[b"challenge", &number.to_be_bytes()]),
            available_data: BTreeMap::from([("gas".to_owned(), None)]),
            datasets: BTreeMap::new(),
            prices: BTreeMap::from([("gas".to_owned(), Amount::new(PRICE))]),
            special_prices: Vec::new(),
            prices_by_buyer: false,
            unknown_by_escrow: false,
            units: BTreeMap::new(),
            default_currency: "SDP".to_owned(),
            currencies_accepted: vec![offer(Method::Transfer), offer(Method::Escrow)],
            payment_granularity: ITEMS as u32,
            credit_windows: 1,
            payments_together: false,
            payment_address: seller.account(),
            signature_required: true,
            records: None,
            resume_ms: None,
            expires_at: Moment(0),
        }
    }
}

impl Telling<'_> {
    /// What a seller writes of a window: the invoice, an ack before it, the payment.
    fn window(&mut self, number: u64) -> Outcome {
        let (from_seq, to_seq) = ((number - 1) * ITEMS + 1, number * ITEMS);
        let leaf = |seq: u64| keccak(&[&self.session.0.0, &seq.to_be_bytes()]);
        let leaves: Vec<Digest> = (from_seq..=to_seq).map(leaf).collect();
        let (first, rest) = leaves.split_at(leaves.len() / 2);
        self.digest = first.iter().fold(self.digest, |before, leaf| running_digest(&before, leaf));
        self.ack(from_seq + first.len() as u64 - 1);
        self.digest = rest.iter().fold(self.digest, |before, leaf| running_digest(&before, leaf));
        self.invoice(number, (from_seq, to_seq), leaves);
        self.payment(number, to_seq)
    }

    fn invoice(&mut self, number: u64, (from_seq, to_seq): (u64, u64), leaves: Vec<Digest>) {
        let body = DataInvoice {
            seq: to_seq,
            body: None,
            leaf: None,
            path: None,
            invoice: Invoice {
                number,
                from: from_seq,
                to: to_seq,
                amount: cost(ITEMS),
                amount_total: cost(to_seq),
                paid_total: cost(to_seq - ITEMS),
                currency: "SDP".to_owned(),
                payment_address: self.history.seller.public().account(),
                digest: self.digest,
                root: merkle::root(&leaves),
                reference: self.session.reference(Purpose::Payment, number),
                due_at: Moment(0),
                rate: None,
                pace: None,
            },
            anchored: Vec::new(),
        };
        let message = self.signed(&self.history.seller, &Draft::new(self.session, &body), "");
        let (digest, leaves) = (self.digest, Leaves::of(leaves));
        self.write(Record::Invoice { message, from_seq, to_seq, digest, leaves, owed: None });
    }

    /// By escrow an ack is money: its voucher is what the seller keeps.
    fn ack(&mut self, seq: u64) {
        if self.method == Method::Escrow {
            self.voucher(seq);
            return;
        }
        let body = Ack { seq, digest: self.digest, voucher: None };
        let message = self.signed(&self.history.buyer, &Draft::new(self.session, &body), "");
        self.write(Record::Ack { message });
    }

    fn payment(&mut self, number: u64, to_seq: u64) -> Outcome {
        let (is_escrow, total) = (self.method == Method::Escrow, cost(to_seq));
        let voucher = is_escrow
            .then(|| VoucherBody { cumulative_amount: total, signature: self.vouch(total) });
        let ack = Cumulative { seq: to_seq, digest: self.digest };
        let body = PaymentAck { number, from: None, amount_total: total, ack, voucher };
        let draft = Draft::new(self.session, &body);
        if is_escrow {
            let message = self.signed(&self.history.buyer, &draft, "");
            self.voucher(to_seq);
            self.write(Record::Payment { message, owed: None });
            return Ok(());
        }
        let reference = self.session.reference(Purpose::Payment, number);
        let tx = keccak(&[b"tx", &reference.0]).to_string();
        let message = self.signed(&self.history.buyer, &draft, &tx);
        let tx: TxId = tx.parse().map_err(|error| Failure::new(Exit::Failed, error))?;
        let to = self.history.seller.public().account();
        let transfer = Transfer { to, asset: Asset::coin(), amount: cost(ITEMS), reference };
        let act = Act::Check(Claim { tx: tx.clone(), transfer });
        let ledger = self.history.ledger.clone();
        let owed = Owed { reference, purpose: Purpose::Payment, ledger, act, held: false };
        self.write(Record::Payment { message, owed: Some(owed) });
        let evidence = Evidence {
            amount: cost(ITEMS),
            ..Evidence::new(tx, number, keccak(&[b"block", &reference.0]).to_string(), number)
        };
        let event = obligation::Event::Met { evidence };
        self.told.writes.push(Write::Obligation { reference, event });
        Ok(())
    }

    fn end(&mut self) {
        let total = cost(WINDOWS * ITEMS);
        let body = ExitBody {
            reason: Reason::Complete,
            items: WINDOWS * ITEMS,
            amount_total: total,
            paid_total: total,
            anchored: Vec::new(),
            channel: None,
            legs: Vec::new(),
            bonded: false,
        };
        for (by, key) in [(Role::Buyer, &self.history.buyer), (Role::Seller, &self.history.seller)]
        {
            let message = self.signed(key, &Draft::new(self.session, &body), "");
            self.write(Record::Exit { by, message, owed: None });
        }
        let (end, why, evidence) = (End::Complete, String::new(), Vec::new());
        self.write(Record::Ended { end, why, evidence, owed: None });
    }

    fn voucher(&mut self, items: u64) {
        let amount = cost(items);
        let (channel, signature) = (self.channel, self.vouch(amount));
        self.told.signatures += 1;
        let domain = self.history.domain.clone();
        self.write(Record::Voucher { channel, domain, amount, signature });
    }

    fn vouch(&self, amount: Amount) -> Signature {
        Voucher { channel: self.channel, amount }.sign(&self.history.domain, &self.history.buyer)
    }

    fn signed(&mut self, key: &Key, draft: &Draft, verification: &str) -> SignedMessage {
        self.told.signatures += 1;
        draft.sign(key, verification).0
    }

    fn write(&mut self, record: Record) {
        let (session, record) = (Some(self.session), Box::new(record));
        let session = session.filter(|session| *session != SessionId::NONE);
        self.told.writes.push(Write::Append { session, record });
    }
}

fn cost(items: u64) -> Amount {
    Amount::new(PRICE * u128::from(items))
}

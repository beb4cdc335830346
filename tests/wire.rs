//! The wire, byte for byte: what `tests/vectors` holds is what a second implementation must make
//! and take. `SDPP_WRITE_VECTORS=1 cargo test --test wire` writes them anew.

#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "session/pair.rs"]
#[allow(dead_code)]
mod pair;

#[path = "session/line.rs"]
#[allow(dead_code)]
mod line;

#[path = "vectors/bonds.rs"]
mod bonds;

use pair::*;
use proptest::prelude::*;
use sdpp::crypto::SaltSecret;
use sdpp::crypto::layout::{Layout, MessageKind};
use sdpp::crypto::{leaf, running_digest, salt, void_leaf};
use sdpp::message::{
    Ack, Body, Complaint, Data, DataInvoice, Draft, Envelope, Hello, Menu, Order, reread,
};
use sdpp::record::Record;
use sdpp::session::{Complain, Output};
use sdpp::terms::{Purpose, SessionId, Void};
use sdpp_ledger::{Amount, Digest, Key, keccak};
use serde_json::{Value, json};
use std::path::PathBuf;

/// Compares with the file, or writes it where that was asked for.
fn is_vector(name: &str, made: &str) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/vectors").join(name);
    if std::env::var_os("SDPP_WRITE_VECTORS").is_some() {
        std::fs::write(&path, made).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    for (at, (made, kept)) in made.lines().zip(kept.lines()).enumerate() {
        assert_eq!(made, kept, "{name}, line {}", at + 1);
    }
    assert_eq!(made.len(), kept.len(), "{name} has another length");
}

/// Every line of a session in the order sent, with who sent it.
fn lines(setting: Setting) -> String {
    let mut pair = setting.start();
    pair.run();
    said(&pair)
}

/// The same of a session that was led by hand.
fn said(pair: &Pair) -> String {
    let mut text = String::new();
    for (who, side) in [("seller", &pair.s), ("buyer", &pair.b)] {
        for output in &side.log {
            if let Output::Send(bytes) = output {
                for line in String::from_utf8_lossy(bytes).lines() {
                    text.push_str(&format!("{who} {line}\n"));
                }
            }
        }
    }
    text
}

#[test]
fn the_papers_run_is_the_same_bytes_each_time() {
    is_vector("papers-run.txt", &lines(Setting::default()));
    is_vector("under-mac.txt", &lines(Setting::default().under_mac().anchored_after()));
    is_vector("by-escrow.txt", &lines(Setting::default().by_escrow().no_records()));
    let mut kept = Setting::default().by_escrow().no_records();
    kept.wish.currencies[0].channels.keep = true;
    is_vector("kept-channel.txt", &lines(kept));
}

/// The buyer complains of two items of the first window: one is credited at once, the other waits
/// for a person and is refused when the session ends.
#[test]
fn a_credit_note_is_the_same_bytes_each_time() {
    let mut setting = Setting::default().anchored_after().no_records();
    setting.seller.credit_up_to.insert("SDP".to_owned(), Amount::new(3));
    let mut pair = setting.start();
    run_to_invoice(&mut pair, 1);
    for (seq, reason, amount) in [(2, Complaint::Wrong, None), (3, Complaint::Late, Some(2))] {
        let amount = amount.map(Amount::new);
        pair.buyer.ask(Complain { reason, amount, ..complaint(&pair, seq) }).unwrap();
    }
    pair.run();
    assert_eq!(pair.s.progress().paid, Amount::new(15));
    is_vector("credited.txt", &said(&pair));
}

/// Three windows in one payment, and the three that are left in another.
#[test]
fn a_payment_of_several_windows_is_the_same_bytes_each_time() {
    let exposure = Some(Amount::new(1_000));
    let policy = sdpp::settling::Policy { exposure, ..Default::default() };
    let setting = Setting::default().anchored_after().no_records().windows(1, 4).together(policy);
    let text = lines(setting);
    assert_eq!(text.matches("\"from\":1,").count(), 2, "the first invoice's, and the payment's");
    is_vector("together.txt", &text);
}

/// The line breaks as the first items are on it, and once more with an invoice on it.
#[test]
fn a_session_that_goes_on_is_the_same_bytes_each_time() {
    for (name, signed) in [("resumed.txt", true), ("resumed-under-mac.txt", false)] {
        let setting = Setting::default().anchored_after().no_records();
        let mut wire = line::Wire::new(if signed { setting } else { setting.under_mac() });
        for items in [2, 4] {
            while wire.pair.seller.progress().items < items {
                assert!(wire.step());
            }
            while wire.pair.drain_outputs(Role::Seller) {}
            wire.cut();
        }
        wire.finish();
        assert_eq!((wire.lines, wire.pair.s.progress().paid), (3, Amount::new(18)));
        is_vector(name, &said(&wire.pair));
    }
}

/// The seller of a live source is killed as the fifth item has left, and is back: what was lost is void.
#[test]
fn a_session_with_a_void_is_the_same_bytes_each_time() {
    let setting = Setting::default().anchored_after().no_records();
    let mut wire = line::Wire::new(setting);
    while wire.pair.seller.progress().items < 5 {
        assert!(wire.step());
    }
    while wire.pair.drain_outputs(Role::Seller) {}
    wire.restart(false).unwrap();
    wire.finish();
    let told = wire.pair.s.progress();
    assert_eq!((told.items, told.void, told.paid), (6, 4, Amount::new(18)));
    is_vector("voided.txt", &said(&wire.pair));
}

#[test]
fn digests_and_layouts_are_these() {
    let session = SessionId::of(&keccak(&[b"menu"]), &keccak(&[b"order"]));
    let secret = SaltSecret(Digest([7; 32]));
    let leaves: Vec<Digest> =
        (1..=3).map(|seq| leaf(&session, seq, &salt(&secret, seq), &item(seq))).collect();
    let digest = leaves.iter().fold(session.0, |digest, leaf| running_digest(&digest, leaf));
    let void = Void { from_seq: 4, to_seq: 8 };
    let void_leaf = void_leaf(&session, void);
    let layout = Layout {
        session,
        kind: MessageKind::DataInvoice,
        number: 2,
        commitment: sdpp_ledger::merkle::root(&leaves),
        amount_total: Amount::new(9),
        data: keccak(&[b"data"]),
        verification: keccak(&[b""]),
    };
    let signature = key(1).sign(&layout.digest());
    let vectors = json!({
        "session": session,
        "reference_payment_2": session.reference(Purpose::Payment, 2),
        "salt_secret": secret,
        "salt_1": salt(&secret, 1),
        "items": (1..=3).map(|seq| String::from_utf8(item(seq)).unwrap()).collect::<Vec<_>>(),
        "leaves": leaves,
        "digest": digest,
        "void_4_to_8": void_leaf,
        "digest_8": running_digest(&digest, &void_leaf),
        "root": layout.commitment,
        "layout": format!("0x{}", hex::encode(layout.to_bytes())),
        "layout_digest": layout.digest(),
        "signed_by": key(1).public(),
        "signature": signature,
    });
    is_vector("digests.json", &(serde_json::to_string_pretty(&vectors).unwrap() + "\n"));
}

/// The contract's own tests read the same file.
#[test]
fn what_a_bond_answers_for_is_these_bytes() {
    is_vector("bonds.json", &(serde_json::to_string_pretty(&bonds::vectors()).unwrap() + "\n"));
}

/// A pace, and a leg at a rate with its quote.
#[test]
fn a_session_with_a_pace_and_a_leg() {
    let at = sdpp::message::Moment(START_MS);
    let rate = sdpp::terms::Rate { numerator: Amount::new(7), denominator: Amount::new(3) };
    let quoted = sdpp::message::Quoted { source: "fixed".to_owned(), rate, at };
    let expires_at = sdpp::message::Moment(START_MS + 60_000);
    let mut setting = Setting::default().no_records().anchored_after();
    let mut offer = offer_other(sdpp::terms::Method::Transfer, rate);
    offer.quote = Some(sdpp::message::Quote { sources: vec![quoted], at, expires_at });
    setting.menu.currencies_accepted.push(offer);
    setting.wish.currencies.push(pinned_other(sdpp::terms::Method::Transfer));
    setting.buyer.fail_over_after_ms = Some(3_000);
    let mut pair = setting.order("gas", Some(9)).start();
    pair.run_to(2);
    let pace = sdpp::terms::Pace { granularity: 2, credit_windows: 2 };
    pair.seller.change_pace(pace, sdpp::message::PaceReason::Earned, pair.now_ms).unwrap();
    pair.run_to(6);
    let trouble = Some(sdpp::message::LegReason::Dear);
    pair.tell(Role::Buyer, sdpp::session::Input::Ledger { ledger: ledger(), trouble });
    pair.run();
    is_vector("legs.txt", &said(&pair));
}

/// What the seller's journal keeps is what it signed, and proves it to anybody.
#[test]
fn what_was_kept_proves_what_was_said() {
    let mut pair = Setting::default().start();
    pair.run();
    let mut seen = 0;
    for record in pair.s.records.iter().chain(&pair.b.records) {
        if let Record::Invoice { message, to_seq, .. } = record {
            assert!(message.is_by(&key(1).public()));
            assert!(!message.is_by(&key(2).public()));
            assert_eq!(reread::<DataInvoice>(message).unwrap().invoice.to, *to_seq);
            let mut changed = message.clone();
            changed.data = changed.data.map(|data| data.replace("12", "11"));
            assert!(!changed.is_by(&key(1).public()));
            seen += 1;
        }
    }
    assert_eq!(seen, 4, "two invoices in each journal");
}

#[test]
fn unknown_keys_in_data_are_ignored_and_missing_ones_are_named() {
    let read = |data: Value| {
        let line = json!({
            "message_type": "ack", "data": data, "signature": "", "verification": ""
        });
        let line = line.to_string();
        Envelope::parse(line.as_bytes()).unwrap().unproven::<Ack>().map_err(|e| e.to_string())
    };
    let digest = Digest::ZERO;
    assert!(read(json!({"seq": 1, "digest": digest, "later": {"a": 1}})).is_ok());
    assert!(read(json!({"seq": 1})).unwrap_err().contains("missing field `digest`"));
    assert!(read(json!({"seq": "1", "digest": digest})).unwrap_err().contains("expected u64"));
    assert!(read(json!({"seq": -1, "digest": digest})).unwrap_err().contains("expected u64"));
    assert!(read(json!({"seq": 1.5, "digest": digest})).is_err());
}

proptest! {
    #[test]
    fn no_bytes_break_the_envelope(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = Envelope::parse(&bytes);
    }

    #[test]
    fn no_json_breaks_a_body(text in "[\\[\\]{}:,\"a-z0-9.eE+-]{0,120}") {
        let line = format!(
            "{{\"message_type\":\"menu\",\"data\":{text},\"signature\":\"\",\"verification\":\"\"}}"
        );
        if let Ok(envelope) = Envelope::parse(line.as_bytes()) {
            let _ = envelope.unproven::<Menu>();
        }
    }

    /// Changing any byte of a signed frame makes it another message or none.
    #[test]
    fn a_signed_frame_is_good_as_it_is_alone(at in 0usize..2000, to: u8, seq: u64, body: Vec<u8>) {
        let data = Data { seq, body: sdpp::message::Base64(body), leaf: Digest([3; 32]) };
        let session = SessionId(Digest([1; 32]));
        let (_, mut frame) = Draft::new(session, &data).sign(&key(1), "");
        frame.pop();
        let public = key(1).public();
        let take = |frame: &[u8]| {
            Envelope::parse(frame)
                .and_then(|envelope| match envelope.kind() {
                    MessageKind::Data => envelope.signed_by::<Data>(&public, session),
                    kind => Err(sdpp::message::WireError::BadSignature(kind)),
                })
                .map(|verified| verified.body)
        };
        prop_assert_eq!(take(&frame), Ok(data.clone()));
        let at = at % frame.len();
        let before = frame[at];
        frame[at] = to;
        if let Ok(other) = take(&frame) {
            // White space between tokens is nobody's, and what stands in a key's place is checked.
            prop_assert_eq!(&other, &data, "byte {} from {} to {}", at, before, to);
        }
    }

    #[test]
    fn what_is_signed_is_read_back(secret in 1u8..255, seq: u64, text in ".{0,40}") {
        let key = Key::from_bytes(&[secret; 32]).unwrap();
        let session = SessionId(keccak(&[text.as_bytes()]));
        let ack = Ack { seq, digest: keccak(&[b"d"]), voucher: None };
        let (message, frame) = Draft::new(session, &ack).sign(&key, "");
        let envelope = Envelope::parse(&frame[..frame.len() - 1]).unwrap();
        let verified = envelope.signed_by::<Ack>(&key.public(), session).unwrap();
        prop_assert_eq!(verified.body, ack);
        prop_assert!(message.is_by(&key.public()));
        prop_assert_eq!(verified.message, Some(message));
    }
}

#[test]
fn hello_is_empty_or_says_what_it_speaks() {
    let read = |data: Value| serde_json::from_value::<Hello>(data).is_ok();
    assert!(read(json!("")));
    assert!(read(json!({"versions": ["SDPP/1"], "encodings": ["json"]})));
    assert!(!read(json!(5)));
    assert_eq!(Hello::KIND, MessageKind::Hello);
    assert_eq!(Order::KIND.to_string(), "order");
}

/// The paths to everything that a message's data nests, each a step of keys.
fn objects(value: &Value, at: &str, found: &mut Vec<String>) {
    match value {
        Value::Object(object) => {
            found.push(at.to_owned());
            for (key, inner) in object {
                objects(inner, &format!("{at}/{key}"), found);
            }
        }
        Value::Array(list) => {
            for (index, inner) in list.iter().enumerate() {
                objects(inner, &format!("{at}/{index}"), found);
            }
        }
        _ => {}
    }
}

/// What a type takes must be an object wherever it writes one, and a list in its place is refused
/// because it is a list. `maps` are objects whose keys are not the protocol's.
fn is_objects_all_through<T: Body + PartialEq + std::fmt::Debug>(body: &T, maps: &[&str]) {
    let read = |data: &Value| {
        let line = json!({
            "message_type": T::KIND, "data": data, "signature": "", "verification": ""
        });
        let line = line.to_string();
        Envelope::parse(line.as_bytes()).unwrap().unproven::<T>()
    };
    let plain = serde_json::to_value(body).unwrap();
    assert_eq!(&read(&plain).unwrap(), body);
    let mut paths = Vec::new();
    objects(&plain, "", &mut paths);
    for path in paths.iter().filter(|path| !maps.contains(&path.as_str())) {
        let mut listed = plain.clone();
        let inner = listed.pointer_mut(path).unwrap();
        *inner = inner.as_object().unwrap().values().cloned().collect();
        let error = read(&listed).unwrap_err().to_string();
        assert!(error.contains("invalid type: sequence"), "{} {path}: {error}", T::KIND);
    }
}

#[test]
fn no_list_of_values_passes_for_an_object() {
    use sdpp::message::*;
    use sdpp_ledger::merkle;
    let digest = Digest([3; 32]);
    let (amount, tx) = (Amount::new(5), sdpp_ledger::Reference([4; 32]));
    let voucher = || Voucher { cumulative_amount: amount, signature: key(1).sign(&digest) };
    let proof = merkle::prove(&[digest, digest], 1);
    let anchored = || vec![Anchored { reference: tx, tx: tx_of(&tx), proof: proof.clone() }];
    let speaks = ["a".to_owned()];
    let resume = Resume {
        session: SessionId(digest),
        challenge: digest,
        received: 1,
        acked: 1,
        heard: 1,
        public_key_encryption: key(4).public(),
    };
    let choice = Choice {
        versions: speaks.to_vec(),
        encodings: speaks.to_vec(),
        buyer: Some(key(2).public()),
        resume: Some(Box::new(resume)),
    };
    is_objects_all_through(&Hello::Speaks(choice), &[]);
    is_objects_all_through(&menu(), &["/available_data", "/prices", "/units"]);
    let escrow = EscrowChoice { channel: sdpp_ledger::ChannelId([5; 32]), base: amount };
    is_objects_all_through(&order_of(Some(escrow)), &[]);
    let resumed =
        Resumed { next_seq: 2, acked: 1, heard: 1, paid_total: amount, voucher: Some(voucher()) };
    let session_key = SessionKey {
        epoch: 0,
        ephemeral_key: key(3).public(),
        nonce: Hex([0; 12]),
        sealed: Hex([0; 48]),
        resumed: Some(resumed),
    };
    is_objects_all_through(&session_key, &[]);
    is_objects_all_through(&Data { seq: 1, body: Base64(vec![1]), leaf: digest }, &[]);
    is_objects_all_through(&Ack { seq: 1, digest, voucher: Some(voucher()) }, &[]);
    let ack = Cumulative { seq: 1, digest };
    let voucher = Some(voucher());
    is_objects_all_through(
        &PaymentAck { number: 1, from: Some(1), amount_total: amount, ack, voucher },
        &[],
    );
    let invoice = Invoice {
        number: 1,
        from: 1,
        to: 1,
        amount,
        amount_total: amount,
        paid_total: amount,
        currency: "SDP".to_owned(),
        payment_address: key(1).public().account(),
        digest,
        root: digest,
        reference: tx,
        due_at: Moment(START_MS),
        rate: None,
        pace: None,
    };
    let body = Some(Base64(vec![1]));
    let anchors = anchored();
    let invoice = DataInvoice { seq: 1, body, leaf: Some(digest), invoice, anchored: anchors };
    is_objects_all_through(&invoice, &[]);
    let reason = Reason::Stopped;
    let (items, amount_total, paid_total) = (1, amount, amount);
    let exit = Exit {
        reason,
        items,
        amount_total,
        paid_total,
        anchored: anchored(),
        channel: None,
        legs: Vec::new(),
    };
    is_objects_all_through(&exit, &[]);
    let keeps = Exit { channel: Some(AfterExit::Keep), ..exit };
    is_objects_all_through(&keeps, &[]);
    let amend = |change| Amend { number: 1, by: sdpp::terms::Role::Seller, from_seq: 1, change };
    let (total, items, ask) = (amount, vec![1], Some(1));
    let note = CreditNote { amount, total, items, reason: Complaint::Lost, ask };
    is_objects_all_through(&amend(Change::Credit(note)), &[]);
    let (body, proof) = (Base64(vec![1]), proof.unwrap());
    let (reason, amount) = (Complaint::Wrong, Some(amount));
    let ask = Ask { seq: 1, reason, amount, body, leaf: digest, invoice: 1, proof };
    is_objects_all_through(&amend(Change::Ask(ask)), &[]);
    is_objects_all_through(&amend(Change::Refused(Refused { why: String::new() })), &[]);
    is_objects_all_through(&amend(Change::Unknown), &[]);
    let error = ErrorMessage { code: Code::Busy, message: String::new(), voucher: None };
    is_objects_all_through(&error, &[]);
}

/// A change is one thing: whoever reads another one of two would agree to something else.
#[test]
fn a_change_has_one_name() {
    use sdpp::message::{Amend, Change};
    let read = |change: Value| {
        let data = json!({"number": 1, "by": "seller", "from_seq": 5, "change": change});
        let line = json!({
            "message_type": "amend", "data": data, "signature": "", "verification": ""
        });
        let line = line.to_string();
        Envelope::parse(line.as_bytes()).unwrap().unproven::<Amend>().map(|amend| amend.change)
    };
    assert_eq!(read(json!({})), Ok(Change::Unknown));
    assert_eq!(read(json!({"granularity": 8})), Ok(Change::Unknown), "of a later version");
    let refused = json!({"why": "no"});
    let credit = json!({"amount": "1", "total": "1", "items": [1], "reason": "late"});
    assert!(matches!(read(json!({"credit": credit})), Ok(Change::Credit(_))));
    let two = read(json!({"refused": refused, "credit": credit})).unwrap_err().to_string();
    assert!(two.contains("a change is one thing"), "{two}");
    assert!(read(json!([])).is_err() && read(json!("credit")).is_err());
}

fn order_of(escrow: Option<sdpp::message::EscrowChoice>) -> Order {
    Order {
        version: "SDPP/1".to_owned(),
        encoding: "json".to_owned(),
        data_type: "gas".to_owned(),
        order_quantity: Some(1),
        price: None,
        currency_type: "SDP".to_owned(),
        method: sdpp::terms::Method::Escrow,
        address: key(2).public().account(),
        public_key_signature: key(2).public(),
        public_key_encryption: key(4).public(),
        menu_digest: Digest::ZERO,
        nonce: Digest::ZERO,
        escrow,
        resumes: true,
    }
}

/// `{"ack": null}` is what serde's derived code takes for `"ack"`, and a frame in a list for one.
#[test]
fn a_name_is_a_text_and_a_frame_is_an_object() {
    let refused = |line: &str| {
        let error = Envelope::parse(line.as_bytes()).map(|_| ()).unwrap_err().to_string();
        assert!(error.contains("invalid type"), "{line}: {error}");
    };
    refused(r#"[{"ack":null},[3,"0x03"],"",""]"#);
    refused(r#"["ack",{"seq":3},"",""]"#);
    refused(r#"{"message_type":{"ack":null},"data":{},"signature":"","verification":""}"#);
    let named = |data: Value, path: &str| {
        let mut data = data;
        let name = data.pointer(path).unwrap().as_str().unwrap().to_owned();
        *data.pointer_mut(path).unwrap() = json!({ name: null });
        data.to_string()
    };
    let read = |kind: &str, data: String| {
        let line = format!(
            r#"{{"message_type":"{kind}","data":{data},"signature":"","verification":""}}"#
        );
        let envelope = Envelope::parse(line.as_bytes()).unwrap();
        match kind {
            "menu" => envelope.unproven::<Menu>().map(|_| ()),
            "order" => envelope.unproven::<Order>().map(|_| ()),
            "exit" => envelope.unproven::<sdpp::message::Exit>().map(|_| ()),
            _ => envelope.unproven::<sdpp::message::ErrorMessage>().map(|_| ()),
        }
    };
    let exit = json!({
        "reason": "stopped", "items": 0, "amount_total": "0", "paid_total": "0", "anchored": []
    });
    let error = json!({"code": "busy", "message": ""});
    let menu = serde_json::to_value(menu()).unwrap();
    let order = serde_json::to_value(order_of(None)).unwrap();
    for (kind, data, path) in [
        ("menu", menu, "/currencies_accepted/0/method"),
        ("order", order, "/method"),
        ("exit", exit, "/reason"),
        ("error", error, "/code"),
    ] {
        assert_eq!(read(kind, data.to_string()), Ok(()));
        let error = read(kind, named(data, path)).unwrap_err().to_string();
        assert!(error.contains("expected a name as text"), "{kind}: {error}");
    }
}

/// Older writers leave them out, and null says the same.
#[test]
fn what_a_menu_may_leave_out_may_be_null() {
    let plain = serde_json::to_value(menu()).unwrap();
    let mut nulls = plain.clone();
    for key in ["special_prices", "prices_by_buyer", "unknown_by_escrow"] {
        assert!(plain.get(key).is_none(), "{key} is left out");
        nulls[key] = Value::Null;
    }
    nulls["currencies_accepted"][0]["limits"] = Value::Null;
    assert_eq!(serde_json::from_value::<Menu>(nulls).unwrap(), menu());
}

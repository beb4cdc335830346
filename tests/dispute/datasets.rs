//! Items that are not of the dataset on the menu, before the judge and as a contract is told of them.

use crate::pair::{self, Pair, Setting, dataset, item};
use crate::{bundle, keys, lie, offences, sign_again, verdict};
use sdpp::crypto::layout::MessageKind;
use sdpp::crypto::{Keys, dataset_leaf, leaf, running_digest, salt};
use sdpp::dispute::{Bundle, Offence, Way, judge_own, stray_evidence};
use sdpp::message::{Base64, Data, DataInvoice, Draft, Invoice, Moment, Path};
use sdpp::session::Input;
use sdpp::terms::{Purpose, Role};
use sdpp_ledger::{Amount, Digest, keccak, merkle};

const COUNT: u64 = 10;

fn setting() -> Setting {
    Setting::default().order("co2", None).committed(COUNT).anchored_after().no_records()
}

fn path(seq: u64) -> Option<Vec<Digest>> {
    Some(dataset(COUNT).prove(seq as usize - 1).unwrap().path)
}

/// What a seller gives as the item of a seq, and says to be its way up.
type Gives = fn(u64) -> (Vec<u8>, Option<Vec<Digest>>);

/// A seller that takes the honest one's place and sells a window of what it likes.
fn sells(setting: Setting, gives: Gives) -> Pair {
    let mut pair = setting.start();
    while pair.buyer.terms().is_none() {
        assert!(pair.step());
    }
    let (terms, session) = (pair.buyer.terms().unwrap().clone(), pair.b.session.unwrap());
    let keys = Keys::first(&zeroize::Zeroizing::new([33; 32]), session);
    let (mut digest, mut leaves) = (session.0, Vec::new());
    for seq in 1..=4 {
        let (item, path) = gives(seq);
        let salt = salt(keys.salt_secret(), seq);
        let path = path.map(|path| Path::of(&path, &salt));
        let leaf = leaf(&session, seq, &salt, &item);
        digest = running_digest(&digest, &leaf);
        leaves.push(leaf);
        let kind = if seq == 4 { MessageKind::DataInvoice } else { MessageKind::Data };
        let body = Base64(keys.from(Role::Seller).seal(kind, seq, &item).unwrap());
        let frame = match seq {
            4 => {
                let total = Amount::new(20);
                let invoice = Invoice {
                    number: 1,
                    from: 1,
                    to: 4,
                    amount: total,
                    amount_total: total,
                    paid_total: Amount::ZERO,
                    currency: "SDP".to_owned(),
                    payment_address: terms.currency.payee.clone(),
                    digest,
                    root: merkle::root(&leaves),
                    reference: session.reference(Purpose::Payment, 1),
                    due_at: Moment(pair::START_MS),
                    rate: None,
                    pace: None,
                };
                let (body, leaf) = (Some(body), Some(leaf));
                let anchored = Vec::new();
                let words = DataInvoice { seq, body, leaf, path, invoice, anchored };
                Draft::new(session, &words).sign(&pair::key(1), "").1
            }
            _ => {
                let draft = Draft::new(session, &Data { seq, body, leaf, path });
                match terms.signed_items {
                    true => draft.sign(&pair::key(1), "").1,
                    false => draft.tag(keys.from(Role::Seller).mac()),
                }
            }
        };
        pair.tell(pair::Role::Buyer, Input::Read(&frame));
        while pair.drain_outputs(pair::Role::Buyer) {}
    }
    pair
}

/// The third of a window is another's, the rest is good.
fn third(seq: u64) -> (Vec<u8>, Option<Vec<Digest>>) {
    (if seq == 3 { item(99) } else { item(seq) }, path(seq))
}

fn last(seq: u64) -> (Vec<u8>, Option<Vec<Digest>>) {
    (if seq == 4 { item(99) } else { item(seq) }, path(seq))
}

/// Its words are longer than what is kept of other messages.
fn long(seq: u64) -> (Vec<u8>, Option<Vec<Digest>>) {
    (if seq == 3 { vec![b'x'; 40_000] } else { item(seq) }, path(seq))
}

fn is_convicted(bundle: &Bundle, seq: u64) {
    let verdict = verdict(std::slice::from_ref(bundle));
    assert_eq!(offences(&verdict), [(Role::Seller, Offence::StrayItem)], "{verdict}");
    let why = format!("signed as item {seq} what its own path does not show");
    assert!(verdict.misconduct[0].why.contains(&why), "{verdict}");
    assert_eq!(verdict.misconduct[0].proven_by.len(), 1);
    assert_eq!(Bundle::parse(&bundle.write()).as_ref(), Ok(bundle), "it is read as it was written");
}

#[test]
fn an_item_and_its_path_that_lead_elsewhere_convict_their_seller() {
    for (gives, seq) in [(third as Gives, 3), (last as Gives, 4), (long as Gives, 3)] {
        for setting in [setting(), setting().by_escrow()] {
            is_convicted(&bundle(&sells(setting, gives), Role::Buyer), seq);
        }
    }
    is_convicted(&bundle(&sells(setting(), |seq| (item(seq), None)), Role::Buyer), 1);
}

/// What a contract is told follows from what the seller signed, and from nothing else.
#[test]
fn a_contract_is_told_what_opens_the_leaf_and_who_signed_it() {
    for (gives, seq) in [(third as Gives, 3_u64), (last as Gives, 4), (long as Gives, 3)] {
        let pair = sells(setting().by_escrow(), gives);
        let bundle = bundle(&pair, Role::Buyer);
        let told = stray_evidence(bundle.body()).unwrap();
        assert_eq!(told.len(), 1);
        let (session, one) = (pair.b.session.unwrap(), told[0]);
        assert_eq!(one.dataset.root, dataset(COUNT).root());
        assert_eq!((one.stray.seq, one.stray.content), (seq, keccak(&[&gives(seq).0])));
        assert!(one.message.is_by(&pair::key(1).public()));
        let leaf = one.stray.leaf(&session);
        match &one.stray.invoiced {
            None => assert_eq!(one.message.commitment, leaf),
            Some(invoiced) => assert!(invoiced.proof.verify(&leaf, &one.message.commitment)),
        }
        assert_eq!(one.way, Way::Nowhere);
        let row = dataset_leaf(&one.stray.content);
        assert!(!dataset(COUNT).leaves().contains(&row), "no path of the seller's answers that");
    }
}

/// The contract asks for no place: who asked about such an item would lose its stake.
#[test]
fn an_item_in_anothers_place_convicts_and_a_contract_would_be_shown_it() {
    let anothers: Gives = |seq| match seq {
        2 => (item(7), path(7)),
        _ => (item(seq), path(seq)),
    };
    let bundle = bundle(&sells(setting(), anothers), Role::Buyer);
    is_convicted(&bundle, 2);
    assert_eq!(stray_evidence(bundle.body()).unwrap()[0].way, Way::Elsewhere);
    let wordless = lie(&bundle, |body| crate::nth(body, MessageKind::Data, 0).data = None);
    assert_eq!(stray_evidence(wordless.body()).unwrap()[0].way, Way::Unknown);
    // With sisters that none of its dataset has no seller leaves that open.
    let padded: Gives = |seq| (item(seq + 90), Some(vec![Digest::ZERO; 21]));
    let padded = crate::bundle(&sells(setting(), padded), Role::Buyer);
    assert_eq!(stray_evidence(padded.body()).unwrap()[0].way, Way::Nowhere);
    // No path at all leads nowhere.
    let none = crate::bundle(&sells(setting(), |seq| (item(seq), None)), Role::Buyer);
    assert_eq!(stray_evidence(none.body()).unwrap()[0].way, Way::Nowhere);
}

/// Its window's invoice has it under its root, and brings the window's last.
#[test]
fn of_an_item_that_came_before_its_windows_last_the_judge_says_that_its_message_is_not_here() {
    let pair = sells(setting(), |seq| (item(seq), path(seq)));
    let session = pair.b.session.unwrap();
    let secrets = Keys::first(&zeroize::Zeroizing::new([33; 32]), session);
    let leaf_of = |seq| leaf(&session, seq, &salt(secrets.salt_secret(), seq), &item(seq));
    let leaves: Vec<Digest> = (1..=4).map(leaf_of).collect();
    let proof = merkle::prove(&leaves, 1).unwrap();
    let (content, salt) = (keccak(&[&item(2)]), salt(secrets.salt_secret(), 2));
    let invoiced = Some(sdpp::record::Invoiced { number: 1, proof });
    let its = sdpp::record::Stray { seq: 2, content, salt, invoiced };
    let accused = lie(&bundle(&pair, Role::Buyer), |body| body.strays = vec![its]);
    let found = verdict(std::slice::from_ref(&accused));
    assert_eq!(offences(&found), [], "{found}");
    let says = "the message that brought this one, with its path, is not here";
    assert!(found.notes.iter().any(|note| note.contains(says)), "{found}");
    assert_eq!(stray_evidence(accused.body()).unwrap()[0].way, Way::Unknown);
}

#[test]
fn where_the_words_are_not_there_the_judge_says_what_is_lacking() {
    let bundle = lie(&bundle(&sells(setting(), third), Role::Buyer), |body| {
        crate::nth(body, MessageKind::Data, 0).data = None;
    });
    let verdict = verdict(std::slice::from_ref(&bundle));
    assert_eq!(offences(&verdict), [], "{verdict}");
    let says = "only the seller can show, to a contract that asks";
    assert!(verdict.notes.iter().any(|note| note.contains(says)), "{verdict}");
}

#[test]
fn under_macs_nothing_is_proven_and_no_contract_is_told() {
    let bundle = bundle(&sells(setting().under_mac(), third), Role::Buyer);
    let verdict = verdict(std::slice::from_ref(&bundle));
    assert_eq!(offences(&verdict), [], "{verdict}");
    let says = "nothing that the seller signed has it";
    assert!(verdict.notes.iter().any(|note| note.contains(says)), "{verdict}");
    assert_eq!(stray_evidence(bundle.body()).unwrap(), []);
}

/// A buyer that accuses an honest seller brings what the seller signed, or nothing.
#[test]
fn no_honest_seller_is_convicted_whatever_its_buyer_brings() {
    let cut = sells(setting(), third);
    let good = sells(setting(), |seq| (item(seq), path(seq)));
    let honest = bundle(&good, Role::Buyer);
    assert_eq!(stray_evidence(honest.body()).unwrap(), []);
    let stray = bundle(&cut, Role::Buyer).body().strays[0].clone();
    let accused = lie(&honest, |body| body.strays = vec![stray.clone()]);
    assert_eq!(offences(&verdict(std::slice::from_ref(&accused))), [], "another session's");
    assert_eq!(stray_evidence(accused.body()).unwrap(), []);
    // The last item of the window is the dataset's, and its own words show it.
    let session = good.b.session.unwrap();
    let secrets = Keys::first(&zeroize::Zeroizing::new([33; 32]), session);
    let (seq, content) = (4, keccak(&[&item(4)]));
    let salt = salt(secrets.salt_secret(), seq);
    let its = sdpp::record::Stray { seq, content, salt, invoiced: None };
    let accused = lie(&honest, |body| body.strays = vec![its.clone()]);
    let found = verdict(&[accused]);
    assert_eq!(offences(&found), [], "{found}");
    assert!(found.notes.iter().any(|note| note.contains("it is the dataset's")), "{found}");
    // Words that the buyer changed are not the seller's.
    let changed = lie(&bundle(&cut, Role::Buyer), |body| {
        let data = crate::nth(body, MessageKind::Data, 0);
        sign_again(data, &pair::key(2), |words| words["path"] = serde_json::json!(""));
    });
    assert_eq!(offences(&verdict(&[changed])), [(Role::Buyer, Offence::FalseEvidence)]);
    let body = bundle(&cut, Role::Buyer).body().clone();
    let own = judge_own(&body, &keys()).unwrap();
    assert_eq!(offences(&own), [(Role::Seller, Offence::StrayItem)]);
}

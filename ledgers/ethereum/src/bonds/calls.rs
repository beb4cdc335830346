//! What is to be done about a bond, as its contract takes it.

use super::BONDS;
use crate::abi::bytes32;
use crate::names;
use ethers_core::abi::Token as Word;
use ethers_core::types::Address;
use sdpp_ledger::bond::{
    Challenge, Demand, Opened, Receipt, SignedAck, SignedInvoice, SignedItem, SignedTerms,
    Word as Said,
};
use sdpp_ledger::{Bond, BondAct, Bonding, Digest, LedgerError, Signature, keccak, merkle};

/// The input of a call; `own` is who sends it.
pub(super) fn data(bonding: &Bonding, own: Address) -> Result<Vec<u8>, LedgerError> {
    let Bonding { bond: terms, act } = bonding;
    let its = bond(terms)?;
    let (function, words) = match act {
        BondAct::Allow => {
            let why = "leave is a token's to take";
            return Err(LedgerError::refused("Malformed", why));
        }
        BondAct::Pledge => ("pledge", vec![its]),
        BondAct::Revoke => ("revoke", vec![its]),
        BondAct::Add { amount } => ("add", vec![its, uint(amount.units())]),
        BondAct::RequestEnd => ("requestEnd", vec![its]),
        BondAct::End => ("end", vec![its]),
        BondAct::Release => {
            let of_seller = names::address(&terms.buyer)? == own;
            ("release", vec![its, Word::Bool(of_seller), no_word()])
        }
        BondAct::Withdraw => {
            ("withdraw", vec![Word::Address(names::token(&terms.asset)?), Word::Address(own)])
        }
        BondAct::ConvictOfItems { session, one, other } => {
            let [signed, word] = terms_and_word(session);
            ("convictOfItems", vec![its, signed, word, item(one), item(other)])
        }
        BondAct::ConvictOfInvoices { session, one, other } => {
            let [signed, word] = terms_and_word(session);
            ("convictOfInvoices", vec![its, signed, word, invoice(one), invoice(other)])
        }
        BondAct::ChallengeRoot { session, item: one, invoice: of } => {
            let [signed, word] = terms_and_word(session);
            ("challengeRoot", vec![its, signed, word, item(one), invoice(of)])
        }
        BondAct::ChallengeItem { session, item: one, salt, content } => {
            let [signed, word] = terms_and_word(session);
            let [salt, content] = [salt, content].map(|digest| bytes32(&digest.0));
            ("challengeItem", vec![its, signed, word, item(one), salt, content])
        }
        BondAct::ChallengeInvoiced { session, invoice: of, opened } => {
            let [signed, word] = terms_and_word(session);
            let [opened, path] = opened_and_path(opened);
            ("challengeInvoiced", vec![its, signed, word, invoice(of), opened, path])
        }
        BondAct::Show { challenge: asked, proof } => ("show", showing(its, asked, proof)),
        BondAct::ConcludeChallenge => ("concludeChallenge", vec![its]),
        BondAct::Demand { session, ack: said, invoice: of } => {
            let [signed, word] = terms_and_word(session);
            ("demand", vec![its, signed, word, ack(said), invoice(of)])
        }
        BondAct::Retract => ("retract", vec![its]),
        BondAct::Pay { asked, amount, signature, most } => {
            let signature = Word::Bytes(signature.0.to_vec());
            let (amount, most) = (uint(amount.units()), uint(most.units()));
            ("pay", vec![its, demand(asked), amount, signature, most])
        }
        BondAct::RefuteByItem { asked, item: one } => {
            ("refuteByItem", vec![its, demand(asked), item(one)])
        }
        BondAct::RefuteByInvoice { asked, invoice: of } => {
            ("refuteByInvoice", vec![its, demand(asked), invoice(of)])
        }
        BondAct::RefuteByExit { asked, receipt: last } => {
            ("refuteByExit", vec![its, demand(asked), receipt(last)])
        }
        BondAct::ConcludeDemand { asked } => ("concludeDemand", vec![its, demand(asked)]),
    };
    Ok(input(function, &words))
}

/// The input of one of the contract's functions.
pub(super) fn input(function: &str, words: &[Word]) -> Vec<u8> {
    let function = BONDS.abi.function(function);
    // Named in this folder alone with words of its types, and each is met by a test.
    #[allow(clippy::expect_used)]
    function.and_then(|f| f.encode_input(words)).expect("the checked-in contract has this function")
}

/// A bond's words.
pub(super) fn bond(bond: &Bond) -> Result<Word, LedgerError> {
    let account = |account| names::address(account).map(Word::Address);
    Ok(Word::Tuple(vec![
        account(&bond.buyer)?,
        account(&bond.seller)?,
        account(&bond.buyer_key)?,
        account(&bond.seller_key)?,
        Word::Address(names::token(&bond.asset)?),
        bytes32(&bond.channel.0),
        uint(bond.buyer_amount.units()),
        uint(bond.seller_amount.units()),
        uint(bond.stake.units()),
        uint(bond.fee.units()),
        bytes32(&bond.salt.0),
    ]))
}

fn uint(number: impl Into<u128>) -> Word {
    Word::Uint(number.into().into())
}

fn word(said: &Said) -> Word {
    let Said { data, verification, signature: Signature(bytes) } = said;
    let part = |from: usize| Word::FixedBytes(bytes[from..from + 32].to_vec());
    let (data, verification) = (bytes32(&data.0), bytes32(&verification.0));
    Word::Tuple(vec![data, verification, part(0), part(32), uint(bytes[64])])
}

/// Who calls by its own account says nothing more.
fn no_word() -> Word {
    let nothing: Digest = keccak(&[]);
    word(&Said { data: nothing, verification: nothing, signature: Signature([0; 65]) })
}

fn terms_and_word(session: &SignedTerms) -> [Word; 2] {
    let terms = Word::Tuple(vec![
        bytes32(&session.menu.0),
        bytes32(&session.order.0),
        uint(session.base.units()),
        uint(session.price.units()),
        uint(session.numerator.units()),
        uint(session.denominator.units()),
        uint(session.granularity),
        uint(session.windows),
        bytes32(&session.dataset.0),
    ]);
    [terms, word(&session.word)]
}

fn item(item: &SignedItem) -> Word {
    Word::Tuple(vec![uint(item.seq), bytes32(&item.leaf.0), word(&item.word)])
}

fn invoice(invoice: &SignedInvoice) -> Word {
    let SignedInvoice { number, root, amount_total, word: said } = invoice;
    Word::Tuple(vec![uint(*number), bytes32(&root.0), uint(amount_total.units()), word(said)])
}

fn ack(ack: &SignedAck) -> Word {
    let SignedAck { kind, number, digest, amount_total, word: said } = ack;
    let amount = uint(amount_total.units());
    Word::Tuple(vec![uint(*kind), uint(*number), bytes32(&digest.0), amount, word(said)])
}

fn receipt(receipt: &Receipt) -> Word {
    let Receipt { amount_total, paid_total, word: said } = receipt;
    Word::Tuple(vec![uint(amount_total.units()), uint(paid_total.units()), word(said)])
}

fn demand(asked: &Demand) -> Word {
    Word::Tuple(vec![
        bytes32(&asked.session.0),
        uint(asked.amount_total.units()),
        uint(asked.voucher.units()),
        uint(asked.paid_before),
        uint(asked.last_unpaid),
    ])
}

fn showing(its: Word, asked: &Challenge, proof: &merkle::Proof) -> Vec<Word> {
    let Challenge { leaf, root, index, most } = asked;
    let (leaf, root) = (bytes32(&leaf.0), bytes32(&root.0));
    let asked = Word::Tuple(vec![leaf, root, uint(*index), uint(*most)]);
    vec![its, asked, uint(proof.index), uint(proof.count), path(proof)]
}

fn opened_and_path(Opened { seq, salt, content, proof }: &Opened) -> [Word; 2] {
    let [salt, content] = [salt, content].map(|digest| bytes32(&digest.0));
    let opened = Word::Tuple(vec![uint(*seq), salt, content, uint(proof.count)]);
    [opened, path(proof)]
}

fn path(proof: &merkle::Proof) -> Word {
    Word::Array(proof.path.iter().map(|sister| bytes32(&sister.0)).collect())
}

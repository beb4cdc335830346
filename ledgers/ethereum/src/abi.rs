//! The contracts' interfaces: what a [`Call`] is on the chain, and what is told back.

use crate::artifact::{BONDS, ESCROW};
use crate::names;
use ethers_core::abi::{Token as Word, encode};
use ethers_core::types::{Address, H256, U256};
use sdpp_ledger::{
    Amount, Anchor, Approve, Asset, Batch, Call, ChannelId, Digest, InChannel, LedgerError, Open,
    Redeem, Reference, Signature, TopUp, Transfer, keccak,
};

/// The most rows that the contract takes in a batch, and the bytes of each.
pub(crate) const ROWS_MAX: usize = 200;
const ROW: usize = 32 + 16 + 65;

/// Selectors of ERC-20.
pub(crate) const TRANSFER: [u8; 4] = [0xa9, 0x05, 0x9c, 0xbb];
pub(crate) const APPROVE: [u8; 4] = [0x09, 0x5e, 0xa7, 0xb3];
pub(crate) const BALANCE_OF: [u8; 4] = [0x70, 0xa0, 0x82, 0x31];
pub(crate) const ALLOWANCE: [u8; 4] = [0xdd, 0x62, 0xed, 0x3e];
pub(crate) const SYMBOL: [u8; 4] = [0x95, 0xd8, 0x9b, 0x41];
pub(crate) const DECIMALS: [u8; 4] = [0x31, 0x3c, 0xe5, 0x67];
pub(crate) const LATEST_ROUND_DATA: [u8; 4] = [0xfe, 0xaf, 0x96, 0x8c];

/// What is sent to the chain for a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Body {
    /// `None` makes a contract.
    pub to: Option<Address>,
    pub value: U256,
    pub data: Vec<u8>,
}

impl Body {
    pub fn to(to: Address, data: Vec<u8>) -> Self {
        Body { to: Some(to), value: U256::zero(), data }
    }
}

/// What a call is on the chain. `topped_up` is the token of the channel that a top up is for.
///
/// # Errors
/// `Malformed`, `BatchTooLarge`, `NotAToken`.
pub(crate) fn body(
    call: &Call,
    escrow: Option<Address>,
    topped_up: Address,
) -> Result<Body, LedgerError> {
    if let Call::Transfer(transfer) = call {
        return payment(transfer);
    }
    let lacks = || LedgerError::refused("NoSuchAbility", "no escrow contract is configured here");
    let escrow = escrow.ok_or_else(lacks)?;
    let mut value = U256::zero();
    let data = match call {
        Call::Approve(approve) => return leave(&approve.asset, escrow),
        Call::Open(open) => {
            let token = names::token(&open.asset)?;
            value = if token.is_zero() { names::word(open.deposit) } else { value };
            opening(open, token)?
        }
        Call::TopUp(top_up) => {
            let amount = names::word(top_up.amount);
            value = if topped_up.is_zero() { amount } else { value };
            escrow_input("topUp", &[bytes32(&top_up.channel.0), Word::Uint(amount)])
        }
        Call::Anchor(anchor) => anchoring(anchor),
        Call::Settle(redeem) => redemption("settle", redeem),
        Call::Close(redeem) => redemption("close", redeem),
        Call::RequestClose(of) => escrow_input("requestClose", &[bytes32(&of.channel.0)]),
        Call::Withdraw(of) => escrow_input("withdraw", &[bytes32(&of.channel.0)]),
        Call::SettleMany(batch) => rows("settleMany", batch)?,
        Call::CloseMany(batch) => rows("closeMany", batch)?,
        Call::Transfer(_) | Call::Bond(_) => return Err(lacks()),
    };
    Ok(Body { value, ..Body::to(escrow, data) })
}

/// The call that a transaction makes, where it is one of ours to the last byte.
pub(crate) fn call(body: &Body, escrow: Option<Address>) -> Option<Call> {
    let to = body.to?;
    let call = match escrow {
        Some(escrow) if to == escrow => escrow_call(&body.data)?,
        _ if body.data.starts_with(&APPROVE) => Call::Approve(Approve { asset: names::asset(to) }),
        _ => transfer(to, body)?,
    };
    // A top up tells its asset by its value alone.
    let topped_up = if body.value.is_zero() { to } else { Address::zero() };
    let again = self::body(&call, escrow, topped_up).ok()?;
    (again == *body).then_some(call)
}

/// The name of the contract's error, or a node's or token's reason in short.
pub(crate) fn refusal(data: &[u8]) -> String {
    let selector = data.get(..4).unwrap_or_default();
    match selector_name(selector) {
        Some(name) => name,
        None if selector == [0x08, 0xc3, 0x79, 0xa0] => {
            let text = string(&data[4..]).unwrap_or_default();
            if text.is_empty() { "Reverted".to_owned() } else { format!("Reverted: {text}") }
        }
        None => "Reverted".to_owned(),
    }
}

/// The name of the contracts' error with this selector.
pub(crate) fn selector_name(selector: &[u8]) -> Option<String> {
    let mut errors = ESCROW.abi.errors().chain(BONDS.abi.errors());
    errors.find(|error| &error.signature()[..4] == selector).map(|error| error.name.clone())
}

/// The first topic of one of the escrow's events.
pub(crate) fn topic(event: &str) -> H256 {
    // Named in this crate alone, and each is met by a test.
    #[allow(clippy::expect_used)]
    ESCROW.abi.event(event).expect("the checked-in contract has this event").signature()
}

/// The first topic of a token's `Transfer`.
pub(crate) fn transfer_topic() -> H256 {
    H256(keccak(&[b"Transfer(address,address,uint256)"]).0)
}

/// The input of one of the escrow's functions.
pub(crate) fn escrow_input(function: &str, words: &[Word]) -> Vec<u8> {
    let function = ESCROW.abi.function(function);
    // Named in this crate alone with words of its types, and each is met by a test.
    #[allow(clippy::expect_used)]
    function.and_then(|f| f.encode_input(words)).expect("the checked-in contract has this function")
}

/// The input of a function by its selector.
pub(crate) fn input(selector: [u8; 4], words: &[Word]) -> Vec<u8> {
    [selector.as_slice(), &encode(words)].concat()
}

pub(crate) fn bytes32(bytes: &[u8; 32]) -> Word {
    Word::FixedBytes(bytes.to_vec())
}

/// A stranger's text: an ABI string or 32 bytes; visible ASCII and spaces, 64 characters at most.
pub(crate) fn string(data: &[u8]) -> Option<String> {
    let bytes = if data.len() == 32 {
        data
    } else {
        let length = usize::try_from(word(data, 32)?).ok()?;
        data.get(64..64usize.checked_add(length)?)?
    };
    let visible = bytes.iter().filter(|b| b.is_ascii_graphic() || **b == b' ').take(64);
    Some(visible.map(|b| char::from(*b)).collect())
}

/// The word that begins at a byte.
pub(crate) fn word(data: &[u8], at: usize) -> Option<u128> {
    let word = data.get(at..at.checked_add(32)?)?;
    u128::try_from(U256::from_big_endian(word)).ok()
}

/// The signed word that begins at a byte.
pub(crate) fn int(data: &[u8], at: usize) -> Option<i128> {
    let word = data.get(at..at.checked_add(32)?)?;
    let (high, low) = word.split_at(16);
    let low = i128::from_be_bytes(low.try_into().ok()?);
    let sign = if low < 0 { 0xff } else { 0 };
    high.iter().all(|byte| *byte == sign).then_some(low)
}

fn payment(transfer: &Transfer) -> Result<Body, LedgerError> {
    let (to, token) = (names::address(&transfer.to)?, names::token(&transfer.asset)?);
    let (amount, reference) = (names::word(transfer.amount), transfer.reference.0.to_vec());
    if token.is_zero() {
        return Ok(Body { to: Some(to), value: amount, data: reference });
    }
    let mut data = input(TRANSFER, &[Word::Address(to), Word::Uint(amount)]);
    data.extend_from_slice(&reference);
    Ok(Body::to(token, data))
}

fn leave(asset: &Asset, escrow: Address) -> Result<Body, LedgerError> {
    if *asset == Asset::coin() {
        return Err(LedgerError::refused("NotAToken", "coin is deposited without leave"));
    }
    let data = input(APPROVE, &[Word::Address(escrow), Word::Uint(U256::MAX)]);
    Ok(Body::to(names::token(asset)?, data))
}

fn opening(open: &Open, token: Address) -> Result<Vec<u8>, LedgerError> {
    let signer = open.signer.as_ref().map(names::address).transpose()?;
    let words = [
        Word::Address(names::address(&open.payee)?),
        Word::Address(token),
        Word::Uint(names::word(open.deposit)),
        bytes32(&open.salt.0),
        Word::Address(signer.unwrap_or_default()),
    ];
    Ok(escrow_input("open", &words))
}

fn anchoring(anchor: &Anchor) -> Vec<u8> {
    match anchor {
        Anchor::One { reference, digest } => {
            let words = [Word::Uint(U256::zero()), bytes32(&reference.0), bytes32(&digest.0)];
            escrow_input("record", &words)
        }
        Anchor::Root { root, count } => {
            escrow_input("recordRoot", &[bytes32(&root.0), Word::Uint((*count).into())])
        }
    }
}

fn redemption(function: &str, redeem: &Redeem) -> Vec<u8> {
    let signature = Word::Bytes(redeem.signature.0.to_vec());
    let amount = Word::Uint(names::word(redeem.amount));
    escrow_input(function, &[bytes32(&redeem.channel.0), amount, signature])
}

fn rows(function: &str, batch: &Batch) -> Result<Vec<u8>, LedgerError> {
    if batch.rows.is_empty() || batch.rows.len() > ROWS_MAX {
        let why = format!("a batch has 1 to {ROWS_MAX} rows, not {}", batch.rows.len());
        return Err(LedgerError::refused("BatchTooLarge", why));
    }
    let mut packed = Vec::with_capacity(batch.rows.len() * ROW);
    for row in &batch.rows {
        packed.extend_from_slice(&row.channel.0);
        packed.extend_from_slice(&row.amount.units().to_be_bytes());
        packed.extend_from_slice(&row.signature.0);
    }
    Ok(escrow_input(function, &[Word::Bytes(packed)]))
}

/// A transfer with its reference behind it. Whether the rest is right is seen by making it anew.
fn transfer(to: Address, body: &Body) -> Option<Call> {
    let reference = Reference(body.data.get(body.data.len().checked_sub(32)?..)?.try_into().ok()?);
    let (to, asset, amount) = if body.data.len() == 32 {
        (to, Asset::coin(), names::amount(body.value)?)
    } else {
        let payee = Address::from_slice(body.data.get(16..36)?);
        (payee, names::asset(to), Amount::new(word(&body.data, 36)?))
    };
    Some(Call::Transfer(Transfer { to: names::account(to), asset, amount, reference }))
}

/// One of the escrow's calls. Whether the bytes are exact is seen by making them anew.
fn escrow_call(data: &[u8]) -> Option<Call> {
    let (selector, rest) = (data.get(..4)?, data.get(4..)?);
    let mut functions = ESCROW.abi.functions();
    let function = functions.find(|function| function.short_signature() == selector)?;
    let mut words = function.decode_input(rest).ok()?.into_iter();
    let mut next = || words.next();
    Some(match function.name.as_str() {
        "record" => {
            next()?;
            let (reference, digest) = (Reference(fixed(next()?)?), Digest(fixed(next()?)?));
            Call::Anchor(Anchor::One { reference, digest })
        }
        "recordRoot" => {
            let (root, count) = (Digest(fixed(next()?)?), uint(next()?)?);
            Call::Anchor(Anchor::Root { root, count: u32::try_from(count).ok()? })
        }
        "open" => {
            let (payee, token) = (next()?.into_address()?, next()?.into_address()?);
            let (deposit, salt) = (uint(next()?)?, Digest(fixed(next()?)?));
            let signer = Some(next()?.into_address()?).filter(|signer| !signer.is_zero());
            Call::Open(Open {
                payee: names::account(payee),
                asset: names::asset(token),
                deposit: Amount::new(deposit),
                salt,
                signer: signer.map(names::account),
            })
        }
        "topUp" => {
            let (channel, amount) = (ChannelId(fixed(next()?)?), uint(next()?)?);
            Call::TopUp(TopUp { channel, amount: Amount::new(amount) })
        }
        "settle" => Call::Settle(redeemed(next()?, next()?, next()?)?),
        "close" => Call::Close(redeemed(next()?, next()?, next()?)?),
        "requestClose" => Call::RequestClose(InChannel { channel: ChannelId(fixed(next()?)?) }),
        "withdraw" => Call::Withdraw(InChannel { channel: ChannelId(fixed(next()?)?) }),
        "settleMany" => Call::SettleMany(batch(next()?)?),
        "closeMany" => Call::CloseMany(batch(next()?)?),
        _ => return None,
    })
}

fn redeemed(channel: Word, amount: Word, signature: Word) -> Option<Redeem> {
    let signature = Signature(signature.into_bytes()?.try_into().ok()?);
    let amount = Amount::new(uint(amount)?);
    Some(Redeem { channel: ChannelId(fixed(channel)?), amount, signature })
}

fn batch(packed: Word) -> Option<Batch> {
    let packed = packed.into_bytes()?;
    let row = |bytes: &[u8]| -> Option<Redeem> {
        Some(Redeem {
            channel: ChannelId(bytes.get(..32)?.try_into().ok()?),
            amount: Amount::new(u128::from_be_bytes(bytes.get(32..48)?.try_into().ok()?)),
            signature: Signature(bytes.get(48..)?.try_into().ok()?),
        })
    };
    Some(Batch { rows: packed.chunks(ROW).map(row).collect::<Option<_>>()? })
}

fn fixed(word: Word) -> Option<[u8; 32]> {
    word.into_fixed_bytes()?.try_into().ok()
}

fn uint(word: Word) -> Option<u128> {
    u128::try_from(word.into_uint()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const THIS: Address = Address::repeat_byte(0xee);

    fn redeem(byte: u8) -> Redeem {
        let (channel, signature) = (ChannelId([byte; 32]), Signature([byte; 65]));
        Redeem { channel, amount: Amount::new(byte.into()), signature }
    }

    fn calls() -> Vec<Call> {
        let account = |byte| names::account(Address::repeat_byte(byte));
        let (token, in_it) =
            (names::asset(Address::repeat_byte(5)), InChannel { channel: ChannelId([4; 32]) });
        let open = |asset: &Asset, signer| Open {
            payee: account(1),
            asset: asset.clone(),
            deposit: Amount::new(9),
            salt: Digest([2; 32]),
            signer,
        };
        let transfer = |asset: &Asset| Transfer {
            to: account(1),
            asset: asset.clone(),
            amount: Amount::new(8),
            reference: Reference([3; 32]),
        };
        let batch = Batch { rows: vec![redeem(1), redeem(2)] };
        let (reference, digest) = (Reference([6; 32]), Digest([7; 32]));
        vec![
            Call::Anchor(Anchor::One { reference, digest }),
            Call::Anchor(Anchor::Root { root: digest, count: 77 }),
            Call::Transfer(transfer(&token)),
            Call::Transfer(transfer(&Asset::coin())),
            Call::Open(open(&token, None)),
            Call::Open(open(&Asset::coin(), Some(account(9)))),
            Call::TopUp(TopUp { channel: in_it.channel, amount: Amount::new(3) }),
            Call::Settle(redeem(3)),
            Call::Close(redeem(4)),
            Call::RequestClose(in_it.clone()),
            Call::Withdraw(in_it),
            Call::SettleMany(batch.clone()),
            Call::CloseMany(batch),
            Call::Approve(Approve { asset: token }),
        ]
    }

    #[test]
    fn each_call_is_read_back_to_the_last_byte_and_nothing_longer_is() {
        for call in calls() {
            for topped_up in [Address::zero(), Address::repeat_byte(5)] {
                let body = body(&call, Some(THIS), topped_up).unwrap();
                assert_eq!(super::call(&body, Some(THIS)).as_ref(), Some(&call));
                let mut longer = body.clone();
                longer.data.push(0);
                assert_eq!(super::call(&longer, Some(THIS)), None, "{call:?} and a byte");
                let paid = Body { value: body.value + 1, ..body.clone() };
                let has_value = body.value > U256::zero() || matches!(call, Call::TopUp(_));
                assert!(
                    has_value || super::call(&paid, Some(THIS)).is_none(),
                    "{call:?} with coin"
                );
            }
        }
    }

    #[test]
    fn refusals_are_named() {
        assert_eq!(selector_name(&refusal_selector("NotPayee")).as_deref(), Some("NotPayee"));
        assert_eq!(refusal(&refusal_selector("CloseNotReady")), "CloseNotReady");
        assert_eq!(refusal(&[]), "Reverted");
        let words = encode(&[Word::String("a \u{7}reason\n".to_owned())]);
        let with_text = [&[0x08, 0xc3, 0x79, 0xa0], words.as_slice()].concat();
        assert_eq!(refusal(&with_text), "Reverted: a reason");
    }

    fn refusal_selector(name: &str) -> [u8; 4] {
        let digest = keccak(&[format!("{name}()").as_bytes()]).0;
        [digest[0], digest[1], digest[2], digest[3]]
    }

    proptest! {
        /// What strangers write into transactions is read without a panic and without a
        /// reservation of memory by their word.
        #[test]
        fn any_bytes_are_read(
            at in 0usize..32, rest in proptest::collection::vec(any::<u8>(), 0..400), value: u64,
            is_full: bool,
        ) {
            let mut selectors: Vec<[u8; 4]> =
                ESCROW.abi.functions().map(|f| f.short_signature()).collect();
            selectors.extend([TRANSFER, APPROVE]);
            let selector = selectors[at % selectors.len()];
            let filler = if is_full { vec![0xff; 400] } else { rest };
            let data = [selector.as_slice(), &filler].concat();
            for to in [THIS, Address::zero(), Address::repeat_byte(5)] {
                let body = Body { to: Some(to), value: value.into(), data: data.clone() };
                if let Some(call) = call(&body, Some(THIS)) {
                    let topped_up = if value == 0 { to } else { Address::zero() };
                    prop_assert_eq!(super::body(&call, Some(THIS), topped_up).unwrap(), body);
                }
            }
            let _ = (string(&data), word(&data, 4), refusal(&data));
        }
    }
}

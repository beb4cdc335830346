//! Code for the chain that a story puts at an address by hand: what it does when it is called, one
//! thing after the other.

use sdpp_ledger::{Account, keccak};
use serde_json::json;

use super::Anvil;

/// A word of the chain.
pub type Word = [u8; 32];

/// Code in the making. It begins with nothing and ends by itself.
#[derive(Default, Clone)]
pub struct Code(Vec<u8>);

impl Code {
    /// Calls a contract with all the gas that there is, and does not care how that ends.
    pub fn call(self, to: &Account, input: &[u8]) -> Code {
        let mut code = self.store(input);
        code.push(&[0]).push(&[0]).push(&length(input)).push(&[0]).push(&[0]).push(&bytes(to));
        // GAS CALL POP
        code.0.extend([0x5a, 0xf1, 0x50]);
        code
    }

    /// Tells an event.
    pub fn tell(self, topics: &[Word], data: &[u8]) -> Code {
        let mut code = self.store(data);
        for topic in topics.iter().rev() {
            code.push(topic);
        }
        code.push(&length(data)).push(&[0]);
        code.0.push(0xa0 + u8::try_from(topics.len()).unwrap());
        code
    }

    /// Answers with a word and ends.
    pub fn answer(self, word: Word) -> Code {
        self.answer_all(&[word])
    }

    /// Answers with words and ends.
    pub fn answer_all(self, words: &[Word]) -> Code {
        let words = words.concat();
        let mut code = self.store(&words);
        code.push(&length(&words)).push(&[0]);
        code.0.push(0xf3);
        code
    }

    /// Does something else where it is called by this function, and that has to end by itself.
    pub fn when(mut self, function: &str, then: Code) -> Code {
        let selector = &topic(function)[..4];
        // CALLDATALOAD 0xe0 SHR SELECTOR EQ ISZERO
        self.push(&[0]).0.push(0x35);
        self.push(&[0xe0]).0.push(0x1c);
        self.push(selector).0.extend([0x14, 0x15]);
        let after = self.0.len() + 4 + then.0.len();
        self.push(&u16::try_from(after).unwrap().to_be_bytes()).0.push(0x57);
        self.0.extend(then.0);
        // JUMPDEST
        self.0.push(0x5b);
        self
    }

    /// Puts it at an address.
    pub async fn put(&self, anvil: &Anvil, at: &Account) {
        let code = format!("0x{}", hex::encode(&self.0));
        anvil.ask("anvil_setCode", json!([at.as_str(), code])).await;
    }

    fn store(mut self, data: &[u8]) -> Code {
        for (place, part) in data.chunks(32).enumerate() {
            let mut word = [0; 32];
            word[..part.len()].copy_from_slice(part);
            let place = u16::try_from(place * 32).unwrap();
            self.push(&word).push(&place.to_be_bytes());
            // MSTORE
            self.0.push(0x52);
        }
        self
    }

    fn push(&mut self, bytes: &[u8]) -> &mut Code {
        self.0.push(0x5f + u8::try_from(bytes.len()).unwrap());
        self.0.extend(bytes);
        self
    }
}

/// A number as a word.
pub fn number(number: u128) -> Word {
    let mut word = [0; 32];
    word[16..].copy_from_slice(&number.to_be_bytes());
    word
}

/// An account as a word.
pub fn address(account: &Account) -> Word {
    let mut word = [0; 32];
    word[12..].copy_from_slice(&bytes(account));
    word
}

/// The first topic of an event, by its name and the types of what it tells.
pub fn topic(event: &str) -> Word {
    keccak(&[event.as_bytes()]).0
}

/// The input of a function that takes bytes alone.
pub fn input_of_bytes(function: &str, bytes: &[u8]) -> Vec<u8> {
    let padding = vec![0; bytes.len().next_multiple_of(32) - bytes.len()];
    let length = number(bytes.len() as u128);
    [&topic(function)[..4], &number(32), &length, bytes, &padding].concat()
}

fn bytes(account: &Account) -> Vec<u8> {
    hex::decode(&account.as_str()[2..]).unwrap()
}

fn length(bytes: &[u8]) -> [u8; 2] {
    u16::try_from(bytes.len()).unwrap().to_be_bytes()
}

//! The format: Web3 Secret Storage version 3, as written by geth, eth-account and Foundry.
//!
//! Why the primitives and not the crate `eth-keystore` (0.5, 2022): it fixes scrypt at n = 2^13,
//! a thirty-second of what geth takes; it panics on a file with a short iv or key length and
//! allocates whatever a file asks for; and it leaves the derived key in memory. The vectors in the
//! tests come from eth-account. Files whose key derivation is pbkdf2 are refused with a reason.

use super::{KeystoreError, Password};
use aes::cipher::{KeyIvInit, StreamCipher};
use sdpp_ledger::{Account, Key, PublicKey, keccak};
use serde::{Deserialize, Serialize};
use std::path::Path;
use zeroize::Zeroizing;

/// n = 2^17, r = 8, p = 1: 128 MiB and under a second for each guess, the strength that OWASP
/// recommends. A seller unlocks once at its start; a machine with 512 MiB still can.
pub(super) const STANDARD: Strength = Strength { n: 1 << 17, r: 8, p: 1 };

/// The largest `n * r` that a file may ask for: 1 GiB of memory.
const MEMORY_MAX: u64 = 1 << 23;
/// The largest `p` that a file may ask for.
const PASSES_MAX: u32 = 16;

/// What a guess at the password costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Strength {
    /// Steps and memory; a power of two.
    pub n: u64,
    /// Size of a block, in 128 bytes.
    pub r: u32,
    /// Passes.
    pub p: u32,
}

#[derive(Serialize, Deserialize)]
struct KeyFile {
    version: u32,
    id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    address: Option<String>,
    /// Ours: other tools overlook it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    public_key: Option<PublicKey>,
    #[serde(alias = "Crypto")]
    crypto: Crypto,
}

#[derive(Serialize, Deserialize)]
struct Crypto {
    cipher: String,
    cipherparams: CipherParams,
    ciphertext: String,
    kdf: String,
    kdfparams: serde_json::Value,
    mac: String,
}

#[derive(Serialize, Deserialize)]
struct CipherParams {
    iv: String,
}

#[derive(Serialize, Deserialize)]
struct Scrypt {
    dklen: u32,
    n: u64,
    r: u32,
    p: u32,
    salt: String,
}

/// The key under the password, as the text of a file.
pub(super) fn seal(
    key: &Key,
    password: &Password,
    strength: Strength,
) -> Result<String, KeystoreError> {
    let (mut salt, mut iv, mut id) = ([0; 32], [0; 16], [0; 16]);
    for random in [&mut salt[..], &mut iv, &mut id] {
        fill_random(random)?;
    }
    let derived = derive(password, &salt, strength)
        .map_err(|why| KeystoreError::Malformed { path: "a new key file".into(), why })?;
    // Encrypted in place: what goes to disk never was the secret.
    let mut ciphertext = key.to_bytes();
    crypt(&derived, &iv, &mut *ciphertext);
    let public = key.public();
    let file = KeyFile {
        version: 3,
        id: uuid(id),
        address: Some(public.account().as_str().trim_start_matches("0x").to_owned()),
        public_key: Some(public),
        crypto: Crypto {
            cipher: "aes-128-ctr".to_owned(),
            cipherparams: CipherParams { iv: hex::encode(iv) },
            ciphertext: hex::encode(*ciphertext),
            kdf: "scrypt".to_owned(),
            kdfparams: serde_json::json!(Scrypt {
                dklen: 32,
                n: strength.n,
                r: strength.r,
                p: strength.p,
                salt: hex::encode(salt),
            }),
            mac: hex::encode(mac(&derived, &*ciphertext)),
        },
    };
    // Strings and numbers alone: nothing that JSON cannot hold.
    #[allow(clippy::expect_used)]
    Ok(serde_json::to_string_pretty(&file).expect("plain data is JSON") + "\n")
}

/// The key in the text of a file. `path` names it in errors.
pub(super) fn open(path: &Path, text: &str, password: &Password) -> Result<Key, KeystoreError> {
    let file = parse(path, text)?;
    let (strength, salt) = strength_of(&file.crypto).map_err(|why| malformed(path, why))?;
    let iv: [u8; 16] = fixed(&file.crypto.cipherparams.iv, "iv").map_err(|w| malformed(path, w))?;
    let mut secret = Zeroizing::new(
        fixed::<32>(&file.crypto.ciphertext, "ciphertext").map_err(|w| malformed(path, w))?,
    );
    let derived = derive(password, &salt, strength).map_err(|why| malformed(path, why))?;
    if hex::decode(&file.crypto.mac).ok() != Some(mac(&derived, &*secret).to_vec()) {
        return Err(KeystoreError::WrongPassword { path: path.to_owned() });
    }
    crypt(&derived, &iv, &mut *secret);
    let key = Key::from_bytes(&secret).map_err(|e| malformed(path, e.to_string()))?;
    if file.public_key.is_some_and(|public| public != key.public()) {
        let why = "the public key in it is not that of the secret: the file was changed";
        return Err(malformed(path, why.to_owned()));
    }
    Ok(key)
}

/// What a file says of its public half.
pub(super) fn public(
    path: &Path,
    text: &str,
) -> Result<(Option<PublicKey>, Option<Account>), KeystoreError> {
    let file = parse(path, text)?;
    let written = file.address.map(|address| {
        let digits = address.strip_prefix("0x").unwrap_or(&address).to_lowercase();
        format!("0x{digits}")
    });
    let account = match file.public_key {
        Some(public) => Some(public.account()),
        None => written.and_then(|account| account.parse().ok()),
    };
    Ok((file.public_key, account))
}

pub(super) fn fill_random(bytes: &mut [u8]) -> Result<(), KeystoreError> {
    getrandom::getrandom(bytes).map_err(|error| KeystoreError::Io {
        what: "read",
        path: "the system's random source".into(),
        error: error.into(),
    })
}

fn parse(path: &Path, text: &str) -> Result<KeyFile, KeystoreError> {
    let file: KeyFile = serde_json::from_str(text).map_err(|e| malformed(path, e.to_string()))?;
    if file.version != 3 {
        let why = format!("version {} of Web3 Secret Storage, expected 3", file.version);
        return Err(malformed(path, why));
    }
    Ok(file)
}

fn malformed(path: &Path, why: String) -> KeystoreError {
    KeystoreError::Malformed { path: path.to_owned(), why }
}

/// What the file asks of a guess, within what we are ready to spend.
fn strength_of(crypto: &Crypto) -> Result<(Strength, Vec<u8>), String> {
    if crypto.cipher != "aes-128-ctr" || crypto.kdf != "scrypt" {
        return Err(format!(
            "it uses {:?} with {:?}, expected \"aes-128-ctr\" with \"scrypt\": \
             export its secret there and use `sdpp keys import`",
            crypto.cipher, crypto.kdf
        ));
    }
    let asked: Scrypt =
        serde_json::from_value(crypto.kdfparams.clone()).map_err(|e| e.to_string())?;
    let (n, r, p) = (asked.n, asked.r, asked.p);
    let salt = hex::decode(&asked.salt).map_err(|_| "its salt is not hex".to_owned())?;
    let affordable = n.checked_mul(r.into()).is_some_and(|blocks| blocks <= MEMORY_MAX);
    if asked.dklen != 32 || !n.is_power_of_two() || n < 2 || !affordable || p > PASSES_MAX {
        return Err(format!(
            "its scrypt parameters (n {n}, r {r}, p {p}, dklen {}) are out of bounds",
            asked.dklen
        ));
    }
    Ok((Strength { n, r, p }, salt))
}

fn fixed<const N: usize>(digits: &str, what: &str) -> Result<[u8; N], String> {
    let mut bytes = [0; N];
    hex::decode_to_slice(digits, &mut bytes)
        .map_err(|_| format!("its {what} is not {} hex digits", 2 * N))?;
    Ok(bytes)
}

fn derive(
    password: &Password,
    salt: &[u8],
    strength: Strength,
) -> Result<Zeroizing<[u8; 32]>, String> {
    // n is a power of two below 2^24, so its logarithm fits.
    let log_n = strength.n.trailing_zeros() as u8;
    let bounds = |_| "its scrypt parameters are out of bounds".to_owned();
    let params = scrypt::Params::new(log_n, strength.r, strength.p, 32).map_err(bounds)?;
    let mut derived = Zeroizing::new([0; 32]);
    scrypt::scrypt(password.as_bytes(), salt, &params, &mut *derived)
        .map_err(|_| "scrypt cannot give 32 bytes".to_owned())?;
    Ok(derived)
}

/// AES-128-CTR under the first half of the derived key, either way.
fn crypt(derived: &[u8; 32], iv: &[u8; 16], bytes: &mut [u8]) {
    let mut key = Zeroizing::new([0; 16]);
    key.copy_from_slice(&derived[..16]);
    ctr::Ctr128BE::<aes::Aes128>::new((&*key).into(), iv.into()).apply_keystream(bytes);
}

fn mac(derived: &[u8; 32], ciphertext: &[u8]) -> [u8; 32] {
    keccak(&[&derived[16..], ciphertext]).0
}

/// A random (version 4) UUID, which the format asks for.
fn uuid(mut random: [u8; 16]) -> String {
    random[6] = (random[6] & 0x0f) | 0x40;
    random[8] = (random[8] & 0x3f) | 0x80;
    let digits = hex::encode(random);
    [&digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..]].join("-")
}

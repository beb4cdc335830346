//! Keys at rest: one encrypted file for each key, in a folder that nobody else can read.
//!
//! The format is Web3 Secret Storage version 3, so wallets and other tools can open the files;
//! the public key stands beside the secret in the clear, so listing needs no password. This
//! module reads secrets and hands out [`Key`]s; it does not know what they sign.

mod password;
mod web3;

pub use password::{Password, PasswordFrom};

use sdpp_ledger::{Account, Key, PublicKey};
use serde::{Serialize, Serializer};
use std::fmt;
use std::fs::{self, DirBuilder, File};
use std::io::{Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// The longest name of a key, in bytes.
const NAME_BYTES_MAX: usize = 64;
/// The largest key file that is read, in bytes. A usual one has 600.
const KEY_FILE_BYTES_MAX: u64 = 64 * 1024;
/// The largest file or variable that a secret is read from, in bytes.
const SECRET_BYTES_MAX: u64 = 4 * 1024;

/// What can go wrong with keys and passwords. No variant holds a secret.
#[derive(Debug, thiserror::Error)]
pub enum KeystoreError {
    /// A name that could not be a file of ours.
    #[error("{name:?} cannot name a key: use 1 to {NAME_BYTES_MAX} of a-z, 0-9, _ and -")]
    Name {
        /// The name as given, cut short.
        name: String,
    },
    /// A key of that name is there already; keys are never overwritten.
    #[error("{path} exists already: choose another name, or move that file away yourself")]
    Exists {
        /// Its file.
        path: PathBuf,
    },
    /// There is no key of that name.
    #[error("there is no key {name:?} in {dir}: `sdpp keys new {name}` makes one")]
    Missing {
        /// The name.
        name: String,
        /// The folder.
        dir: PathBuf,
    },
    /// The password does not open the file.
    #[error("wrong password for {path}, or the file was changed")]
    WrongPassword {
        /// The key's file.
        path: PathBuf,
    },
    /// The file is not one that we can open with any password.
    #[error("{path} is not a key file that can be opened: {why}")]
    Malformed {
        /// The key's file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// Something that should hold a secret does not.
    #[error("{place} holds no usable secret: {why}")]
    Secret {
        /// Where the secret was to come from.
        place: String,
        /// What is wrong, without the secret.
        why: &'static str,
    },
    /// A secret lies open.
    #[error("{path} can be read by every user of this machine: run `chmod 600 {path}`")]
    ReadableByOthers {
        /// The file.
        path: PathBuf,
    },
    /// Others could swap keys.
    #[error("{path} can be written to by other users of this machine: run `chmod 700 {path}`")]
    WritableByOthers {
        /// The folder.
        path: PathBuf,
    },
    /// Nobody is there to type the password.
    #[error(
        "a password is needed and there is no terminal to ask for it: say `--password file:PATH` or \
         `--password env:NAME` to `sdpp keys`, and to all else `password = \"file:PATH\"` in the config \
         (under systemd: `LoadCredential=sdpp:/etc/sdpp/password` and \
         `file:/run/credentials/UNIT.service/sdpp`), or `password = \"env:NAME\"`"
    )]
    NoTerminal,
    /// The password for a new key was not typed twice the same.
    #[error("the two passwords differ: nothing was written, try again")]
    NotTheSame,
    /// The operating system refused.
    #[error("cannot {what} {path}: {error}")]
    Io {
        /// What was tried.
        what: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system said.
        error: std::io::Error,
    },
}

impl KeystoreError {
    fn io(what: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        move |error| KeystoreError::Io { what, path, error }
    }
}

/// A key as it is listed, without its password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Its name.
    pub name: String,
    /// Its public key; `None` in a file that another tool made.
    pub public: Option<PublicKey>,
    /// Its account on EVM ledgers and on the embedded one, where the file says it.
    pub account: Option<Account>,
}

/// Makes a new random key and writes it to `dir/NAME.json`.
///
/// # Errors
/// [`KeystoreError`] when the name is bad or taken, the password empty, or the disk refuses.
pub fn new(dir: &Path, name: &str, password: &Password) -> Result<PublicKey, KeystoreError> {
    let key = random_key()?;
    import(dir, name, &key, password)
}

/// Writes a key that exists already to `dir/NAME.json`; see [`read_secret`] for how it gets here.
///
/// # Errors
/// [`KeystoreError`] when the name is bad or taken, the password empty, or the disk refuses.
pub fn import(
    dir: &Path,
    name: &str,
    key: &Key,
    password: &Password,
) -> Result<PublicKey, KeystoreError> {
    let path = path_of(dir, name)?;
    let text = web3::seal(key, password, web3::STANDARD)?;
    create_folder(dir)?;
    write_new(dir, &path, text.as_bytes())?;
    Ok(key.public())
}

/// All keys in `dir`, by name. A folder that does not exist has none.
///
/// # Errors
/// [`KeystoreError`] when the folder or one of its key files cannot be read.
pub fn list(dir: &Path) -> Result<Vec<Listed>, KeystoreError> {
    let files = match fs::read_dir(dir) {
        Ok(files) => files,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(KeystoreError::io("list", dir)(error)),
    };
    let mut listed = Vec::new();
    for file in files {
        let path = file.map_err(KeystoreError::io("list", dir))?.path();
        if let Some(name) = name_of(&path) {
            let (public, account) = web3::public(&path, &read_key_file(&path)?)?;
            listed.push(Listed { name, public, account });
        }
    }
    listed.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(listed)
}

/// Opens the key `dir/NAME.json`.
///
/// # Errors
/// [`KeystoreError::Missing`], [`KeystoreError::WrongPassword`], [`KeystoreError::Malformed`], or
/// what the operating system says.
pub fn open(dir: &Path, name: &str, password: &Password) -> Result<Key, KeystoreError> {
    let path = existing(dir, name)?;
    web3::open(&path, &read_key_file(&path)?, password)
}

/// Reads a secret key from a file or from standard input: 64 hex digits, with or without `0x`.
/// `place` names it in errors.
///
/// # Errors
/// [`KeystoreError::Secret`] when it is anything else.
pub fn read_secret(from: impl Read, place: &str) -> Result<Key, KeystoreError> {
    let text = read_line(from, place)?;
    let wrong = |why| KeystoreError::Secret { place: place.to_owned(), why };
    let digits = text.trim();
    let digits = digits.strip_prefix("0x").unwrap_or(digits);
    let mut bytes = Zeroizing::new([0; 32]);
    hex::decode_to_slice(digits, &mut *bytes)
        .map_err(|_| wrong("expected 64 hex digits, with or without 0x"))?;
    Key::from_bytes(&bytes).map_err(|_| wrong("these 32 bytes are not a secp256k1 secret key"))
}

/// Reads a line of secret text from a file that others cannot read, such as a URL that holds an API
/// key.
///
/// # Errors
/// [`KeystoreError::ReadableByOthers`], [`KeystoreError::Secret`] when it is too long or no text,
/// or what the operating system says.
pub fn read_file(path: &Path) -> Result<Zeroizing<String>, KeystoreError> {
    read_line(open_secret(path)?, &format!("file:{}", path.display()))
}

/// Reads secret text from an environment variable.
///
/// # Errors
/// [`KeystoreError::Secret`] when it is not set.
pub fn read_variable(name: &str) -> Result<Zeroizing<String>, KeystoreError> {
    variable(name)
}

/// Where a signing key comes from. Holds no secret, so it can be shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyFrom {
    /// A file of this keystore.
    Keystore {
        /// The folder.
        dir: PathBuf,
        /// The key's name.
        name: String,
        /// What opens it.
        password: PasswordFrom,
    },
    /// A file that holds 64 hex digits and that others cannot read.
    File(PathBuf),
    /// An environment variable that holds 64 hex digits.
    Env(String),
}

impl KeyFrom {
    /// Fetches and opens the key; may ask for the password on the terminal.
    ///
    /// # Errors
    /// [`KeystoreError`] says what is missing and what to do.
    pub fn open(&self) -> Result<Key, KeystoreError> {
        match self {
            KeyFrom::Keystore { dir, name, password } => {
                let path = existing(dir, name)?;
                let password = password.read(&format!("Password for {}: ", path.display()))?;
                open(dir, name, &password)
            }
            KeyFrom::File(path) => read_secret(open_secret(path)?, &self.to_string()),
            KeyFrom::Env(name) => read_secret(variable(name)?.as_bytes(), &self.to_string()),
        }
    }
}

impl fmt::Display for KeyFrom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            KeyFrom::Keystore { name, .. } => write!(f, "keystore:{name}"),
            KeyFrom::File(path) => write!(f, "file:{}", path.display()),
            KeyFrom::Env(name) => write!(f, "env:{name}"),
        }
    }
}

impl Serialize for KeyFrom {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Whether a key may have this name.
pub fn is_name(name: &str) -> bool {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_' || b == b'-';
    (1..=NAME_BYTES_MAX).contains(&name.len()) && name.bytes().all(plain)
}

fn random_key() -> Result<Key, KeystoreError> {
    let place = "the system's random source";
    let mut bytes = Zeroizing::new([0; 32]);
    web3::fill_random(&mut *bytes)?;
    Key::from_bytes(&bytes).map_err(|_| KeystoreError::Secret {
        place: place.to_owned(),
        why: "it gave a number that is no secret key",
    })
}

fn path_of(dir: &Path, name: &str) -> Result<PathBuf, KeystoreError> {
    if is_name(name) {
        return Ok(dir.join(format!("{name}.json")));
    }
    let name = name.chars().take(NAME_BYTES_MAX).collect();
    Err(KeystoreError::Name { name })
}

/// The name of the key in this file, when it is one of ours.
fn name_of(path: &Path) -> Option<String> {
    let name = path.file_name()?.to_str()?.strip_suffix(".json")?;
    is_name(name).then(|| name.to_owned())
}

fn existing(dir: &Path, name: &str) -> Result<PathBuf, KeystoreError> {
    let path = path_of(dir, name)?;
    if path.exists() {
        return Ok(path);
    }
    Err(KeystoreError::Missing { name: name.to_owned(), dir: dir.to_owned() })
}

/// Makes the folder, closed to others. One that is there already keeps its mode: it may be
/// somebody's home. But whoever can write to it could swap keys.
fn create_folder(dir: &Path) -> Result<(), KeystoreError> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
        .map_err(KeystoreError::io("create", dir))?;
    let about = fs::metadata(dir).map_err(KeystoreError::io("read", dir))?;
    if about.mode() & 0o022 != 0 {
        return Err(KeystoreError::WritableByOthers { path: dir.to_owned() });
    }
    Ok(())
}

/// Writes a file that did not exist, all of it or nothing, and on disk when this returns.
fn write_new(dir: &Path, path: &Path, bytes: &[u8]) -> Result<(), KeystoreError> {
    // A temporary file of this crate has mode 0600 from the start.
    let mut file =
        tempfile::NamedTempFile::new_in(dir).map_err(KeystoreError::io("write to", dir))?;
    file.write_all(bytes)
        .and_then(|()| file.as_file().sync_all())
        .map_err(KeystoreError::io("write", path))?;
    file.persist_noclobber(path).map_err(|refused| match refused.error.kind() {
        std::io::ErrorKind::AlreadyExists => KeystoreError::Exists { path: path.to_owned() },
        _ => KeystoreError::io("write", path)(refused.error),
    })?;
    // The folder may be new as well: its own name is on disk when the folder above is.
    for folder in [dir, &dir.join("..")] {
        File::open(folder)
            .and_then(|folder| folder.sync_all())
            .map_err(KeystoreError::io("sync", folder))?;
    }
    Ok(())
}

fn read_key_file(path: &Path) -> Result<String, KeystoreError> {
    let mut text = String::new();
    File::open(path)
        .and_then(|file| file.take(KEY_FILE_BYTES_MAX).read_to_string(&mut text))
        .map_err(KeystoreError::io("read", path))?;
    Ok(text)
}

/// Opens a file that holds a secret. Its group may read it: systemd hands out credentials
/// with an access list, which shows as a readable group.
fn open_secret(path: &Path) -> Result<File, KeystoreError> {
    let file = File::open(path).map_err(KeystoreError::io("read", path))?;
    let about = file.metadata().map_err(KeystoreError::io("read", path))?;
    if about.mode() & 0o007 != 0 {
        return Err(KeystoreError::ReadableByOthers { path: path.to_owned() });
    }
    Ok(file)
}

fn variable(name: &str) -> Result<Zeroizing<String>, KeystoreError> {
    std::env::var(name).map(Zeroizing::new).map_err(|_| KeystoreError::Secret {
        place: format!("env:{name}"),
        why: "the environment variable is not set, or is not UTF-8",
    })
}

/// Reads a short text without its trailing newline.
fn read_line(from: impl Read, place: &str) -> Result<Zeroizing<String>, KeystoreError> {
    let wrong = |why| KeystoreError::Secret { place: place.to_owned(), why };
    // With room for the longest text, so that no copy of the secret is left behind by growth.
    let capacity = SECRET_BYTES_MAX as usize + 1;
    let mut text = Zeroizing::new(String::with_capacity(capacity));
    from.take(SECRET_BYTES_MAX + 1)
        .read_to_string(&mut text)
        .map_err(|_| wrong("it cannot be read as UTF-8 text"))?;
    if text.len() == capacity {
        return Err(wrong("it is longer than 4096 bytes"));
    }
    let kept = text.trim_end_matches(['\n', '\r']).len();
    text.truncate(kept);
    Ok(text)
}

#[cfg(test)]
mod tests;

//! Where secrets come from. A secret that is written out is refused and not repeated.

use super::super::file::{SecretText, SignerFile};
use super::super::{EndpointFrom, SecretFrom};
use super::value::wrong;
use super::{Outcome, Wrong};
use crate::keystore::{self, KeyFrom, PasswordFrom};
use std::path::Path;

/// The longest URL that is written out, in bytes.
const URL_BYTES_MAX: usize = 256;

/// A key as a table writes it.
pub(super) struct Written<'a> {
    /// The table's name.
    pub table: &'a [&'a str],
    pub key: &'a SecretText,
    pub keystore: Option<&'a Path>,
    pub password: Option<&'a SecretText>,
}

pub(super) fn identity(written: &SignerFile, base: &Path) -> Outcome<KeyFrom> {
    let written = Written {
        table: &["identity"],
        key: &written.key,
        keystore: written.keystore.as_deref(),
        password: written.password.as_ref(),
    };
    key(&written, &base.join("keys"), &PasswordFrom::Prompt, base)
}

/// Resolves a key; where its table does not say so, it is in the keystore `dir` and `opens` it.
pub(super) fn key(
    written: &Written<'_>,
    dir: &Path,
    opens: &PasswordFrom,
    base: &Path,
) -> Outcome<KeyFrom> {
    let at = |key: &'static str| [written.table, &[key]].concat();
    let from = match split(written.key) {
        Some(("keystore", name)) if keystore::is_name(name) => {
            let own = |text| password(&at("password"), text, base);
            return Ok(KeyFrom::Keystore {
                dir: written.keystore.map_or(dir.to_owned(), |own| base.join(own)),
                name: name.to_owned(),
                password: written.password.map_or(Ok(opens.clone()), own)?,
            });
        }
        Some(("keystore", _)) => {
            let what = "a key's name is 1 to 64 of a-z, 0-9, _ and -: \"keystore:seller\"";
            return Err(wrong(&at("key"), what));
        }
        Some(("file", path)) => KeyFrom::File(base.join(path)),
        Some(("env", name)) if is_variable(name) => KeyFrom::Env(name.to_owned()),
        _ => {
            let forms = "\"keystore:NAME\", \"file:PATH\" or \"env:NAME\"";
            return Err(literal_secret(&at("key"), forms));
        }
    };
    if written.password.is_some() || written.keystore.is_some() {
        let key = written.password.map_or("keystore", |_| "password");
        let what = "it goes with a key in a keystore: remove it, or write key = \"keystore:NAME\"";
        return Err(wrong(&at(key), what));
    }
    Ok(from)
}

fn password(at: &[&str], text: &SecretText, base: &Path) -> Outcome<PasswordFrom> {
    match split(text) {
        Some(("file", path)) => Ok(PasswordFrom::File(base.join(path))),
        Some(("env", name)) if is_variable(name) => Ok(PasswordFrom::Env(name.to_owned())),
        _ if text.0.as_ref().is_some_and(|text| text.as_str() == "prompt") => {
            Ok(PasswordFrom::Prompt)
        }
        _ => Err(literal_secret(at, "\"file:PATH\", \"env:NAME\" or \"prompt\"")),
    }
}

/// A secret that is no signing key: it is in a file or a variable.
pub(super) fn elsewhere(at: &[&str], text: &SecretText, base: &Path) -> Outcome<SecretFrom> {
    match split(text) {
        Some(("file", path)) => Ok(SecretFrom::File(base.join(path))),
        Some(("env", name)) if is_variable(name) => Ok(SecretFrom::Env(name.to_owned())),
        _ => Err(literal_secret(at, "\"file:PATH\" or \"env:NAME\"")),
    }
}

/// Where a URL is that may have a path, and no query; elsewhere it may have both.
pub(super) fn url(text: &SecretText, base: &Path) -> Option<EndpointFrom> {
    match split(text)? {
        ("env", name) => is_variable(name).then(|| EndpointFrom::Env(name.to_owned())),
        ("file", path) => Some(EndpointFrom::File(base.join(path))),
        (scheme @ ("http" | "https"), rest) => plain_url(scheme, rest),
        _ => None,
    }
}

fn plain_url(scheme: &str, rest: &str) -> Option<EndpointFrom> {
    let whole = rest.strip_prefix("//")?.trim_end_matches('/');
    let (host, path) = whole.split_once('/').unwrap_or((whole, ""));
    let in_host = |b: u8| b.is_ascii_alphanumeric() || b"-.:[]_".contains(&b);
    let in_path = |b: u8| b.is_ascii_alphanumeric() || b"-._~/".contains(&b);
    let fits = !host.is_empty() && host.bytes().all(in_host) && path.bytes().all(in_path);
    (fits && whole.len() <= URL_BYTES_MAX).then(|| EndpointFrom::Url(format!("{scheme}://{whole}")))
}

pub(super) fn split(text: &SecretText) -> Option<(&str, &str)> {
    let (scheme, rest) = text.0.as_ref()?.split_once(':')?;
    (!rest.is_empty()).then_some((scheme, rest))
}

pub(super) fn is_variable(name: &str) -> bool {
    !name.starts_with(|c: char| c.is_ascii_digit())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

fn literal_secret(at: &[&str], forms: &str) -> Wrong {
    let what = format!(
        "it says where the secret is, not what it is: write {forms}. A secret that stood here \
         has been in the open: replace it"
    );
    wrong(at, what)
}

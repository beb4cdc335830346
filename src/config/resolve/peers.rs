//! What the other sides are called.

use super::Outcome;
use super::value::{TEXT_BYTES_MAX, wrong};
use sdpp_ledger::PublicKey;
use std::collections::BTreeMap;

pub(super) fn peers(written: BTreeMap<String, String>) -> Outcome<BTreeMap<String, PublicKey>> {
    let mut names = BTreeMap::new();
    for (name, text) in written {
        let at = ["peers", name.as_str()];
        if !is_name(&name) {
            let what = format!(
                "a name is 1 to {TEXT_BYTES_MAX} letters, digits, signs and spaces of ASCII, with \
                 no space at either end"
            );
            return Err(wrong(&at, what));
        }
        let key: PublicKey = text.parse().map_err(|error| wrong(&at, error))?;
        if let Some((other, _)) = names.iter().find(|(_, known)| **known == key) {
            return Err(wrong(
                &at,
                format!("this key is {other:?} already: remove one of the two"),
            ));
        }
        names.insert(name, key);
    }
    Ok(names)
}

fn is_name(name: &str) -> bool {
    let is_visible = name.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic());
    (1..=TEXT_BYTES_MAX).contains(&name.len()) && is_visible && name.trim() == name
}

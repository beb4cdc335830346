//! Where a ledger is asked over HTTP, and how much of that, and of what a stranger says there, is
//! shown.

use std::fmt;
use std::str::FromStr;
use url::Url;
use zeroize::Zeroizing;

/// The most of a stranger's own words that is passed on, in characters.
const WORDS_MAX: usize = 200;

/// Where a node or a gateway answers over HTTP. In text it is scheme, host and port alone.
#[derive(Clone, PartialEq, Eq)]
pub struct Endpoint(Url);

/// Why a text is not an endpoint; it does not repeat the text, which may hold a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an endpoint is a URL that begins with http:// or https://, like http://127.0.0.1:8545")]
pub struct EndpointError;

impl FromStr for Endpoint {
    type Err = EndpointError;

    fn from_str(text: &str) -> Result<Self, EndpointError> {
        let url = Url::parse(text).map_err(|_| EndpointError)?;
        let is_http = matches!(url.scheme(), "http" | "https") && url.host_str().is_some();
        if is_http { Ok(Endpoint(url)) } else { Err(EndpointError) }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let host = self.0.host_str().unwrap_or_default();
        write!(f, "{}://{host}", self.0.scheme())?;
        self.0.port_or_known_default().map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Endpoint {
    /// All of it, to ask there; it may hold a key, so it is shown to nobody.
    pub fn url(&self) -> &Url {
        &self.0
    }

    /// Whether it is on this machine.
    pub fn is_loopback(&self) -> bool {
        match self.0.host_str().unwrap_or_default() {
            "localhost" | "[::1]" => true,
            host => host.parse().is_ok_and(|ip: std::net::Ipv4Addr| ip.is_loopback()),
        }
    }

    /// A stranger's words, short, in one line, in the direction that they are written in, and
    /// without what of our URL is secret; see [`clean`].
    pub fn clean(&self, words: &str) -> String {
        self.clean_of(words, std::iter::empty())
    }

    /// The same, and without these secrets either.
    pub fn clean_of<'a>(&self, words: &str, more: impl Iterator<Item = &'a str>) -> String {
        let segments = self.0.path_segments().into_iter().flatten();
        let written = self.0.query().unwrap_or_default().split(['&', '=']);
        let own = [self.0.password().unwrap_or_default(), self.0.username()];
        let values = self.0.query_pairs().map(|(_, value)| value.into_owned());
        let plain = segments.chain(own).chain(written).map(str::to_owned);
        let plain = plain.chain(more.map(str::to_owned));
        let secrets: Vec<_> = plain.chain(values).map(Zeroizing::new).collect();
        clean(words, secrets.iter().map(|secret| secret.as_str()))
    }
}

/// A stranger's words, short, in one line, in the direction that they are written in, and without
/// these secrets, where they repeat one of more than 5 bytes.
pub fn clean<'a>(words: &str, secrets: impl Iterator<Item = &'a str>) -> String {
    let mut text = words.to_owned();
    for secret in secrets.filter(|secret| secret.len() > 5) {
        text = text.replace(secret, "***");
    }
    text.chars().map(|c| if is_visible(c) { c } else { ' ' }).take(WORDS_MAX).collect()
}

/// Whether a character neither moves a terminal's cursor nor steers how others are shown.
fn is_visible(c: char) -> bool {
    let steers = matches!(
        c,
        '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{e0000}'..='\u{e007f}'
    );
    !c.is_control() && !steers
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_shows_nothing_of_its_path() {
        let text = "https://user:hunter22@node.example/v3/0123456789abcdef?key=topsecret";
        let endpoint: Endpoint = text.parse().unwrap();
        assert_eq!(format!("{endpoint} {endpoint:?}"), ["https://node.example:443"; 2].join(" "));
        let echoed = endpoint.clean("no project 0123456789abcdef of user hunter22, topsecret\n!");
        assert_eq!(echoed, "no project *** of user ***, *** !");
        let steered = endpoint.clean("Geth\u{202e}1.0\u{200b}\u{1b}[2J");
        assert_eq!(steered, "Geth 1.0  [2J");
        let encoded: Endpoint = "http://node.example/?key=top%2Fsecret".parse().unwrap();
        assert_eq!(encoded.clean("top/secret top%2Fsecret"), "*** ***");
        let far = format!("{}hunter22", "x".repeat(WORDS_MAX - 4));
        assert!(!encoded.clean_of(&far, ["hunter22"].into_iter()).contains("hunt"));
    }

    #[test]
    fn what_is_no_http_url_is_no_endpoint() {
        for bad in ["", "127.0.0.1:8545", "ws://127.0.0.1:8545", "file:///etc/passwd", "http://"] {
            assert_eq!(bad.parse::<Endpoint>(), Err(EndpointError), "{bad:?} was taken");
        }
    }
}

//! Which gateway, channel and chaincode, as whom, and what is accepted there.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sdpp_ledger::{Amount, Endpoint, LedgerError, Result};
use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;
use zeroize::Zeroizing;

use crate::{gateway, names};

/// Which gateway, channel and chaincode, as whom, and how.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where the REST gateway of our own organisation answers; nothing is asked of another's.
    pub gateway: Endpoint,
    /// The channel.
    pub channel: String,
    /// The chaincode's name on the channel.
    pub chaincode: String,
    /// Whom the gateway signs for us as, by the gateway's name for it.
    pub signer: String,
    /// What the gateway, or what stands in front of it, asks for.
    pub login: Option<Login>,
    /// What is believed and shown over TLS.
    pub tls: Tls,
    /// How long the answer to one question may take.
    pub patience: Duration,
    /// How long one submitted transaction may take: longer than the gateway's own wait for it
    /// (`maxTXWaitTime`, 60 s where nothing else is set), or its answer is never heard.
    pub commit_patience: Duration,
    /// How many submissions are under way at once over one handle and its clones.
    pub in_flight_max: usize,
    /// Whether to listen to the gateway's events.
    pub events: bool,
    /// Whose IOUs pay us: MSP ids, or accounts as `MSP:hex`; where it is empty nobody's do.
    pub ious_from: Vec<String>,
    /// The most that our account may owe in open IOUs, by unit and in the unit's smallest part; of
    /// a unit that is not here nothing.
    pub owe_at_most: BTreeMap<String, Amount>,
}

/// How a client logs in to a gateway. In `Debug` it is its kind alone, with the user's name.
#[derive(Clone)]
pub enum Login {
    /// A token.
    Bearer(Zeroizing<String>),
    /// A name and a password.
    Basic {
        /// The name.
        user: String,
        /// The password.
        password: Zeroizing<String>,
    },
}

/// What is believed and shown over TLS. In `Debug` it tells only what there is.
#[derive(Clone, Default)]
pub struct Tls {
    /// PEM: the authorities to believe beside the public ones.
    pub authorities: Option<Vec<u8>>,
    /// PEM: the client's certificate, the chain to its authority, and its key.
    pub identity: Option<Zeroizing<Vec<u8>>>,
}

impl Settings {
    /// Refuses what can never work, without asking anybody: `FabricLedger::connect` begins with it.
    ///
    /// # Errors
    /// `Misconfigured`.
    pub fn check(&self) -> Result<()> {
        self.check_words()?;
        gateway::client(self).map(drop)
    }

    /// The same of all but certificates and keys.
    fn check_words(&self) -> Result<()> {
        let url = self.gateway.url();
        let is_bare = url.username().is_empty() && url.password().is_none();
        needs(is_bare && url.query().is_none(), "a gateway's URL has no login and no query in it")?;
        let is_open = url.scheme() == "http" && !self.gateway.is_loopback();
        let shows_login = is_open && self.login.is_some();
        needs(!shows_login, "a login goes to another machine over https:// alone")?;
        let is_sound = self.login.as_ref().is_none_or(Login::is_sound);
        needs(
            is_sound,
            "a login's token is visible ASCII without blanks, its user has a name without colon",
        )?;
        for (what, name) in
            [("channel", &self.channel), ("chaincode", &self.chaincode), ("signer", &self.signer)]
        {
            let fits = (1..=128).contains(&name.len()) && !name.contains(char::is_control);
            needs(fits, &format!("the {what}'s name must have 1 to 128 characters"))?;
        }
        for unit in self.owe_at_most.keys() {
            needs(names::is_unit(unit), "owe_at_most names units like Org1MSP/USD")?;
        }
        let is_debtor = |name: &String| names::is_msp(name) || names::is_account(name);
        let why = "ious_from names MSP ids like Org1MSP, or accounts like Org1MSP:<64 hex digits>";
        needs(self.ious_from.iter().all(is_debtor), why)
    }

    /// Whether IOUs of this debtor pay us.
    pub(crate) fn trusts(&self, debtor: &str) -> bool {
        let msp = names::msp_of(debtor);
        self.ious_from.iter().any(|name| name == debtor || name == msp)
    }
}

fn needs(is_so: bool, why: &str) -> Result<()> {
    if is_so { Ok(()) } else { Err(misconfigured(why)) }
}

/// A refusal to begin with settings that cannot work.
pub(crate) fn misconfigured(why: impl Into<String>) -> LedgerError {
    LedgerError::refused("Misconfigured", why)
}

impl Login {
    /// What must not be repeated anywhere: as it is, and as it goes over the wire.
    pub(crate) fn secrets(&self) -> Vec<Zeroizing<String>> {
        match self {
            Login::Bearer(token) => vec![token.clone()],
            Login::Basic { user, password } => {
                let sent = Zeroizing::new(format!("{user}:{}", password.as_str()));
                vec![password.clone(), Zeroizing::new(STANDARD.encode(sent.as_bytes()))]
            }
        }
    }

    /// Whether it can be sent at all.
    fn is_sound(&self) -> bool {
        match self {
            Login::Bearer(token) => {
                !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic())
            }
            Login::Basic { user, .. } => !user.is_empty() && !user.contains([':', '\n', '\r']),
        }
    }
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Login::Bearer(_) => f.write_str("Bearer(***)"),
            Login::Basic { user, .. } => write!(f, "Basic({user:?}, ***)"),
        }
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let authorities = self.authorities.is_some();
        let identity = self.identity.is_some();
        write!(f, "Tls {{ authorities: {authorities}, identity: {identity} }}")
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Settings that can work, at a port where nobody answers.
    pub(crate) fn settings() -> Settings {
        Settings {
            gateway: "http://127.0.0.1:1".parse().unwrap(),
            channel: "sdpp".to_owned(),
            chaincode: "sdpp".to_owned(),
            signer: "buyer".to_owned(),
            login: None,
            tls: Tls::default(),
            patience: Duration::from_secs(1),
            commit_patience: Duration::from_secs(2),
            in_flight_max: 4,
            events: false,
            ious_from: vec!["Org1MSP".to_owned()],
            owe_at_most: BTreeMap::from([("Org1MSP/USD".to_owned(), Amount::new(100))]),
        }
    }

    #[test]
    fn a_login_never_leaves_this_machine_in_the_open() {
        let login = Some(Login::Bearer(Zeroizing::new("hunter22".to_owned())));
        let at = |url: &str| Settings {
            gateway: url.parse().unwrap(),
            login: login.clone(),
            ..settings()
        };
        for fine in ["http://127.0.0.1:3000", "http://localhost/x", "https://fabric.example"] {
            assert_eq!(at(fine).check(), Ok(()), "{fine} was refused");
        }
        for bad in ["http://fabric.example", "http://10.0.0.7:3000"] {
            let refused = at(bad).check().unwrap_err().to_string();
            assert!(refused.contains("https") && !refused.contains("hunter22"), "{refused}");
        }
        assert!(Settings { login: None, ..at("http://fabric.example") }.check().is_ok());
    }

    #[test]
    fn settings_show_no_secret() {
        let password = Zeroizing::new("hunter22".to_owned());
        let login = Some(Login::Basic { user: "ann".to_owned(), password });
        let tls = Tls { identity: Some(Zeroizing::new(b"hunter33".to_vec())), ..Tls::default() };
        let shown = format!("{:?}", Settings { login, tls, ..settings() });
        assert!(shown.contains("ann"), "{shown}");
        assert!(!shown.contains("hunter") && !shown.contains("104, 117"), "{shown}");
    }

    #[test]
    fn what_can_never_work_is_refused_before_anything_is_asked() {
        let bad = [
            Settings { gateway: "http://ann:x@127.0.0.1/".parse().unwrap(), ..settings() },
            Settings { gateway: "http://127.0.0.1/?key=1".parse().unwrap(), ..settings() },
            Settings { channel: String::new(), ..settings() },
            Settings { login: Some(Login::Bearer(Zeroizing::new("a b".to_owned()))), ..settings() },
            Settings { signer: "a\nb".to_owned(), ..settings() },
            Settings { ious_from: vec!["Org1MSP:12".to_owned()], ..settings() },
            Settings {
                owe_at_most: BTreeMap::from([("a b".to_owned(), Amount::ZERO)]),
                ..settings()
            },
        ];
        for settings in bad {
            assert!(settings.check().is_err(), "{settings:?} was taken");
        }
    }

    #[test]
    fn a_debtor_is_trusted_by_its_organisation_or_by_its_account() {
        let (one, two) = (format!("Org1MSP:{:064}", 1), format!("Org2MSP:{:064}", 2));
        let settings =
            Settings { ious_from: vec!["Org1MSP".to_owned(), two.clone()], ..settings() };
        assert!(settings.trusts(&one) && settings.trusts(&two));
        assert!(!settings.trusts(&format!("Org2MSP:{:064}", 3)));
        assert!(!settings.trusts(&format!("Org1MSPx:{:064}", 1)));
        assert!(!Settings { ious_from: Vec::new(), ..settings }.trusts(&one));
    }
}

//! Stories of gateways that do not let everybody in: who may ask is let in, who may not is told
//! what to mend, and no secret is ever told.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod rig;

use rig::proxy::{Fault, Proxy};
use rig::{Double, Gateway, Market, is_refused, is_unavailable, settings, signed};
use sdpp_ledger::{Ledger, LedgerError};
use sdpp_ledger_fabric::{FabricLedger, Login, Settings, Tls};
use zeroize::Zeroizing;

const SECRET: &str = "s3cr3t-of-ours";
const WRONG: &str = "wr0ng-guess";

fn bearer(token: &str) -> Option<Login> {
    Some(Login::Bearer(Zeroizing::new(token.to_owned())))
}

fn basic(user: &str, password: &str) -> Option<Login> {
    let password = Zeroizing::new(password.to_owned());
    Some(Login::Basic { user: user.to_owned(), password })
}

/// Tries a login, with and without secrets in what is said of it.
async fn tried(gateway: &Gateway, login: Option<Login>) -> Result<FabricLedger, LedgerError> {
    let settings = Settings { login, ..settings(gateway, "buyer") };
    tells_no_secret(&settings);
    let answer = FabricLedger::connect(settings).await;
    if let Err(error) = &answer {
        tells_no_secret(error);
        tells_no_secret(&error.to_string());
    }
    answer
}

fn tells_no_secret(shown: &impl std::fmt::Debug) {
    let text = format!("{shown:?} {shown:#?}");
    // Neither as it is nor as a header or a list of bytes would have it.
    let bytes = |secret: &str| format!("{:?}", &secret.as_bytes()[..4]);
    for secret in [SECRET, WRONG] {
        let of_bytes = bytes(secret).trim_matches(['[', ']']).to_owned();
        assert!(!text.contains(secret) && !text.contains(&of_bytes), "{text}");
    }
    for coded in ["c2VsbGVyOn", "YnV5ZXI6", "BEGIN PRIVATE KEY", "BEGIN EC PRIVATE KEY"] {
        assert!(!text.contains(coded), "{text}");
    }
}

/// It works, and a story begins and ends.
async fn works(ledger: FabricLedger) {
    let prepared = signed(&ledger, &rig::anchor()).await;
    ledger.submit(&prepared).await.unwrap();
    rig::evidence(&ledger, &prepared).await;
}

#[tokio::test]
async fn a_gateway_behind_a_token_lets_in_who_knows_it() {
    let guard = [("SDPP_DOUBLE_BEARER", SECRET)];
    let Some(double) = Double::start_guarded(&[], &guard) else { return };
    let gateway = Gateway::of(&double);
    works(tried(&gateway, bearer(SECRET)).await.unwrap()).await;
    for login in [None, bearer(WRONG), bearer(""), basic("buyer", SECRET)] {
        let why = is_refused(&tried(&gateway, login).await, "Misconfigured");
        assert!(why.contains("login"), "{why}");
    }
}

#[tokio::test]
async fn a_gateway_behind_a_name_and_password_lets_in_who_knows_both() {
    let both = format!("buyer:{SECRET}");
    let guard = [("SDPP_DOUBLE_BASIC", both.as_str())];
    let Some(double) = Double::start_guarded(&[], &guard) else { return };
    let gateway = Gateway::of(&double);
    works(tried(&gateway, basic("buyer", SECRET)).await.unwrap()).await;
    for login in [None, basic("buyer", WRONG), basic("seller", SECRET), bearer(SECRET)] {
        is_refused(&tried(&gateway, login).await, "Misconfigured");
    }
}

/// A token that is good no longer is for an operator to mend: what is owed waits for that.
#[tokio::test]
async fn a_login_that_is_refused_later_is_an_outage() {
    let Some(market) = Market::open().await else { return };
    let proxy = Proxy::start(market.double.host()).await;
    let through = market.gateway.through(proxy.url());
    let ledger = tried(&through, bearer(SECRET)).await.unwrap();
    let prepared = signed(&ledger, &rig::anchor()).await;
    for (status, words) in [(401, "login"), (403, "403")] {
        let echo = format!("{{\"error\":\"no {SECRET} of yours\"}}");
        proxy.always("", Fault::Say(status, echo));
        for said in [
            is_unavailable(&ledger.submit(&prepared).await),
            is_unavailable(&ledger.finality(&prepared).await),
            is_unavailable(&ledger.status().await),
        ] {
            assert!(said.contains(words), "{status}: {said}");
            tells_no_secret(&said);
        }
    }
    proxy.calm();
    ledger.submit(&prepared).await.unwrap();
    tells_no_secret(&ledger);
    let asked = proxy.asked();
    let has_login = |head: &str| head.contains(&format!("Bearer {SECRET}"));
    assert!(asked.iter().all(|one| has_login(&one.head.replace("bearer", "Bearer"))));
}

/// On its way to another machine anybody could read it.
#[tokio::test]
async fn a_secret_is_not_sent_in_the_open() {
    let nowhere = |url: &str| Gateway::at(url.into(), "sdpp".into(), "sdpp".into(), None);
    for url in ["http://192.0.2.1:3000", "http://gateway.example:3000"] {
        for login in [bearer(SECRET), basic("buyer", SECRET)] {
            let why = is_refused(&tried(&nowhere(url), login).await, "Misconfigured");
            assert!(why.contains("https"), "{why}");
        }
    }
}

#[tokio::test]
async fn a_redirect_is_not_followed_as_a_secret_would_go_with_it() {
    let Some(market) = Market::open().await else { return };
    let proxy = Proxy::start(market.double.host()).await;
    let thief = Proxy::start(market.double.host()).await;
    let through = market.gateway.through(proxy.url());
    let ledger = tried(&through, bearer(SECRET)).await.unwrap();
    proxy.always("", Fault::Elsewhere(thief.url()));
    let prepared = signed(&ledger, &rig::anchor()).await;
    is_unavailable(&ledger.submit(&prepared).await);
    is_unavailable(&ledger.status().await);
    assert_eq!(thief.asked().len(), 0, "it was followed");
}

/// What the double wrote for its clients: the CA, and a certificate with its key.
fn identity(double: &Double) -> Zeroizing<Vec<u8>> {
    Zeroizing::new([double.file("tls-cert.pem"), double.file("tls-key.pem")].concat())
}

#[tokio::test]
async fn with_mutual_tls_both_sides_know_who_the_other_is() {
    let Some(double) = Double::start(&["--tls"]) else { return };
    let other = Double::start(&["--tls"]).unwrap();
    let gateway = Gateway::of(&double);
    let ca = Some(double.file("tls-ca.pem"));
    let tried = async |tls: Tls| {
        let settings = Settings { tls, ..settings(&gateway, "buyer") };
        tells_no_secret(&settings);
        let answer = FabricLedger::connect(settings).await;
        if let Err(error) = &answer {
            tells_no_secret(error);
        }
        answer
    };
    let right = Tls { authorities: ca.clone(), identity: Some(identity(&double)) };
    works(tried(right).await.unwrap()).await;
    let wrong = [
        Tls::default(),
        Tls { authorities: None, identity: Some(identity(&double)) },
        Tls { authorities: Some(other.file("tls-ca.pem")), identity: Some(identity(&double)) },
        Tls { authorities: ca.clone(), identity: None },
        Tls { authorities: ca.clone(), identity: Some(identity(&other)) },
    ];
    for tls in wrong {
        is_unavailable(&tried(tls).await);
    }
    let garbage = Zeroizing::new(b"no certificate".to_vec());
    is_refused(&tried(Tls { authorities: ca, identity: Some(garbage) }).await, "Misconfigured");
    let garbage = Some(b"no certificate".to_vec());
    is_refused(&tried(Tls { authorities: garbage, identity: None }).await, "Misconfigured");
}

/// Each is told at once, by name, as nothing will mend itself.
#[tokio::test]
async fn a_channel_chaincode_or_signer_that_is_not_there_is_told_when_connecting() {
    let Some(market) = Market::open().await else { return };
    let right = || settings(&market.gateway, "buyer");
    let wrong = [
        (Settings { channel: "no-channel".into(), ..right() }, "`channel`"),
        (Settings { chaincode: "no-chaincode".into(), ..right() }, "`chaincode`"),
        (Settings { signer: "nobody".into(), ..right() }, "`signer`"),
    ];
    for (settings, name) in wrong {
        let why = is_refused(&FabricLedger::connect(settings).await, "Misconfigured");
        assert!(why.contains(name), "{why}");
    }
}

//! What TLS is spoken with, out of the files that a config names.

use super::exit::{Failure, Outcome};
use crate::actors::now_ms;
use crate::config::{Buyer, BuyerTls, Config, PapersFrom, SellerTls};
use crate::keystore::KeystoreError;
use crate::message::Moment;
use crate::tls::{BuyersTls, Lifetime, Papers, Part, SellersTls, Unsound, lifetimes};
use std::fmt::Display;

/// How a seller of this config lets buyers in; `None` in the clear.
pub(super) fn sellers(config: &Config) -> Outcome<Option<SellersTls>> {
    let Some(tls) = config.seller.as_ref().and_then(|seller| seller.tls.as_ref()) else {
        return Ok(None);
    };
    let place = "seller.tls";
    let (papers, roots) = (read(place, &tls.papers)?, tls.read_roots());
    let roots = roots.map_err(|error| at(place, error))?;
    if let Some(why) = out_of_date(&papers) {
        // Not refused: what is owed goes on, and a clock can be wrong.
        tracing::error!(why, "buyers will not take the certificate in [seller.tls]");
    }
    let made = SellersTls::new(papers, roots.as_deref());
    made.map(Some).map_err(|unsound| of_seller(tls, &unsound))
}

/// How a buyer reaches a seller, and where that is written.
#[derive(Default)]
pub(super) struct Believing {
    place: String,
    tls: BuyerTls,
}

impl Believing {
    /// As a config says it for the seller at an address, `HOST:PORT`.
    pub(super) fn of(buyer: &Buyer, address: &str) -> Believing {
        let at = buyer.tls_at.get(address).map(|tls| (format!("buyer.tls_at.{address:?}"), tls));
        let tls = at.or_else(|| Some(("buyer.tls".to_owned(), buyer.tls.as_ref()?)));
        match tls {
            Some((place, tls)) => Believing { place, tls: tls.clone() },
            None => Believing { place: "buyer.tls".to_owned(), tls: BuyerTls::default() },
        }
    }

    /// As an option says it.
    pub(super) fn roots(roots: Option<std::path::PathBuf>) -> Believing {
        let tls = BuyerTls { roots, ..BuyerTls::default() };
        Believing { place: "--tls-roots".to_owned(), tls }
    }

    /// Reads the files, to reach a seller at `host` with.
    pub(super) fn open(&self, host: &str) -> Outcome<BuyersTls> {
        let Believing { place, tls } = self;
        let papers = tls.papers.as_ref().map(|papers| read(place, papers)).transpose()?;
        let roots = tls.read_roots().map_err(|error| at(place, error))?;
        let made = BuyersTls::new(roots.as_deref(), papers, tls.name.as_deref().unwrap_or(host));
        made.map_err(|unsound| of_buyer(place, tls, &unsound))
    }

    /// Where it is written.
    pub(super) fn place(&self) -> &str {
        &self.place
    }
}

/// Whether everything is there, is what it should be, and is good today.
pub(super) fn check(config: &Config) -> Outcome {
    if let Some(tls) = config.seller.as_ref().and_then(|seller| seller.tls.as_ref()) {
        sellers(config)?;
        is_good_today("seller.tls", &tls.papers)?;
    }
    let Some(buyer) = &config.buyer else { return Ok(()) };
    let at = buyer.tls_at.iter().map(|(at, tls)| (format!("buyer.tls_at.{at:?}"), tls));
    for (place, tls) in buyer.tls.iter().map(|tls| ("buyer.tls".to_owned(), tls)).chain(at) {
        // Any host will do where the config names nobody.
        let believing = Believing { place: place.clone(), tls: tls.clone() };
        believing.open("localhost")?;
        tls.papers.iter().try_for_each(|papers| is_good_today(&place, papers))?;
    }
    Ok(())
}

fn is_good_today(place: &str, from: &PapersFrom) -> Outcome {
    match out_of_date(&read(place, from)?) {
        None => Ok(()),
        Some(why) => Err(at(
            &format!("{place}.certificate"),
            format!("{}: {why}", from.certificate.display()),
        )),
    }
}

/// Why a certificate is not good now; `None` where it is.
fn out_of_date(papers: &Papers) -> Option<String> {
    let now_s = now_ms() / 1_000;
    let time = |s: u64| Moment(s.saturating_mul(1_000));
    let why = |Lifetime { from_s, until_s }| match () {
        () if until_s < now_s => Some(format!("it expired at {}: renew it", time(until_s))),
        () if from_s > now_s => Some(format!("it is good from {} on alone", time(from_s))),
        () => None,
    };
    lifetimes(&papers.certificate).into_iter().find_map(why)
}

fn read(place: &str, from: &PapersFrom) -> Outcome<Papers> {
    from.read().map_err(|error: KeystoreError| at(place, error))
}

fn of_seller(tls: &SellerTls, unsound: &Unsound) -> Failure {
    let roots = tls.client_roots.as_ref().map(|path| path.display().to_string());
    wrong("seller.tls", ("client_roots", roots), Some(&tls.papers), unsound)
}

fn of_buyer(place: &str, tls: &BuyerTls, unsound: &Unsound) -> Failure {
    let roots = tls.roots.as_ref().map(|path| path.display().to_string());
    wrong(place, ("roots", roots), tls.papers.as_ref(), unsound)
}

/// Names the key of the config, and the file behind it.
fn wrong(
    place: &str,
    (roots_key, roots): (&str, Option<String>),
    papers: Option<&PapersFrom>,
    Unsound { part, what }: &Unsound,
) -> Failure {
    let (key, file) = match part {
        Part::Certificate => {
            ("certificate", papers.map(|papers| papers.certificate.display().to_string()))
        }
        Part::Key => ("key", papers.map(|papers| papers.key.to_string())),
        Part::Roots => (roots_key, roots),
        Part::Name => ("name", None),
    };
    let file = file.map(|file| format!("{file}: ")).unwrap_or_default();
    at(&format!("{place}.{key}"), format!("{file}{what}"))
}

fn at(place: &str, what: impl Display) -> Failure {
    Failure::usage(format!("{place}: {what}"))
}

//! Clients that are registered at the gateway for a bench, each with an account of its own.

use crate::actors::random;
use crate::cli::bench::setting::{self, folder};
use crate::cli::bench::work::{failed, joined};
use crate::cli::exit::Outcome;
use crate::cli::fabric::{FABRIC, Network};
use crate::config::Config;
use crate::config::ledgers::{Keyring, Opened};
use sdpp_ledger::{Amount, Asset};
use serde::Deserialize;
use serde_json::json;
use std::sync::Arc;
use tempfile::TempDir;
use tokio::task::JoinSet;

/// How many submissions of one account the gateway is given at once.
pub(super) const IN_FLIGHT: usize = 16;

/// The most that a client may owe in IOUs, in the smallest unit.
const OWE_AT_MOST: u128 = 1_000_000_000;

/// Who makes clients at a gateway, and money for them.
pub(super) struct Clients<'n> {
    network: &'n Network,
    http: reqwest::Client,
    maker: Arc<Opened>,
    asset: Asset,
    /// The configs live in it; removed at the end.
    dir: TempDir,
}

/// A client that was registered, and what it enrols with.
#[derive(Deserialize)]
struct Registered {
    name: String,
    secret: String,
}

impl<'n> Clients<'n> {
    /// Reaches the gateway as the one who makes money there.
    pub(super) async fn new(network: &'n Network) -> Outcome<Clients<'n>> {
        let http = reqwest::Client::builder().no_proxy().build().map_err(failed)?;
        let dir = folder()?;
        let (name, asset) = network.maker()?;
        let maker = Arc::new(opened(&config(network, &dir, name, &asset)?).await?);
        Ok(Clients { network, http, maker, asset, dir })
    }

    /// The money that is made there.
    pub(super) fn asset(&self) -> &Asset {
        &self.asset
    }

    /// A new client, with its account open.
    pub(super) async fn open(&self) -> Outcome<Opened> {
        let config = self.config().await?;
        let client = opened(&config).await?;
        client.open_account().await?;
        Ok(client)
    }

    /// So many new clients, with so much money each.
    pub(super) async fn rich(&self, count: usize, amount: u128) -> Outcome<Vec<Arc<Opened>>> {
        let mut tasks = JoinSet::new();
        for _ in 0..count {
            let (config, maker, asset) =
                (self.config().await?, self.maker.clone(), self.asset.clone());
            tasks.spawn(async move {
                let client = opened(&config).await?;
                client.open_account().await?;
                let account = client.ledger().account();
                maker.fund(account, &asset, Amount::new(amount)).await?;
                Ok(Arc::new(client))
            });
        }
        joined(tasks).await
    }

    /// A new client's config.
    pub(super) async fn config(&self) -> Outcome<Config> {
        let random = random::<8>().map_err(failed)?;
        let name = format!("bench-{:016x}", u64::from_be_bytes(*random));
        let told = self.post("identities", &json!({ "name": name })).await?;
        let Registered { name, secret } = serde_json::from_str(&told).map_err(failed)?;
        self.post(&format!("identities/{name}/enroll"), &json!({ "secret": secret })).await?;
        config(self.network, &self.dir, &name, &self.asset)
    }

    async fn post(&self, path: &str, body: &serde_json::Value) -> Outcome<String> {
        let url = format!("{}/{path}", self.network.url.trim_end_matches('/'));
        let asked = self.http.post(url).header("content-type", "application/json");
        let answer = asked.body(body.to_string()).send().await.map_err(failed)?;
        let status = answer.status();
        match status.is_success() {
            true => answer.text().await.map_err(failed),
            false => Err(failed(format!("the gateway registers no client: HTTP {status}"))),
        }
    }
}

/// A config where the gateway signs as `signer`.
fn config(network: &Network, dir: &TempDir, signer: &str, asset: &Asset) -> Outcome<Config> {
    let ledger = network.toml(signer);
    let text = format!(
        r#"{ledger}in_flight = {IN_FLIGHT}
owe_at_most = {{ "{asset}" = "{OWE_AT_MOST}" }}

[currencies.USD]
ledger = "{FABRIC}"
asset = "{asset}"
decimals = 6
methods = ["transfer"]

[buyer]
currencies = [{{ currency = "USD", max_total = "1" }}]
"#
    );
    setting::config(dir, signer, &text)
}

/// Reaches the gateway as a config says.
pub(super) async fn opened(config: &Config) -> Outcome<Opened> {
    Ok(Opened::open(config, FABRIC, &mut Keyring::default()).await?)
}

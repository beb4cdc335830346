//! What a token says of itself: a stranger's words.

use crate::abi;
use crate::ledger::EthereumLedger;
use crate::names;
use crate::rpc::{Answer, Rpc, Trouble};
use ethers_core::types::Address;
use sdpp_ledger::{Asset, Result};
use serde_json::json;
use std::sync::Arc;

/// How a token's amounts are shown to people, by the token's own word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// At most 32 visible ASCII characters.
    pub symbol: String,
    /// How many digits stand behind the point.
    pub decimals: u8,
}

impl EthereumLedger {
    /// A token's symbol and decimals; for the coin `ETH` and 18.
    ///
    /// # Errors
    /// `NotAToken`, `Malformed`, `Unavailable`.
    pub async fn token(&self, asset: &Asset) -> Result<Token> {
        let token = names::token(asset)?;
        if token.is_zero() {
            return Ok(Token { symbol: "ETH".to_owned(), decimals: 18 });
        }
        self.chain.nodes.ask(|node| Box::pin(token_on(node, token))).await
    }
}

async fn token_on(node: Arc<Rpc>, token: Address) -> Answer<Token> {
    let symbol = tell(&node, token, &abi::SYMBOL).await?;
    let decimals = tell(&node, token, &abi::DECIMALS).await?;
    let decimals = abi::word(&decimals, 0).and_then(|decimals| u8::try_from(decimals).ok());
    match (abi::string(&symbol), decimals) {
        (Some(symbol), Some(decimals)) => {
            let symbol = symbol.chars().filter(|c| *c != ' ').take(32).collect();
            Ok(Token { symbol, decimals })
        }
        _ => {
            let why = format!("{token:?} tells neither symbol nor decimals");
            Err(Trouble::refused("NotAToken", why))
        }
    }
}

/// What a contract answers; one that reverts tells nothing.
async fn tell(node: &Rpc, token: Address, selector: &[u8]) -> Answer<Vec<u8>> {
    match node.call(token, selector, json!("latest")).await {
        Err(Trouble::Said { said: Some(_), .. }) => Ok(Vec::new()),
        told => told,
    }
}

//! From a call to signed bytes: coins are picked, the node tries what would be done with them, and
//! only what would work is signed. Nothing leaves here.

use crate::coins::{Book, Coin, Need, Pick, Short};
use crate::fees::{self, Rates};
use crate::ledger::IotaLedger;
use crate::names;
use crate::record::Carried;
use crate::shape::{Does, Shape};
use crate::tx::{Draft, Tx};
use crate::view::{Held, Trial};
use iota_sdk_types::ObjectReference;
use sdpp_ledger::{Amount, Asset, Call, LedgerError, Result, Signed, Transfer};
use std::time::Duration;

/// How often something is tried whose cost was expected wrongly.
const TRIALS_MAX: u32 = 6;

/// When to ask again while all coins are in use: it takes about so long until a transaction lands.
const BUSY: Duration = Duration::from_millis(500);

impl IotaLedger {
    /// Prepares a call under a number of the caller's.
    pub(crate) async fn prepared(&self, number: u64, call: &Call) -> Result<Signed> {
        let order = Order::of(call)?;
        let _turn = self.own.turn.lock().await;
        let price = self.chain.node.price().await?;
        let coins = self.coins().await?;
        for _ in 0..TRIALS_MAX {
            let picked = self.picked(&self.own.book(), &coins, &order, price);
            let picked = self.believed(picked).await?;
            let mut draft = order.draft(&picked, price);
            let trial = self.tried(&draft, &order).await?;
            let Some(budget) = self.budget(&trial, &picked, price)? else { continue };
            draft.budget = budget;
            self.own.book().take(&picked);
            return Ok(draft.sign(number, &self.own.signer));
        }
        Err(LedgerError::unavailable("what a transaction costs changes faster than it is asked"))
    }

    /// What a call would cost, without signing it.
    pub(crate) async fn priced(&self, call: &Call) -> Result<Amount> {
        let order = Order::of(call)?;
        let price = self.chain.node.price().await?;
        let mut coins = self.coins().await?;
        // None are made and none are swept up.
        coins.aim = coins.list.len();
        for _ in 0..TRIALS_MAX {
            // Whether a coin is in use is of no concern here: nothing is spent.
            let picked = self.picked(&Book::default(), &coins, &order, price);
            let picked = self.believed(picked).await?;
            let trial = self.tried(&order.draft(&picked, price), &order).await?;
            if self.budget(&trial, &picked, price)?.is_some() {
                return Ok(Amount::new(trial.gas.net().into()));
            }
        }
        Err(LedgerError::unavailable("what a transaction costs changes faster than it is asked"))
    }

    /// The same call on the same coins for the price that the network asks now, where that has
    /// risen above what was offered: nobody takes the older one any more while it stands so, and
    /// as both spend the same coins at the same versions, at most one can ever happen.
    pub(crate) async fn raised(&self, variants: &[Signed]) -> Result<Option<Signed>> {
        let Some(newest) = variants.last() else { return Ok(None) };
        let draft = Tx::own(newest, self.own.signer.address)?.draft();
        let Some(draft) = draft else { return Ok(None) };
        let price = self.chain.node.price().await?;
        if price <= draft.price {
            return Ok(None);
        }
        let _turn = self.own.turn.lock().await;
        // What is computed has become dearer. Deposits, most of a budget that makes coins, have not.
        let more = self.own.rates().computing(price - draft.price);
        let (dearer, ceiling) = (draft.budget.checked_add(more), self.ceiling());
        let budget = dearer.filter(|budget| *budget <= ceiling);
        let budget = budget.ok_or_else(|| too_dear(dearer, ceiling))?;
        let order = Order { does: draft.shape.does, record: draft.shape.record.clone() };
        let mut dearer = Draft { price, budget, ..draft };
        self.fit(&mut dearer).await?;
        let trial = self.tried(&dearer, &order).await?;
        match trial.failure {
            Some(why) => {
                if is_out_of_gas(&why) {
                    self.own.rates().double();
                }
                Err(would_fail(&why))
            }
            None => Ok(Some(dearer.sign(newest.number, &self.own.signer))),
        }
    }

    /// Sees that what has become dearer still fits on its coins: with fewer coins made of its
    /// change where it has to be. Others cannot be added, as they may belong to something that is
    /// being prepared just now.
    async fn fit(&self, dearer: &mut Draft) -> Result<()> {
        let coins = self.coins().await?;
        let held = |at: &ObjectReference| {
            coins.list.iter().find(|coin| coin.at == *at).map(|coin| coin.balance)
        };
        let balances: Option<Vec<u64>> = dearer.gas.iter().map(held).collect();
        // Where one is not there as it was it may have been spent: the trial says so.
        let Some(balances) = balances else { return Ok(()) };
        let has: u128 = balances.into_iter().map(u128::from).sum();
        if has < dearer.takes() {
            dearer.shape.split = None;
        }
        let takes = dearer.takes();
        if has >= takes {
            return Ok(());
        }
        let first = dearer.gas.first().map_or(String::new(), |at| at.object_id.to_hex());
        Err(LedgerError::unavailable(format!(
            "at today's price this takes {takes} NANOS, and the coins that it was signed on hold \
             {has}: it waits until gas is cheaper, which may be at the next epoch; to have it signed \
             anew on other coins, spend coin {first} with a wallet, such as by sending it to {}",
            self.own.account
        )))
    }

    async fn coins(&self) -> Result<Coins> {
        let Held { list, is_cut } = self.chain.node.coins(&self.own.signer.address).await?;
        Ok(Coins { list, is_cut, aim: self.chain.settings.coins })
    }

    fn ceiling(&self) -> u64 {
        names::nanos(self.chain.settings.fee_ceiling).unwrap_or(u64::MAX)
    }

    fn picked(
        &self,
        book: &Book,
        coins: &Coins,
        order: &Order,
        price: u64,
    ) -> std::result::Result<Pick, Lack> {
        let ceiling = self.ceiling();
        let need = self.own.rates().need(order.amount(), price, ceiling);
        if need.fee > ceiling {
            // What made it so dear may be over when it is asked for again.
            *self.own.rates() = Rates::default();
            return Err(too_dear(Some(need.fee), ceiling).into());
        }
        book.pick(&coins.list, &need, coins.aim).map_err(|short| match short {
            Short::Poor if !coins.is_cut => Lack::Poor(need),
            Short::Poor => Lack::Now(LedgerError::unavailable(
                "the coins that are read do not hold enough: others are not read, as they are too \
                 many; they are swept up with each transaction",
            )),
            Short::Scattered => Lack::Now(LedgerError::unavailable(format!(
                "{} holds enough, in more coins than one transaction may live on: smaller payments \
                 sweep them up, or merge them with a wallet while this is stopped",
                self.own.account
            ))),
            Short::Busy => Lack::Now(LedgerError::Unavailable {
                what: "all coins are in use until what is on its way has ended".to_owned(),
                retry_after: Some(BUSY),
            }),
        })
    }

    /// That there is too little is believed of the balance alone: coins are read page by page, and
    /// one that moves from a page to another in between is in neither.
    async fn believed(&self, picked: std::result::Result<Pick, Lack>) -> Result<Pick> {
        let need = match picked {
            Ok(pick) => return Ok(pick),
            Err(Lack::Now(error)) => return Err(error),
            Err(Lack::Poor(need)) => need,
        };
        let has = self.chain.node.holds(&self.own.signer.address).await?;
        let Need { amount, fee, .. } = need;
        if has >= u128::from(amount) + u128::from(fee) {
            return Err(LedgerError::Unavailable {
                what: "our coins changed while they were read".to_owned(),
                retry_after: Some(BUSY),
            });
        }
        let account = &self.own.account;
        let why =
            format!("{account} holds {has} NANOS, and this takes {amount} and {fee} for the fee");
        Err(LedgerError::refused("InsufficientFunds", why))
    }

    async fn tried(&self, draft: &Draft, order: &Order) -> Result<Trial> {
        let bytes = draft.build(self.own.signer.address).to_base64();
        let trial = self.chain.node.tried(&bytes).await?;
        if trial.failure.is_none() {
            let made = draft.shape.split.map_or(0, |split| u64::from(split.count));
            self.own.rates().learn(&trial.gas, order.leaves() + made, draft.price);
        }
        Ok(trial)
    }

    /// The budget that a trial calls for, if what was picked for it is enough.
    fn budget(&self, trial: &Trial, picked: &Pick, price: u64) -> Result<Option<u64>> {
        if let Some(why) = &trial.failure {
            if !is_out_of_gas(why) {
                return Err(would_fail(why));
            }
            self.own.rates().double();
            return Ok(None);
        }
        Ok(fees::budget(&trial.gas, price).filter(|budget| *budget <= picked.fee))
    }
}

/// Our coins.
struct Coins {
    list: Vec<Coin>,
    /// Whether there are more than were read.
    is_cut: bool,
    /// How many are wanted.
    aim: usize,
}

/// Why there is nothing to live on.
enum Lack {
    /// The coins that were read hold too little for this.
    Poor(Need),
    /// That is how it is just now.
    Now(LedgerError),
}

impl From<LedgerError> for Lack {
    fn from(error: LedgerError) -> Self {
        Lack::Now(error)
    }
}

/// What is to be done, without the coins for it.
struct Order {
    does: Does,
    record: Vec<u8>,
}

impl Order {
    fn of(call: &Call) -> Result<Self> {
        let (does, carried) = match call {
            Call::Transfer(transfer) => paying(transfer)?,
            Call::Anchor(anchor) => (Does::Record, Carried::Anchor(anchor.clone())),
            _ => return Err(LedgerError::refused("NoSuchAbility", "no channels are kept here")),
        };
        Ok(Order { does, record: carried.to_bytes().to_vec() })
    }

    fn amount(&self) -> u64 {
        match self.does {
            Does::Pay { amount, .. } => amount,
            Does::Record => 0,
        }
    }

    /// How many objects it leaves behind, where it makes no coins.
    fn leaves(&self) -> u64 {
        match self.does {
            Does::Pay { .. } => 2,
            Does::Record => 1,
        }
    }

    fn draft(&self, picked: &Pick, price: u64) -> Draft {
        let (does, record, split) = (self.does, self.record.clone(), picked.split);
        let shape = Shape { does, record, split };
        Draft { shape, gas: picked.gas.clone(), price, budget: picked.fee }
    }
}

/// What a transaction of ours asks for; nothing where what it carries is not what it does.
pub(crate) fn call_of(shape: &Shape) -> Option<Call> {
    match (shape.does, Carried::read(&shape.record)?) {
        (Does::Pay { to, amount }, Carried::Payment(reference)) => {
            let (to, amount) = (names::account(&to), Amount::new(amount.into()));
            Some(Call::Transfer(Transfer { to, asset: Asset::coin(), amount, reference }))
        }
        (Does::Record, Carried::Anchor(anchor)) => Some(Call::Anchor(anchor)),
        _ => None,
    }
}

fn paying(transfer: &Transfer) -> Result<(Does, Carried)> {
    if transfer.asset != Asset::coin() {
        let why = format!("{} is not moved here, only the network's own coin", transfer.asset);
        return Err(LedgerError::refused("NoSuchAsset", why));
    }
    let too_much = || LedgerError::refused("InsufficientFunds", "nobody holds so much");
    let to = names::address(&transfer.to)?;
    let amount = names::nanos(transfer.amount).ok_or_else(too_much)?;
    Ok((Does::Pay { to, amount }, Carried::Payment(transfer.reference)))
}

fn too_dear(fee: Option<u64>, ceiling: u64) -> LedgerError {
    let fee = fee.map_or("more than there is".to_owned(), |fee| format!("{fee} NANOS"));
    LedgerError::unavailable(format!(
        "a transaction may cost {fee} now, and the ceiling is {ceiling}"
    ))
}

/// Something that the coins' owner did elsewhere, or that the node has not seen yet: what is tried
/// next sees it.
fn would_fail(why: &str) -> LedgerError {
    LedgerError::unavailable(format!("it would fail as things stand: {why}"))
}

fn is_out_of_gas(why: &str) -> bool {
    why.contains("InsufficientGas") || why.contains("Insufficient Gas")
}

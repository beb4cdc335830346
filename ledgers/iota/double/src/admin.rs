//! What a person, or a program in another process, can do to a double: `POST /` with one deed in
//! JSON, as `{"do": "end_epoch"}`; `GET /` tells what was asked of it.

use std::time::Duration;

use hyper::Method;
use serde::Deserialize;
use serde_json::json;

use crate::faults::Trouble;
use crate::http::Answer;
use crate::shared::Shared;

/// Something to do to a double.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "snake_case", tag = "do")]
enum Deed {
    Arm(Trouble),
    Clear,
    Release,
    Advance { ms: u64 },
    Lag { ms: u64 },
    StandStill { behind: bool },
    HoldCheckpoints { held: bool },
    ForgetHistory { forgotten: bool },
    ForgetIndex { forgotten: bool },
    Hide { digest: String },
    RememberAll,
    Prune { below: u64 },
    Lock { coin: String },
    Equivocate { coin: String },
    EndEpoch,
    ChainId { id: String },
}

pub(crate) fn answer(method: &Method, body: &[u8], shared: &Shared) -> Answer {
    if method == Method::GET {
        return tell(shared);
    }
    let deed = match serde_json::from_slice::<Deed>(body) {
        Ok(deed) => deed,
        Err(error) => return Answer::json(400, &json!({ "error": error.to_string() })),
    };
    match perform(deed, shared) {
        Some(()) => tell(shared),
        None => Answer::json(400, &json!({ "error": "there is no such thing" })),
    }
}

fn perform(deed: Deed, shared: &Shared) -> Option<()> {
    match deed {
        Deed::Arm(trouble) => shared.arm(trouble),
        Deed::Clear => shared.clear(),
        Deed::Release => shared.release(),
        Deed::Advance { ms } => shared.advance(Duration::from_millis(ms)),
        Deed::Lag { ms } => shared.with(|world| world.view.set_lag(ms)),
        Deed::StandStill { behind } => shared.with(|world| world.view.stand_still(behind)),
        Deed::HoldCheckpoints { held } => shared.with(|world| world.chain.hold_checkpoints(held)),
        Deed::ForgetHistory { forgotten } => {
            shared.with(|world| world.view.forget_history(forgotten));
        }
        Deed::ForgetIndex { forgotten } => shared.with(|world| world.view.forget_index(forgotten)),
        Deed::Hide { digest } => {
            let digest = digest.parse().ok()?;
            shared.with(|world| world.view.hide(digest));
        }
        Deed::RememberAll => shared.with(|world| world.view.remember_all()),
        Deed::Prune { below } => shared.with(|world| world.prune(below)),
        Deed::Lock { coin } => return lock(&coin, 1, shared),
        Deed::Equivocate { coin } => return lock(&coin, 2, shared),
        Deed::EndEpoch => shared.with(|world| world.chain.end_epoch()),
        Deed::ChainId { id } => shared.with(|world| world.chain_id = id),
    }
    Some(())
}

fn lock(coin: &str, holders: u64, shared: &Shared) -> Option<()> {
    let coin = coin.parse().ok()?;
    shared.with(|world| world.chain.lock(&coin, holders)).then_some(())
}

fn tell(shared: &Shared) -> Answer {
    shared.with(|world| {
        let tally = &world.tally;
        let told = json!({
            "double": "iota",
            "chain": world.chain_id,
            "epoch": world.chain.epoch(),
            "height": world.view.height(),
            "requests": tally.requests,
            "executed": tally.executed,
            "failed": tally.failed,
            "conflicts": tally.conflicts,
            "strange": tally.strange,
        });
        Answer::json(200, &told)
    })
}

//! What is told of a session's bond, to people and to programs.

use super::case::Case;
use crate::cli::bonding::name;
use crate::cli::exit::Outcome;
use crate::journal::Reader;
use crate::message::Moment;
use crate::terms::SessionId;
use serde_json::{Value, json};
use std::fmt::Display;

/// What is on its way about the bond of a session.
pub(in crate::cli) fn under_way(reader: &Reader, session: &SessionId) -> Outcome<Value> {
    let bond = Case::find(reader, session, None)?.terms.bond.map(|under| under.id);
    let rows = bond.map(|id| reader.bond_rows(&id)).transpose()?.unwrap_or_default();
    let rows = rows.iter().filter(|row| !row.state.is_settled());
    let acts: Vec<String> = rows.map(|row| name(&row.owed.act)).collect();
    Ok(json!({ "bond": bond, "session": session, "under_way": acts }))
}

/// What is told where nothing could be done.
pub(in crate::cli) fn failed(why: &impl Display) -> Value {
    json!({ "failed": why.to_string() })
}

/// What a person is told of it.
pub(in crate::cli) fn lines(told: &Value) -> Vec<String> {
    let text = |value: &Value| value.as_str().unwrap_or("unknown").to_owned();
    let (id, buyers, sellers) =
        (text(&told["bond"]), text(&told["of_buyer"]), text(&told["of_seller"]));
    if let Some(acts) = told["under_way"].as_array() {
        let acts: Vec<String> = acts.iter().map(|act| text(act).replace('_', " ")).collect();
        let acts = if acts.is_empty() { "nothing".to_owned() } else { acts.join(", ") };
        let session = text(&told["session"]);
        return vec![format!(
            "bond {id}: its ledger takes longer, {acts} is on its way: `sdpp dispute settle {session}` goes on"
        )];
    }
    if told["of_buyer"].is_null() && told["failed"].is_null() {
        return vec![format!(
            "bond {id}: the node that runs answers for it, and does nothing more"
        )];
    }
    if let (Some(failed), true) = (told["failed"].as_str(), told["of_buyer"].is_null()) {
        return vec![format!("the session is under a bond, of which nothing was done: {failed}")];
    }
    let mut lines =
        vec![format!("bond {id}: {buyers} of the buyer's and {sellers} of the seller's")];
    let failed = told["failed"].as_str();
    lines.extend(failed.map(|why| format!("what the other side asks for is not answered: {why}")));
    lines.extend(told["why"].as_str().map(|why| format!("no complaint is made: {why}")));
    if let Some(next) = told["next"].as_str() {
        let (next, takes) = (next.replace('_', " "), text(&told["takes"]));
        lines.push(format!("to do about the bond: {next}, which takes {takes} of us"));
    }
    let steps = told["steps"].as_array().into_iter().flatten();
    lines.extend(steps.map(|step| {
        let act = text(&step["act"]).replace('_', " ");
        format!("done: {act}, in {}", text(&step["tx"]))
    }));
    if let Some(until_ms) = told["until_ms"].as_u64() {
        let until = Moment(until_ms);
        let session = text(&told["session"]);
        lines.push(format!(
            "the other side may answer until {until}: `sdpp dispute settle {session}` goes on then"
        ));
    }
    lines
}

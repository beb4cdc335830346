//! What can go wrong between a client and a node, on demand.

use serde::Deserialize;

/// What happens to a request instead of, or beside, its answer.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case", tag = "fault")]
pub enum Fault {
    /// Status 503 and a text; nothing is done.
    Unavailable,
    /// Status 429 and a text; nothing is done.
    TooMany,
    /// Status 200 and something that is no JSON; nothing is done.
    Garbage,
    /// Status 200 and an answer of so many bytes; nothing is done.
    Huge {
        /// How many.
        bytes: usize,
    },
    /// An error of the JSON-RPC with this code and text; nothing is done.
    Refuse {
        /// The code, as -32002.
        code: i64,
        /// The text.
        message: String,
    },
    /// The connection closes without an answer; nothing is done.
    Dropped,
    /// Everything is done, and then the connection closes without an answer.
    Lost,
    /// Nothing is done until the double is told to [release](crate::Double::release) it.
    Held,
    /// A transaction is checked and promised its coins, and executed only after a release. Other
    /// requests are held as by `Held`.
    HeldPromised,
    /// Everything is done; the answer comes after a release.
    AnswerHeld,
}

impl Fault {
    /// For each request until it is taken back.
    pub fn always(self) -> Trouble {
        Trouble { fault: self, on: None, times: None }
    }

    /// For so many requests.
    pub fn times(self, times: u32) -> Trouble {
        Trouble { times: Some(times), ..self.always() }
    }

    /// For the next request.
    pub fn once(self) -> Trouble {
        self.times(1)
    }
}

/// A fault, and which requests it meets.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Trouble {
    /// The fault.
    #[serde(flatten)]
    pub fault: Fault,
    /// Of which method only, as `iota_executeTransactionBlock`; the faucet's is `faucet`.
    #[serde(default)]
    pub on: Option<String>,
    /// How many requests it still meets; none is without end.
    #[serde(default)]
    pub times: Option<u32>,
}

impl Trouble {
    /// For requests of this method only.
    pub fn on(self, method: &str) -> Trouble {
        Trouble { on: Some(method.to_owned()), ..self }
    }
}

/// What is armed, in the order in which it came.
#[derive(Debug, Default)]
pub(crate) struct Troubles {
    armed: Vec<Trouble>,
}

impl Troubles {
    pub(crate) fn arm(&mut self, trouble: Trouble) {
        self.armed.push(trouble);
    }

    pub(crate) fn clear(&mut self) {
        self.armed.clear();
    }

    /// The fault that a request of this method meets: of those that fit, the first.
    pub(crate) fn meet(&mut self, method: &str) -> Option<Fault> {
        let fits = |trouble: &Trouble| {
            trouble.times != Some(0) && trouble.on.as_deref().is_none_or(|on| on == method)
        };
        let met = self.armed.iter_mut().find(|trouble| fits(trouble))?;
        met.times = met.times.map(|times| times - 1);
        let fault = met.fault.clone();
        self.armed.retain(|trouble| trouble.times != Some(0));
        Some(fault)
    }
}

//! What a gateway's words mean. Nearly every failure is an HTTP 500 with a text, so the text is
//! read, by one table. What is not in it is doubt: whether anything happened is then found out by
//! asking for the reference, never by guessing.

/// What an error's text means, by what to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Meaning {
    /// The chaincode refused: nothing was written and nothing will be. With our name for why.
    Refused(&'static str),
    /// What answers is another chaincode, or another version of it.
    NotOurs,
    /// No block has the transaction that was asked for.
    NoSuchTransaction,
    /// Settings, ours or the gateway's, keep it from working; with what to mend.
    Setup(&'static str),
    /// The gateway has too much to do: later.
    Busy,
    /// It was ordered and is invalid, as another transaction came before it: it did not happen.
    Conflicted,
    /// Anything else.
    Doubt,
}

/// Where in a text its words stand that tell what it means. Most texts are made of what the gateway
/// did, a status, and a description; a stranger's words can only be in the description.
#[derive(Clone, Copy)]
enum Place {
    /// The whole text begins so.
    Start,
    /// Before the description.
    Status,
    /// The description begins so, and a chaincode gave it.
    Description,
    /// In the description of what the peer's own index does not have.
    Index,
}

/// What the gateway puts before what went wrong with a submission.
const SUBMITTING: &str = "Failed to submit: ";
/// What each endorser's answer begins with; where several answered, each has its own.
const ENDORSER: &str = "Transaction processing for endorser [";
/// What stands between a status and its description.
const DESCRIPTION: &str = "Description: ";
/// The status of all that a chaincode says, and of some things that a peer says in its place.
const CHAINCODE: &str = "Chaincode status Code: (500) UNKNOWN.";

/// What a peer's answer begins with where its index fails or lacks something.
const MISSING: &str = "Failed to get ";

const SIGNER: &str = "the gateway does not know this signer: mend `signer`, or enroll it there";
const CHANNEL: &str = "the gateway has no peers on this channel: mend `channel`, or its profile";
const NAME: &str = "there is no such chaincode on the channel: mend `chaincode`";
const DIRECT: &str = "the chaincode has another name on the channel than it believes: set \
                      SDPP_CHAINCODE_NAME for it";
const MSP: &str = "no account can be made of the MSP id of this signer's organisation";

static TEXTS: &[(Place, &str, Meaning)] = &[
    (Place::Start, "Too many in-flight transactions", Meaning::Busy),
    (
        Place::Status,
        "failed to get client context to create channel client: user not found",
        Meaning::Setup(SIGNER),
    ),
    (Place::Status, "no channel peers configured for channel", Meaning::Setup(CHANNEL)),
    (Place::Status, "CHAINCODE_NAME_NOT_FOUND", Meaning::Setup(NAME)),
    (Place::Status, "MVCC_READ_CONFLICT", Meaning::Conflicted),
    (Place::Status, "PHANTOM_READ_CONFLICT", Meaning::Conflicted),
    (Place::Index, ", error no such transaction ID [", Meaning::NoSuchTransaction),
    (
        Place::Description,
        "You've asked to invoke a function that does not exist: ",
        Meaning::NotOurs,
    ),
    (Place::Description, "Expected ", Meaning::NotOurs),
    (Place::Description, "BAD_ARGUMENT: ", Meaning::Refused("Malformed")),
    (Place::Description, "BAD_IDENTITY: ", Meaning::Setup(MSP)),
    (Place::Description, "CONFLICT: ", Meaning::Refused("Conflict")),
    (Place::Description, "INSUFFICIENT_FUNDS: ", Meaning::Refused("InsufficientFunds")),
    (Place::Description, "IOU_CLOSED: ", Meaning::Refused("IouClosed")),
    (Place::Description, "NOTHING_TO_NET: ", Meaning::Refused("NothingToNet")),
    (Place::Description, "NOT_ALLOWED: ", Meaning::Refused("NotAllowed")),
    (Place::Description, "NOT_DIRECT: ", Meaning::Setup(DIRECT)),
    (Place::Description, "NOT_FOUND: ", Meaning::Refused("NotFound")),
    (Place::Description, "NO_SUCH_ACCOUNT: ", Meaning::Refused("NoSuchAccount")),
    (Place::Description, "OUT_OF_ORDER: ", Meaning::Refused("OutOfOrder")),
    (Place::Description, "OVERFLOW: ", Meaning::Refused("Overflow")),
    (Place::Description, "TOO_LARGE: ", Meaning::Refused("TooLarge")),
    (Place::Description, "TOO_MANY: ", Meaning::Refused("TooMany")),
];

/// What a text means, and the words in it that say why. Where several endorsers answered and do
/// not all mean the same, it is doubt: one of them may be behind.
pub(crate) fn meaning(text: &str) -> (Meaning, &str) {
    let text = text.strip_prefix(SUBMITTING).unwrap_or(text);
    let mut answers = answers(text).into_iter().map(of_one);
    let Some(first) = answers.next() else { return (Meaning::Doubt, text) };
    match answers.all(|(meaning, _)| meaning == first.0) {
        true => first,
        false => (Meaning::Doubt, text),
    }
}

/// The answers of several endorsers, or the text as it is.
fn answers(text: &str) -> Vec<&str> {
    let starts: Vec<usize> = text.match_indices(ENDORSER).map(|(at, _)| at).collect();
    if starts.len() < 2 {
        return vec![text];
    }
    let ends = starts.iter().skip(1).copied().chain([text.len()]);
    let between =
        |(start, end): (&usize, usize)| text[*start..end].trim_end_matches([' ', '-', '\n']);
    starts.iter().zip(ends).map(between).collect()
}

fn of_one(text: &str) -> (Meaning, &str) {
    let (status, description) = text.split_once(DESCRIPTION).unwrap_or((text, ""));
    let is_chaincodes = status.trim_end().ends_with(CHAINCODE);
    let says = |(place, words, _): &&(Place, &str, Meaning)| match place {
        Place::Start => text.starts_with(words),
        Place::Status => status.contains(words),
        Place::Description => is_chaincodes && description.starts_with(words),
        Place::Index => description.starts_with(MISSING) && description.contains(words),
    };
    match TEXTS.iter().find(says) {
        Some((Place::Description, words, meaning @ Meaning::Refused(_))) => {
            (*meaning, &description[words.len()..])
        }
        Some((Place::Description, _, meaning)) => (*meaning, description),
        Some((_, _, meaning)) => (*meaning, text),
        None => (Meaning::Doubt, text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(meaning: Meaning) -> String {
        match meaning {
            Meaning::Refused(code) => format!("Refused {code}"),
            Meaning::Setup(_) => "Setup".to_owned(),
            other => format!("{other:?}"),
        }
    }

    /// Each line: what it means, a tab, a text of a real gateway.
    #[test]
    fn each_recorded_text_has_its_meaning() {
        let recorded = include_str!("../tests/data/texts.txt");
        let mut count = 0;
        for line in recorded.lines().filter(|line| !line.starts_with('#')) {
            let (expected, text) = line.split_once('\t').unwrap();
            assert_eq!(named(meaning(text).0), expected, "{text}");
            count += 1;
        }
        assert!(count >= 30, "only {count} texts");
    }

    #[test]
    fn a_refusal_says_why_in_the_chaincodes_words() {
        let text = "Failed to submit: Transaction processing for endorser [127.0.0.1:7051]: \
                    Chaincode status Code: (500) UNKNOWN. Description: INSUFFICIENT_FUNDS: 5 of \
                    Org1MSP/USD is more than the balance of 4";
        let why = "5 of Org1MSP/USD is more than the balance of 4";
        assert_eq!(meaning(text), (Meaning::Refused("InsufficientFunds"), why));
    }

    #[test]
    fn what_endorsers_do_not_agree_on_is_doubt() {
        let one = |port: u16, description: &str| {
            format!("{ENDORSER}127.0.0.1:{port}]: {CHAINCODE} {DESCRIPTION}{description}")
        };
        let both = |a: &str, b: &str| {
            let (a, b) = (one(7051, a), one(9051, b));
            named(meaning(&format!("Failed to submit: Multiple errors occurred: - {a} - {b}")).0)
        };
        assert_eq!(both("CONFLICT: x", "CONFLICT: x"), "Refused Conflict");
        assert_eq!(both("CONFLICT: x", "NOT_FOUND: x"), "Doubt");
        assert_eq!(both("CONFLICT: x", "error in simulation: could not launch"), "Doubt");
    }

    #[test]
    fn a_strangers_words_in_a_description_decide_nothing() {
        let quoted =
            "BAD_ARGUMENT: to must be an account, got \"MVCC_READ_CONFLICT user not found\"";
        let text = format!("{ENDORSER}127.0.0.1:7051]: {CHAINCODE} {DESCRIPTION}{quoted}");
        assert_eq!(named(meaning(&text).0), "Refused Malformed");
        let text = "Event Server Status Code: (1) OTHER. Description: CONFLICT: x";
        assert_eq!(named(meaning(text).0), "Doubt");
        assert_eq!(named(meaning("CONFLICT: x").0), "Doubt");
    }
}

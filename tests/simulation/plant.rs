//! Faults that a world's shells are given, each of which its checks must find.

/// What a world does that it must not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Plant {
    Nothing,
    /// What is sent leaves before the records that explain it are durable.
    SendBeforeRecord,
    /// Each side's word of an epoch stays in memory.
    EpochInMemory,
    /// A buyer's ceilings stay in memory.
    CeilingInMemory,
    /// A channel may serve any number of sessions.
    ShareChannels,
    /// Fresh keys are drawn from the same numbers for each connection.
    SameKeysAgain,
    /// A source is read again from its beginning when a line comes back.
    RewindSource,
    /// An item is acknowledged before it is kept.
    AckBeforeKept,
    /// A transaction leaves before it is durable.
    SubmitBeforePrepared,
    /// What a ledger did not answer is signed anew under the next number.
    SignAgainWhenUnavailable,
    /// What a ledger did not answer is done once more under a name of its own.
    OtherReferenceOnRetry,
    /// What stands in a block counts as done, however shallow.
    BelieveInclusion,
    /// What the ledger says of a claim is not waited for.
    BelieveClaims,
    /// A payment that the ledger refused counts as made.
    CountRefusedAsPaid,
    /// When a line comes back, what was claimed until then counts as paid.
    ForgetDebtOnResume,
    /// Who owes from a session that broke is served as if nothing had been.
    ForgetDebtors,
    /// A session that a kill left open is not ended.
    LeaveInterrupted,
    /// A buyer that goes on takes what is in its file behind the last invoice for nothing.
    ForgetFile,
    /// A buyer that goes on does not know what it has accepted and paid.
    ForgetInvoices,
}

/// What a check found out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// Something left that no durable record explains.
    RecordBeforeAct,
    /// Something was signed again with other content.
    SignedOnce,
    /// One key was used for two epochs, or one nonce twice under it.
    KeyOnce,
    /// A voucher passes its ceiling or its deposit.
    WithinCeiling,
    /// A voucher is not above those before it.
    VouchersGrow,
    /// A channel serves two sessions.
    OneSessionAChannel,
    /// More was sent unpaid than credit allows, or to whom there is none.
    WithinCredit,
    /// More was paid than was opened.
    NothingForNothing,
    /// An acknowledged item is not kept.
    KeptBeforeAck,
    /// What was bought is not what was sold: an item twice, missing, or another.
    FileIsWhole,
    /// Bytes went to a ledger that are not durable.
    BytesAreDurable,
    /// The journal refused a record.
    JournalTakes,
    /// An obligation was met twice, or never came to anything.
    MetOnce,
    /// Journal and ledger, or the two sides, do not agree about money.
    BooksAgree,
    /// An honest side is said to have broken the rules.
    NobodyIsBlamed,
    /// An audit found something wrong.
    AuditClean,
    /// It did not end.
    Ends,
    /// A session that a kill left does not go on when its command is typed again.
    GoesOn,
}

/// What is wrong, and where.
#[derive(Debug, Clone)]
pub struct Wrong {
    pub rule: Rule,
    pub what: String,
}

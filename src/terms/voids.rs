//! Places of a session that hold no item: both sides have signed that what stood there is not billed.
//! All that costs, is owed or was ordered is counted in the items that are given; seqs run on over the
//! places that are void.

/// The places from one seq to another, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Void {
    /// The first.
    pub from_seq: u64,
    /// The last.
    pub to_seq: u64,
}

/// All of them, the first place first. Most sessions have none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Voids(Vec<Void>);

impl Void {
    /// How many places that are.
    pub fn places(&self) -> u64 {
        (self.to_seq - self.from_seq).saturating_add(1)
    }

    /// Whether this is one of them.
    pub fn has(&self, seq: u64) -> bool {
        (self.from_seq..=self.to_seq).contains(&seq)
    }

    /// How many of them there are up to this one.
    pub(super) fn up_to(&self, seq: u64) -> u64 {
        match seq < self.from_seq {
            true => 0,
            false => Void { to_seq: self.to_seq.min(seq), ..*self }.places(),
        }
    }
}

impl Voids {
    pub fn all(&self) -> &[Void] {
        &self.0
    }

    pub fn add(&mut self, void: Void) {
        self.0.push(void);
    }

    /// How many of the places up to this one hold an item.
    pub fn given(&self, seq: u64) -> u64 {
        self.0.iter().fold(seq, |given, void| given.saturating_sub(void.up_to(seq)))
    }

    /// The place of an item by its number among all that are given; 0 of none.
    pub fn place_of(&self, given: u64) -> u64 {
        let past = |seq: u64, void: &Void| match void.from_seq <= seq {
            true => seq.saturating_add(void.places()),
            false => seq,
        };
        self.0.iter().fold(given, past)
    }
}

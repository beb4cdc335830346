//! What each leg of a session owes: a list with one tab for each, the first always there.

/// The tabs of all legs, the one that was ordered first.
#[derive(Debug)]
pub(super) struct Tabs<T> {
    first: T,
    later: Vec<T>,
}

impl<T> Tabs<T> {
    pub(super) fn new(first: T) -> Self {
        Tabs { first, later: Vec::new() }
    }

    /// Another leg follows.
    pub(super) fn begin(&mut self, tab: T) {
        self.later.push(tab);
    }

    /// The tab of a leg by its place; that of the last one beyond.
    pub(super) fn at(&self, place: usize) -> &T {
        match place.min(self.later.len()).checked_sub(1) {
            // At most the last one's place.
            Some(place) => &self.later[place],
            None => &self.first,
        }
    }

    /// The same, to be changed.
    pub(super) fn at_mut(&mut self, place: usize) -> &mut T {
        match place.min(self.later.len()).checked_sub(1) {
            Some(place) => &mut self.later[place],
            None => &mut self.first,
        }
    }

    /// The last tab of those that are so; the first where none is.
    pub(super) fn last_that(&mut self, is_so: impl Fn(&T) -> bool) -> &mut T {
        let place = self.later.partition_point(is_so);
        self.at_mut(place)
    }

    pub(super) fn all(&self) -> impl DoubleEndedIterator<Item = &T> {
        std::iter::once(&self.first).chain(&self.later)
    }

    pub(super) fn all_mut(&mut self) -> impl DoubleEndedIterator<Item = &mut T> {
        std::iter::once(&mut self.first).chain(&mut self.later)
    }

    /// How many legs there are.
    pub(super) fn count(&self) -> usize {
        1 + self.later.len()
    }
}

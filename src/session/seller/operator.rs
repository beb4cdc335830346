//! What a person asks of a session while it runs.

use super::stream::Stream;
use super::{Event, Grant, NoteEnd, OpenAsk, PaceRule, Seller, State};
use crate::message::{PaceChange, PaceReason};
use crate::session::Outputs;
use crate::terms::Pace;

impl Seller {
    /// A person wants items credited: the note goes to the buyer at the next window's beginning.
    /// Gives its number; what becomes of it tells [`Seller::note`].
    ///
    /// # Errors
    /// Why there will be no such note, as a sentence.
    pub fn credit(&mut self, grant: Grant, now_ms: u64) -> Result<u64, String> {
        let number = self.open_stream()?.want(grant)?;
        self.step(Event::Granted, now_ms);
        Ok(number)
    }

    /// A person does not want to credit what the buyer asks for.
    ///
    /// # Errors
    /// When it has no such request open, as a sentence.
    pub fn decline(&mut self, ask: u64, why: &str, now_ms: u64) -> Result<(), String> {
        let mut out = std::mem::replace(&mut self.out, Outputs::new());
        let declined = self.open_stream().and_then(|stream| stream.decline(ask, why, &mut out));
        self.out = out;
        self.step(Event::Granted, now_ms);
        declined
    }

    /// Windows to come are to be of another size, or others may be unpaid: the buyer is asked at the
    /// next window's beginning. What becomes of it shows in the windows.
    ///
    /// # Errors
    /// Why that cannot be, as a sentence.
    pub fn change_pace(&mut self, pace: Pace, why: PaceReason, now_ms: u64) -> Result<(), String> {
        self.open_stream()?.want_pace(PaceChange { pace, why })?;
        self.step(Event::Granted, now_ms);
        Ok(())
    }

    /// From here on this rule says at which pace the session goes on.
    pub fn follow(&mut self, rule: PaceRule) {
        if let Ok(stream) = self.open_stream() {
            stream.rule = Some(rule);
        }
    }

    /// What became of a credit note; `None` while it is under way.
    pub fn note(&self, number: u64) -> Option<NoteEnd> {
        self.stream().and_then(|stream| stream.amends.notes.note(number)).cloned()
    }

    /// What the buyer asks for and nobody has answered, the oldest first.
    pub fn asks(&self) -> Vec<OpenAsk> {
        self.stream()
            .map(|stream| stream.amends.notes.asks().cloned().collect())
            .unwrap_or_default()
    }

    /// The stream while windows follow.
    fn open_stream(&mut self) -> Result<&mut Stream, String> {
        match &mut self.state {
            State::Streaming(stream) | State::Anchoring(stream, _, None) => Ok(stream),
            _ => Err("the session has no windows to come: \
                      `sdpp dispute bundle` has what proves it"
                .to_owned()),
        }
    }
}

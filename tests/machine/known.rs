//! What is known of one person: what they said of being mailed, and what was entered about them.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};

/// A person, by number.
pub(crate) type PersonId = usize;

/// What somebody said of being mailed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Word {
    /// In, by their own word.
    In,
    /// In, and nobody can tell since when: it counts once staff approved of it.
    Unproven,
    /// Out: an opt-out, a complaint, archived, gone.
    Out,
    /// Out because the website removed the rows: not a word of theirs where the policy leaves the contact alone.
    Removed,
    /// Mail to the address does not arrive.
    Bounced,
}

/// Where it was said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Where {
    Register,
    Mailchimp,
}

/// One such word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Said {
    pub(crate) word: Word,
    pub(crate) side: Where,
    pub(crate) at: Timestamp,
    /// It was shown from this request on.
    pub(crate) request: u64,
    pub(crate) email: String,
}

/// A clock that is ahead by less is taken at its word (section 4 of the design).
const PROVEN: SignedDuration = SignedDuration::from_mins(5);

/// What is known of one person.
#[derive(Clone, Debug, Default)]
pub(crate) struct Known {
    pub(crate) said: Vec<Said>,
    /// Every value that anybody entered about them.
    pub(crate) entered: BTreeSet<String>,
    /// What both sides showed when they last agreed, by key.
    pub(crate) agreed: Vec<Option<String>>,
    /// What was entered on either side since, by key.
    pub(crate) local: Vec<Option<String>>,
    pub(crate) remote: Vec<Option<String>>,
    /// Somebody else has, or had, to do with an address of theirs: whose values are whose is nobody's to say.
    pub(crate) tangled: bool,
    /// For which opt-in a confirmation was asked for, by address.
    pub(crate) asked: BTreeMap<String, Option<Timestamp>>,
}

impl Known {
    /// The last time they said that they are in.
    pub(crate) fn last_in(&self) -> Option<Timestamp> {
        self.said.iter().filter(|said| said.word == Word::In).map(|said| said.at).max()
    }

    /// An opt-out that was shown by `request`, of a person that did not opt in later.
    ///
    /// On one side the later act is the later word, whatever the clock says; between the sides only the times tell, and
    /// of one moment the opt-out counts. A time that is yet to come proves nothing.
    pub(crate) fn out_by(&self, request: u64, address: &str, now: Timestamp) -> Option<&Said> {
        self.said.iter().enumerate().find_map(|(at, out)| {
            let counts = match out.word {
                Word::In | Word::Unproven => false,
                Word::Out | Word::Removed => true,
                Word::Bounced => out.email == address,
            };
            let undone = self.said.iter().enumerate().any(|(later, said)| {
                let is_later = if said.side == out.side { later > at } else { said.at > out.at };
                said.word == Word::In && is_later && said.at <= now + PROVEN
            });
            (counts && out.request <= request && !undone).then_some(out)
        })
    }

    /// Whether they had ever left by `request`, whatever they said since.
    pub(crate) fn out_before(&self, request: u64) -> bool {
        self.said.iter().any(|said| said.word == Word::Out && said.request <= request)
    }

    /// Whether they left on one side after `request`, and by `until`.
    pub(crate) fn is_out_since(&self, side: Where, request: u64, until: u64) -> bool {
        let is_out = |said: &&Said| said.side == side && !matches!(said.word, Word::In | Word::Unproven);
        self.said.iter().filter(is_out).any(|said| said.request > request && said.request <= until)
    }

    /// Whether they said that they are in on one side, after `request`.
    pub(crate) fn in_since(&self, request: u64, side: Where) -> bool {
        self.said.iter().any(|said| said.word == Word::In && said.side == side && said.request > request)
    }

    /// Takes back the opt-outs of one side that no cycle can have seen: `known_by` is the last request that one made before
    /// its last look.
    pub(crate) fn take_back_unseen(&mut self, side: Where, known_by: u64) -> bool {
        let before = self.said.len();
        self.said.retain(|said| {
            said.side != side || matches!(said.word, Word::In | Word::Unproven) || said.request <= known_by
        });
        self.said.len() < before
    }
}

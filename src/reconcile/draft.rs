//! A member's plan while it is being made.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use crate::model::{EmailAddress, Key, Registration, SubscriptionStatus, Value};
use crate::reconcile::consent::{self, Decision, LocalWord, Question, RemoteWord, Verdict};
use crate::reconcile::groups::{groups_of, tags_of};
use crate::reconcile::meeting;
use crate::reconcile::merge::direction;
use crate::reconcile::plan::{Class, Conflict, Meeting, MemberPlan, Operation, Planned, Reason, Tombstone};
use crate::reconcile::policy::{Direction, Policy};
use crate::reconcile::trio::{Base, Standing, Trio};
use crate::reconcile::values::{Values, local_values, remote_values, unknown_interests};

/// Why somebody in Mailchimp gets no registration.
const TAKEN_LOCALLY: &str = "the address belongs to another registration: staff must decide";

/// The plan of one member, with what was decided so far.
pub(super) struct Draft<'a> {
    pub(super) trio: &'a Trio,
    pub(super) policy: &'a Policy,
    pub(super) meeting: Meeting,
    /// The base as agreements move it.
    pub(super) base: Base,
    pub(super) operations: Vec<Planned>,
    pub(super) conflicts: Vec<Conflict>,
    pub(super) notes: Vec<String>,
    pub(super) waits: Option<String>,
    /// Whether a base exists once this is done.
    pub(super) has_base: bool,
    /// What every value is once all is written; what each side shows where nothing was merged.
    pub(super) desired: Values,
}

impl<'a> Draft<'a> {
    pub(super) fn new(trio: &'a Trio, policy: &'a Policy) -> Self {
        let mut base = trio.base.clone().unwrap_or_default();
        if let Some(contact) = &trio.remote {
            let shown = remote_values(contact, &trio.local, trio.base.as_ref(), policy);
            base.meet(contact, &shown);
            base.consent = base.consent.heard(contact);
            base.hear_of_creations(contact);
            let local = local_values(&trio.local, Some(&base), policy);
            base.hear_of_writes(&local, &shown, policy);
        }
        let desired = match &trio.remote {
            Some(contact) if trio.local.is_empty() => {
                remote_values(contact, &trio.local, Some(&base), policy)
            }
            Some(_) | None => local_values(&trio.local, Some(&base), policy),
        };
        Self {
            trio,
            policy,
            meeting: meeting(trio, &base),
            base,
            operations: Vec::new(),
            conflicts: Vec::new(),
            notes: Vec::new(),
            waits: None,
            has_base: trio.base.is_some(),
            desired,
        }
    }

    pub(super) fn newest(&self) -> Option<&'a Registration> {
        self.trio.local.last()
    }

    pub(super) fn note(&mut self, words: &str) {
        self.notes.push(words.to_owned());
    }

    pub(super) fn plan(&mut self, operation: Operation, reason: &str, class: Class) {
        self.operations.push(Planned { operation, reason: Reason(reason.to_owned()), class });
    }

    pub(super) fn local_word(&self) -> Option<LocalWord> {
        let Trio { local, unusable, observed_at, .. } = self.trio;
        consent::local_word(local, unusable, &self.base.consent, self.policy, *observed_at)
    }

    pub(super) fn question(&self) -> Question<'a> {
        let mut base = self.base.consent.clone();
        match self.trio.tombstone.as_ref().filter(|_| base.local.is_none() && base.remote.is_none()) {
            Some(stone) if stone.opted_out => {
                base.opted_out_at = consent::latest(base.opted_out_at, Some(stone.at));
            }
            Some(stone) => base.removed_at = base.removed_at.max(Some(stone.at)),
            None => (),
        }
        Question {
            base,
            local: self.local_word(),
            remote: self.trio.remote.as_ref().map(RemoteWord::of),
            policy: self.policy,
            observed_at: self.trio.observed_at,
        }
    }

    /// Whether a tombstone bars the rows: gone from both sides before, and no sign-up since.
    pub(super) fn is_barred(&mut self) -> bool {
        let Some(tombstone) = self.trio.tombstone.as_ref().filter(|stone| !stone.opted_out) else {
            return false;
        };
        let question = self.question();
        let signed_up_since = question.local.is_some_and(|word| question.is_later(word.at, tombstone.at));
        if !signed_up_since {
            self.note("removed from both sides before; only a new sign-up brings the member back");
        }
        !signed_up_since
    }

    /// Lets the consent rule decide, and plans what it says.
    pub(super) fn decide_status(&mut self) {
        let question = self.question();
        let decision = consent::decide(&question);
        if matches!(self.meeting, Meeting::KnownOnBoth | Meeting::GoneFromLocal | Meeting::GoneFromRemote) {
            self.base.consent = question.with_what_is_seen();
        }
        if let Some(note) = decision.note.or_else(|| self.lasting_note(&question, &decision)) {
            self.note(note);
        }
        self.conflicts.extend(decision.conflict.clone());
        self.waits = self.waits.take().or(decision.waits.map(str::to_owned));
        let Decision { verdict, standing, reason, class, .. } = decision;
        let operation = match verdict {
            Verdict::Stay => return,
            Verdict::Agreed => {
                self.has_base = true;
                self.base.consent = standing;
                return self.link();
            }
            // Nobody is asked at an address that the register has left, and that staff have to look at.
            Verdict::Remote(decided) if decided.raises_consent() && self.local_move().is_some() => return,
            Verdict::Remote(decided) => Operation::RemoteStatus { decided, standing },
            Verdict::Archive => Operation::RemoteArchive { standing },
            Verdict::CreateRemote(_) if self.trio.taken_remotely => return self.stop_at_taken_address(),
            Verdict::CreateLocal(_) if self.trio.taken_locally => {
                return self.stop_at(Conflict::AddressTakenLocally, TAKEN_LOCALLY);
            }
            Verdict::CreateRemote(decided) => match self.newest() {
                Some(row) => {
                    let email = self.local_move().unwrap_or_else(|| row.email.clone());
                    self.remote_create(email, decided, standing)
                }
                None => return,
            },
            Verdict::Local(status, _) if raises_locally(status) && self.is_gainsaid(status) => {
                self.waits = Some("a row that cannot be synchronized says otherwise".to_owned());
                return;
            }
            Verdict::Local(status, changed_at) => Operation::LocalStatus { status, changed_at, standing },
            Verdict::CreateLocal(changed_at) => match &self.trio.remote {
                Some(contact) => Operation::LocalCreate {
                    email: contact.email.clone(),
                    changed_at,
                    values: self.filled(Direction::ToMailchimp),
                    standing,
                },
                None => return,
            },
        };
        self.plan(operation, reason, class);
    }

    /// Whether a row that takes opt-outs only says something else.
    fn is_gainsaid(&self, status: SubscriptionStatus) -> bool {
        let says_otherwise =
            |row: &Registration| row.status != status && self.trio.unusable.contains(&row.id);
        self.trio.local.iter().any(says_otherwise)
    }

    /// The note that was written with an opt-out stays while nothing changes.
    fn lasting_note(&self, question: &Question<'_>, decision: &Decision) -> Option<&'static str> {
        let left = question.local.is_some_and(|word| word.status == SubscriptionStatus::Unsubscribed);
        let rests = left && matches!(decision.verdict, Verdict::Agreed | Verdict::Local(..));
        let noted = |words: &&str| {
            self.trio.local.iter().filter_map(|row| row.sync_note.as_ref()).any(|note| note.contains(*words))
        };
        consent::LASTING_NOTES.into_iter().filter(|_| rests).find(noted)
    }

    /// A contact to create from what the rows say.
    pub(super) fn remote_create(
        &self,
        email: EmailAddress,
        decided: consent::DecidedStatus,
        standing: Standing,
    ) -> Operation {
        let membership = self.newest().and_then(|row| row.membership.as_deref());
        let groups = groups_of(self.policy, &self.desired, membership);
        let proof =
            self.trio.local.iter().rev().find(|row| row.signup_at.is_some() || row.signup_ip.is_some());
        let signup_at: Option<Timestamp> = proof.and_then(|row| row.signup_at);
        Operation::RemoteCreate {
            email,
            decided,
            values: self.filled(Direction::ToLocal),
            group_tags: tags_of(self.policy, &groups),
            signup_ip: proof.and_then(|row| row.signup_ip.clone()).filter(|ip| !ip.is_empty()),
            signup_at,
            standing,
        }
    }

    /// The values that say something, but for those that travel in this direction alone.
    fn filled(&self, but: Direction) -> BTreeMap<Key, Value> {
        let says = |(key, value): &(&Key, &Value)| !value.is_empty() && direction(key, self.policy) != but;
        let filled = self.desired.iter().filter(says);
        filled.map(|(key, value)| (key.clone(), value.clone())).collect()
    }

    /// Links the base with what is there: rows that are new to it, and the contact.
    pub(super) fn link(&mut self) {
        let present: BTreeSet<_> = self.trio.local.iter().map(|row| &row.id).collect();
        self.base.rows.retain(|id, _| present.contains(id));
        for row in &self.trio.local {
            self.base.rows.entry(row.id.clone()).or_insert_with(|| row.email.clone());
        }
        match &self.trio.remote {
            Some(contact) if self.base.contact.is_none() => {
                self.base.contact = Some((contact.contact_id.clone(), contact.email.clone()));
            }
            Some(_) => (),
            None => self.base.contact = None,
        }
        // What a side showed before it was gone is not what its successor changed.
        if self.trio.local.is_empty() || self.trio.remote.is_none() {
            self.base.values.clear();
        }
    }

    /// Reports what the rows name and the audience lacks.
    pub(super) fn report_unknown_interests(&mut self) {
        for interest in unknown_interests(&self.trio.local, self.policy) {
            self.note(&format!("Mailchimp has no interest {interest}: rosterd provision creates it"));
            self.conflicts.push(Conflict::UnknownInterest { interest: interest.to_string() });
        }
    }

    /// Nothing is left on either side: forget the member, but remember not to create it again.
    ///
    /// Not while a contact may still come of a creation that nobody heard of: it would be a stranger.
    pub(super) fn bury(self) -> MemberPlan {
        if let Some(email) = self.base.on_its_way(self.trio.observed_at).cloned() {
            let waits = Some("removed while a contact was created; it may still show".to_owned());
            return MemberPlan { email: Some(email), base: Some(self.base.clone()), waits, ..self.finish() };
        }
        let known = self.trio.base.as_ref().is_some_and(|base| !base.is_first_meeting());
        let opted_out = self.base.consent.opted_out_at.is_some()
            || matches!(self.base.consent.local, Some(SubscriptionStatus::Unsubscribed));
        let address =
            self.base.contact.as_ref().map(|(_, address)| address).or(self.base.rows.values().next());
        MemberPlan {
            member: self.trio.id,
            meeting: self.meeting,
            email: address.cloned(),
            operations: Vec::new(),
            conflicts: Vec::new(),
            base: None,
            waits: None,
            tombstone: known.then_some(Tombstone { at: self.trio.observed_at, opted_out }),
        }
    }

    /// A member that was set aside: nothing but its note.
    pub(super) fn finish_parked(mut self) -> MemberPlan {
        self.write_notes();
        self.finish()
    }

    pub(super) fn finish(self) -> MemberPlan {
        let contact = self.trio.remote.as_ref().map(|contact| &contact.email);
        MemberPlan {
            member: self.trio.id,
            meeting: self.meeting,
            email: self.trio.local.last().map(|row| &row.email).or(contact).cloned(),
            operations: self.operations,
            conflicts: self.conflicts,
            base: self.has_base.then_some(self.base),
            waits: self.waits,
            tombstone: None,
        }
    }
}

fn raises_locally(status: SubscriptionStatus) -> bool {
    matches!(status, SubscriptionStatus::Subscribed | SubscriptionStatus::Pending)
}

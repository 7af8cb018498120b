//! Changes of address: they travel both ways, and never merge two people.

use std::collections::BTreeSet;

use crate::model::{Contact, EmailAddress, Registration, SubscriptionStatus};
use crate::reconcile::consent::{self, Decision, Verdict};
use crate::reconcile::draft::Draft;
use crate::reconcile::merge::EditTimes;
use crate::reconcile::plan::{Class, Conflict, Operation, Side};
use crate::reconcile::trio::Standing;

impl Draft<'_> {
    /// Decides about the address of a member that shows on both sides; `false` where everything else has to wait for it.
    pub(super) fn decide_address(&mut self) -> bool {
        let Some(contact) = &self.trio.remote else { return true };
        self.remember_where_they_met(contact);
        let remote_moved = self.base.contact.as_ref().is_some_and(|(_, base)| *base != contact.email);
        match (self.local_move(), remote_moved) {
            (None, false) if self.trio.local.iter().any(|row| row.email == contact.email) => {
                self.gather_rows(&contact.email);
                true
            }
            // The row that moved is gone: those that stayed behind follow the contact.
            (None, false) => self.rename_locally(&contact.email),
            (Some(to), _) if to == contact.email => {
                self.settle_addresses();
                self.gather_rows(&contact.email);
                true
            }
            (None, true) => self.rename_locally(&contact.email),
            (Some(_), true) => {
                self.stop_at(
                    Conflict::AddressChangedTwice,
                    "the address was changed on both sides: staff must decide",
                );
                true
            }
            (Some(to), false) => self.move_remotely(to, contact.status),
        }
    }

    /// Rows and contact met under one address. Where they show two before any was remembered, one side has moved
    /// since: the older edit shows where they met.
    fn remember_where_they_met(&mut self, contact: &Contact) {
        let Some(newest) = self.newest() else { return };
        if !self.base.rows.is_empty() || self.trio.local.iter().any(|row| row.email == contact.email) {
            return;
        }
        let met = match &self.base.contact {
            Some((_, address)) => address.clone(),
            None => match EditTimes::of(self.trio).winner(self.policy.prefer) {
                Side::Local => contact.email.clone(),
                Side::Remote => newest.email.clone(),
            },
        };
        self.base.rows = self.trio.local.iter().map(|row| (row.id.clone(), met.clone())).collect();
        self.base.contact = Some((contact.contact_id.clone(), met));
        self.has_base = true;
    }

    /// The address that the local side changed to, by the newest row that bears another one than in the base.
    pub(super) fn local_move(&self) -> Option<EmailAddress> {
        let moved = |row: &&Registration| self.base.rows.get(&row.id).is_some_and(|base| *base != row.email);
        self.trio.local.iter().rev().find(moved).map(|row| row.email.clone())
    }

    fn settle_addresses(&mut self) {
        self.base.rows = self.trio.local.iter().map(|row| (row.id.clone(), row.email.clone())).collect();
        if let (Some(contact), Some(link)) = (&self.trio.remote, &mut self.base.contact) {
            // Another contact where the one at the old address was left behind.
            *link = (contact.contact_id.clone(), contact.email.clone());
        }
    }

    /// Rows that stayed behind when the others moved follow: one member has one address.
    fn gather_rows(&mut self, to: &EmailAddress) {
        if self.trio.usable().any(|row| row.email == *to) {
            self.rename_rows(to, "another row of the member has the new address");
        }
    }

    fn rename_locally(&mut self, to: &EmailAddress) -> bool {
        if self.trio.taken_locally {
            self.stop_at(
                Conflict::AddressTakenLocally,
                "the new address in Mailchimp belongs to another registration: staff must decide",
            );
            return true;
        }
        let mut usable = self.trio.usable().peekable();
        if usable.peek().is_some() && usable.all(|row| row.email == *to) {
            self.settle_addresses();
        }
        self.rename_rows(to, "address changed in Mailchimp");
        true
    }

    fn rename_rows(&mut self, to: &EmailAddress, reason: &str) {
        let others: BTreeSet<EmailAddress> =
            self.trio.usable().map(|row| row.email.clone()).filter(|address| address != to).collect();
        for from in others {
            self.plan(Operation::LocalRename { from, to: to.clone() }, reason, Class::Free);
        }
    }

    /// The local side moved: Mailchimp renames only subscribed members.
    fn move_remotely(&mut self, to: EmailAddress, status: SubscriptionStatus) -> bool {
        if self.trio.taken_remotely {
            self.stop_at_taken_address();
            return true;
        }
        let decision = consent::decide(&self.question());
        if decision.conflict.is_some() || leaves(&decision) {
            return true;
        }
        match status {
            SubscriptionStatus::Subscribed => {
                self.plan(Operation::RemoteRename { to }, "address changed in the register", Class::Free);
                // A confirmation is asked for at the new address, once it is there.
                !raises(&decision)
            }
            SubscriptionStatus::Pending => {
                let standing = Standing {
                    remote: None,
                    remote_at: None,
                    asked_at: None,
                    asked_for: None,
                    ..self.base.consent.clone()
                };
                let operation = Operation::RemoteLeave { decided: consent::left_behind(), standing };
                self.take_what_changed_remotely();
                self.plan(operation, "address changed before it was confirmed", Class::Free);
                false
            }
            SubscriptionStatus::Cleaned => self.start_afresh(to),
            SubscriptionStatus::Unsubscribed
            | SubscriptionStatus::Transactional
            | SubscriptionStatus::Archived => self.return_at(to, decision),
        }
    }

    /// Somebody who was out is back at another address: the contact at the old one is left as it is.
    fn return_at(&mut self, to: EmailAddress, decision: Decision) -> bool {
        let Verdict::Remote(decided) = decision.verdict else { return true };
        self.take_what_changed_remotely();
        let operation = self.remote_create(to, decided, decision.standing);
        self.plan(operation, decision.reason, decision.class);
        false
    }

    /// The bounced address is left behind; at the new one the consent from before the bounce holds.
    fn start_afresh(&mut self, to: EmailAddress) -> bool {
        let question = self.question();
        if question.local.is_some_and(|word| word.status == SubscriptionStatus::Unsubscribed) {
            return true;
        }
        let Some(decision) = consent::afresh(&question) else {
            self.note("a new address after a bounce, but nobody knows of consent from before: a new sign-up is needed");
            return true;
        };
        let Verdict::CreateRemote(decided) = decision.verdict else { return true };
        self.take_what_changed_remotely();
        let operation = self.remote_create(to, decided, decision.standing);
        self.plan(operation, decision.reason, decision.class);
        false
    }

    pub(super) fn stop_at_taken_address(&mut self) {
        self.stop_at(
            Conflict::AddressTakenRemotely,
            "the new address belongs to another contact in Mailchimp: staff must decide",
        );
    }

    pub(super) fn stop_at(&mut self, conflict: Conflict, words: &str) {
        self.conflicts.push(conflict);
        self.note(words);
        self.waits = Some(words.to_owned());
    }
}

/// Whether the register's word is an opt-out: nothing else is sent, the new address waits for their return.
fn leaves(decision: &Decision) -> bool {
    matches!(decision.verdict, Verdict::Remote(decided) if !decided.raises_consent())
}

fn raises(decision: &Decision) -> bool {
    matches!(decision.verdict, Verdict::Remote(decided) if decided.raises_consent())
}

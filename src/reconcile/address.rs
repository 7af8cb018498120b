//! Changes of address: they travel both ways, and never merge two people.

use crate::model::{EmailAddress, SubscriptionStatus};
use crate::reconcile::consent;
use crate::reconcile::draft::Draft;
use crate::reconcile::plan::{Class, Conflict, Operation};
use crate::reconcile::trio::Standing;

impl Draft<'_> {
    /// Decides about the address of a member known on both sides; `false` where everything else has to wait for it.
    pub(super) fn decide_address(&mut self) -> bool {
        let Some(contact) = &self.trio.remote else { return true };
        let remote_base = self.base.contact.as_ref().map(|(_, address)| address.clone());
        let moved_to = self.local_move();
        let remote_moved = remote_base.as_ref().is_some_and(|base| *base != contact.email);
        match (moved_to, remote_moved) {
            (None, false) => true,
            (Some(to), _) if to == contact.email => {
                self.settle_addresses();
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

    /// The address that the local side changed to, by the newest row that bears another one than in the base.
    fn local_move(&self) -> Option<EmailAddress> {
        let moved = |row: &&crate::model::Registration| {
            self.base.rows.get(&row.id).is_some_and(|base| *base != row.email)
        };
        self.trio.local.iter().rev().find(moved).map(|row| row.email.clone())
    }

    fn settle_addresses(&mut self) {
        self.base.rows = self.trio.local.iter().map(|row| (row.id.clone(), row.email.clone())).collect();
        if let (Some(contact), Some(link)) = (&self.trio.remote, &mut self.base.contact) {
            link.1 = contact.email.clone();
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
        let Some(from) = self.trio.local.iter().rev().map(|row| &row.email).find(|address| *address != to)
        else {
            self.settle_addresses();
            return true;
        };
        let operation = Operation::LocalRename { from: from.clone(), to: to.clone() };
        self.plan(operation, "address changed in Mailchimp", Class::Free);
        true
    }

    /// The local side moved: Mailchimp renames only subscribed members.
    fn move_remotely(&mut self, to: EmailAddress, status: SubscriptionStatus) -> bool {
        if self.trio.taken_remotely {
            self.stop_at(
                Conflict::AddressTakenRemotely,
                "the new address belongs to another contact in Mailchimp: staff must decide",
            );
            return true;
        }
        let question = self.question();
        let left = question.local.is_some_and(|word| word.status == SubscriptionStatus::Unsubscribed);
        match status {
            SubscriptionStatus::Subscribed if !left => {
                self.plan(Operation::RemoteRename { to }, "address changed in the register", Class::Free);
                true
            }
            SubscriptionStatus::Pending if !left => {
                let standing =
                    Standing { remote: None, asked_at: None, asked_for: None, ..self.base.consent.clone() };
                let operation = Operation::RemoteLeave { decided: consent::left_behind(), standing };
                self.plan(operation, "address changed before it was confirmed", Class::Free);
                false
            }
            SubscriptionStatus::Cleaned if !left => self.start_afresh(to),
            SubscriptionStatus::Subscribed
            | SubscriptionStatus::Pending
            | SubscriptionStatus::Cleaned
            | SubscriptionStatus::Unsubscribed
            | SubscriptionStatus::Transactional
            | SubscriptionStatus::Archived => true,
        }
    }

    /// The bounced address is left behind; at the new one the consent from before the bounce holds.
    fn start_afresh(&mut self, to: EmailAddress) -> bool {
        let Some(decided) = consent::afresh(&self.question()) else {
            self.note("a new address after a bounce, but nobody knows of consent from before: a new sign-up is needed");
            return true;
        };
        let standing =
            Standing { remote: Some(decided.get()), before_bounce: None, ..self.base.consent.clone() };
        let operation = self.remote_create(to, decided, standing);
        self.plan(operation, "a new address after a bounce", Class::Creation);
        false
    }

    fn stop_at(&mut self, conflict: Conflict, words: &str) {
        self.conflicts.push(conflict);
        self.note(words);
        self.waits = Some(words.to_owned());
    }
}

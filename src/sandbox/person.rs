//! What members do: with the sign-up form, the preference center and the links in their mails.

use std::collections::BTreeMap;

use serde_json::Map;
use serde_json::Value;

use crate::sandbox::Sandbox;
use crate::sandbox::audience::World;
use crate::sandbox::hooks::Origin;
use crate::sandbox::member::Compliance;
use crate::sandbox::member::Member;
use crate::sandbox::member::Status;
use crate::sandbox::member::subscriber_hash;
use crate::sandbox::merge_values::Validation;
use crate::sandbox::merge_values::write_values;
use crate::sandbox::problem::Problem;
use crate::sandbox::rename::rename;

/// What a person fills into a form.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FormEntry {
    /// Values by merge tag.
    pub merge_fields: BTreeMap<String, Value>,
    /// Interests to tick or clear, by id or by name.
    pub interests: BTreeMap<String, bool>,
}

impl FormEntry {
    /// A form with nothing filled in.
    pub fn new() -> Self {
        Self::default()
    }

    /// Fills in a merge field.
    pub fn field(mut self, tag: &str, value: impl Into<Value>) -> Self {
        self.merge_fields.insert(tag.to_owned(), value.into());
        self
    }

    /// Ticks an interest.
    pub fn tick(mut self, interest: &str) -> Self {
        self.interests.insert(interest.to_owned(), true);
        self
    }

    /// Clears an interest.
    pub fn clear(mut self, interest: &str) -> Self {
        self.interests.insert(interest.to_owned(), false);
        self
    }
}

/// Why an act was not possible.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PersonError {
    /// No member with that address can do that.
    #[error("no member with that address can do that now")]
    NotPossible,
    /// The audience has no such interest.
    #[error("the audience has no interest {0:?}")]
    UnknownInterest(String),
    /// A page would show this message.
    #[error("{0}")]
    Refused(String),
}

impl From<Problem> for PersonError {
    fn from(problem: Problem) -> Self {
        Self::Refused(problem.sentence())
    }
}

/// People and staff, acting in Mailchimp's own pages.
#[derive(Clone, Debug)]
pub struct Person {
    pub(crate) sandbox: Sandbox,
}

impl Person {
    /// Signs up with the form. On a double opt-in audience they are pending until they confirm, and get a mail.
    pub fn subscribe_by_form(&self, email: &str, entry: &FormEntry) -> Result<(), PersonError> {
        self.act(|world, now| {
            world.audience.forgotten.remove(&subscriber_hash(email));
            let known = world.audience.store.by_email(email);
            let mut member = match known.and_then(|slot| world.audience.store.get(slot)) {
                Some(member) => member.clone(),
                None => world.blank(email, Status::Archived, now),
            };
            fill_in(world, &mut member, entry)?;
            if member.status != Status::Subscribed {
                member.timestamp_signup = Some(now);
                "192.0.2.1".clone_into(&mut member.ip_signup);
                member.source = "Hosted Signup Form";
                if world.options.double_optin {
                    member.status = Status::Pending;
                    world.mail_confirmation(email);
                } else {
                    opt_in(&mut member, now);
                }
            }
            match known {
                Some(slot) => world.change(slot, member, Origin::User, now),
                None => drop(world.create(member, Origin::User, now)),
            }
            Ok(())
        })
    }

    /// Follows the link in the confirmation mail.
    pub fn confirm(&self, email: &str) -> Result<(), PersonError> {
        self.change(email, Origin::User, |_, member, now| {
            if member.status != Status::Pending {
                return Err(PersonError::NotPossible);
            }
            opt_in(member, now);
            Ok(())
        })
    }

    /// Changes merge fields and interests in the preference center.
    pub fn edit_preferences(&self, email: &str, entry: &FormEntry) -> Result<(), PersonError> {
        self.change(email, Origin::User, |world, member, _| {
            if member.status == Status::Archived {
                return Err(PersonError::NotPossible);
            }
            fill_in(world, member, entry)
        })
    }

    /// Changes the address in the preference center.
    pub fn change_address(&self, old: &str, new: &str) -> Result<(), PersonError> {
        self.change(old, Origin::User, |world, member, _| Ok(rename(world, member, new)?))
    }

    /// Follows the unsubscribe link: the API cannot bring them back.
    pub fn unsubscribe(&self, email: &str) -> Result<(), PersonError> {
        self.leave(email, Compliance::Left, "None given")
    }

    /// Complains of spam.
    pub fn complain(&self, email: &str) -> Result<(), PersonError> {
        self.leave(email, Compliance::Complained, "N/A (Abuse complaint)")
    }

    /// Does not receive mails any more: the address is given up.
    pub fn bounce(&self, email: &str) -> Result<(), PersonError> {
        self.change(email, Origin::User, |_, member, _| {
            // Nothing is sent to anybody else.
            if !matches!(member.status, Status::Subscribed | Status::Pending) {
                return Err(PersonError::NotPossible);
            }
            member.status = Status::Cleaned;
            member.compliance = Some(Compliance::Bounced);
            Ok(())
        })
    }

    fn leave(&self, email: &str, why: Compliance, reason: &str) -> Result<(), PersonError> {
        self.change(email, Origin::User, |_, member, _| {
            if member.status == Status::Archived {
                return Err(PersonError::NotPossible);
            }
            member.status = Status::Unsubscribed;
            member.compliance = Some(why);
            reason.clone_into(&mut member.unsubscribe_reason);
            Ok(())
        })
    }

    /// Changes one member, and tells the webhooks whose act it was.
    pub(crate) fn change(
        &self,
        email: &str,
        origin: Origin,
        change: impl FnOnce(&mut World, &mut Member, i64) -> Result<(), PersonError>,
    ) -> Result<(), PersonError> {
        self.act(|world, now| {
            let slot = world.audience.store.by_email(email).ok_or(PersonError::NotPossible)?;
            let mut member = world.audience.store.get(slot).cloned().ok_or(PersonError::NotPossible)?;
            change(world, &mut member, now)?;
            world.change(slot, member, origin, now);
            Ok(())
        })
    }

    pub(crate) fn act<T>(&self, act: impl FnOnce(&mut World, i64) -> T) -> T {
        let now = self.sandbox.clock().now().as_second();
        self.sandbox.world(|world| act(world, now))
    }
}

/// The person's own word: nothing stands in their way any more.
fn opt_in(member: &mut Member, now: i64) {
    member.status = Status::Subscribed;
    member.compliance = None;
    member.timestamp_opt = Some(now);
    "192.0.2.1".clone_into(&mut member.ip_opt);
}

/// Writes a form into a member; a radio or dropdown choice clears its siblings.
pub(crate) fn fill_in(world: &World, member: &mut Member, entry: &FormEntry) -> Result<(), PersonError> {
    let fields: Map<String, Value> = entry.merge_fields.clone().into_iter().collect();
    write_values(&world.audience, member, &fields, Validation::Skipped)?;
    for (name, ticked) in &entry.interests {
        let interests = &world.audience.interests;
        let found = interests
            .iter()
            .find(|interest| interest.id == *name)
            .or_else(|| interests.iter().find(|interest| interest.name.eq_ignore_ascii_case(name)));
        let interest = found.ok_or_else(|| PersonError::UnknownInterest(name.clone()))?;
        let category = world.audience.categories.iter().find(|category| category.id == interest.category_id);
        let exclusive =
            category.is_some_and(|category| matches!(category.kind.as_str(), "radio" | "dropdown"));
        if *ticked && exclusive {
            for sibling in interests.iter().filter(|sibling| sibling.category_id == interest.category_id) {
                member.set_interest(sibling.slot, false);
            }
        }
        member.set_interest(interest.slot, *ticked);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::sandbox::SandboxOptions;
    use crate::sandbox::testing::Api;
    use crate::sandbox::testing::address;

    #[test]
    fn a_form_subscribes_at_once_or_asks_for_a_confirmation() {
        for (double_optin, status, mails) in [(false, "subscribed", 0), (true, "pending", 1)] {
            let api = Api::with(SandboxOptions { double_optin, ..SandboxOptions::default() });
            let email = address("new");
            api.sandbox.person().subscribe_by_form(&email, &FormEntry::new().field("FNAME", "Ada")).unwrap();
            assert_eq!(api.shows(&email, "status"), status);
            assert_eq!(api.sandbox.confirmation_mails(&email), mails);
            assert_eq!(api.shows(&email, "source"), "Hosted Signup Form");
            assert_eq!(api.sandbox.person().confirm(&email).is_ok(), double_optin);
            assert_eq!(api.shows(&email, "timestamp_opt"), "2026-03-01T12:00:00+00:00");
        }
    }

    #[test]
    fn the_form_brings_back_whoever_fills_it_in() {
        let api = Api::with_everybody(SandboxOptions::default());
        for name in ["left", "complained", "bounced", "archived", "left-archived", "forgotten"] {
            let email = address(name);
            api.sandbox.person().subscribe_by_form(&email, &FormEntry::new()).unwrap();
            assert_eq!(api.shows(&email, "status"), "subscribed", "{name}");
            assert_eq!(api.shows(&email, "timestamp_opt"), "2026-03-01T12:01:00+00:00", "{name}");
            api.patch(&email, json!({"status": "unsubscribed"}));
            assert_eq!(
                api.patch(&email, json!({"status": "subscribed"})).0,
                200,
                "{name} is in no compliance state"
            );
        }
    }

    #[test]
    fn staff_bring_members_back_without_a_new_opt_in() {
        let api = Api::with_everybody(SandboxOptions::default());
        let person = api.sandbox.person();
        person.staff_unarchive(&address("archived")).unwrap();
        person.staff_unarchive(&address("left-archived")).unwrap();
        person.staff_resubscribe(&address("left")).unwrap();
        for (name, status) in
            [("archived", "subscribed"), ("left-archived", "unsubscribed"), ("left", "subscribed")]
        {
            assert_eq!(api.shows(&address(name), "status"), status);
            assert_eq!(api.shows(&address(name), "timestamp_opt"), "2026-03-01T12:00:00+00:00");
            assert_eq!(api.shows(&address(name), "last_changed"), "2026-03-01T12:01:00+00:00");
        }
    }

    #[test]
    fn who_never_confirms_disappears_and_may_come_again() {
        let api = Api::with_everybody(SandboxOptions::default());
        let email = address("pending");
        api.sandbox.person().expire_pending(&email).unwrap();
        assert_eq!(api.sandbox.member(&email), None);
        assert_eq!(api.post("/members", json!({"email_address": email, "status": "pending"})).0, 200);
        assert_eq!(
            api.sandbox.person().expire_pending(&address("subscribed")),
            Err(PersonError::NotPossible)
        );
    }

    #[test]
    fn what_cannot_be_done_says_so() {
        let api = Api::with_everybody(SandboxOptions::default());
        let person = api.sandbox.person();
        let unknown = FormEntry::new().tick("Nothing");
        for (result, expected) in [
            (person.confirm(&address("subscribed")), PersonError::NotPossible),
            (person.unsubscribe(&address("nobody")), PersonError::NotPossible),
            (person.edit_preferences(&address("archived"), &FormEntry::new()), PersonError::NotPossible),
            (
                person.edit_preferences(&address("subscribed"), &unknown),
                PersonError::UnknownInterest("Nothing".to_owned()),
            ),
            (
                person.change_address(&address("subscribed"), "x@example.com"),
                PersonError::Refused(
                    "x@example.com looks fake or invalid, please enter a real email address.".to_owned(),
                ),
            ),
        ] {
            assert_eq!(result, Err(expected));
        }
    }

    #[test]
    fn a_deleted_audience_and_a_revoked_key_answer_so() {
        let api = Api::with_everybody(SandboxOptions::default());
        api.sandbox.person().staff_delete_audience();
        assert_eq!(api.get("/members").0, 404);
        api.sandbox.person().staff_revoke_key();
        assert_eq!(api.get("/members").0, 401);
    }
}

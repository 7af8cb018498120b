//! What staff do in Mailchimp's own pages.

use crate::sandbox::hooks::Origin;
use crate::sandbox::member::Status;
use crate::sandbox::person::FormEntry;
use crate::sandbox::person::Person;
use crate::sandbox::person::PersonError;
use crate::sandbox::person::fill_in;
use crate::sandbox::rename::rename;
use crate::sandbox::status::BY_ADMIN;
use crate::sandbox::tags;

impl Person {
    /// Staff add somebody, subscribed at once.
    pub fn staff_add(&self, email: &str, entry: &FormEntry) -> Result<(), PersonError> {
        self.act(|world, now| {
            if world.audience.store.by_email(email).is_some() {
                return Err(PersonError::NotPossible);
            }
            let mut member = world.blank(email, Status::Subscribed, now);
            member.source = "Admin Add";
            member.timestamp_opt = Some(now);
            fill_in(world, &mut member, entry)?;
            world.create(member, Origin::Admin, now);
            Ok(())
        })
    }

    /// Staff archive a member, whatever the status.
    pub fn staff_archive(&self, email: &str) -> Result<(), PersonError> {
        self.change(email, Origin::Admin, |_, member, _| {
            member.status = Status::Archived;
            Ok(())
        })
    }

    /// Staff bring an archived member back: subscribed, or unsubscribed who had left. No new `timestamp_opt`.
    pub fn staff_unarchive(&self, email: &str) -> Result<(), PersonError> {
        self.change(email, Origin::Admin, |_, member, _| {
            if member.status != Status::Archived {
                return Err(PersonError::NotPossible);
            }
            member.status =
                if member.compliance.is_some() { Status::Unsubscribed } else { Status::Subscribed };
            Ok(())
        })
    }

    /// Staff subscribe a member again, claiming a permission. No new `timestamp_opt`.
    pub fn staff_resubscribe(&self, email: &str) -> Result<(), PersonError> {
        self.change(email, Origin::Admin, |_, member, _| {
            member.status = Status::Subscribed;
            member.compliance = None;
            Ok(())
        })
    }

    /// Staff unsubscribe a member: the API can bring them back.
    pub fn staff_unsubscribe(&self, email: &str) -> Result<(), PersonError> {
        self.change(email, Origin::Admin, |_, member, _| {
            member.status = Status::Unsubscribed;
            BY_ADMIN.clone_into(&mut member.unsubscribe_reason);
            Ok(())
        })
    }

    /// Staff delete a member for good: the API cannot import the address again.
    pub fn staff_delete_permanently(&self, email: &str) -> Result<(), PersonError> {
        self.act(|world, now| {
            let slot = world.audience.store.by_email(email).ok_or(PersonError::NotPossible)?;
            world.forget(slot, Origin::Admin, now);
            Ok(())
        })
    }

    /// A pending member who never confirmed disappears, as Mailchimp does after about sixty days.
    pub fn expire_pending(&self, email: &str) -> Result<(), PersonError> {
        self.act(|world, _| {
            let slot = world.audience.store.by_email(email).ok_or(PersonError::NotPossible)?;
            let pending =
                world.audience.store.get(slot).is_some_and(|member| member.status == Status::Pending);
            if !pending {
                return Err(PersonError::NotPossible);
            }
            world.audience.store.put(slot, None);
            Ok(())
        })
    }

    /// Staff add a tag.
    pub fn staff_add_tag(&self, email: &str, tag: &str) -> Result<(), PersonError> {
        self.change(email, Origin::Admin, |world, member, now| {
            tags::add(world, member, tag, now);
            Ok(())
        })
    }

    /// Staff remove a tag.
    pub fn staff_remove_tag(&self, email: &str, tag: &str) -> Result<(), PersonError> {
        self.change(email, Origin::Admin, |world, member, now| {
            tags::remove(world, member, tag, now);
            Ok(())
        })
    }

    /// Staff edit merge fields and interests.
    pub fn staff_edit(&self, email: &str, entry: &FormEntry) -> Result<(), PersonError> {
        self.change(email, Origin::Admin, |world, member, _| fill_in(world, member, entry))
    }

    /// Staff change an address.
    pub fn staff_change_address(&self, old: &str, new: &str) -> Result<(), PersonError> {
        self.change(old, Origin::Admin, |world, member, _| Ok(rename(world, member, new)?))
    }

    /// Staff delete the audience: everything below it answers 404.
    pub fn staff_delete_audience(&self) {
        self.act(|world, _| world.audience.gone = true);
    }

    /// Staff revoke the key: every request answers 401.
    pub fn staff_revoke_key(&self) {
        self.act(|world, _| world.key_revoked = true);
    }
}

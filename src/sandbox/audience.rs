//! The audience and the account around it: what is stored, and how a change is brought in.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use serde_json::Map;
use serde_json::Value;

use crate::sandbox::batches::Batches;
use crate::sandbox::hooks::Hooks;
use crate::sandbox::hooks::Origin;
use crate::sandbox::ids::Sequence;
use crate::sandbox::listing::Found;
use crate::sandbox::log::Log;
use crate::sandbox::member::Member;
use crate::sandbox::member::Status;
use crate::sandbox::member::subscriber_hash;
use crate::sandbox::options::SandboxOptions;
use crate::sandbox::store::Store;

/// A merge field of the audience.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct MergeField {
    /// The id that never changes.
    pub(crate) merge_id: u32,
    /// The tag, `FNAME`; can be renamed.
    pub(crate) tag: String,
    /// The label.
    pub(crate) name: String,
    /// `text`, `number`, …
    pub(crate) kind: String,
    /// Whether a value must be there.
    pub(crate) required: bool,
    /// The choices of a radio or dropdown field.
    pub(crate) choices: Vec<String>,
    /// The other keys: default value, public, order, help text.
    pub(crate) rest: Map<String, Value>,
}

/// An interest category.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Category {
    /// Ten hexadecimal digits.
    pub(crate) id: String,
    /// The title.
    pub(crate) title: String,
    /// `checkboxes`, `dropdown`, `radio` or `hidden`.
    pub(crate) kind: String,
    /// The place on forms.
    pub(crate) display_order: i64,
}

/// An interest of a category.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Interest {
    /// Ten hexadecimal digits.
    pub(crate) id: String,
    /// The category it belongs to.
    pub(crate) category_id: String,
    /// The name.
    pub(crate) name: String,
    /// The place on forms.
    pub(crate) display_order: i64,
    /// Its bit in every member.
    pub(crate) slot: u32,
}

/// A tag, which is a static segment.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Tag {
    /// The id, also that of the segment.
    pub(crate) id: u32,
    /// The name in the case of its first use.
    pub(crate) name: String,
    /// When it came to be.
    pub(crate) created: i64,
    /// When its members last changed.
    pub(crate) updated: i64,
}

/// The one audience.
#[derive(Clone, Debug, Default)]
pub(crate) struct Audience {
    /// Ten hexadecimal digits.
    pub(crate) id: String,
    /// Whether staff deleted it.
    pub(crate) gone: bool,
    /// What the API shows of it and lets be changed: name, contact, defaults.
    pub(crate) details: Map<String, Value>,
    /// When it was made.
    pub(crate) created: i64,
    /// Its members.
    pub(crate) store: Store,
    /// Its merge fields, by place.
    pub(crate) fields: Vec<MergeField>,
    /// Its interest categories.
    pub(crate) categories: Vec<Category>,
    /// The interests of all categories.
    pub(crate) interests: Vec<Interest>,
    /// Its tags.
    pub(crate) tags: Vec<Tag>,
    /// The hashes of addresses that were deleted for good.
    pub(crate) forgotten: BTreeSet<String>,
    /// Addresses that sign up to too many lists just now.
    pub(crate) throttled: BTreeSet<String>,
}

/// Everything behind the lock.
#[derive(Clone, Debug)]
pub(crate) struct World {
    /// The switches.
    pub(crate) options: SandboxOptions,
    /// Where ids come from.
    pub(crate) ids: Sequence,
    /// Where the ids of requests come from, apart, so that reading changes no member's id.
    pub(crate) request_ids: Sequence,
    /// The base URL of the API, as answers show it.
    pub(crate) base_url: String,
    /// Whether the key still opens.
    pub(crate) key_revoked: bool,
    /// The audience.
    pub(crate) audience: Audience,
    /// Webhooks and what waits to be delivered.
    pub(crate) hooks: Hooks,
    /// Batches.
    pub(crate) batches: Batches,
    /// What was asked.
    pub(crate) log: Log,
    /// The last query of members that was more than a slice.
    pub(crate) found: Option<Found>,
    /// Confirmation mails by lower-cased address.
    pub(crate) mails: BTreeMap<String, u32>,
    /// How often a tag could have started an automation.
    pub(crate) tag_automations: u64,
    next_web_id: u64,
    next_number: u32,
}

impl World {
    /// An account with one empty audience.
    pub(crate) fn new(options: SandboxOptions, now: i64) -> Self {
        let mut ids = Sequence::new(options.seed);
        let audience = Audience {
            id: ids.hex(10),
            details: crate::sandbox::lists::default_details(),
            created: now,
            fields: crate::sandbox::merge_fields::defaults(),
            ..Audience::default()
        };
        Self {
            ids,
            request_ids: Sequence::new(options.seed ^ 0x1D),
            audience,
            base_url: "https://us1.api.mailchimp.test/3.0".to_owned(),
            key_revoked: false,
            hooks: Hooks::default(),
            batches: Batches::default(),
            log: Log::default(),
            found: None,
            mails: BTreeMap::new(),
            tag_automations: 0,
            next_web_id: 400_000_000,
            next_number: 100,
            options,
        }
    }

    /// The next small number: `merge_id` and tag ids.
    pub(crate) fn number(&mut self) -> u32 {
        self.next_number += 1;
        self.next_number
    }

    /// A member with ids of its own and nothing else, not yet stored.
    pub(crate) fn blank(&mut self, email: &str, status: Status, now: i64) -> Member {
        self.next_web_id += 1;
        let odd =
            self.options.odd_id_every.map(u64::from).is_some_and(|every| {
                self.next_web_id.checked_rem(every).is_some_and(|remainder| remainder == 0)
            });
        Member {
            email: email.to_owned(),
            id: if odd { self.ids.hex(32) } else { subscriber_hash(email) },
            contact_id: self.ids.hex(32),
            unique_email_id: self.ids.hex(10),
            web_id: self.next_web_id,
            status,
            compliance: None,
            unsubscribe_reason: String::new(),
            fields: Vec::new(),
            interests: 0,
            tags: Vec::new(),
            email_type: "html".to_owned(),
            language: String::new(),
            vip: false,
            location: (0.0, 0.0),
            ip_signup: String::new(),
            timestamp_signup: None,
            ip_opt: String::new(),
            timestamp_opt: None,
            last_changed: now,
            source: "API - Generic",
        }
    }

    /// Stores a new member, and tells the webhooks.
    pub(crate) fn create(&mut self, member: Member, origin: Origin, now: i64) -> u32 {
        self.tell(origin, None, Some(&member), now);
        self.audience.store.insert(member)
    }

    /// Stores what became of a member: moves `last_changed` if anything changed, and tells the webhooks.
    pub(crate) fn change(&mut self, slot: u32, mut next: Member, origin: Origin, now: i64) {
        let Some(before) = self.audience.store.get(slot).cloned() else { return };
        let tagged = next.last_changed != before.last_changed || next.tags != before.tags;
        next.last_changed = before.last_changed;
        let differs = Member { tags: before.tags.clone(), ..next.clone() } != before;
        if differs || (tagged && self.options.tags_move_last_changed) {
            next.last_changed = now;
        }
        self.tell(origin, Some(&before), Some(&next), now);
        self.audience.store.put(slot, Some(next));
    }

    /// Deletes a member for good and remembers the address by its hash.
    pub(crate) fn forget(&mut self, slot: u32, origin: Origin, now: i64) {
        let Some(before) = self.audience.store.get(slot).cloned() else { return };
        self.audience.forgotten.insert(subscriber_hash(&before.email));
        self.tell(origin, Some(&before), None, now);
        self.audience.store.put(slot, None);
    }

    /// Counts a mail that asks for a confirmation.
    pub(crate) fn mail_confirmation(&mut self, email: &str) {
        *self.mails.entry(email.to_lowercase()).or_default() += 1;
    }
}

impl Audience {
    /// The interest with this id.
    pub(crate) fn interest(&self, id: &str) -> Option<&Interest> {
        self.interests.iter().find(|interest| interest.id == id)
    }

    /// The tag with this name, whatever its case.
    pub(crate) fn tag(&self, name: &str) -> Option<&Tag> {
        let name = name.to_lowercase();
        self.tags.iter().find(|tag| tag.name.to_lowercase() == name)
    }

    /// The merge field with this tag.
    pub(crate) fn field(&self, tag: &str) -> Option<&MergeField> {
        self.fields.iter().find(|field| field.tag == tag)
    }
}

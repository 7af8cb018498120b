//! Webhooks: which acts fire which events, and the queue of what waits to be delivered.

use std::collections::VecDeque;

use hmac::Hmac;
use hmac::KeyInit;
use hmac::Mac;
use jiff::Timestamp;
use sha2::Sha256;

use crate::sandbox::audience::World;
use crate::sandbox::events::events;
use crate::sandbox::member::Member;

/// Seconds between the tries of a delivery: growing, 75 minutes in all.
pub(crate) const RETRIES: [i64; 7] = [30, 90, 240, 480, 780, 1200, 1680];

/// The events a webhook can ask for.
pub(crate) const EVENTS: [&str; 6] =
    ["subscribe", "unsubscribe", "profile", "cleaned", "upemail", "campaign"];
/// Whose acts a webhook can ask for.
pub(crate) const SOURCES: [&str; 3] = ["user", "admin", "api"];

/// Whose act it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// The member.
    User,
    /// Staff, in Mailchimp's own pages.
    Admin,
    /// A program.
    Api,
}

impl Origin {
    fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Admin => "admin",
            Self::Api => "api",
        }
    }
}

/// A webhook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Hook {
    /// Ten hexadecimal digits.
    pub(crate) id: String,
    /// Where it posts to.
    pub(crate) url: String,
    /// Of each event, whether it is wanted; in the order of [`EVENTS`].
    pub(crate) events: [bool; 6],
    /// Of each source, whether it is wanted; in the order of [`SOURCES`].
    pub(crate) sources: [bool; 3],
    /// What deliveries are signed with.
    pub(crate) secret: Option<String>,
    /// Whether a 410 switched it off.
    pub(crate) off: bool,
}

/// A call of a webhook as it goes over the wire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebhookDelivery {
    /// Where it goes.
    pub url: String,
    /// `subscribe`, `unsubscribe`, …
    pub event: String,
    /// The form-encoded body.
    pub body: String,
    /// The value of `X-Mailchimp-Signature`, where the webhook is signed.
    pub signature: Option<String>,
}

/// A call that waits.
#[derive(Clone, Debug)]
pub(crate) struct Waiting {
    /// The webhook.
    pub(crate) hook_id: String,
    /// When the next try is due, in seconds since 1970.
    pub(crate) due: i64,
    /// How many tries failed.
    pub(crate) failed: usize,
    event: &'static str,
    body: String,
}

/// What goes wrong with deliveries on purpose.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct DeliveryFaults {
    /// So many next events are lost.
    pub(crate) lose: u32,
    /// So many next events are delivered twice.
    pub(crate) double: u32,
    /// The newest event goes out first.
    pub(crate) reverse: bool,
}

/// The webhooks of the audience and their queue.
#[derive(Clone, Debug, Default)]
pub(crate) struct Hooks {
    /// The webhooks.
    pub(crate) hooks: Vec<Hook>,
    /// What goes wrong on purpose.
    pub(crate) faults: DeliveryFaults,
    queue: VecDeque<Waiting>,
}

impl World {
    /// Tells the webhooks what changed about a member.
    pub(crate) fn tell(&mut self, origin: Origin, before: Option<&Member>, after: Option<&Member>, now: i64) {
        if self.hooks.hooks.is_empty() {
            return;
        }
        for (event, body) in events(self, before, after, now) {
            self.enqueue(origin, event, &body, now);
        }
    }

    fn enqueue(&mut self, origin: Origin, event: &'static str, body: &str, now: i64) {
        let wants = |names: &[&str], wanted: &[bool], name: &str| {
            names.iter().zip(wanted).any(|(known, wanted)| *known == name && *wanted)
        };
        let wanting: Vec<String> = self
            .hooks
            .hooks
            .iter()
            .filter(|hook| !hook.off && wants(&EVENTS, &hook.events, event))
            .filter(|hook| wants(&SOURCES, &hook.sources, origin.as_str()))
            .map(|hook| hook.id.clone())
            .collect();
        for hook_id in wanting {
            let faults = &mut self.hooks.faults;
            if faults.lose > 0 {
                faults.lose -= 1;
                continue;
            }
            let waiting = Waiting { hook_id, due: now, failed: 0, event, body: body.to_owned() };
            if faults.double > 0 {
                faults.double -= 1;
                self.hooks.queue.push_back(waiting.clone());
            }
            self.hooks.queue.push_back(waiting);
        }
    }

    /// Takes the next call that is due out of the queue, ready to be sent.
    pub(crate) fn next_delivery(&mut self, now: Timestamp) -> Option<(Waiting, WebhookDelivery)> {
        let due = |waiting: &Waiting| waiting.due <= now.as_second();
        let place = match self.hooks.faults.reverse {
            true => self.hooks.queue.iter().rposition(due)?,
            false => self.hooks.queue.iter().position(due)?,
        };
        let waiting = self.hooks.queue.remove(place)?;
        match self.hooks.hooks.iter().find(|hook| hook.id == waiting.hook_id && !hook.off) {
            Some(hook) => {
                let delivery = delivery(hook, &waiting, now);
                Some((waiting, delivery))
            }
            None => self.next_delivery(now),
        }
    }

    /// Puts a call back that failed, or gives it up after 75 minutes.
    pub(crate) fn retry_delivery(&mut self, mut waiting: Waiting, now: i64) {
        if let Some(pause) = RETRIES.get(waiting.failed) {
            waiting.failed += 1;
            waiting.due = now + pause;
            self.hooks.queue.push_back(waiting);
        }
    }

    /// Switches a webhook off for good.
    pub(crate) fn switch_hook_off(&mut self, hook_id: &str) {
        self.hooks.hooks.iter_mut().filter(|hook| hook.id == hook_id).for_each(|hook| hook.off = true);
    }
}

fn delivery(hook: &Hook, waiting: &Waiting, now: Timestamp) -> WebhookDelivery {
    let signature = hook.secret.as_deref().map(|secret| sign(secret, now.as_second(), &waiting.body));
    WebhookDelivery {
        url: hook.url.clone(),
        event: waiting.event.to_owned(),
        body: waiting.body.clone(),
        signature,
    }
}

/// `t={unix},v1={hex}` with the HMAC-SHA256 of `{t}.{body}`.
pub(crate) fn sign(secret: &str, now: i64, body: &str) -> String {
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.as_bytes()) else { return String::new() };
    mac.update(format!("{now}.{body}").as_bytes());
    let hex: String = mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("t={now},v1={hex}")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::mailchimp::transport::Method;
    use crate::sandbox::FormEntry;
    use crate::sandbox::SandboxOptions;
    use crate::sandbox::testing::Api;
    use crate::sandbox::testing::address;
    use crate::sandbox::testing::member_path;
    use crate::sandbox::testing::refusal;

    /// A sandbox with everybody and a webhook for everything from these sources: the secret.
    fn hooked(sources: &[&str]) -> (Api, String) {
        let api = Api::with_everybody(SandboxOptions::default());
        let flags = |names: &[&str], wanted: &[&str]| -> serde_json::Value {
            names
                .iter()
                .map(|name| ((*name).to_owned(), json!(wanted.contains(name))))
                .collect::<serde_json::Map<_, _>>()
                .into()
        };
        let body = json!({"url": "http://127.0.0.1:1/hook", "events": flags(&EVENTS, &EVENTS), "sources": flags(&SOURCES, sources)});
        let (status, hook) = api.post("/webhooks", body);
        assert_eq!(status, 200);
        (api, hook["signing_secret"].as_str().unwrap().to_owned())
    }

    fn pairs(delivery: &WebhookDelivery) -> Vec<(String, String)> {
        crate::sandbox::call::Query::parse(&delivery.body).0
    }

    fn value(delivery: &WebhookDelivery, key: &str) -> String {
        let found = pairs(delivery).into_iter().find(|(name, _)| name == key);
        found.map(|(_, value)| value).unwrap_or_else(|| panic!("no {key} in {}", delivery.body))
    }

    fn events(api: &Api) -> Vec<String> {
        api.sandbox.take_webhooks().into_iter().map(|delivery| delivery.event).collect()
    }

    #[test]
    fn every_act_of_a_person_fires_its_events() {
        let (api, _) = hooked(&["user", "admin", "api"]);
        let person = api.sandbox.person();
        let (new, renamed) = (address("new"), address("renamed"));
        let entry = FormEntry::new().field("FNAME", "Grace");
        person.subscribe_by_form(&new, &FormEntry::new()).unwrap();
        assert_eq!(events(&api), ["subscribe"]);
        person.edit_preferences(&new, &entry).unwrap();
        assert_eq!(events(&api), ["profile"]);
        person.change_address(&new, &renamed).unwrap();
        assert_eq!(events(&api), ["upemail", "profile"]);
        person.unsubscribe(&renamed).unwrap();
        assert_eq!(events(&api), ["unsubscribe"]);
        person.bounce(&address("subscribed")).unwrap();
        assert_eq!(events(&api), ["cleaned"]);
        person.confirm(&address("pending")).unwrap();
        assert_eq!(events(&api), ["subscribe"]);
        person.staff_add_tag(&address("pending"), "Donor").unwrap();
        assert_eq!(events(&api), [""; 0], "tags fire nothing");
        api.call(Method::Delete, &member_path(&address("pending")), None);
        let deliveries = api.sandbox.take_webhooks();
        assert_eq!(
            (deliveries[0].event.as_str(), value(&deliveries[0], "data[action]").as_str()),
            ("unsubscribe", "delete")
        );
    }

    #[test]
    fn bodies_have_the_documented_keys() {
        let (api, _) = hooked(&["user"]);
        api.interests("Topics", "checkboxes", &["Finance", "Roads, Rail"]);
        let entry = FormEntry::new().field("FNAME", "Ada & Co").tick("Finance").tick("Roads, Rail");
        api.sandbox.person().subscribe_by_form(&address("new"), &entry).unwrap();
        let delivery = &api.sandbox.take_webhooks()[0];
        assert!(delivery.body.starts_with("type=subscribe&fired_at=2026-03-01+12%3A01%3A00&data%5Bid%5D="));
        assert_eq!(value(delivery, "data[id]"), api.shows(&address("new"), "unique_email_id"));
        assert_eq!(value(delivery, "data[merges][FNAME]"), "Ada & Co");
        assert_eq!(value(delivery, "data[merges][GROUPINGS][0][groups]"), "Finance, Roads, Rail");
        for key in [
            "data[list_id]",
            "data[email]",
            "data[email_type]",
            "data[ip_opt]",
            "data[ip_signup]",
            "data[web_id]",
            "data[merges][EMAIL]",
            "data[merges][LNAME]",
            "data[merges][INTERESTS]",
            "data[merges][GROUPINGS][0][unique_id]",
            "data[merges][GROUPINGS][0][name]",
        ] {
            value(delivery, key);
        }
        api.sandbox.person().complain(&address("new")).unwrap();
        let delivery = &api.sandbox.take_webhooks()[0];
        assert_eq!(
            (value(delivery, "data[action]").as_str(), value(delivery, "data[reason]").as_str()),
            ("unsub", "abuse")
        );
        value(delivery, "data[campaign_id]");
    }

    #[test]
    fn only_the_acts_of_the_wanted_sources_are_told() {
        let (api, _) = hooked(&["user"]);
        api.patch(&address("subscribed"), json!({"merge_fields": {"FNAME": "Grace"}}));
        api.sandbox.person().staff_unsubscribe(&address("subscribed")).unwrap();
        assert_eq!(events(&api), [""; 0]);
        api.sandbox.person().subscribe_by_form(&address("subscribed"), &FormEntry::new()).unwrap();
        assert_eq!(events(&api), ["subscribe"]);
    }

    #[test]
    fn deliveries_are_signed_with_the_secret_shown_once() {
        let (api, secret) = hooked(&["user"]);
        let (_, listed) = api.get("/webhooks");
        assert_eq!(listed["webhooks"][0]["signing_enabled"], true);
        assert!(listed["webhooks"][0].get("signing_secret").is_none());
        api.sandbox.person().unsubscribe(&address("subscribed")).unwrap();
        let delivery = &api.sandbox.take_webhooks()[0];
        let expected = sign(&secret, api.clock.now().as_second(), &delivery.body);
        assert_eq!(delivery.signature.as_deref(), Some(expected.as_str()));
        // A value worked out with another program: printf '5.a=b' | openssl dgst -sha256 -hmac key
        assert_eq!(
            sign("key", 5, "a=b"),
            "t=5,v1=51a7da233371831e03c02549b7e9f9b5f6a166a1a39f4d9bdf700289f3b7c922"
        );
    }

    #[test]
    fn events_can_be_lost_doubled_and_turned_around() {
        let (api, _) = hooked(&["user"]);
        let leave = |name: &str| api.sandbox.person().unsubscribe(&address(name)).unwrap();
        api.sandbox.faults().lose_webhooks(1);
        leave("subscribed");
        assert_eq!(events(&api), [""; 0]);
        api.sandbox.faults().double_webhooks(1);
        leave("pending");
        assert_eq!(events(&api), ["unsubscribe", "unsubscribe"]);
        api.sandbox.faults().reverse_webhooks();
        let person = api.sandbox.person();
        person.subscribe_by_form(&address("pending"), &FormEntry::new()).unwrap();
        person.bounce(&address("pending")).unwrap();
        assert_eq!(events(&api), ["cleaned", "subscribe"]);
    }

    #[test]
    fn a_failed_call_is_tried_again_at_growing_distances_for_75_minutes() {
        assert_eq!(RETRIES.iter().sum::<i64>(), 75 * 60);
        assert!(RETRIES.is_sorted());
        let (api, _) = hooked(&["user"]);
        api.sandbox.person().unsubscribe(&address("subscribed")).unwrap();
        let mut tries = 0;
        for _ in 0..5000 {
            let now = api.clock.now();
            if let Some((waiting, _)) = api.sandbox.world(|world| world.next_delivery(now)) {
                tries += 1;
                api.sandbox.world(|world| world.retry_delivery(waiting, now.as_second()));
            }
            api.clock.advance(std::time::Duration::from_secs(1));
        }
        assert_eq!(tries, 8);
    }

    #[test]
    fn there_is_one_webhook_for_a_url() {
        let (api, _) = hooked(&["user"]);
        let answer = api.post("/webhooks", json!({"url": "http://127.0.0.1:1/hook"}));
        assert_eq!(refusal(&answer).2, "Sorry, you can't set up multiple WebHooks for one URL");
        assert_eq!(refusal(&api.post("/webhooks", json!({"url": "nowhere"}))).0, 400);
        let (_, listed) = api.get("/webhooks");
        let path = format!("/webhooks/{}", listed["webhooks"][0]["id"].as_str().unwrap());
        let (_, patched) = api.call(Method::Patch, &path, Some(json!({"events": {"profile": false}})));
        assert_eq!(
            (&patched["events"]["profile"], &patched["events"]["subscribe"]),
            (&json!(false), &json!(true))
        );
        assert_eq!(api.call(Method::Delete, &path, None).0, 204);
        assert_eq!(api.get(&path).0, 404);
    }
}

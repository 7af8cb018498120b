//! What `check` and `provision` ask for beside members.

use std::collections::BTreeMap;

use async_trait::async_trait;
use secrecy::ExposeSecret as _;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::mailchimp::AudienceError;
use crate::mailchimp::client::MailchimpClient;
use crate::mailchimp::client::exchange::{Answer, Call, segment};
use crate::mailchimp::client::read;
use crate::mailchimp::provision::CategoryShape;
use crate::mailchimp::provision::InspectAudience;
use crate::mailchimp::provision::NewMergeField;
use crate::mailchimp::provision::NewWebhook;
use crate::mailchimp::provision::Offer;
use crate::mailchimp::provision::ProvisionAudience;
use crate::mailchimp::provision::{WANTED_EVENTS, WANTED_SOURCES, Webhook};
use crate::mailchimp::refusal::Subject;
use crate::mailchimp::transport::Method;
use crate::mailchimp::wire::lists::{WebhookRow, WebhooksAnswer};
use crate::model::FieldKind;

#[derive(Deserialize)]
struct NewId {
    id: String,
}

#[derive(Deserialize)]
struct NewMergeId {
    merge_id: i64,
}

impl MailchimpClient {
    async fn post(&self, subject: Subject, below: &str, body: &Value) -> Result<Answer, AudienceError> {
        let target = self.exchange.target(below);
        self.exchange.send(Call::write(Method::Post, subject, target, body)).await
    }
}

#[async_trait]
impl InspectAudience for MailchimpClient {
    async fn ping(&self) -> Result<(), AudienceError> {
        self.exchange.send(Call::get(Subject::Part, "/ping".to_owned())).await.map(|_| ())
    }

    async fn offer(&self) -> Result<Offer, AudienceError> {
        read::offer(&self.exchange).await
    }

    async fn webhooks(&self) -> Result<Vec<Webhook>, AudienceError> {
        let target = self.exchange.target("/webhooks");
        let answer = self.exchange.send(Call::get(Subject::Audience, target)).await?;
        let answer: WebhooksAnswer = answer.json()?;
        Ok(answer.webhooks.into_iter().map(webhook).collect())
    }
}

#[async_trait]
impl ProvisionAudience for MailchimpClient {
    async fn create_category(&self, title: &str, shape: CategoryShape) -> Result<String, AudienceError> {
        let body = json!({"title": title, "type": shape.as_str()});
        let answer = self.post(Subject::Audience, "/interest-categories", &body).await?;
        answer.json::<NewId>().map(|new| new.id)
    }

    async fn create_interest(&self, category_id: &str, name: &str) -> Result<String, AudienceError> {
        let below = format!("/interest-categories/{}/interests", segment(category_id));
        let answer = self.post(Subject::Part, &below, &json!({"name": name})).await?;
        answer.json::<NewId>().map(|new| new.id)
    }

    async fn create_merge_field(&self, new: &NewMergeField) -> Result<i64, AudienceError> {
        let NewMergeField { tag, name, kind, choices } = new;
        let mut body = json!({
            "tag": tag.as_str(), "name": name, "type": kind, "public": true, "required": false,
        });
        match kind {
            FieldKind::Radio | FieldKind::Dropdown => body["options"] = json!({"choices": choices}),
            FieldKind::Text
            | FieldKind::Number
            | FieldKind::Address
            | FieldKind::Phone
            | FieldKind::Date
            | FieldKind::Birthday
            | FieldKind::Zip
            | FieldKind::Url
            | FieldKind::ImageUrl => (),
        }
        let answer = self.post(Subject::Audience, "/merge-fields", &body).await?;
        answer.json::<NewMergeId>().map(|new| new.merge_id)
    }

    async fn create_webhook(&self, url: &str) -> Result<NewWebhook, AudienceError> {
        let mut body = wanted();
        body["url"] = json!(url);
        let answer = self.post(Subject::Audience, "/webhooks", &body).await?;
        let mut row: WebhookRow = answer.json()?;
        let signing_secret = row.signing_secret.take().filter(|secret| !secret.expose_secret().is_empty());
        Ok(NewWebhook { webhook: webhook(row), signing_secret })
    }

    async fn mend_webhook(&self, id: &str) -> Result<(), AudienceError> {
        let target = self.exchange.target(&format!("/webhooks/{}", segment(id)));
        self.exchange.send(Call::write(Method::Patch, Subject::Part, target, &wanted())).await?.done()
    }

    async fn remove_webhook(&self, id: &str) -> Result<(), AudienceError> {
        let target = self.exchange.target(&format!("/webhooks/{}", segment(id)));
        match self.exchange.send(Call::write(Method::Delete, Subject::Part, target, &Value::Null)).await {
            Ok(answer) => answer.done(),
            Err(AudienceError::Refused(refusal)) if refusal.status == 404 => Ok(()),
            Err(error) => Err(error),
        }
    }
}

/// Every switch of a webhook: one that is not named keeps what it was, whatever that is.
fn wanted() -> Value {
    let switches = |all: &[&str], wanted: &[&str]| -> Value {
        all.iter()
            .map(|name| ((*name).to_owned(), json!(wanted.contains(name))))
            .collect::<Map<_, _>>()
            .into()
    };
    let events = [&WANTED_EVENTS[..], &["campaign"]].concat();
    let sources = [&WANTED_SOURCES[..], &["api"]].concat();
    json!({ "events": switches(&events, &WANTED_EVENTS), "sources": switches(&sources, &WANTED_SOURCES) })
}

fn webhook(row: WebhookRow) -> Webhook {
    let on = |flags: BTreeMap<String, bool>| {
        flags.into_iter().filter(|(_, on)| *on).map(|(name, _)| name).collect()
    };
    Webhook {
        id: row.id,
        url: row.url,
        events: on(row.events),
        sources: on(row.sources),
        is_signed: row.signing_enabled,
    }
}

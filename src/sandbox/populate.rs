//! Many plausible members at once, for benchmarks and rehearsals.

use serde_json::json;

use crate::sandbox::Sandbox;
use crate::sandbox::audience::World;
use crate::sandbox::ids::Sequence;
use crate::sandbox::member::Compliance;
use crate::sandbox::member::Member;
use crate::sandbox::member::Status;

const FIRST: [&str; 12] =
    ["Amina", "Bruno", "Chiara", "Daniel", "Esther", "Farid", "Grace", "Hugo", "Irène", "Jun", "Kofi", "Léa"];
const LAST: [&str; 12] = [
    "Abebe", "Baumann", "Costa", "Diallo", "Eriksen", "Fischer", "García", "Haddad", "Ito", "Jansen", "Kim",
    "Łuczak",
];

impl Sandbox {
    /// Adds `count` members with names, interests and merge fields: 94 % subscribed, 4 % unsubscribed, 1 % cleaned and
    /// 1 % archived. Their `last_changed` lies before now, ten to a second as after an import. No webhook fires.
    pub fn populate(&self, count: usize) {
        let now = self.clock().now().as_second();
        self.world(|world| {
            let first = world.audience.store.count(None) + world.audience.store.count(Some(Status::Archived));
            let mut chances = Sequence::new(world.options.seed ^ 0x9090);
            let seconds = i64::try_from(count / 10).unwrap_or(0);
            for index in 0..count {
                let then = now - 60 - seconds + i64::try_from(index / 10).unwrap_or(0);
                let member = plausible(world, first + index, then, &mut chances);
                world.audience.store.insert(member);
            }
        });
    }
}

fn plausible(world: &mut World, number: usize, then: i64, chances: &mut Sequence) -> Member {
    let (first, last) = (FIRST[chances.below(FIRST.len())], LAST[chances.below(LAST.len())]);
    let email = format!("member{number:07}@town{:03}.example.org", number % 500);
    let status = match chances.below(100) {
        0..94 => Status::Subscribed,
        94..98 => Status::Unsubscribed,
        98 => Status::Cleaned,
        _ => Status::Archived,
    };
    let mut member = world.blank(&email, status, then);
    match status {
        Status::Unsubscribed => {
            member.compliance = Some(Compliance::Left);
            "None given".clone_into(&mut member.unsubscribe_reason);
        }
        Status::Cleaned => member.compliance = Some(Compliance::Bounced),
        Status::Subscribed | Status::Pending | Status::Transactional | Status::Archived => (),
    }
    member.timestamp_opt = Some(then);
    "192.0.2.7".clone_into(&mut member.ip_opt);
    for field in &world.audience.fields {
        let value = match field.tag.as_str() {
            "FNAME" => json!(first),
            "LNAME" => json!(last),
            _ if field.kind == "text" && chances.below(2) == 0 => {
                json!(format!("{} {}", field.name, number % 97))
            }
            _ if field.kind == "number" => json!(number % 1000),
            _ => continue,
        };
        member.set_field(field.merge_id, value);
    }
    for interest in &world.audience.interests {
        member.set_interest(interest.slot, chances.below(4) == 0);
    }
    member
}

#[cfg(test)]
mod tests {
    use crate::sandbox::testing::Api;

    #[test]
    fn a_crowd_is_plausible_and_the_same_each_time() {
        let crowd = |count: usize| {
            let api = Api::new();
            api.interests("Topics", "checkboxes", &["Finance", "Transport"]);
            api.sandbox.populate(count);
            api
        };
        let (one, other) = (crowd(500), crowd(500));
        assert_eq!(one.sandbox.addresses(), other.sandbox.addresses());
        let (status, page) = one.get("/members?status=subscribed&count=1000");
        let members = page["members"].as_array().unwrap();
        assert_eq!(status, 200);
        assert!((440..500).contains(&members.len()), "{} subscribed", members.len());
        assert!(members.iter().all(|member| !member["full_name"].as_str().unwrap().is_empty()));
        assert_eq!(page, other.get("/members?status=subscribed&count=1000").1);
        one.sandbox.populate(10);
        assert_eq!(one.sandbox.addresses().len(), 510);
    }
}

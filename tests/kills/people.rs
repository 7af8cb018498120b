//! What people do before the program is killed.

use rosterd::sandbox::FormEntry;

use crate::stage::Stage;

/// People on both sides, whose topics differ.
pub(crate) const ON_BOTH: std::ops::Range<usize> = 0..24;
/// People whom only the register knows.
pub(crate) const HERE: std::ops::Range<usize> = 24..32;
/// People whom only Mailchimp knows.
pub(crate) const THERE: std::ops::Range<usize> = 32..40;
/// How many register at once.
pub(crate) const MANY: usize = 300;

/// An address.
pub(crate) fn email(name: impl std::fmt::Display) -> String {
    format!("{name}@alliance.test")
}

/// Somebody registers on the website.
pub(crate) fn register(stage: &Stage, name: &str, first_name: &str) {
    stage.sql(&format!(
        "INSERT INTO registrations (email, first_name, created_at, updated_at, subscription_changed_at)
         VALUES ('{}', '{first_name}', :now, strftime('%Y-%m-%dT%H:%M:%fZ', 'now'), :now)",
        email(name)
    ));
}

/// Changes a row of the website, which dates it by the machine's clock.
fn change(stage: &Stage, name: &str, what: &str) {
    stage.sql(&format!("UPDATE registrations SET {what} WHERE email = '{}'", email(name)));
}

/// Somebody says on the website where they stand.
fn says(stage: &Stage, name: &str, subscription: &str) {
    change(stage, name, &format!("subscription = '{subscription}', subscription_changed_at = :now"));
}

/// Both sides before they meet.
pub(crate) fn before_they_meet(stage: &Stage) {
    for n in ON_BOTH.chain(HERE) {
        register(stage, &format!("p{n}"), &format!("P{n}"));
    }
    stage.sql(
        "INSERT INTO registration_interests SELECT id, 'topic', 'Health' FROM registrations WHERE id % 3 = 0",
    );
    for n in ON_BOTH.chain(THERE) {
        let topic = if n % 2 == 0 { "Finance" } else { "Water" };
        let entry = FormEntry::new().field("FNAME", format!("P{n}")).tick(topic);
        stage.person().staff_add(&email(format!("p{n}")), &entry).unwrap();
    }
    // Left on both sides, left in Mailchimp alone.
    register(stage, "left", "Left");
    register(stage, "gone", "Gone");
    for name in ["left", "gone"] {
        stage.person().staff_add(&email(name), &FormEntry::new()).unwrap();
    }
    stage.later(60);
    says(stage, "left", "unsubscribed");
    stage.person().unsubscribe(&email("left")).unwrap();
    stage.person().unsubscribe(&email("gone")).unwrap();
    stage.later(60);
}

/// A day on which everything happens.
pub(crate) fn a_day(stage: &Stage) {
    stage.later(60);
    let person = stage.person();
    person.unsubscribe(&email("p0")).unwrap();
    says(stage, "p1", "unsubscribed");
    change(stage, "p2", "last_name = 'Byron'");
    person.edit_preferences(&email("p3"), &FormEntry::new().field("FNAME", "Edited").tick("Health")).unwrap();
    change(stage, "p4", "last_name = 'Here'");
    person.edit_preferences(&email("p4"), &FormEntry::new().field("FNAME", "There")).unwrap();
    change(stage, "p5", &format!("email = '{}'", email("moved.here")));
    person.change_address(&email("p6"), &email("moved.there")).unwrap();
    stage.sql(&format!("DELETE FROM registrations WHERE email = '{}'", email("p7")));
    person.complain(&email("p8")).unwrap();
    person.bounce(&email("p9")).unwrap();
    // Of these two, one left by her own click: Mailchimp asks her.
    says(stage, "left", "subscribed");
    register(stage, "new", "New");
    register(stage, "newer", "Newer");
    person.subscribe_by_form(&email("form"), &FormEntry::new().field("FNAME", "Form").tick("Water")).unwrap();
    stage.later(60);
}

/// Hundreds register at once.
pub(crate) fn register_many(stage: &Stage) {
    stage.later(60);
    stage.sql("BEGIN");
    for n in 0..MANY {
        register(stage, &format!("many{n}"), &format!("M{n}"));
    }
    stage.sql("COMMIT");
}

/// Everybody gets a last name.
pub(crate) fn rename_many(stage: &Stage) {
    stage.later(60);
    stage.sql("UPDATE registrations SET last_name = 'Byron' WHERE email LIKE 'p%'");
}

/// So many rows are removed that the guard asks.
pub(crate) fn remove_many(stage: &Stage) {
    stage.later(60);
    stage.sql(&format!("DELETE FROM registrations WHERE id <= {}", ON_BOTH.end));
}

//! The story, step by step: what each side shows before and after.

use std::time::Duration;

use anyhow::anyhow;

use crate::cli::adoption::adoption;
use crate::cli::demo::show::{both, census, chapter, contacts, member, rows};
use crate::cli::demo::stage::Stage;
use crate::cli::exit::Fault;
use crate::cli::output::{operations, say};
use crate::cli::shown::cut;
use crate::cycle::{Adoption, Report};
use crate::model::{EmailAddress, SubscriptionStatus};
use crate::observe::Scope;
use crate::registrations::run_script;
use crate::sandbox::{FormEntry, PersonError};
use crate::state::{Decision, Place};

const NEWCOMER: &str = "n.adeyinka@delta-councils.test";
const KENYAN: &str = "w.odhiambo@lakeside-counties.test";
const GHANAIAN: &str = "kofi.asantewa@volta-institute.test";
const CANADIAN: &str = "d.whitlock@statecities.test";

/// Everything is to be read at this many columns.
const WIDTH: usize = 80;

/// So many lines of the plan are shown.
const PLANNED: usize = 6;

/// Mailchimp's times have whole seconds, and a tie is not later: a person's next word comes a second after the last.
const MOMENT: Duration = Duration::from_millis(1_100);

/// Tells the whole story; fails where the sides do not agree at its end.
pub(super) async fn tell(stage: &Stage) -> Result<(), Fault> {
    meet(stage).await?;
    new_registration(stage).await?;
    preference_center(stage).await?;
    both_at_once(stage).await?;
    unsubscribe(stage).await?;
    registers_again(stage).await?;
    emptied_register(stage).await?;
    agree(stage).await
}

async fn meet(stage: &Stage) -> Result<(), Fault> {
    say("The Local Public Sector Alliance has a register of its members and a Mailchimp")?;
    say("audience. Both are made up here, and Mailchimp is the built-in sandbox.")?;
    chapter("1. They meet")?;
    census(&stage.cycle).await?;
    say("")?;
    say("Rosterd reads both in full and plans the first adoption. The guard holds it:")?;
    let report = cycle(stage, Scope::Full, Adoption::Ask).await?;
    holds(stage).await?;
    plan(stage).await?;
    say(&format!(
        "Nothing was written ({} of {} operations are held). We say yes:",
        report.held, report.planned
    ))?;
    cycle(stage, Scope::Incremental, Adoption::Yes).await?;
    say("Yes does not cover the people it would unsubscribe; those are approved by name:")?;
    approve_all(stage).await?;
    cycle(stage, Scope::Incremental, Adoption::Ask).await?;
    say("")?;
    census(&stage.cycle).await?;
    say("Whoever was subscribed still is, nobody was mailed, and no opt-out was undone.")
}

/// What the adoption would do: in numbers, and the first lines of it.
async fn plan(stage: &Stage) -> Result<(), Fault> {
    let state = &stage.cycle.state;
    say("")?;
    for line in adoption(state).await?.unwrap_or_default() {
        say(&cut(&line, WIDTH))?;
    }
    say("")?;
    say("The first lines of rosterd plan:")?;
    for staged in state.planned(Place::default(), PLANNED).await.map_err(Fault::failed)? {
        say(&cut(&format!("  {}", staged.planned.line(&staged.email)), WIDTH))?;
    }
    say("")
}

async fn new_registration(stage: &Stage) -> Result<(), Fault> {
    chapter("2. Somebody registers on the website")?;
    website(stage, include_str!("../../../fixtures/lpsa/story/registers.sql")).await?;
    before_and_after(stage, NEWCOMER).await?;
    let rows = both(&stage.cycle, &email(NEWCOMER)?).await?.0;
    let link = rows.last().and_then(|row| row.preferences_url.clone()).unwrap_or_default();
    say("The register got the link to their preference center, for the welcome mail:")?;
    say(&format!("  {}", cut(&link, WIDTH - 2)))
}

async fn preference_center(stage: &Stage) -> Result<(), Fault> {
    chapter("3. Somebody uses Mailchimp's preference center")?;
    let entry = FormEntry::new().tick("Urban Services").clear("Health").field("LNAME", "Odhiambo");
    person(stage.sandbox.person().edit_preferences(KENYAN, &entry))?;
    before_and_after(stage, KENYAN).await
}

async fn both_at_once(stage: &Stage) -> Result<(), Fault> {
    chapter("4. One person, both sides, between two cycles")?;
    say("A form changes the first name and adds a sector; the preference center changes")?;
    say("the last name and drops a topic. Each value goes its own way:")?;
    website(stage, include_str!("../../../fixtures/lpsa/story/edits.sql")).await?;
    let entry = FormEntry::new().field("LNAME", "Asantewaa").clear("Decentralization");
    person(stage.sandbox.person().edit_preferences(GHANAIAN, &entry))?;
    before_and_after(stage, GHANAIAN).await
}

async fn unsubscribe(stage: &Stage) -> Result<(), Fault> {
    chapter("5. Somebody leaves by the link in a newsletter")?;
    person(stage.sandbox.person().unsubscribe(CANADIAN))?;
    before_and_after(stage, CANADIAN).await?;
    say("A clerk then corrects the spelling of the name. Other programs would send the")?;
    say("status along and subscribe them again. Here it stays in the register:")?;
    website(stage, include_str!("../../../fixtures/lpsa/story/corrects.sql")).await?;
    before_and_after(stage, CANADIAN).await
}

async fn registers_again(stage: &Stage) -> Result<(), Fault> {
    chapter("6. The same person registers again")?;
    stage.cycle.clock.sleep(MOMENT).await;
    website(stage, include_str!("../../../fixtures/lpsa/story/registers_again.sql")).await?;
    say("Their own later word, but after an opt-out Mailchimp asks first:")?;
    before_and_after(stage, CANADIAN).await?;
    let mails = stage.sandbox.confirmation_mails(CANADIAN);
    say(&format!("Mailchimp mailed {mails} confirmation. They click the link:"))?;
    stage.cycle.clock.sleep(MOMENT).await;
    person(stage.sandbox.person().confirm(CANADIAN))?;
    before_and_after(stage, CANADIAN).await
}

async fn emptied_register(stage: &Stage) -> Result<(), Fault> {
    chapter("7. The register is emptied by accident")?;
    let copy = stage.register.with_extension("backup");
    let copied = format!("VACUUM INTO '{}'", copy.display());
    website(stage, &copied).await?;
    website(stage, include_str!("../../../fixtures/lpsa/story/empties.sql")).await?;
    let report = cycle(stage, Scope::Incremental, Adoption::Ask).await?;
    holds(stage).await?;
    say(&format!("{} writes were made. The website restores its backup:", report.applied))?;
    let restored = include_str!("../../../fixtures/lpsa/story/restores.sql");
    website(stage, &restored.replace(":backup", &format!("'{}'", copy.display()))).await?;
    cycle(stage, Scope::Full, Adoption::Ask).await?;
    let open = stage.cycle.state.holds().await.map_err(Fault::failed)?.len();
    say(&format!("{open} holds are left: nothing of it is wanted any more."))
}

/// The end: nothing is left to do, and what both sides show of everybody is one thing.
async fn agree(stage: &Stage) -> Result<(), Fault> {
    chapter("8. At the end")?;
    let report = cycle(stage, Scope::Full, Adoption::Ask).await?;
    census(&stage.cycle).await?;
    let contacts = contacts(&stage.cycle).await?;
    let mut differing = Vec::new();
    for row in rows(&stage.cycle).await? {
        let contact = contacts.iter().find(|contact| contact.email == row.email);
        let agrees = match contact {
            Some(contact) => story_of(contact.status) == row.status,
            None => matches!(row.status, SubscriptionStatus::Unsubscribed | SubscriptionStatus::Pending),
        };
        if !agrees {
            differing.push(row.email.to_string());
        }
    }
    if report.planned > 0 || !differing.is_empty() {
        return Err(Fault::failed(anyhow!(
            "the sides do not agree: {} planned, {differing:?} differ",
            report.planned
        )));
    }
    say("")?;
    let writes = stage.sandbox.counters().status_writes;
    say(&format!("Both sides agree. In the whole story {writes} requests carried a status to somebody"))?;
    say("Mailchimp knew, each one decided by the consent rule.")
}

/// The status that the register shows for a contact's.
fn story_of(status: SubscriptionStatus) -> SubscriptionStatus {
    match status {
        SubscriptionStatus::Archived | SubscriptionStatus::Transactional => SubscriptionStatus::Unsubscribed,
        status => status,
    }
}

async fn before_and_after(stage: &Stage, address: &str) -> Result<(), Fault> {
    let address = email(address)?;
    say("")?;
    say("Before the cycle:")?;
    member(&stage.cycle, &address).await?;
    cycle(stage, Scope::Incremental, Adoption::Ask).await?;
    say("After it:")?;
    member(&stage.cycle, &address).await
}

async fn cycle(stage: &Stage, scope: Scope, adoption: Adoption) -> Result<Report, Fault> {
    stage.cycle.run(scope, adoption).await.map_err(Fault::failed)
}

async fn holds(stage: &Stage) -> Result<(), Fault> {
    for hold in stage.cycle.state.holds().await.map_err(Fault::failed)? {
        say(&format!("  held {}  {:18} {}", hold.id, hold.class, operations(hold.count)))?;
        say(&format!("    {}", hold.reason))?;
    }
    Ok(())
}

async fn approve_all(stage: &Stage) -> Result<(), Fault> {
    let now = stage.cycle.clock.now();
    for hold in stage.cycle.state.holds().await.map_err(Fault::failed)? {
        if hold.decision == Decision::Open {
            say(&format!("  rosterd approve {}", hold.id))?;
            stage.cycle.state.approve(hold.id, now).await.map_err(Fault::failed)?;
        }
    }
    Ok(())
}

async fn website(stage: &Stage, script: &str) -> Result<(), Fault> {
    run_script(&stage.register, script).await.map_err(Fault::failed)
}

fn person(done: Result<(), PersonError>) -> Result<(), Fault> {
    done.map_err(Fault::failed)
}

fn email(text: &str) -> Result<EmailAddress, Fault> {
    EmailAddress::parse(text).map_err(Fault::failed)
}

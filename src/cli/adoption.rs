//! The first adoption in people's words: how many of what, the first few by name, and where all of it is shown.

use std::collections::BTreeMap;

use crate::cli::exit::Fault;
use crate::cli::shown::cut;
use crate::cycle::ADOPTION;
use crate::reconcile::plan::Operation;
use crate::state::{Decision, State};

/// How many operations are read at a time.
const PAGE: usize = 500;

/// How many are named of those to whom the same is done.
const NAMED: usize = 3;

/// Where nobody knows how wide the screen is.
const WIDTH: usize = 80;

/// Under the words, behind the number.
const INDENT: &str = "         ";

/// To how many the same is done, and the first of them.
#[derive(Debug, Default)]
struct Deed {
    count: u64,
    names: Vec<String>,
}

/// What the planned adoption would do, a few lines of at most 80 columns; `None` where none waits for an answer.
pub(super) async fn adoption(state: &State) -> Result<Option<Vec<String>>, Fault> {
    let holds = state.holds().await.map_err(Fault::failed)?;
    let (adoptions, others): (Vec<_>, Vec<_>) = holds
        .into_iter()
        .filter(|hold| hold.decision == Decision::Open)
        .partition(|hold| hold.class == ADOPTION);
    if adoptions.is_empty() {
        return Ok(None);
    }
    let mut deeds = BTreeMap::new();
    for hold in &adoptions {
        gather(state, &hold.id, &mut deeds).await?;
    }
    let mut lines =
        vec!["The register and the audience meet for the first time. With a yes there will be".to_owned()];
    lines.extend(deeds.iter().flat_map(|((_, words), deed)| told(words, deed)));
    lines.push("Rosterd mails nobody; contacts that it creates may start automations that the".to_owned());
    lines.push("account has set up.".to_owned());
    if !others.is_empty() {
        lines.push("What else is held, a yes does not cover: rosterd held".to_owned());
    }
    // What came while the first waited is a hold of its own.
    let ids = adoptions.iter().map(|hold| format!("rosterd held {}", hold.id));
    lines.push(format!("All of it, line by line: {}", ids.collect::<Vec<_>>().join(", ")));
    Ok(Some(lines))
}

/// Adds up what a hold lists.
async fn gather(
    state: &State,
    id: &str,
    deeds: &mut BTreeMap<(u8, &'static str), Deed>,
) -> Result<(), Fault> {
    let mut after = 0;
    loop {
        let page = state.held_operations(id.to_owned(), after, PAGE).await.map_err(Fault::failed)?;
        let Some(last) = page.last() else { return Ok(()) };
        after = last.seq;
        for held in &page {
            let Some(planned) = &held.planned else { continue };
            let deed = deeds.entry(words(&planned.operation)).or_default();
            deed.count += 1;
            if deed.names.len() < NAMED {
                deed.names.push(held.email.to_string());
            }
        }
    }
}

fn told(words: &str, deed: &Deed) -> [String; 2] {
    let mut names = String::new();
    for (n, name) in deed.names.iter().enumerate() {
        let more = if deed.count > n as u64 + 1 { ", …" } else { "" };
        let longer = if n == 0 { name.clone() } else { format!("{names}, {name}") };
        // The first is named in any case, as far as there is room.
        if n > 0 && INDENT.len() + longer.chars().count() + more.chars().count() > WIDTH {
            return [line(words, deed), cut(&format!("{INDENT}{names}, …"), WIDTH)];
        }
        names = longer;
    }
    let more = if deed.count > deed.names.len() as u64 { ", …" } else { "" };
    [line(words, deed), cut(&format!("{INDENT}{names}{more}"), WIDTH)]
}

fn line(words: &str, deed: &Deed) -> String {
    format!("{:>7}  {words}", deed.count)
}

/// What is done, as staff would say it; the number puts it in order.
fn words(operation: &Operation) -> (u8, &'static str) {
    match operation {
        Operation::RemoteCreate { .. } => (0, "created in Mailchimp: registrations that it does not know"),
        Operation::RemoteUpdate { .. } => (1, "updated in Mailchimp with what the register says"),
        Operation::RemoteTags { .. } => (2, "tagged in Mailchimp"),
        Operation::RemoteRename { .. } => (3, "given the register's address in Mailchimp"),
        Operation::RemoteStatus { .. } | Operation::RemoteLeave { .. } => {
            (4, "given another status in Mailchimp")
        }
        Operation::RemoteArchive { .. } => (5, "archived in Mailchimp"),
        Operation::LocalCreate { .. } => (6, "new registrations: contacts that the register does not know"),
        Operation::LocalUpdate { .. } => (7, "updated in the register with what Mailchimp says"),
        Operation::LocalRename { .. } => (8, "given Mailchimp's address in the register"),
        Operation::LocalStatus { .. } => (9, "given Mailchimp's status in the register"),
        Operation::LocalKeep { preferences_url: Some(_), .. } => {
            (10, "given the link to their preference center")
        }
        Operation::LocalKeep { .. } => (11, "noted in the register, in Rosterd's own columns"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_few_are_named_at_eighty_columns() {
        let names = |count: usize| (0..count).map(|n| format!("member{n}@alliance.test")).collect();
        let few = told("created in Mailchimp", &Deed { count: 2, names: names(2) });
        assert_eq!(
            few,
            ["      2  created in Mailchimp", "         member0@alliance.test, member1@alliance.test"]
        );
        let many = told("created in Mailchimp", &Deed { count: 412, names: names(3) });
        assert_eq!(many[0], "    412  created in Mailchimp");
        assert_eq!(
            many[1],
            "         member0@alliance.test, member1@alliance.test, member2@alliance.test, …"
        );
        let long = Deed { count: 3, names: vec!["a".repeat(50), "b".repeat(50), "c".repeat(5)] };
        assert_eq!(told("tagged", &long)[1], format!("         {}, …", "a".repeat(50)));
        let longest = told("tagged", &Deed { count: 2, names: vec!["a".repeat(90), "b".to_owned()] });
        assert!(longest[1].chars().count() <= WIDTH, "{}", longest[1]);
    }
}

//! `rosterd groups`: the working groups and their members, from what both sides last showed.

mod roll;

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::json;

use crate::cli::exit::{Ending, Fault};
use crate::cli::groups::roll::{Form, GroupMember, Roll, unwritten};
use crate::cli::looking::state_to_look_at;
use crate::cli::output::{print_json, print_table, say, table, unprinted};
use crate::cli::wiring::{Settings, refuse_other_register};
use crate::cli::{Cli, GroupsArgs};
use crate::clock::Clock;
use crate::mailchimp::schema::AudienceSchema;
use crate::model::{MemberId, MergeTag};
use crate::reconcile::policy::{Policy, WorkingGroup};
use crate::reconcile::working_groups;
use crate::state::State;

/// How many members are looked at a time.
const PAGE: usize = 500;

/// Shows the working groups, or one with its members.
pub(super) async fn run(cli: &Cli, args: &GroupsArgs) -> Result<Ending, Fault> {
    let form = match (args.csv, args.output.json) {
        (true, true) => return Err(Fault::usage(anyhow::anyhow!("either --csv or --json, not both"))),
        (true, false) => Form::Csv,
        (false, true) => Form::Json,
        (false, false) => Form::Table,
    };
    let settings = Settings::load(cli)?;
    let group = match &args.name {
        Some(name) => Some(find(&settings.config.working_groups, name).map_err(usage)?.clone()),
        None => None,
    };
    let state = state_to_look_at(cli).await?;
    settings.refuse_other_audience(&state).await?;
    // One that cannot be opened now is no other: what both sides last showed is shown all the same.
    if let Ok(register) = settings.register_read_only().await {
        refuse_other_register(&state, register.as_ref()).await?;
    }
    let schema: Option<AudienceSchema> = state.schema().await.map_err(Fault::failed)?;
    let Some(schema) = schema else {
        return Err(Fault::failed(anyhow::anyhow!("nobody was observed yet: rosterd sync does")));
    };
    let policy = settings.policy(&schema, settings.features());
    let members = Members { state: &state, policy: &policy, now: Clock::System.now() };
    match group {
        Some(group) => list(&members, &group, &settings.tags(), form).await?,
        None => count(&members, form).await?,
    }
    Ok(Ending::Done)
}

fn usage(said: String) -> Fault {
    Fault::usage(anyhow::anyhow!(said))
}

/// The group of this name, without regard to case; else which names are near.
fn find<'a>(groups: &'a [WorkingGroup], name: &str) -> Result<&'a WorkingGroup, String> {
    let wanted = name.trim().to_lowercase();
    if let Some(group) = groups.iter().find(|group| group.name.to_lowercase() == wanted) {
        return Ok(group);
    }
    if groups.is_empty() {
        return Err("the configuration names no working group".to_owned());
    }
    let mut near: Vec<(f64, &str)> = groups
        .iter()
        .map(|group| (strsim::jaro_winkler(&group.name.to_lowercase(), &wanted), group.name.as_str()))
        .collect();
    near.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(b.1)));
    let names: Vec<String> = near.iter().take(3).map(|(_, name)| format!("{name:?}")).collect();
    Err(format!("no working group is called {name:?}; the nearest: {}", names.join(", ")))
}

/// Everybody, a page at a time.
struct Members<'a> {
    state: &'a State,
    policy: &'a Policy,
    now: Timestamp,
}

impl Members<'_> {
    /// The groups of each member of the next page; `None` at the end.
    async fn page(&self, after: &mut Option<MemberId>) -> Result<Option<Vec<GroupMember>>, Fault> {
        let trios = self.state.members(*after, PAGE, self.now).await.map_err(Fault::failed)?;
        let Some(last) = trios.last() else { return Ok(None) };
        *after = Some(last.id);
        Ok(Some(
            trios
                .iter()
                .flat_map(|trio| {
                    let groups = working_groups(trio, self.policy).into_iter();
                    groups.filter_map(|(name, why)| GroupMember::of(trio, self.policy, name, why))
                })
                .collect(),
        ))
    }
}

/// Every group with the number of its members.
async fn count(members: &Members<'_>, form: Form) -> Result<(), Fault> {
    let mut counts: BTreeMap<&str, u64> =
        members.policy.working_groups.iter().map(|group| (group.name.as_str(), 0)).collect();
    let mut after = None;
    while let Some(page) = members.page(&mut after).await? {
        for member in page {
            if let Some(count) = counts.get_mut(member.group.as_str()) {
                *count += 1;
            }
        }
    }
    let groups = members.policy.working_groups.iter();
    let groups = groups.map(|group| (group, counts.get(group.name.as_str()).copied().unwrap_or(0)));
    match form {
        Form::Json => {
            let groups: Vec<_> = groups
                .map(|(group, members)| json!({ "name": group.name, "tag": group.tag, "members": members }))
                .collect();
            print_json(&json!({ "groups": groups }))
        }
        Form::Csv => {
            let mut writer = csv::Writer::from_writer(std::io::stdout());
            writer.write_record(["group", "members"]).map_err(unwritten)?;
            for (group, members) in groups {
                writer.write_record([roll::cell(&group.name), members.to_string()]).map_err(unwritten)?;
            }
            writer.flush().map_err(unprinted)
        }
        Form::Table => {
            let mut table = table(&["group", "members", "tag"]);
            for (group, members) in groups {
                table.add_row([&group.name, &members.to_string(), &group.tag]);
            }
            if table.is_empty() {
                return say("The configuration names no working group.");
            }
            print_table(&table)
        }
    }
}

/// The members of one group, written page by page.
async fn list(
    members: &Members<'_>,
    group: &WorkingGroup,
    tags: &[MergeTag],
    form: Form,
) -> Result<(), Fault> {
    let mut roll = Roll::begin(form, group, tags)?;
    let mut after = None;
    while let Some(page) = members.page(&mut after).await? {
        roll.add(page.into_iter().filter(|member| member.group == group.name).collect())?;
    }
    roll.end()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(name: &str, expected: Result<&str, &str>) {
        let group = |name: &str| WorkingGroup { name: name.to_owned(), ..WorkingGroup::default() };
        let groups = ["Water", "Intergovernmental Finance", "Africa Regional Group"].map(group);
        let found = find(&groups, name).map(|group| group.name.clone());
        assert_eq!(found, expected.map(str::to_owned).map_err(str::to_owned), "{name}");
    }

    #[test]
    fn a_group_is_found_by_its_name_whatever_the_case() {
        check("water", Ok("Water"));
        check(" Intergovernmental finance", Ok("Intergovernmental Finance"));
        let near = "\"Water\", \"Africa Regional Group\", \"Intergovernmental Finance\"";
        check("Watr", Err(&format!("no working group is called \"Watr\"; the nearest: {near}")));
        assert_eq!(find(&[], "x").unwrap_err(), "the configuration names no working group");
    }
}

//! `rosterd check`: every mistake in the configuration and on both sides, all at once.

mod audience;
mod configuration;
mod events;
mod finding;
mod fitting;
mod register;
mod state;

use std::path::Path;

use serde_json::json;

use crate::cli::check::finding::{Finding, Severity};
use crate::cli::check::register::Register;
use crate::cli::exit::{Ending, Fault};
use crate::cli::fit::{Audience, signing_secret, webhook_place};
use crate::cli::mapped::Mapped;
use crate::cli::output::{counted, print_json, say};
use crate::cli::{Cli, Output};
use crate::config::{Draft, ProcessEnvironment, WebConfig, locate};
use crate::reconcile::policy::NewLocal;
use crate::registrations::mapping::RegisterMapping;

/// What was found, and what of the register is shown.
#[derive(Debug, Default)]
struct Looked {
    findings: Vec<Finding>,
    count: u64,
    samples: Vec<String>,
}

/// Checks everything and prints what it found.
pub(super) async fn run(cli: &Cli, output: Output) -> Result<Ending, Fault> {
    let path = locate(cli.config.as_deref(), &ProcessEnvironment);
    let draft = Draft::<RegisterMapping>::load(&path, &ProcessEnvironment);
    let looked = look(&draft).await;
    print(&looked, output)?;
    Ok(ending(&looked.findings))
}

/// Looks at everything that the file names, as far as it can be read; nothing found ends the search.
async fn look(draft: &Draft<RegisterMapping>) -> Looked {
    let mapped = Mapped {
        merge_fields: &draft.merge_fields,
        interests: &draft.interests,
        working_groups: &draft.working_groups,
    };
    let mut findings = configuration::findings(draft);
    let mut register = match (&draft.registrations, &draft.register_mapping) {
        (Some(config), Some(mapping)) => register::look(config, mapping, &mapped).await,
        (None, Some(mapping)) => register::unseen(mapping),
        (_, None) => Register::default(),
    };
    let mailchimp = draft.mailchimp.as_ref();
    let mut known = None;
    if let Some(state) = &draft.state {
        let audience = mailchimp.map(|config| config.audience.as_str());
        let (found, schema) = state::look(&state.path, register.open.as_deref(), audience).await;
        findings.extend(found);
        known = schema;
        if webhook_place(draft.web.as_ref()).is_some() {
            findings.extend(events::findings(&state.path).await);
        }
    }
    let mut audience = None;
    if let Some(config) = mailchimp {
        match audience::look(config, &mapped, known.as_ref()).await {
            Ok(found) => audience = Some(found),
            Err(finding) => findings.push(finding),
        }
    }
    let mut rows = None;
    if let Some(mapping) = &draft.register_mapping {
        let fields = audience.as_ref().map(|audience| audience.schema.fields.clone()).unwrap_or_default();
        rows = register::count(&mut register, mapping, &mapped, &fields).await;
    }
    findings.extend(fitting::tags(&mapped, rows.as_ref()));
    if let Some(audience) = &audience {
        findings.extend(fitting::findings(&mapped, rows.as_ref(), audience));
        let open = register.open.as_deref();
        findings
            .extend(open.map(|open| fitting::homeless(audience, |key| open.holds(key))).unwrap_or_default());
        findings.extend(settings(draft, audience));
    }
    findings.extend(register.findings);
    findings.sort_by_key(|finding| finding.severity);
    Looked { findings, count: register.count, samples: register.samples }
}

/// What the audience's own settings mean for ours.
fn settings(draft: &Draft<RegisterMapping>, audience: &Audience) -> Vec<Finding> {
    let mut findings = Vec::new();
    let new_local = draft.sync.as_ref().map(|sync| sync.new_local);
    if audience.schema.double_optin && new_local == Some(NewLocal::Subscribe) {
        let problem = "the audience's own forms ask people to confirm, \"subscribe\" does not: make sure that the website \
                       does, or set \"confirm\"";
        findings.push(Finding::notice("[sync] new_local", problem));
    }
    if audience.schema.subscribe_url.is_none() {
        let problem = "the audience shows no sign-up form: links to the preference center cannot be made";
        findings.push(Finding::notice("[mailchimp] audience", problem));
    }
    match (webhook_place(draft.web.as_ref()), &draft.web) {
        (Some(place), web) => {
            let state = draft.state.as_ref().map_or(Path::new(""), |state| state.path.as_path());
            let secret = signing_secret(web.as_ref(), state);
            findings.extend(fitting::webhook(&place, audience, secret));
        }
        (None, Some(WebConfig { public_url: Some(_), .. })) => {
            let problem = "not given, so that Mailchimp cannot call us: there is no webhook without it";
            findings.push(Finding::notice("[web] webhook_path_secret", problem));
        }
        (None, Some(WebConfig { webhook_path_secret: Some(_), .. })) => {
            let problem = "not given, so that rosterd provision cannot create the webhook";
            findings.push(Finding::notice("[web] public_url", problem));
        }
        (None, Some(_) | None) => (),
    }
    findings
}

fn print(looked: &Looked, output: Output) -> Result<(), Fault> {
    let Looked { findings, count, samples } = looked;
    let notices = findings.iter().filter(|finding| finding.severity == Severity::Notice).count();
    let errors = findings.len() - notices;
    if output.json {
        return print_json(&json!({ "findings": findings, "ok": errors == 0 }));
    }
    if !samples.is_empty() {
        say(&format!("The register has {}. The first, as Rosterd reads them:", counted(*count, "row")))?;
        samples.iter().try_for_each(|sample| say(&format!("  {sample}")))?;
        say("")?;
    }
    findings.iter().try_for_each(|finding| say(&finding.to_string()))?;
    match (errors, notices) {
        (0, 0) => say("Everything fits."),
        (0, notices) => say(&format!("Everything fits, with {}.", counted(notices, "notice"))),
        (errors, 0) => say(&format!("{}.", counted(errors, "error"))),
        (errors, notices) => say(&format!("{}, {}.", counted(errors, "error"), counted(notices, "notice"))),
    }
}

/// Wrong configuration before unreachable sides: the order of the contract.
fn ending(findings: &[Finding]) -> Ending {
    let any = |severity| findings.iter().any(|finding| finding.severity == severity);
    match (any(Severity::Error), any(Severity::Unreached)) {
        (true, _) => Ending::Wrong,
        (false, true) => Ending::Unreached,
        (false, false) => Ending::Done,
    }
}

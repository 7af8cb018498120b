//! The API's problems, sorted by what we do about them.
//!
//! The status code speaks first, then the title; Mailchimp translates and rewords its details, so they only refine.
//! Every text we know stands in `refusal/texts.rs`. <https://mailchimp.com/developer/marketing/docs/errors/>

mod problem;
mod texts;

use std::error::Error;

use crate::mailchimp::AudienceError;
use crate::mailchimp::Refusal;
use crate::mailchimp::RefusalClass;
use crate::mailchimp::transport::Method;
use crate::mailchimp::transport::Response;
use crate::mailchimp::transport::TransportError;

pub use crate::mailchimp::refusal::problem::{Problem, without_addresses};
pub use crate::mailchimp::refusal::texts::class_of;

/// What a request was about: whose absence a 404 reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// The audience itself, or a collection that every audience has.
    Audience,
    /// One contact.
    Contact,
    /// Another part, a webhook or an interest category.
    Part,
}

/// What was asked, as far as it decides how an answer is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asked {
    /// The method; everything but `GET` writes.
    pub method: Method,
    /// What it was about.
    pub subject: Subject,
}

impl Asked {
    /// Nobody knows what became of the request: a read is simply asked again, a write has to be observed.
    pub fn unanswered(self, said: String) -> AudienceError {
        match self.method {
            Method::Get => AudienceError::Busy { said },
            Method::Post | Method::Put | Method::Patch | Method::Delete => AudienceError::Lost { said },
        }
    }

    /// The answer was a success and cannot be read: what a read was to bring, or the effect of a write, is unknown.
    pub fn unreadable(self, said: String) -> AudienceError {
        match self.method {
            Method::Get => AudienceError::Unreadable { said },
            Method::Post | Method::Put | Method::Patch | Method::Delete => AudienceError::Lost { said },
        }
    }
}

/// Sorts an answer that is no success.
pub fn sort(asked: Asked, response: &Response) -> AudienceError {
    let problem = Problem::read(&response.body);
    let said = || described(response, problem.as_ref());
    match response.status {
        401 | 402 => AudienceError::Fatal { said: format!("{}; check the API key and the account", said()) },
        // Very high volume is answered by a 403 of the edge, without Mailchimp's JSON.
        // <https://mailchimp.com/developer/marketing/docs/fundamentals/#api-limits>
        403 if problem.is_none() => AudienceError::Busy { said: said() },
        403 => AudienceError::Fatal { said: format!("{}; check the account and the key's role", said()) },
        404 => missing(asked, response, problem),
        // A contact that cannot be archived as it stands, not a method that we made up.
        405 if asked.method == Method::Delete && asked.subject == Subject::Contact => {
            let problem = problem.unwrap_or_default();
            AudienceError::Refused(refusal(RefusalClass::Unknown, response.status, &problem))
        }
        300..=399 | 405 | 414 | 422 | 426 => AudienceError::Protocol { said: said() },
        408 => asked.unanswered(said()),
        429 => AudienceError::Busy { said: said() },
        500..=599 => {
            // The account is under review: not a hiccup, and the same for everybody.
            if problem.as_ref().is_some_and(|problem| problem.is_titled("ComplianceRelated")) {
                return AudienceError::Fatal { said: format!("{}; ask Mailchimp's support", said()) };
            }
            asked.unanswered(said())
        }
        _ => match problem {
            Some(problem) => sort_problem(response.status, &problem),
            None if is_html(response) => asked.unanswered(said()),
            None => AudienceError::Refused(Refusal {
                class: RefusalClass::Unknown,
                status: response.status,
                title: "No explanation".to_owned(),
                said: said(),
            }),
        },
    }
}

/// Sorts a request that brought no answer.
pub fn sort_unsent(asked: Asked, error: &TransportError) -> AudienceError {
    let said = chain(error);
    match error {
        TransportError::Connect(_) => AudienceError::Busy { said },
        TransportError::Broken(_) | TransportError::TimedOut(_) => asked.unanswered(said),
    }
}

/// Sorts the text of one entry of the `errors` of a bulk call, which has no title of its own.
pub fn sort_entry(error: &str, field: &str, message: &str) -> Refusal {
    let problem = Problem::of_entry(error, field, message);
    Refusal {
        class: class_of(&problem),
        status: 200,
        title: "Mailchimp says".to_owned(),
        said: problem.said(),
    }
}

/// Whether the answer is a page for people: it comes from the edge, not from the API.
pub fn is_html(response: &Response) -> bool {
    let body = response.body.trim_ascii_start();
    response.content_type.to_ascii_lowercase().contains("html") || body.starts_with(b"<")
}

/// An error with all its causes, in one line.
pub fn chain(error: &dyn Error) -> String {
    let mut said = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        said.push_str(": ");
        said.push_str(&error.to_string());
        cause = error.source();
    }
    said
}

/// A 404 proves an absence only in Mailchimp's own words: the edge and a wrong base URL answer it too.
fn missing(asked: Asked, response: &Response, problem: Option<Problem>) -> AudienceError {
    let Some(problem) = problem else {
        return asked.unanswered(described(response, None));
    };
    match asked.subject {
        Subject::Audience => AudienceError::Fatal {
            said: format!("{}; check the audience's id", described(response, Some(&problem))),
        },
        Subject::Contact | Subject::Part => {
            AudienceError::Refused(refusal(RefusalClass::Missing, response.status, &problem))
        }
    }
}

fn sort_problem(status: u16, problem: &Problem) -> AudienceError {
    if texts::is_about_our_request(problem) {
        return AudienceError::Protocol { said: format!("{status} {}: {}", problem.title, problem.said()) };
    }
    if texts::is_about_the_account(problem) {
        return AudienceError::Fatal { said: format!("{status} {}: {}", problem.title, problem.said()) };
    }
    AudienceError::Refused(refusal(class_of(problem), status, problem))
}

fn refusal(class: RefusalClass, status: u16, problem: &Problem) -> Refusal {
    Refusal { class, status, title: problem.title.clone(), said: problem.said() }
}

/// The status, and Mailchimp's words where there are any; never the body itself.
fn described(response: &Response, problem: Option<&Problem>) -> String {
    match problem {
        Some(problem) => format!("{} {}: {}", response.status, problem.title, problem.said()),
        None if is_html(response) => format!("{} with a web page", response.status),
        None => format!("{} without an explanation", response.status),
    }
}

#[cfg(test)]
mod tests;

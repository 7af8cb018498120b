//! The filters of a list of members: what they take, and whom they show.

use jiff::Timestamp;

use crate::sandbox::audience::World;
use crate::sandbox::call::Query;
use crate::sandbox::member::Member;
use crate::sandbox::member::Status;
use crate::sandbox::moment::parse_moment;
use crate::sandbox::problem::Problem;
use crate::sandbox::views::Order;

/// Seconds from the first to the second, both within.
pub(crate) type Span = (i64, i64);

const ALWAYS: Span = (i64::MIN, i64::MAX);

/// What is asked for, pages apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Wanted {
    /// Of this status; all but archived ones where none is named.
    pub(crate) status: Option<Status>,
    /// In this order.
    pub(crate) order: Order,
    /// Changed within.
    pub(crate) changed: Span,
    opted: Span,
    email_type: Option<String>,
    vip_only: bool,
    /// The one with this id.
    pub(crate) unique_email_id: Option<String>,
    interests: Option<(u64, Match)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Match {
    Any,
    All,
    None,
}

impl Wanted {
    /// The span of the sort key, if that is all that is asked for: then the page is a slice.
    pub(crate) fn as_slice(&self) -> Option<Span> {
        let plain = self.email_type.is_none()
            && !self.vip_only
            && self.unique_email_id.is_none()
            && self.interests.is_none();
        match self.order {
            _ if !plain => None,
            Order::LastChanged => (self.opted == ALWAYS).then_some(self.changed),
            Order::TimestampOpt => (self.changed == ALWAYS).then_some(self.opted),
            Order::Created | Order::TimestampSignup => {
                (self.changed == ALWAYS && self.opted == ALWAYS).then_some(ALWAYS)
            }
        }
    }

    /// Whether a member is shown.
    pub(crate) fn fits(&self, member: &Member) -> bool {
        let lies = |(from, to): Span, moment: i64| (from..=to).contains(&moment);
        let shown = match self.status {
            Some(status) => member.status == status,
            None => member.status != Status::Archived,
        };
        shown
            && lies(self.changed, member.last_changed)
            && (self.opted == ALWAYS || member.timestamp_opt.is_some_and(|moment| lies(self.opted, moment)))
            && self.email_type.as_ref().is_none_or(|kind| *kind == member.email_type)
            && (!self.vip_only || member.vip)
            && self.unique_email_id.as_ref().is_none_or(|unique| *unique == member.unique_email_id)
            && self.interests.is_none_or(|(bits, how)| match how {
                Match::Any => member.interests & bits != 0,
                Match::All => member.interests & bits == bits,
                Match::None => member.interests & bits == 0,
            })
    }
}

/// Reads the filters of a query.
pub(crate) fn wanted(world: &World, query: &Query) -> Result<Wanted, Problem> {
    let status = match query.get("status") {
        None => None,
        Some(text) => Some(Status::parse(text).ok_or_else(|| {
            let all = Status::ALL.map(Status::as_str).join(", ");
            Problem::field("status", format!("Data presented is not one of the accepted values: {all}."))
        })?),
    };
    let order = match query.get("sort_field") {
        None => Order::Created,
        Some("timestamp_opt") => Order::TimestampOpt,
        Some("timestamp_signup") => Order::TimestampSignup,
        Some("last_changed") => Order::LastChanged,
        Some(_) => {
            let accepted = "timestamp_opt, timestamp_signup, last_changed";
            let message = format!("Data presented is not one of the accepted values: {accepted}.");
            return Err(Problem::field("sort_field", message));
        }
    };
    let mut changed = span(world, query, "since_last_changed", "before_last_changed")?;
    if let Some(since) = since(world, query, "unsubscribed_since")? {
        if status != Some(Status::Unsubscribed) {
            let message = "This parameter can only be used with status=unsubscribed.";
            return Err(Problem::field("unsubscribed_since", message));
        }
        changed.0 = changed.0.max(since);
    }
    Ok(Wanted {
        status,
        order,
        changed,
        opted: span(world, query, "since_timestamp_opt", "before_timestamp_opt")?,
        email_type: query.get("email_type").map(str::to_owned),
        vip_only: query.flag("vip_only"),
        unique_email_id: query.get("unique_email_id").map(str::to_owned),
        interests: interests(world, query)?,
    })
}

fn span(world: &World, query: &Query, since_name: &str, before_name: &str) -> Result<Span, Problem> {
    let from = since(world, query, since_name)?.unwrap_or(i64::MIN);
    let to = match moment(query, before_name)? {
        None => i64::MAX,
        // Seconds before the moment: those up to the one that ends where the moment's own begins.
        Some(moment) => moment.as_second() - i64::from(moment.subsec_nanosecond() == 0),
    };
    Ok((from, to))
}

/// The first second that a `since_…` filter shows.
fn since(world: &World, query: &Query, name: &str) -> Result<Option<i64>, Problem> {
    let Some(moment) = moment(query, name)? else { return Ok(None) };
    let whole = moment.subsec_nanosecond() == 0;
    let includes = whole && world.options.since_is_inclusive;
    Ok(Some(moment.as_second() + i64::from(!includes)))
}

/// Reads a moment; one with seven digits of fraction and an offset switches its filter off, as met in MailChimp.Net#525.
fn moment(query: &Query, name: &str) -> Result<Option<Timestamp>, Problem> {
    let Some(text) = query.get(name) else { return Ok(None) };
    if text.len() == "2022-02-23T16:25:56.9999999+00:00".len() && text.ends_with("+00:00") {
        return Ok(None);
    }
    let message = "This value is not a valid datetime.";
    parse_moment(text).map(Some).ok_or_else(|| Problem::field(name, message))
}

fn interests(world: &World, query: &Query) -> Result<Option<(u64, Match)>, Problem> {
    let names = ["interest_category_id", "interest_ids", "interest_match"].map(|name| query.get(name));
    let (category, ids, how) = match names {
        [None, None, None] => return Ok(None),
        [Some(category), Some(ids), Some(how)] => (category, ids, how),
        _ => {
            let message = "interest_category_id, interest_ids and interest_match must be given together.";
            return Err(Problem::field("interest_ids", message));
        }
    };
    let how = match how {
        "any" => Match::Any,
        "all" => Match::All,
        "none" => Match::None,
        _ => {
            return Err(Problem::field(
                "interest_match",
                "Data presented is not one of the accepted values: any, all, none.",
            ));
        }
    };
    let mut bits = 0;
    for id in ids.split(',').map(str::trim) {
        let interest = world.audience.interest(id).filter(|interest| interest.category_id == category);
        let interest = interest.ok_or_else(|| Problem::invalid(format!("Invalid interest ID: '{id}'.")))?;
        bits |= 1 << interest.slot;
    }
    Ok(Some((bits, how)))
}

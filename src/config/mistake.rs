//! The sentences of the configuration's refusals: each says what is wrong and what would be right.

use std::time::Duration;

use crate::model::InvalidMergeTag;

/// What is wrong with one key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Mistake {
    #[error("is missing")]
    Missing,
    #[error("must not be empty")]
    Empty,
    #[error("must be {wanted}, not {found}")]
    WrongType { wanted: &'static str, found: &'static str },
    #[error("there is no such key{}", guess(nearest.as_deref()))]
    Unknown { nearest: Option<String> },
    #[error("there is no key `{found}`{}", guess(nearest.as_deref()))]
    UnknownIn { found: String, nearest: Option<String> },
    #[error("\"{}\" is no duration; write 90s, 5m, 24h, 7d or 1h30m", .0)]
    Duration(String),
    #[error("must be at least {}", spell(*least))]
    TooShort { least: Duration },
    #[error("must not be shorter than `{than}`")]
    ShorterThan { than: &'static str },
    #[error("\"{}\" is no percentage; write \"5%\" or \"0.5%\", from 0% to 100% with at most two decimals", .0)]
    Share(String),
    #[error("must be a whole number from {least} to {most}, not {found}")]
    OutOfRange { least: u64, most: u64, found: String },
    #[error("\"{found}\" is none of {}", words.join(", "))]
    Word { found: String, words: Vec<&'static str> },
    #[error("give exactly one of {}", .0.join(", "))]
    ExactlyOne(Vec<String>),
    #[error("secrets never stand in the file; give {name}_file or {name}_env instead")]
    SecretInFile { name: String },
    #[error("the environment variable {} is not set; set it, or give the secret in a file", .0)]
    VariableUnset(String),
    #[error("{path} cannot be read: {said}")]
    Unreadable { path: String, said: String },
    #[error("the secret is empty")]
    SecretEmpty,
    #[error("the secret must have at least {least} characters; `openssl rand -hex 32` makes a good one")]
    SecretShort { least: usize },
    #[error("the secret may hold only letters, digits, - and _; `openssl rand -hex 32` makes a good one")]
    SecretCharacters,
    #[error("must not be the same secret as `{other}`: whoever has one could do what the other is for")]
    SecretShared { other: &'static str },
    #[error(
        "the API key does not end in its data centre (-us6 or the like); copy it whole, or set `base_url`"
    )]
    NoDataCentre,
    #[error("\"{}\" is no web address; write https://host/path", .0)]
    Url(String),
    #[error("must begin with https://: an API key or a member's address would travel in the clear")]
    NotHttps,
    #[error("must not hold a password or a query")]
    UrlExtras,
    #[error("\"{}\" is no address to listen on; write 127.0.0.1:8420 or [::1]:8420", .0)]
    Listen(String),
    #[error("an audience's id is a few letters and digits (Audience, Settings, Audience name and defaults)")]
    Audience,
    #[error("begins with none of sqlite:, postgres://, mysql://")]
    RegisterUrl,
    #[error("holds a password; give the address by url_file or url_env instead")]
    RegisterPassword,
    #[error(transparent)]
    MergeTag(#[from] InvalidMergeTag),
    #[error("`{}` is mapped twice", .0)]
    Twice(String),
    #[error("the address travels by itself and is no merge field")]
    AddressField,
    #[error("`{}` is kept by the consent rule and is no merge field", .0)]
    ConsentField(String),
    #[error("a value that is always the same travels to_mailchimp and not back")]
    ConstantDirection,
    #[error("a dimension's name must not hold a colon, which parts it from the interest in rules")]
    DimensionColon,
    #[error("`{prefix}` and the tags of dimension `{dimension}` cannot be told apart")]
    PrefixOverlap { prefix: String, dimension: String },
    #[error(
        "the tag `{tag}` begins like those of dimension `{dimension}` and would be read as an interest; set another"
    )]
    TagInDimension { tag: String, dimension: String },
    #[error("the tag `{}` is that of another working group; set another", .0)]
    TagTwice(String),
    #[error("`{}` is no interest; write dimension:name, as in \"topic:Decentralization\"", .0)]
    Interest(String),
    #[error("dimension `{dimension}` of \"{rule}\" is not mapped; add it as [[interest]]")]
    Unmapped { dimension: String, rule: String },
    #[error("merge tag {} is not mapped; add it as [[merge_field]]", .0)]
    UnmappedTag(String),
    #[error("`{}` is wanted and ruled out at once: nobody can be in this group", .0)]
    Contradiction(String),
    #[error("a group needs at least one of any, all, membership, fields: else everybody would be in it")]
    NoRule,
    #[error("{}", .0)]
    Said(String),
}

/// The end of a sentence about an unknown key.
fn guess(nearest: Option<&str>) -> String {
    nearest.map(|key| format!("; did you mean `{key}`?")).unwrap_or_default()
}

/// Writes a duration as the configuration does.
fn spell(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0 => format!("{}ms", duration.as_millis()),
        _ if seconds.is_multiple_of(86_400) => format!("{}d", seconds / 86_400),
        _ if seconds.is_multiple_of(3600) => format!("{}h", seconds / 3600),
        _ if seconds.is_multiple_of(60) => format!("{}m", seconds / 60),
        _ => format!("{seconds}s"),
    }
}

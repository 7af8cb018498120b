//! What is said over the socket: one request, and its answers.

use std::io;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::cycle::Report;
use crate::progress::Progress;
use crate::worker::{CycleWanted, Failure};

/// The version of the protocol that this program speaks.
pub const VERSION: u32 = 1;

/// A request has at most so many bytes: room for twenty thousand addresses.
pub(super) const LONGEST_REQUEST: usize = 1024 * 1024;

/// A request with the version that it speaks.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Request<A> {
    version: u32,
    ask: A,
}

/// What a daemon can be asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Ask {
    /// A cycle.
    Sync(CycleWanted),
    /// To begin no cycle for as long as the connection is kept.
    StandAside,
}

/// What a daemon answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// The request is understood, and what it named is in the state file.
    Accepted,
    /// The cycle that answers the request has begun.
    Begun,
    /// How far it has come, or what comes before it.
    Progress(Progress),
    /// What came of it; the last line.
    Report {
        /// The report.
        report: Report,
        /// Since when nothing is written, where that is so.
        paused_since: Option<Timestamp>,
    },
    /// It failed, or cannot begin; the last line.
    Failed(Failure),
    /// The daemon ends before the cycle did; the last line.
    Stopping,
    /// The request is not understood, or one too many; the last line.
    Refused {
        /// Why.
        said: String,
    },
}

impl Ask {
    /// The request as a line.
    pub(super) fn to_line(&self) -> io::Result<String> {
        line(&Request { version: VERSION, ask: self })
    }

    /// Reads a request; else says why it is none.
    pub(super) fn parse(line: &[u8]) -> Result<Self, String> {
        let request: Request<serde_json::Value> =
            serde_json::from_slice(line).map_err(|error| format!("this is no request: {error}"))?;
        if request.version != VERSION {
            return Err(format!(
                "this daemon speaks version {VERSION}, not {}: restart it, so that it is of the same version",
                request.version
            ));
        }
        serde_json::from_value(request.ask).map_err(|error| format!("this cannot be asked for: {error}"))
    }
}

impl Answer {
    /// The answer as a line.
    pub(super) fn to_line(&self) -> io::Result<String> {
        line(self)
    }

    /// Whether no other follows.
    pub(super) fn is_last(&self) -> bool {
        match self {
            Self::Accepted | Self::Begun | Self::Progress(_) => false,
            Self::Report { .. } | Self::Failed(_) | Self::Stopping | Self::Refused { .. } => true,
        }
    }
}

fn line(value: &impl Serialize) -> io::Result<String> {
    Ok(format!("{}\n", serde_json::to_string(value)?))
}

/// Reads one line of at most `limit` bytes, without its end; `None` where the other side has hung up instead.
pub(super) async fn read_line(
    reader: &mut (impl AsyncBufRead + Unpin),
    limit: usize,
) -> io::Result<Option<Vec<u8>>> {
    let mut line = Vec::new();
    let most = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    reader.take(most).read_until(b'\n', &mut line).await?;
    match line.pop() {
        None => Ok(None),
        Some(b'\n') => Ok(Some(line)),
        Some(_) if line.len() >= limit => {
            Err(io::Error::new(io::ErrorKind::FileTooLarge, "the line is too long"))
        }
        Some(_) => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}

/// Writes a line at once.
pub(super) async fn write_line(writer: &mut (impl AsyncWrite + Unpin), line: &str) -> io::Result<()> {
    writer.write_all(line.as_bytes()).await?;
    writer.flush().await
}

#[cfg(test)]
mod tests {
    use crate::model::EmailAddress;

    use super::*;

    fn sync(addresses: &[&str]) -> Ask {
        let addresses = addresses.iter().map(|text| EmailAddress::parse(text).unwrap()).collect();
        Ask::Sync(CycleWanted { full: true, yes: false, addresses })
    }

    #[test]
    fn a_request_comes_through_as_it_was_asked() {
        let ask = sync(&["Ada@alliance.test"]);
        let line = ask.to_line().unwrap();
        assert_eq!(
            line,
            "{\"version\":1,\"ask\":{\"sync\":{\"full\":true,\"yes\":false,\"addresses\":[\"Ada@alliance.test\"]}}}\n"
        );
        assert_eq!(Ask::parse(line.trim_end().as_bytes()), Ok(ask));
    }

    #[test]
    fn what_is_no_request_is_refused_with_the_reason() {
        for (line, reason) in [
            ("", "this is no request"),
            ("[]", "this is no request"),
            ("{\"ask\":\"sync\"}", "missing field `version`"),
            ("{\"version\":2,\"ask\":{\"dance\":{}}}", "speaks version 1, not 2"),
            ("{\"version\":1,\"ask\":{\"dance\":{}}}", "this cannot be asked for: unknown variant `dance`"),
            (
                "{\"version\":1,\"ask\":{\"sync\":{\"full\":true,\"yes\":true,\"addresses\":[\"x\"]}}}",
                "exactly one @",
            ),
            (
                "{\"version\":1,\"ask\":{\"sync\":{\"full\":true,\"yes\":true,\"addresses\":[],\"dry\":true}}}",
                "unknown field `dry`",
            ),
            ("{\"version\":1,\"ask\":{},\"user\":\"root\"}", "unknown field `user`"),
        ] {
            let refused = Ask::parse(line.as_bytes()).unwrap_err();
            assert!(refused.contains(reason), "{line}: {refused}");
        }
    }

    #[tokio::test]
    async fn a_line_is_read_whole_or_not_at_all() {
        let check = async |bytes: &[u8], expected: Result<Option<&[u8]>, io::ErrorKind>| {
            let mut reader = bytes;
            let read = read_line(&mut reader, 8).await;
            let read = read.as_ref().map(|line| line.as_deref()).map_err(io::Error::kind);
            assert_eq!(read, expected, "{}", String::from_utf8_lossy(bytes));
        };
        check(b"", Ok(None)).await;
        check(b"one\ntwo\n", Ok(Some(b"one"))).await;
        check(b"12345678\n", Ok(Some(b"12345678"))).await;
        check(b"123456789\n", Err(io::ErrorKind::FileTooLarge)).await;
        check(&[b'x'; 4096], Err(io::ErrorKind::FileTooLarge)).await;
        check(b"one", Err(io::ErrorKind::UnexpectedEof)).await;
    }

    #[test]
    fn the_last_answer_is_known_as_such() {
        let failure = Failure { said: "no".to_owned(), misconfigured: true };
        let progress = Answer::Progress(Progress::default());
        for (answer, expected, last) in [
            (Answer::Accepted, "\"accepted\"\n", false),
            (Answer::Begun, "\"begun\"\n", false),
            (progress, "{\"progress\":{\"phase\":\"waiting\",\"done\":0,\"total\":0}}\n", false),
            (Answer::Failed(failure), "{\"failed\":{\"said\":\"no\",\"misconfigured\":true}}\n", true),
            (Answer::Stopping, "\"stopping\"\n", true),
            (Answer::Refused { said: "no".to_owned() }, "{\"refused\":{\"said\":\"no\"}}\n", true),
        ] {
            assert_eq!((answer.to_line().unwrap().as_str(), answer.is_last()), (expected, last));
        }
    }
}

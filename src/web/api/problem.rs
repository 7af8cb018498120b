//! What goes wrong with a request, as problem JSON. <https://www.rfc-editor.org/rfc/rfc9457>

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use crate::web::api::Untold;

/// Why a request was not answered.
#[derive(Debug)]
pub(super) struct Problem {
    status: StatusCode,
    detail: String,
}

impl Problem {
    /// A problem of this status, and what about it.
    pub(super) fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self { status, detail: detail.into() }
    }
}

impl From<Untold> for Problem {
    fn from(untold: Untold) -> Self {
        match untold {
            Untold::Unknown(said) => Self::new(StatusCode::NOT_FOUND, said),
            Untold::Over(said) => Self::new(StatusCode::CONFLICT, said),
            Untold::Failed(said) => Self::new(StatusCode::SERVICE_UNAVAILABLE, said),
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let Self { status, detail } = self;
        let title = status.canonical_reason().unwrap_or("Problem");
        let body = json!({ "title": title, "status": status.as_u16(), "detail": detail });
        (status, [(header::CONTENT_TYPE, "application/problem+json")], format!("{body}\n")).into_response()
    }
}

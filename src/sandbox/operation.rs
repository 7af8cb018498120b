//! One operation of a batch, as it was sent.

use serde_json::Value;

use crate::sandbox::call;
use crate::sandbox::problem::Problem;

const METHODS: [&str; 5] = ["GET", "POST", "PUT", "PATCH", "DELETE"];

/// One operation of a batch.
#[derive(Clone, Debug)]
pub(crate) struct Operation {
    /// The method's name.
    pub(crate) method: String,
    /// The path below the base URL.
    pub(crate) path: String,
    /// The query.
    pub(crate) params: Vec<(String, String)>,
    /// The body, as the text it was sent as.
    pub(crate) body: Option<String>,
    /// What the result is told apart by.
    pub(crate) id: String,
}

/// Reads an operation.
pub(crate) fn operation(sent: &Value) -> Result<Operation, Problem> {
    let Value::Object(sent) = sent else {
        return Err(Problem::field("operations", call::schema_message("object", sent)));
    };
    call::required(sent, "method")?;
    let params = call::nested(sent, "params")?.into_iter().flatten();
    let params = params.map(|(name, value)| {
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        (name.clone(), text)
    });
    Ok(Operation {
        method: call::one_of(sent, "method", &METHODS)?.unwrap_or_default().to_owned(),
        path: call::required(sent, "path")?.to_owned(),
        params: params.collect(),
        body: call::text(sent, "body")?.map(str::to_owned),
        id: call::text(sent, "operation_id")?.unwrap_or_default().to_owned(),
    })
}

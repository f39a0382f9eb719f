//! Files that come with a request, as a resolver takes them.

use async_graphql::{Description, InputValueError, InputValueResult, Scalar, ScalarType, Value};
use uuid::Uuid;

use crate::storage::{Declared, Stored};

/// A file that comes with the request: `null` in the variables, and a part of a
/// `multipart/form-data` request after the GraphQL multipart request specification (`operations`,
/// `map`, then the files). Such a request needs a credential, and an `Authorization` or another
/// header that no form of a page can send (`Apollo-Require-Preflight`). A file has from 1 byte up
/// to as many as the server takes, 40 MB if its operator has not said otherwise
/// (PAYLOAD_TOO_LARGE), and must be what its part's Content-Type declares
/// (UNSUPPORTED_MEDIA_TYPE). At most 15 files a request, each at one place of the variables.
#[derive(Debug, Clone, PartialEq, Eq, Description)]
pub struct Upload(String);

#[Scalar(
    name = "Upload",
    use_type_description,
    specified_by_url = "https://github.com/jaydenseric/graphql-multipart-request-spec"
)]
impl ScalarType for Upload {
    fn parse(value: Value) -> InputValueResult<Self> {
        match value {
            Value::String(ticket) => Ok(Self(ticket)),
            other => Err(InputValueError::expected_type(other)),
        }
    }

    fn to_value(&self) -> Value {
        Value::String(self.0.clone())
    }
}

impl Upload {
    /// What stands for the file in the variables, instead of the `null`.
    pub fn ticket(&self) -> &str {
        &self.0
    }
}

/// A file that has come: it is in the storage, and removed from there unless its key is claimed.
#[derive(Debug, Clone)]
pub struct Arrived {
    /// Its key in the storage, fit to be the id of an attachment.
    pub key: Uuid,
    /// What the client said of it.
    pub declared: Declared,
    /// What it is.
    pub stored: Stored,
}

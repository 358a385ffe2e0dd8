//! Errors as the wire has them: RFC 9457 problems with stable codes.

use crate::view::Problem;
use axum::{
    Json,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use nexus_engine::{EngineError, ErrorKind};

/// What a client can recognise. Each has a section in `docs/errors.md`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorCode {
    BadInput,
    NotFound,
    WrongState,
    ChecksRed,
    BadFolder,
    Untrusted,
    TooBig,
    AgentProgram,
    Login,
    Keychain,
    DataFolder,
    DiskFull,
    Git,
    Stopping,
    Internal,
}

impl ErrorCode {
    /// All codes, for the test that compares them with their documentation.
    pub const ALL: [Self; 15] = [
        Self::BadInput,
        Self::NotFound,
        Self::WrongState,
        Self::ChecksRed,
        Self::BadFolder,
        Self::Untrusted,
        Self::TooBig,
        Self::AgentProgram,
        Self::Login,
        Self::Keychain,
        Self::DataFolder,
        Self::DiskFull,
        Self::Git,
        Self::Stopping,
        Self::Internal,
    ];

    /// The code as it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::BadInput => "bad_input",
            Self::NotFound => "not_found",
            Self::WrongState => "wrong_state",
            Self::ChecksRed => "checks_red",
            Self::BadFolder => "bad_folder",
            Self::Untrusted => "untrusted",
            Self::TooBig => "too_big",
            Self::AgentProgram => "agent_program",
            Self::Login => "login",
            Self::Keychain => "keychain",
            Self::DataFolder => "data_folder",
            Self::DiskFull => "disk_full",
            Self::Git => "git",
            Self::Stopping => "stopping",
            Self::Internal => "internal",
        }
    }

    fn title(self) -> &'static str {
        match self {
            Self::BadInput => "The request makes no sense",
            Self::NotFound => "There is no such thing",
            Self::WrongState => "Not now",
            Self::ChecksRed => "The checks are not green",
            Self::BadFolder => "This folder cannot be used",
            Self::Untrusted => "This folder is not trusted yet",
            Self::TooBig => "This folder holds too much",
            Self::AgentProgram => "Claude Code cannot be used",
            Self::Login => "Not logged in",
            Self::Keychain => "The keychain cannot be used",
            Self::DataFolder => "The data folder cannot be used",
            Self::DiskFull => "The disk is full",
            Self::Git => "git cannot be used",
            Self::Stopping => "NEXUS is stopping",
            Self::Internal => "A mistake of NEXUS",
        }
    }

    fn status(self) -> StatusCode {
        match self {
            Self::BadInput | Self::BadFolder | Self::TooBig => StatusCode::UNPROCESSABLE_ENTITY,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::WrongState | Self::ChecksRed => StatusCode::CONFLICT,
            Self::Untrusted => StatusCode::FORBIDDEN,
            Self::AgentProgram | Self::Login | Self::Keychain | Self::Git => {
                StatusCode::FAILED_DEPENDENCY
            }
            Self::DataFolder | Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
            Self::DiskFull => StatusCode::INSUFFICIENT_STORAGE,
            Self::Stopping => StatusCode::SERVICE_UNAVAILABLE,
        }
    }
}

impl From<ErrorKind> for ErrorCode {
    fn from(kind: ErrorKind) -> Self {
        match kind {
            ErrorKind::BadInput => Self::BadInput,
            ErrorKind::NotFound => Self::NotFound,
            ErrorKind::WrongState => Self::WrongState,
            ErrorKind::ChecksRed => Self::ChecksRed,
            ErrorKind::BadFolder => Self::BadFolder,
            ErrorKind::Untrusted => Self::Untrusted,
            ErrorKind::TooBig => Self::TooBig,
            ErrorKind::AgentProgram => Self::AgentProgram,
            ErrorKind::Login => Self::Login,
            ErrorKind::Keychain => Self::Keychain,
            ErrorKind::DataFolder => Self::DataFolder,
            ErrorKind::DiskFull => Self::DiskFull,
            ErrorKind::Git => Self::Git,
            ErrorKind::Stopping => Self::Stopping,
            ErrorKind::Internal => Self::Internal,
        }
    }
}

/// An error on its way out.
#[derive(Debug)]
pub struct ApiError {
    code: ErrorCode,
    detail: String,
}

impl ApiError {
    /// An error with this code and this sentence.
    pub fn new(code: ErrorCode, detail: impl Into<String>) -> Self {
        Self {
            code,
            detail: detail.into(),
        }
    }

    /// The error as a problem document.
    pub fn problem(&self) -> Problem {
        Problem {
            kind: format!("docs/errors.md#{}", self.code.as_str()),
            code: self.code.as_str().to_owned(),
            title: self.code.title().to_owned(),
            detail: self.detail.clone(),
            status: self.code.status().as_u16(),
        }
    }
}

impl From<EngineError> for ApiError {
    fn from(error: EngineError) -> Self {
        Self::new(error.kind.into(), error.message)
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = (self.code.status(), Json(self.problem())).into_response();
        let kind = HeaderValue::from_static("application/problem+json");
        response.headers_mut().insert(header::CONTENT_TYPE, kind);
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_its_section_in_the_documentation_and_no_section_is_left_over() {
        let text = include_str!("../../../../docs/errors.md");
        let mut documented: Vec<_> = text
            .lines()
            .filter_map(|line| line.strip_prefix("## "))
            .map(str::trim)
            .collect();
        let mut codes: Vec<_> = ErrorCode::ALL.iter().map(|code| code.as_str()).collect();
        documented.sort_unstable();
        codes.sort_unstable();
        assert_eq!(documented, codes);
    }
}

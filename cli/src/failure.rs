//! Why a command failed, and the exit status that tells scripts so.

use std::{fmt, process::ExitCode};

/// A failure: a message for people and an exit status (1 failure, 2 usage, 69 unavailable, 78 configuration).
#[derive(Debug)]
pub(crate) struct Failure {
    message: String,
    status: u8,
}

impl Failure {
    const UNAVAILABLE: u8 = 69;
    const CONFIGURATION: u8 = 78;

    /// A failure without a status of its own.
    pub(crate) fn other(message: impl Into<String>) -> Self {
        Self { message: message.into(), status: 1 }
    }

    /// Wrong use of the command line.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self { message: message.into(), status: 2 }
    }

    /// Somebody else does not answer.
    pub(crate) fn unavailable(message: impl Into<String>) -> Self {
        Self { message: message.into(), status: Self::UNAVAILABLE }
    }

    /// Wrong configuration.
    pub(crate) fn configuration(message: impl Into<String>) -> Self {
        Self { message: message.into(), status: Self::CONFIGURATION }
    }

    /// The status to exit with.
    pub(crate) fn exit_code(&self) -> ExitCode {
        ExitCode::from(self.status)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl From<exchange::Error> for Failure {
    fn from(error: exchange::Error) -> Self {
        let status = match &error {
            exchange::Error::Unavailable { .. } => Self::UNAVAILABLE,
            exchange::Error::Topic { .. } | exchange::Error::Store { .. } => Self::CONFIGURATION,
            _ => 1,
        };
        Self { message: error.to_string(), status }
    }
}

impl From<control::Error> for Failure {
    fn from(error: control::Error) -> Self {
        match error {
            control::Error::Exchange(error) => error.into(),
            control::Error::Invalid(_) => Self::configuration(error.to_string()),
            control::Error::Entry { .. } | control::Error::Behind { .. } => {
                Self::other(error.to_string())
            }
        }
    }
}

impl From<stage::StageError> for Failure {
    fn from(error: stage::StageError) -> Self {
        use stage::StageError as E;
        match error {
            E::Exchange(error) => error.into(),
            E::Control(error) => error.into(),
            E::Definition { .. } => Self::configuration(error.to_string()),
            E::Snapshots(_) | E::Hole { .. } | E::Lost { .. } | E::Apart { .. } => {
                Self::other(error.to_string())
            }
        }
    }
}

impl From<notification::Error> for Failure {
    fn from(error: notification::Error) -> Self {
        match error {
            notification::Error::Exchange(error) => error.into(),
            notification::Error::Control(error) => error.into(),
        }
    }
}

impl From<ingest::IngestError> for Failure {
    fn from(error: ingest::IngestError) -> Self {
        use ingest::IngestError as E;
        match error {
            E::Exchange(error) => error.into(),
            E::Control(error) => error.into(),
            E::NoLayout | E::Partitions { .. } | E::Memory { .. } => {
                Self::configuration(error.to_string())
            }
            E::Lost { .. } | E::Snapshots(_) => Self::other(error.to_string()),
        }
    }
}

impl From<::eval::Error> for Failure {
    fn from(error: ::eval::Error) -> Self {
        match error {
            ::eval::Error::Column { .. } => Self::usage(error.to_string()),
            error => Self::other(error.to_string()),
        }
    }
}

impl From<crate::demo::DemoError> for Failure {
    fn from(error: crate::demo::DemoError) -> Self {
        match error {
            crate::demo::DemoError::Exchange(error) => error.into(),
            error => Self::other(error.to_string()),
        }
    }
}

impl From<crate::publish::PublishError> for Failure {
    fn from(error: crate::publish::PublishError) -> Self {
        use crate::publish::PublishError as E;
        let status = match &error {
            E::Usage(_) => 2,
            E::Unavailable { .. } => Self::UNAVAILABLE,
            E::Io { .. } | E::Refused { .. } => 1,
        };
        Self { message: error.to_string(), status }
    }
}

impl From<crate::tail::TailError> for Failure {
    fn from(error: crate::tail::TailError) -> Self {
        match error {
            crate::tail::TailError::Exchange(error) => error.into(),
            crate::tail::TailError::Output(_) => Self::other(error.to_string()),
        }
    }
}

impl From<runtime::settings::SettingsError> for Failure {
    fn from(error: runtime::settings::SettingsError) -> Self {
        Self::configuration(error.to_string())
    }
}

impl From<runtime::server::ServerError> for Failure {
    fn from(error: runtime::server::ServerError) -> Self {
        Self { message: error.to_string(), status: Self::UNAVAILABLE }
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::other(error.to_string())
    }
}

//! Planned misfortune: lets a test or the simulation decide, commit by commit, what goes wrong. Both adapters
//! ask the hook at the same places, so one scenario runs on either.

use std::sync::Arc;

use crate::port::{CommitOutcome, Error, Group};

/// What befalls a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Answered `Full`; nothing is written.
    Full,
    /// Everything is sent, then the transaction is aborted: answered `Rewound`.
    Rewind,
    /// The process dies before the commit: nothing is written, answered `Fatal`.
    DieBefore,
    /// The process dies after the commit but before it learns of it: all is written, answered `Fatal`.
    DieAfter,
}

/// Asked once per commit that has something to write, with the member that commits.
pub type FaultHook = Arc<dyn Fn(&Group) -> Option<Fault> + Send + Sync>;

impl Fault {
    /// The answer that the caller gets in place of the real one.
    pub(crate) fn answer(self) -> Result<CommitOutcome, Error> {
        match self {
            Self::Full => Ok(CommitOutcome::Full),
            Self::Rewind => Ok(CommitOutcome::Rewound),
            Self::DieBefore => {
                Err(Error::Fatal { what: "died before the commit, as planned".into() })
            }
            Self::DieAfter => {
                Err(Error::Fatal { what: "died after the commit, as planned".into() })
            }
        }
    }
}

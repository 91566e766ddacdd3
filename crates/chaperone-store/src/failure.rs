//! What can go wrong inside a transaction, before it is told to the caller.

use crate::error::StoreError;

/// Why a piece of work failed: on its own account, or by the database's.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The work says no. Trying again would not help.
    Store(StoreError),
    /// The database failed. It may be worth another try.
    Sql(sqlx::Error),
}

impl Failure {
    /// Whether the transaction is to be tried again because of what others did meanwhile: a serialization failure, a deadlock, or a row on
    /// its way to a partition that is not its own any more.
    pub(crate) fn is_contention(&self) -> bool {
        self.sql_state().is_some_and(|state| matches!(state.as_str(), "40001" | "40P01")) || self.is_misrouted()
    }

    /// Whether a row missed its partition, which another transaction attached after the row was sent to the default one. The bounds of a
    /// partition are the only check that has no name.
    fn is_misrouted(&self) -> bool {
        match self {
            Self::Sql(sqlx::Error::Database(error)) => error.is_check_violation() && error.constraint().is_none(),
            Self::Sql(_) | Self::Store(_) => false,
        }
    }

    /// Whether the connection is gone, so that another one may serve. What was not committed through it never happened.
    pub(crate) fn is_lost_connection(&self) -> bool {
        let by_state = self.sql_state().is_some_and(|state| {
            // 08: connection exceptions; 57P01 to 57P03: shutting down, crashed, starting up.
            state.starts_with("08") || matches!(state.as_str(), "57P01" | "57P02" | "57P03")
        });
        by_state || matches!(self, Self::Sql(sqlx::Error::Io(_)))
    }

    fn sql_state(&self) -> Option<String> {
        match self {
            Self::Sql(sqlx::Error::Database(error)) => error.code().map(std::borrow::Cow::into_owned),
            Self::Sql(_) | Self::Store(_) => None,
        }
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<sqlx::Error> for Failure {
    fn from(error: sqlx::Error) -> Self {
        Self::Sql(error)
    }
}

impl From<Failure> for StoreError {
    /// A failure of the database is "unavailable" whatever it was: none of them says yes or no to what was asked.
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Store(error) => error,
            Failure::Sql(sqlx::Error::ColumnDecode { index, source }) => {
                Self::Corrupt { table: "(result)", key: index, message: source.to_string() }
            }
            Failure::Sql(error) => Self::Unavailable(Box::new(error)),
        }
    }
}

//! A piece of work inside a transaction, and what it works with.

use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;

use crate::failure::Failure;

/// What a piece of work gets: a connection, for as long as one attempt lasts.
///
/// `'env` is the life of what the work borrows from its caller; naming it here tells the compiler that it outlives the attempt.
pub(crate) struct Attempt<'t, 'env: 't, C> {
    pub(crate) connection: &'t mut C,
    environment: PhantomData<&'t &'env ()>,
}

impl<'t, C> Attempt<'t, '_, C> {
    /// An attempt on a connection.
    pub(crate) fn on(connection: &'t mut C) -> Self {
        Self { connection, environment: PhantomData }
    }
}

/// A piece of work under way.
pub(crate) type Work<'t, T> = Pin<Box<dyn Future<Output = Result<T, Failure>> + Send + 't>>;

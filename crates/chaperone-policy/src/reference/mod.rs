//! The same decisions by Cedar's own authorizer: what the compiled policies are held to, and a fallback for them.

pub(crate) mod convert;

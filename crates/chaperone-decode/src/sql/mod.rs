//! SQL scripts.
//!
//! Each statement becomes one operation for each thing that it does to each object: `INSERT INTO a SELECT * FROM b` inserts into `a` and
//! selects from `b`. A statement that touches no object, such as `SELECT 1` or `BEGIN`, is one operation on the database.
//!
//! # Names
//! The id of a resource is the database that the mapping names, a slash and the object's own name: `shop/orders`, `shop/audit.log`. Names
//! are folded as the database folds them. The schema that a name without one means by default is left out, so that `orders` and
//! `public.orders` are one. That takes the search path to be what it is by default; a script that changes it cannot be
//! decoded behind that point. MySQL and SQL Server compare names as their server is set up; here capitals make no difference to them.
//! Files (`stdin` and `stdout` among them), databases and functions have ids of their names alone.
//!
//! # What is refused
//! Whatever the parser does not know, what two databases or two settings of one would read differently, what changes how later text is
//! read, and what names its objects by computing them.

mod action;
mod change;
mod condition;
mod definition;
mod dialect;
mod facts;
mod lexis;
mod name;
mod parsing;
mod reserved;
mod scope;
mod script;
mod session;
mod special;
mod statement;
mod transfer;
mod visit;
mod walk;

use std::collections::BTreeMap;

use smol_str::SmolStr;
use sqlparser::tokenizer::TokenWithSpan;

pub use dialect::Dialect;
pub use facts::{FACTS, RESOURCES};

use crate::{Classes, Operation, Undecodable};
use script::Tokens;
use walk::Walk;

/// How many bytes a script may have.
const SCRIPT_BYTES_MAX: usize = 64 * 1024;

/// How many operations a script may be.
const OPERATIONS_MAX: usize = 1_000;

/// How many texts the facts of all operations may hold together, since each operation has those of its statement.
const TEXTS_MAX: usize = 100_000;

/// The stack that deep statements are read on.
const STACK_BYTES: usize = 16 * 1024 * 1024;

/// What is known of a script besides its text.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Options {
    /// The database that it is for.
    pub dialect: Dialect,
    /// The prefix of the resources' ids: the name of the database, or nothing.
    pub database: SmolStr,
    /// The tables that views read, both by their names without the database, in the spelling of resources' ids (`orders`, `audit.log`).
    /// Whatever touches such a view touches its tables likewise.
    pub views: BTreeMap<SmolStr, Vec<SmolStr>>,
}

/// Tells all that a script would do, statement by statement.
///
/// # Errors
/// The script is empty, too large or not understood, or does what nobody can foresee.
pub fn decode(script: &str, options: &Options, classes: &Classes) -> Result<Vec<Operation>, Undecodable> {
    if script.len() > SCRIPT_BYTES_MAX {
        return Err(Undecodable::new("the script is too long"));
    }
    if script.contains('\0') {
        return Err(Undecodable::new("the script contains a NUL"));
    }
    let statements = script::statements(script, options.dialect)?;
    if statements.is_empty() {
        return Err(Undecodable::new("the script has no statement"));
    }
    let count = statements.len();
    let mut operations = Vec::new();
    let mut texts = 0;
    let mut names_unclear = false;
    for Tokens { tokens, deep } in statements {
        if names_unclear {
            return Err(Undecodable::new("statements behind one that changes what names mean"));
        }
        let walked = || walked(tokens, options, classes);
        let walk = if deep { stacker::grow(STACK_BYTES, walked) } else { walked() }?;
        names_unclear = walk.names_unclear;
        texts += walk.facts.texts() * walk.effects.len();
        if operations.len() + walk.effects.len() > OPERATIONS_MAX || texts > TEXTS_MAX {
            return Err(Undecodable::new("the script does too much"));
        }
        let facts = walk.facts.into_map(options, count);
        let done = walk.effects.into_iter();
        operations.extend(done.map(|(action, resource)| Operation { action, resource, facts: facts.clone() }));
    }
    Ok(operations)
}

/// Walks the statement that these tokens are.
fn walked<'a>(tokens: Vec<TokenWithSpan>, options: &'a Options, classes: &'a Classes) -> Result<Walk<'a>, Undecodable> {
    let mut walk = Walk::new(options, classes);
    if let Some(tokens) = walk.special(tokens)? {
        walk.statement(&parsing::statement(tokens, options.dialect)?)?;
    }
    Ok(walk)
}

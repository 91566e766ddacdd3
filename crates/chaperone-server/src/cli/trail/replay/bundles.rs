//! The bundles that decide again.

use std::collections::{BTreeMap, HashSet};
use std::path::PathBuf;

use chaperone_api::chaperone::v1::PolicyServiceGetRequest;
use chaperone_policy::{Bundle, BundleNumber, BundleSource};

use super::MaybeLink;
use crate::cli::bundle::read_to_send;
use crate::cli::failure::Failure;
use crate::cli::output;
use crate::replay::{Rules, Run};

/// A bundle that is named on the command line.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum BundleOption {
    /// A stored one.
    Number(u64),
    /// A folder.
    Folder(PathBuf),
}

/// Bundles by their numbers, from the server.
#[derive(Debug)]
pub struct Bundles<'a> {
    link: MaybeLink<'a>,
    /// Those that cannot be had, by their digests.
    refused: HashSet<String>,
}

/// Reads a number or a folder.
///
/// # Errors
/// When it is empty.
pub fn option(text: &str) -> Result<BundleOption, String> {
    match text.parse() {
        Ok(0) => Err("bundles are numbered from 1".to_owned()),
        Ok(number) => Ok(BundleOption::Number(number)),
        Err(_) if text.is_empty() => Err("name a folder, or the number of a stored bundle".to_owned()),
        Err(_) => Ok(BundleOption::Folder(text.into())),
    }
}

impl<'a> Bundles<'a> {
    /// From the server behind this connection.
    pub fn new(link: MaybeLink<'a>) -> Self {
        Self { link, refused: HashSet::new() }
    }

    /// The bundle that is to decide instead of those that did.
    ///
    /// # Errors
    /// When it cannot be had, or has problems.
    pub async fn candidate(&self, option: &BundleOption) -> Result<Rules, Failure> {
        match option {
            BundleOption::Folder(folder) => {
                let place = folder.display().to_string();
                compile(0, read_to_send(folder)?, &place).await
            }
            BundleOption::Number(number) => {
                let source = self.get(*number).await?;
                compile(*number, source, &format!("bundle {number}")).await
            }
        }
    }

    /// Gives what `run` wants, as far as it can be had.
    ///
    /// # Errors
    /// When the server does not answer.
    pub async fn give(&mut self, run: &Run) -> Result<(), Failure> {
        for (number, digest) in run.wanted() {
            if self.refused.contains(&digest) {
                continue;
            }
            let found = match self.link {
                None => Err("the server that has it cannot be reached".to_owned()),
                Some(_) => match self.get(number).await {
                    Ok(source) if source.digest() == digest => Ok(source),
                    Ok(_) => Err("the server has another one of that number".to_owned()),
                    Err(Failure::Refused(refusal)) => Err(refusal.to_string()),
                    Err(failure) => return Err(failure),
                },
            };
            let compiled = match found {
                Ok(source) => match compile(number, source, &format!("bundle {number}")).await {
                    Ok(rules) => Ok(rules),
                    // An older program took it.
                    Err(problems @ Failure::Invalid { .. }) => Err(problems.to_string()),
                    Err(failure) => return Err(failure),
                },
                Err(why) => Err(why),
            };
            match compiled {
                Ok(rules) => run.add_rules(rules),
                Err(why) => {
                    output::note(&format!("note: bundle {number} is not at hand: {}", output::plain(&why)));
                    self.refused.insert(digest);
                }
            }
        }
        Ok(())
    }

    async fn get(&self, number: u64) -> Result<BundleSource, Failure> {
        let Some(link) = self.link else {
            return Err(Failure::Input(format!("bundle {number} is the server's, which cannot be reached")));
        };
        let response = link.answer(link.policies().get(PolicyServiceGetRequest { number })).await?;
        let files: BTreeMap<_, _> = response.files.into_iter().map(|file| (file.path, file.content)).collect();
        Ok(BundleSource { files })
    }
}

async fn compile(number: u64, source: BundleSource, place: &str) -> Result<Rules, Failure> {
    let digest = source.digest();
    let compiled = tokio::task::spawn_blocking(move || Bundle::compile(&source)).await;
    let compiled = compiled.map_err(|error| Failure::Input(format!("compiling {place} failed: {error}")))?;
    let bundle = compiled.map_err(|problems| Failure::invalid(place, problems))?;
    Ok(Rules::new(BundleNumber::new(number), &digest, bundle))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn number_is_told_from_a_folder() {
        assert_eq!(option("8"), Ok(BundleOption::Number(8)));
        assert_eq!(option("./8"), Ok(BundleOption::Folder("./8".into())));
        assert!(option("0").is_err() && option("").is_err());
    }
}

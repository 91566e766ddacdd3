//! Bundles that tests upload.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use chaperone_api::chaperone::v1::BundleFile;
use chaperone_policy::BundleSource;

use crate::binaries;

/// A bundle's files, by path.
#[derive(Clone, Debug)]
pub struct Bundle(BTreeMap<String, String>);

impl Bundle {
    /// The bundle that most tests use: agents read documents, export few, browse what is public; see `tests/fixtures/documents`.
    pub fn documents() -> Self {
        Self::from_directory(&binaries::repository().join("tests/fixtures/documents"))
    }

    /// The bundle that ships as an example.
    pub fn sample() -> Self {
        Self::from_directory(&binaries::repository().join("deploy/sample-bundle"))
    }

    /// One of the bundles in `deploy/samples`.
    pub fn shipped(name: &str) -> Self {
        Self::from_directory(&binaries::repository().join("deploy/samples").join(name))
    }

    /// What benches decide by: `count` policies, of which the same ten are candidates for the check of [`crate::frame`] whatever the count.
    /// The others are for other principals, actions and resources.
    pub fn bench(count: usize) -> Self {
        let directory = binaries::repository().join("tests/fixtures/bench");
        let bundle = Self::from_directory(&directory.join("bundle"));
        let templates = fs::read_to_string(directory.join("elsewhere.cedar")).expect("the templates of other policies");
        let candidates = bundle.0.get("policies/candidates.cedar").map_or(0, |text| text.matches("@id(").count());
        let others = (candidates..count).zip(templates.split("\n\n").cycle());
        let others: Vec<String> = others.map(|(number, text)| text.replace("{n}", &number.to_string())).collect();
        if others.is_empty() { bundle } else { bundle.with("policies/elsewhere.cedar", others.join("\n")) }
    }

    /// The bundle with the policies of `tests/fixtures/bench/NAME.cedar`, which leave something behind.
    #[must_use]
    pub fn with_bench_policies(self, name: &str) -> Self {
        let file = format!("{name}.cedar");
        let path = binaries::repository().join("tests/fixtures/bench").join(&file);
        let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        self.with(&format!("policies/{file}"), text)
    }

    /// The documents bundle with `count` more policies, of which none is for `Agent::"reader"`: what takes long to compile.
    pub fn many_policies(count: usize) -> Self {
        let mut policies = String::new();
        for number in 0..count {
            let agent = format!("Agent::\"agent-{number}\"");
            writeln!(
                policies,
                "@id(\"agent-{number}-reads\")\npermit (principal == {agent}, action == Action::\"read\", resource is Document);\n"
            )
            .expect("a string takes every text");
        }
        Self::documents().with("policies/many.cedar", policies)
    }

    /// A directory's files.
    pub fn from_directory(root: &Path) -> Self {
        let mut source = BundleSource::default();
        let mut directories = vec![root.to_owned()];
        while let Some(directory) = directories.pop() {
            let entries = fs::read_dir(&directory).unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
            for path in entries.map(|entry| entry.expect("a directory entry").path()) {
                if path.is_dir() {
                    directories.push(path);
                } else {
                    let name = path.strip_prefix(root).expect("it is below").to_str().expect("a name in UTF-8");
                    source.add(name, fs::read(&path).expect("a file")).expect("a text file");
                }
            }
        }
        Self(source.files)
    }

    /// The bundle with this file added or replaced.
    #[must_use]
    pub fn with(mut self, path: &str, content: impl Into<String>) -> Self {
        self.0.insert(path.to_owned(), content.into());
        self
    }

    /// The bundle with text of a file replaced, which must be there once.
    #[must_use]
    pub fn replacing(mut self, path: &str, from: &str, to: &str) -> Self {
        let content = self.0.get_mut(path).unwrap_or_else(|| panic!("the bundle has no {path}"));
        assert_eq!(content.matches(from).count(), 1, "`{from}` in {path}");
        *content = content.replace(from, to);
        self
    }

    /// As the API takes it.
    pub fn files(&self) -> Vec<BundleFile> {
        self.0.iter().map(|(path, content)| BundleFile { path: path.clone(), content: content.clone() }).collect()
    }
}

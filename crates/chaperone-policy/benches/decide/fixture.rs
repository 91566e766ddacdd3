//! Policies, entities, session and request, the same for both evaluators: those of the load that `cargo xtask bench` sends.

/// The schema.
pub const SCHEMA: &str = include_str!("../../../../tests/fixtures/bench/bundle/schema.cedarschema");
/// Five entities.
pub const ENTITIES: &str = include_str!("../../../../tests/fixtures/bench/bundle/entities.json");
/// Ten policies that apply by their scope.
const CANDIDATES: &str = include_str!("../../../../tests/fixtures/bench/bundle/policies/candidates.cedar");
/// Templates of policies that apply, too.
const EVERYWHERE: &str = include_str!("../../../../tests/fixtures/bench/everywhere.cedar");
/// Templates of policies for other principals, actions and resources.
const ELSEWHERE: &str = include_str!("../../../../tests/fixtures/bench/elsewhere.cedar");

/// How many policies [`CANDIDATES`] has.
const FEW: usize = 10;
/// How many apply where many do.
const MANY: usize = 100;

/// The session.
pub const SESSION_ID: &str = "0190a000-0000-7000-8000-000000000001";
/// Its owner.
pub const OWNER: &str = "team-docs";
/// Its task's id and purpose.
pub const TASK: (&str, &str) = ("task-1", "summarise the documents");
/// Its labels.
pub const LABELS: [&str; 2] = ["internal", "pii"];
/// Its age, in seconds.
pub const AGE_S: i64 = 60;
/// Attributes of the request.
pub const FORMAT: &str = "csv";
/// Likewise.
pub const ROWS: i64 = 250;
/// Likewise.
pub const COST: &str = "12.50";
/// Likewise.
pub const SOURCE_IP: &str = "10.12.7.41";

/// How many of the policies are candidates for the request.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Candidates {
    /// Ten.
    Few,
    /// A hundred, or all.
    Many,
}

impl Candidates {
    /// As figures name it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Few => "few",
            Self::Many => "many",
        }
    }
}

/// The text of `count` policies.
pub fn policies(candidates: Candidates, count: usize) -> String {
    let applying = match candidates {
        Candidates::Few => FEW,
        Candidates::Many => MANY.min(count),
    };
    let everywhere = filled(EVERYWHERE, FEW..applying);
    let elsewhere = filled(ELSEWHERE, applying..count);
    std::iter::once(CANDIDATES.to_owned()).chain(everywhere).chain(elsewhere).collect::<Vec<_>>().join("\n")
}

/// One policy for each number, from templates in turn, which an empty line separates.
fn filled(templates: &'static str, numbers: std::ops::Range<usize>) -> impl Iterator<Item = String> {
    let templates = templates.split("\n\n").cycle();
    numbers.zip(templates).map(|(number, template)| template.replace("{n}", &number.to_string()))
}

use proptest::prelude::*;
use proptest::sample::subsequence;

use super::*;

const SCHEMA: &str = "
entity Agent;
entity Document { owner?: String };
action read appliesTo { principal: Agent, resource: Document };
";
const MAPPING: &str = "
[session]
sources = [\"bearer\"]
[[route]]
name = \"read\"
path = \"/documents/{id}\"
[[route]]
name = \"list\"
path = \"/documents\"
";
const PERMIT: &str = "@id(\"reads\") permit (principal, action == Action::\"read\", resource);";

fn bundle(files: &[(&str, &str)]) -> BundleSource {
    BundleSource { files: files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect() }
}

fn whole() -> BundleSource {
    bundle(&[("policies/a.cedar", PERMIT), ("schema.cedarschema", SCHEMA), ("mapping.toml", MAPPING)])
}

fn with(path: &str, text: &str) -> BundleSource {
    let mut source = whole();
    source.files.insert(path.to_owned(), text.to_owned());
    source
}

fn diff(before: &BundleSource, after: &BundleSource) -> BundleDiff {
    BundleDiff::between(before, after).expect("both can be read")
}

/// What became of what.
fn changes(before: &BundleSource, after: &BundleSource) -> Vec<(&'static str, &'static str, String)> {
    let found = diff(before, after).differences.into_iter();
    found.map(|found| (found.change().as_str(), found.part.as_str(), found.name)).collect()
}

#[test]
fn writing_and_placing_a_policy_differently_is_no_difference() {
    let text =
        "// Readers.\n@id(\"reads\")\npermit (\n  principal,\n  action == Action::\"read\", // only\n  resource\n);\n";
    let mut other =
        bundle(&[("policies/team/b.cedar", text), ("schema.cedarschema", SCHEMA), ("mapping.toml", MAPPING)]);
    assert_eq!(changes(&whole(), &other), []);
    other.files.insert("schema.cedarschema".to_owned(), format!("// Types.\n{}", SCHEMA.replace('\n', "\n\n")));
    other
        .files
        .insert("mapping.toml".to_owned(), MAPPING.replace(" = ", "=\t").replace("[[route]]", "# One.\n[[route]]"));
    assert_eq!(changes(&whole(), &other), []);
}

#[test]
fn policies_are_told_apart_by_their_ids() {
    let after = with(
        "policies/a.cedar",
        "@id(\"reads\") @reason(\"why\") permit (principal, action, resource) when { resource.owner != \"x\" };
        @id(\"closed\") forbid (principal, action, resource) unless { principal == resource };",
    );
    assert_eq!(
        changes(&whole(), &after),
        [("added", "policy", "closed".to_owned()), ("changed", "policy", "reads".to_owned())]
    );
    let found = diff(&whole(), &after);
    let reads = &found.differences[1];
    assert_eq!(
        reads.before.as_deref(),
        Some("@id(\"reads\")\npermit (\n  principal,\n  action == Action::\"read\",\n  resource\n);\n")
    );
    // In the words of whoever wrote it.
    assert!(reads.after.as_deref().is_some_and(|text| text.contains("resource.owner != \"x\"")), "{reads:?}");
    assert!(found.differences[0].after.as_deref().is_some_and(|text| text.contains("unless")), "{found:?}");
}

#[test]
fn schema_is_compared_by_what_it_declares() {
    let after = with(
        "schema.cedarschema",
        "entity Agent;
        entity Document { owner?: String, size: Long };
        type Size = Long;
        namespace Mail { entity Box; action \"send it\" appliesTo { principal: Agent, resource: Box }; }",
    );
    assert_eq!(
        changes(&whole(), &after),
        [
            ("changed", "entity_type", "Document".to_owned()),
            ("added", "entity_type", "Mail::Box".to_owned()),
            ("removed", "action", "Action::\"read\"".to_owned()),
            ("added", "action", "Mail::Action::\"send it\"".to_owned()),
            ("added", "common_type", "Size".to_owned()),
        ]
    );
    let found = diff(&whole(), &after);
    let text = found.differences[0].to_text();
    assert!(text.starts_with("--- entity_type Document\n+++ entity_type Document\n@@ "), "{text}");
    assert!(text.contains("size"), "{text}");
}

#[test]
fn mapping_is_compared_by_sections_and_routes() {
    let after = with(
        "mapping.toml",
        "[session]
        sources = [\"bearer\"]
        strip = false
        [decoder.db]
        kind = \"sql\"
        [[route]]
        name = \"list\"
        path = \"/documents\"
        [[route]]
        name = \"read\"
        path = \"/documents/{id}/text\"",
    );
    assert_eq!(
        changes(&whole(), &after),
        [
            ("added", "mapping", "decoder.db".to_owned()),
            // The first that matches is taken, so their order is part of what they mean.
            ("changed", "mapping", "route".to_owned()),
            ("changed", "mapping", "route.read".to_owned()),
            ("added", "mapping", "session.strip".to_owned()),
        ]
    );
    assert_eq!(changes(&whole(), &with("mapping.toml", "")).len(), 4, "all of it is gone");
}

#[test]
fn no_route_is_lost_where_names_are_missing_or_taken() {
    let unnamed = "[[route]]\npath = \"/a\"\n[[route]]\nname = \"b\"\n[[route]]\nname = \"b\"\npath = \"/c\"\n";
    let found = changes(&with("mapping.toml", ""), &with("mapping.toml", unnamed));
    let names: Vec<&str> = found.iter().map(|(.., name)| name.as_str()).collect();
    assert_eq!(names, ["route", "route.#1", "route.#3", "route.b"]);
}

#[test]
fn tests_are_files_beside_the_policies() {
    let after = with("tests/reads.yaml", "tests: []\n");
    assert_eq!(changes(&whole(), &after), [("added", "file", "tests/reads.yaml".to_owned())]);
    assert!(diff(&whole(), &after).to_text().contains("+tests: []\n"));
}

#[test]
fn other_files_are_compared_as_they_are() {
    let before = with("entities.json", "[]");
    let mut after = with("bundle.toml", "name = \"docs\"\n");
    after.files.insert("descriptors.binpb".to_owned(), "AAAA".repeat(9));
    assert_eq!(
        changes(&before, &after),
        [
            ("added", "file", "bundle.toml".to_owned()),
            ("added", "file", "descriptors.binpb".to_owned()),
            ("removed", "file", "entities.json".to_owned()),
        ]
    );
    let text = diff(&before, &after).to_text();
    assert!(!text.contains("AAAA") && text.contains("+sha256:"), "{text}");
    assert!(text.contains("--- file entities.json\n+++ /dev/null\n"), "{text}");
}

#[test]
fn bundle_that_cannot_be_read_is_named_with_the_place() {
    for (path, text) in [
        ("policies/a.cedar", "permit (principal"),
        ("policies/a.cedar", "permit (principal, action, resource);"),
        ("policies/b.cedar", PERMIT),
        ("schema.cedarschema", "entity ;"),
        ("mapping.toml", "[route"),
    ] {
        let broken = with(path, text);
        match BundleDiff::between(&broken, &whole()) {
            Err(DiffError::Before(problems)) => assert_eq!(problems[0].file, path, "{problems:?}"),
            other => panic!("{path}: {other:?}"),
        }
        assert!(matches!(BundleDiff::between(&whole(), &broken), Err(DiffError::After(_))), "{path}");
    }
}

#[test]
fn texts_that_are_too_long_are_not_compared_line_by_line() {
    let long = |word: &str| with("entities.json", &format!("{word}\n").repeat(9_000));
    let text = diff(&long("a"), &long("b")).to_text();
    assert_eq!(
        text,
        "--- file entities.json\n+++ file entities.json\n\
         \\ 9000 lines before and 9000 after are too many to compare line by line\n"
    );
}

/// Bundles of a few policies, declarations, routes and files, so that two of them share some.
fn bundles() -> impl Strategy<Value = BundleSource> {
    let policies = vec![
        PERMIT,
        "@id(\"reads\") forbid (principal, action, resource);",
        "@id(\"b\") permit (principal, action, resource) when { 1 < 2 };",
        "@id(\"c\") forbid (principal, action, resource) unless { [1].contains(2) };",
    ];
    let declared =
        vec!["entity A;", "entity A in A;", "type T = { x: Long };", "action go;", "namespace N { entity A; }"];
    let sections = vec![
        "[session]\nstrip = true\n",
        "[http]\nsemicolons = true\n",
        "[[route]]\nname = \"a\"\n",
        "[[route]]\nname = \"b\"\n",
        "[[route]]\nname = \"a\"\npath = \"/x\"\n",
    ];
    let others = vec![("bundle.toml", "name = \"a\"\n"), ("entities.json", "[]"), ("descriptors.binpb", "AAAA")];
    (
        subsequence(policies, 0..=4),
        subsequence(declared, 0..=5),
        subsequence(sections, 0..=5),
        subsequence(others, 0..=3),
    )
        .prop_map(|(policies, declared, sections, others)| {
            let mut source = bundle(&others);
            // Neither an id nor a type can be there twice.
            let clash = |first: &str, second: &str, all: &[&str]| all.contains(&first) && all.contains(&second);
            let taken = "@id(\"reads\") forbid (principal, action, resource);";
            for (place, policy) in policies.iter().enumerate() {
                if !(*policy == taken && clash(PERMIT, taken, &policies)) {
                    source.files.insert(format!("policies/{place}.cedar"), (*policy).to_owned());
                }
            }
            let both = clash("entity A;", "entity A in A;", &declared);
            let declared: Vec<&str> = declared.into_iter().filter(|text| !(both && *text == "entity A;")).collect();
            source.files.insert("schema.cedarschema".to_owned(), declared.concat());
            source.files.insert("mapping.toml".to_owned(), sections.concat());
            source
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn bundle_does_not_differ_from_itself(source in bundles()) {
        prop_assert!(diff(&source, &source).is_empty());
        prop_assert_eq!(diff(&source, &source).to_text(), "");
    }

    #[test]
    fn what_is_added_one_way_is_removed_the_other(a in bundles(), b in bundles()) {
        let turned = diff(&b, &a).differences.into_iter().map(|found| {
            Difference { before: found.after, after: found.before, ..found }
        });
        prop_assert_eq!(diff(&a, &b).differences, turned.collect::<Vec<_>>());
    }

    #[test]
    fn every_difference_has_a_text_of_its_own(a in bundles(), b in bundles()) {
        for found in diff(&a, &b).differences {
            let text = found.to_text();
            prop_assert!(text.starts_with("--- ") && text.contains("\n+++ ") && text.ends_with('\n'), "{}", text);
            let lines = |mark: &str| text.lines().skip(2).filter(|line| line.starts_with(mark)).count();
            prop_assert_eq!(found.change() == DiffChange::Added, lines("-") == 0 && lines("+") > 0 && found.before.is_none());
            prop_assert!(lines("+") + lines("-") > 0, "{}", text);
        }
    }
}

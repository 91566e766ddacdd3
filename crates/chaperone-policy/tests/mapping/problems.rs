//! What is refused at upload: every problem at once, each with its place.

use chaperone_policy::mapping::Mapping;
use chaperone_policy::{Problem, Shapes};

use crate::fixture::{route, shapes};

fn problems(text: &str) -> Vec<Problem> {
    Mapping::parse(text, shapes(), None).expect_err("it has problems")
}

/// The codes of a mapping's problems, with their lines.
fn codes(text: &str) -> Vec<(&'static str, u32)> {
    problems(text).iter().map(|problem| (problem.code, problem.line)).collect()
}

/// The code of the only problem of a valid route with more keys.
fn code_of_route(more: &str) -> &'static str {
    let problems = problems(&route("r", "/a/{id}", "{path.id}", more));
    assert_eq!(problems.len(), 1, "{more}: {problems:#?}");
    assert!(problems[0].line > 0 && !problems[0].excerpt.is_empty(), "{problems:#?}");
    problems[0].code
}

#[test]
fn syntax_error_is_one_problem_with_its_place() {
    let problems = problems("[session]\nstrip = \n");
    assert_eq!(problems.len(), 1);
    assert_eq!((problems[0].code, problems[0].line), ("mapping_syntax", 2));
    assert!(problems[0].excerpt.contains("strip ="), "{}", problems[0].excerpt);
}

#[test]
fn every_problem_is_reported_at_once_in_order() {
    let text = "[session]
sources = [\"cookie:a\", \"header:Host\"]
strip = 1

[[route]]
name = \"a b\"
path = \"documents\"
action = \"write\"
colour = \"red\"

[[route]]
name = \"b\"
path = \"/b/{id}\"
action = \"export\"
resource = { type = \"Folder\", id = \"{path.name}\" }
[route.attributes]
rows = \"many\"
";
    assert_eq!(
        codes(text),
        [
            ("mapping_session", 2),
            ("mapping_header", 2),
            ("mapping_type", 3),
            ("mapping_missing_key", 5),
            ("mapping_route_name", 6),
            ("mapping_path", 7),
            ("mapping_action", 8),
            ("mapping_unknown_key", 9),
            ("mapping_resource", 15),
            ("mapping_template", 15),
            ("mapping_attribute", 16),
            ("mapping_attribute_type", 17),
        ]
    );
}

#[test]
fn mistake_inside_a_template_is_underlined() {
    let problems = problems(&route("r", "/a/{id}", "x-{path.name}", ""));
    assert_eq!(problems[0].message, "the path captures no `name`");
    assert!(problems[0].excerpt.ends_with("^^^^^^^^^^^"), "{}", problems[0].excerpt);
    let column = usize::try_from(problems[0].column).expect("small");
    let line = "resource = { type = \"Document\", id = \"x-{path.name}\" }";
    assert_eq!(line.find("{path"), Some(column - 1));
}

#[test]
fn unknown_keys_are_refused_everywhere() {
    for text in [
        "colour = 1",
        "[session]\ncolour = 1",
        "[principal]\ncolour = 1",
        "[http]\ncolour = 1",
        "[on_allow]\ncolour = 1",
    ] {
        let problems = problems(text);
        assert_eq!(problems[0].code, "mapping_unknown_key", "{text}");
        assert!(problems[0].help.starts_with("its keys are"), "{}", problems[0].help);
    }
    for more in ["colour = 1", "[route.on_allow]\ncolour = 1"] {
        assert_eq!(code_of_route(more), "mapping_unknown_key");
    }
}

#[test]
fn invalid_values_of_a_route_are_refused() {
    for (more, code) in [
        ("methods = []", "mapping_value"),
        ("methods = [\"get\"]", "mapping_value"),
        ("methods = [\"\"]", "mapping_value"),
        ("methods = \"GET\"", "mapping_type"),
        ("methods = [1]", "mapping_type"),
        ("host = \"https://docs\"", "mapping_value"),
        ("host = \"docs:443\"", "mapping_value"),
        ("host = \"*\"", "mapping_value"),
        ("on_failure = \"allow\"", "mapping_value"),
        ("headers = { X-Mode = \"a\" }", "mapping_header"),
        ("headers = { host = \"a\" }", "mapping_header"),
        ("headers = { \":path\" = \"a\" }", "mapping_header"),
        ("headers = { x-mode = \"a,b\" }", "mapping_value"),
        ("headers = { x-mode = \"a\\nb\" }", "mapping_value"),
        ("headers = { x-mode = 1 }", "mapping_type"),
        ("query = { \"\" = \"a\" }", "mapping_query"),
        ("on_allow = 1", "mapping_type"),
        ("attributes = { colour = \"red\" }", "mapping_attribute"),
    ] {
        assert_eq!(code_of_route(more), code, "{more}");
    }
}

#[test]
fn invalid_paths_are_refused() {
    for path in [
        "",
        "a",
        "/a//b",
        "/./a",
        "/a/..",
        "/a?x=1",
        "/a#b",
        "/a%20b",
        "/a;b",
        "/{id}x",
        "/x{id}",
        "/{}",
        "/{a b}",
        "/{id}/{id}",
        "/{rest*}/a",
        "/{*}",
        "/{id",
    ] {
        let problems = problems(&route("r", path, "x", ""));
        assert!(
            problems.iter().all(|problem| problem.code == "mapping_path" && problem.line == 3),
            "{path}: {problems:#?}"
        );
        assert!(!problems.is_empty());
    }
    assert_eq!(codes(&route("r", &"/a".repeat(129), "x", "")), [("mapping_path", 3)]);
}

#[test]
fn invalid_templates_are_refused() {
    for id in [
        "{",
        "}",
        "{}",
        "{path}",
        "{path.other}",
        "{header.Host}",
        "{header.:path}",
        "{header.host}",
        "{query.}",
        "{extension.}",
        "{principal.id}",
        "{decision.id}",
        "{host.x}",
        "{unknown}",
        "{ host }",
    ] {
        assert_eq!(codes(&route("r", "/a/{id}", id, "")), [("mapping_template", 5)], "{id}");
    }
    assert_eq!(codes(&route("r", "/a", "", "")), [("mapping_resource", 5)]);
}

#[test]
fn invalid_changes_are_refused() {
    for (more, code) in [
        ("set_headers = { X-A = \"a\" }", "mapping_header"),
        ("set_headers = { \":path\" = \"a\" }", "mapping_header"),
        ("set_headers = { host = \"a\" }", "mapping_header"),
        ("set_headers = { content-length = \"0\" }", "mapping_header"),
        ("set_headers = { x-chaperone-session = \"a\" }", "mapping_header"),
        ("append_headers = { x-chaperone-session = \"a\" }", "mapping_header"),
        ("set_headers = { x-a = \"a\\nb\" }", "mapping_header"),
        ("set_headers = { x-a = \"ä\" }", "mapping_header"),
        ("set_headers = { x-a = \"{path.other}\" }", "mapping_template"),
        ("remove_headers = [\"transfer-encoding\"]", "mapping_header"),
        ("remove_headers = [\"a b\"]", "mapping_header"),
        ("set_headers = { x-a = \"a\" }\nremove_headers = [\"x-a\"]", "mapping_conflict"),
        ("set_headers = { x-a = \"a\" }\nappend_headers = { x-a = \"a\" }", "mapping_conflict"),
        ("set_query = { a = \"a\" }\nremove_query = [\"a\"]", "mapping_conflict"),
        ("response_headers = { host = \"a\" }", "mapping_header"),
        ("remove_query = \"a\"", "mapping_type"),
    ] {
        assert_eq!(code_of_route(&format!("[route.on_allow]\n{more}")), code, "{more}");
    }
    // Requests that no route matches have no captures.
    assert_eq!(codes("[on_allow]\nset_headers = { x-a = \"{path.id}\" }"), [("mapping_template", 2)]);
}

fn probe(attribute: &str) -> Vec<(&'static str, u32)> {
    codes(&format!(
        "[[route]]\nname = \"r\"\npath = \"/a\"\naction = \"probe\"\n\
         resource = {{ type = \"Document\", id = \"a\" }}\n[route.attributes]\n{attribute}\n"
    ))
}

#[test]
fn attributes_must_fit_the_schema() {
    for attribute in [
        "tags = \"{query.tags}\"",
        "team = \"{query.team}\"",
        "nested = \"{query.nested}\"",
        "number = \"many\"",
        "flag = \"yes\"",
        "address = \"here\"",
        "amount = \"1\"",
        "day = \"today\"",
        "span = \"soon\"",
    ] {
        assert_eq!(probe(attribute), [("mapping_attribute_type", 7)], "{attribute}");
    }
    assert_eq!(probe("number = 5"), [("mapping_type", 7)]);
    assert_eq!(probe("number = { optional = true }"), [("mapping_missing_key", 7)]);
    assert_eq!(probe("number = { from = \"1\", colour = 1 }"), [("mapping_unknown_key", 7)]);
    assert_eq!(probe("number = { from = \"{query.n}\", default = \"many\" }"), [("mapping_attribute_type", 7)]);
    assert_eq!(probe("tags = { from = \"{body:/tags}\", default = \"a\" }"), [("mapping_attribute_type", 7)]);
    let both = "number = { from = \"{query.n}\", default = \"1\", optional = true }";
    assert_eq!(probe(both), [("mapping_attribute", 7)]);
    let required = "[[route]]\nname = \"r\"\npath = \"/a\"\naction = \"export\"\n\
                    resource = { type = \"Document\", id = \"a\" }\n\
                    attributes = { format = { from = \"{query.f}\", optional = true } }\n";
    assert_eq!(codes(required), [("mapping_attribute", 6)]);
}

#[test]
fn mistakes_in_further_actions_are_placed() {
    let also = |keys: &str| codes(&(route("r", "/a", "a", "") + "[[route.also]]\n" + keys));
    assert_eq!(also("action = \"read\""), [("mapping_missing_key", 7)]);
    assert_eq!(also("action = \"erase\"\nresource = { type = \"Document\", id = \"b\" }\n"), [("mapping_action", 8)]);
    assert_eq!(
        also("action = \"read\"\nresource = { type = \"Document\", id = \"{path.b}\" }\n"),
        [("mapping_template", 9)]
    );
    let many = "[[route.also]]\naction = \"read\"\nresource = { type = \"Document\", id = \"b\" }\n";
    assert_eq!(codes(&(route("r", "/a", "a", "") + &many.repeat(16))), [("mapping_limit", 52)]);
}

#[test]
fn two_routes_of_one_name_are_refused() {
    let text = [route("r", "/a", "a", ""), route("r", "/b", "b", "")].concat();
    assert_eq!(codes(&text), [("mapping_route_name", 8)]);
}

fn shadowed(earlier: (&str, &str), later: (&str, &str)) -> bool {
    let text = [route("earlier", earlier.0, "x", earlier.1), route("later", later.0, "x", later.1)].concat();
    match Mapping::parse(&text, shapes(), None) {
        Ok(_) => false,
        Err(problems) => {
            assert_eq!(problems.len(), 1, "{problems:#?}");
            assert_eq!(problems[0].code, "route_shadowed");
            assert!(problems[0].message.contains("`later`") && problems[0].message.contains("`earlier`"));
            true
        }
    }
}

#[test]
fn route_that_an_earlier_one_takes_whole_is_refused() {
    for (earlier, later) in [
        (("/a", ""), ("/a", "")),
        (("/{x}", ""), ("/a", "")),
        (("/{x*}", ""), ("/a/{y}/c", "")),
        (("/a/{x*}", ""), ("/a/{y*}", "")),
        (("/a", ""), ("/a", "methods = [\"GET\"]")),
        (("/a", "methods = [\"GET\", \"POST\"]"), ("/a", "methods = [\"POST\"]")),
        (("/a", "host = \"*.example.com\""), ("/a", "host = \"docs.example.com\"")),
        (("/a", "host = \"*.example.com\""), ("/a", "host = \"*.b.example.com\"")),
        (("/a", "query = { f = \"*\" }"), ("/a", "query = { f = \"csv\", g = \"1\" }")),
        (("/a", "headers = { x-m = \"1\" }"), ("/a", "headers = { x-m = \"1\" }")),
    ] {
        assert!(shadowed(earlier, later), "{earlier:?} {later:?}");
    }
}

#[test]
fn route_that_an_earlier_one_leaves_something_is_kept() {
    for (earlier, later) in [
        (("/a", ""), ("/a/", "")),
        (("/{x}", ""), ("/", "")),
        (("/{x*}", ""), ("/a/", "")),
        (("/a", ""), ("/{x}", "")),
        (("/{x}", ""), ("/{x*}", "")),
        (("/a/{x*}", ""), ("/a", "")),
        (("/a", "methods = [\"GET\"]"), ("/a", "methods = [\"GET\", \"POST\"]")),
        (("/a", "methods = [\"GET\"]"), ("/a", "")),
        (("/a", "host = \"*.example.com\""), ("/a", "host = \"example.com\"")),
        (("/a", "host = \"docs.example.com\""), ("/a", "")),
        (("/a", "query = { f = \"csv\" }"), ("/a", "query = { f = \"*\" }")),
        (("/a", "headers = { x-m = \"1\" }"), ("/a", "")),
    ] {
        assert!(!shadowed(earlier, later), "{earlier:?} {later:?}");
    }
}

#[test]
fn size_and_number_of_problems_are_bounded() {
    assert_eq!(codes(&"#".repeat(1024 * 1024 + 1)), [("mapping_limit", 0)]);
    assert_eq!(codes(&format!("a = {}", "[".repeat(100_000))).len(), 1);
    let many = (0..1_000).map(|number| format!("key{number} = 1")).collect::<Vec<_>>().join("\n");
    assert_eq!(problems(&many).len(), 100);
    let routes: String =
        (0..1_001).map(|number| route(&format!("r{number}"), &format!("/{number}"), "x", "")).collect();
    assert_eq!(problems(&routes).iter().map(|problem| problem.code).collect::<Vec<_>>(), ["mapping_limit"]);
}

#[test]
fn broken_schema_leaves_the_syntax_checked() {
    let text =
        [route("r", "/a", "a", "attributes = { anything = \"{query.x}\" }"), route("s", "b", "{nothing}", "")].concat();
    let codes: Vec<_> = Mapping::check_syntax(&text).iter().map(|problem| problem.code).collect();
    assert_eq!(codes, ["mapping_path", "mapping_template"]);
    assert!(Mapping::check_syntax("[principal]\npeer = true").is_empty());
    assert_eq!(
        Mapping::parse(&route("r", "/a", "a", ""), &Shapes::new(), None).map(|_| ()).expect_err("no action").len(),
        1
    );
}

#[test]
fn results_are_checked_against_the_schema() {
    let text = "[results.export]
rows = \"Long\"
price = \"decimal\"
1st = \"Long\"
flag = \"Bool\"
file = \"Document\"
other = \"Nothing\"
team = \"Team\"
count = 5

[results.write]
rows = \"Long\"

[results.\"Docs::Action::\\\"tune\\\"\"]
dial = \"Docs::Dial\"

[results.\"Action::\\\"export\\\"\"]
rows = \"Long\"
";
    let mut found = codes(text);
    found.sort_unstable_by_key(|(_, line)| *line);
    // Of an action that is there twice, the second in the order of the names is the one too many.
    let expected = [1, 4, 5, 7].map(|line| ("mapping_result", line));
    assert_eq!(found, [expected.as_slice(), &[("mapping_type", 9), ("mapping_action", 11)]].concat());
    let valid = "[results.\"Docs::Action::\\\"tune\\\"\"]\ndial = \"Docs::Dial\"\n";
    let mapping = Mapping::parse(valid, shapes(), None).expect("valid");
    assert!(mapping.results(&chaperone_policy::EntityRef::new("Docs::Action", "tune")).is_some());
}

#[test]
fn trail_names_attributes_that_are_there_and_each_once() {
    let text = "[trail]\nkept = [\"rows\"]\nhashed = [\"rows\"]\ndropped = [\"no-such\"]\nkeep = []\n";
    assert_eq!(codes(text), [("mapping_trail", 3), ("mapping_trail", 4), ("mapping_unknown_key", 5)]);
}

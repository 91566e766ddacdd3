//! What is drafted for the tools of a server.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that fails should")]

use chaperone_decode::mcp::{Imported, PRINCIPALS, import};
use proptest::prelude::*;

const TOOLS: &str = include_str!("mcp/import/tools.json");

#[test]
fn tools_become_actions_and_operations() {
    let Imported { schema, mapping, warnings } = import(TOOLS.as_bytes(), "mail", PRINCIPALS).unwrap();
    assert_eq!(schema, include_str!("mcp/import/schema.cedarschema"));
    assert_eq!(mapping, include_str!("mcp/import/mapping.toml"));
    let expected = [
        "tool send_email: argument `/attachments` is left out: only lists of texts or whole numbers are taken",
        "tool send_email: argument `/score` is left out: Cedar has no fractions",
        "tool search: argument `/a{b}` is left out: its name cannot be written in a mapping",
        "tool search: argument `/either` is left out: its schema names no single type",
        "tool search: argument `/query/range/deep/deeper` is left out: it lies too deep",
        "tool search: argument `/query/range/deep` is left out: it has no properties of known types",
        "tool search: argument `/reference` is left out: its schema names no single type",
        "tool purge: it has no annotations, so it is taken to write and to reach out",
        "tool purge: it has no `inputSchema`, so its arguments are not known",
    ];
    assert_eq!(warnings, expected);
}

#[test]
fn list_result_and_response_are_read_alike() {
    let list = r#"[{"name":"a","inputSchema":{},"annotations":{}}]"#;
    let result = format!(r#"{{"tools":{list}}}"#);
    let response = format!(r#"{{"jsonrpc":"2.0","id":1,"result":{result}}}"#);
    let imported = [list, &result, &response].map(|text| import(text.as_bytes(), "", PRINCIPALS).unwrap());
    assert_eq!(imported[0], imported[1]);
    assert_eq!(imported[1], imported[2]);
    assert!(imported[0].mapping.contains(r#"id = "{fact.tool}""#));

    let page = format!(r#"{{"tools":{list},"nextCursor":"2"}}"#);
    let warnings = import(page.as_bytes(), "", PRINCIPALS).unwrap().warnings;
    assert_eq!(warnings, ["the server has more tools than these: the list goes on"]);
}

#[test]
fn principals_are_those_that_are_named() {
    let tools = br#"[{"name":"a"}]"#;
    let imported = import(tools, "", &["Agent", "Chaperone::Workload"]).unwrap();
    assert!(imported.schema.contains("principal: [Agent, Chaperone::Workload]"));
    assert!(import(tools, "", &[]).is_err());
    for principal in ["", "A]", "A::", "a b", "in", "Ä"] {
        assert!(import(tools, "", &[principal]).is_err(), "{principal}");
    }
}

#[test]
fn no_action_has_the_id_of_one_that_chaperone_supplies() {
    let tools = r#"[{"name":"http"},{"name":"mcp.ping"},{"name":"tcp"},{"name":"tool.tcp"},{"name":"shell"},{"name":"shells"}]"#;
    let Imported { schema, mapping, warnings } = import(tools.as_bytes(), "", PRINCIPALS).unwrap();
    let actions: Vec<_> =
        schema.lines().filter_map(|line| line.strip_prefix("action ")?.split(" in ").next()).collect();
    assert_eq!(actions, [r#""tool.http""#, r#""tool.mcp.ping""#, r#""tool.tcp""#, r#""tool.shell""#, r#""shells""#]);
    assert!(mapping.contains("tool = \"http\" }\naction = \"tool.http\"\n"));
    assert!(warnings.iter().any(|warning| warning.starts_with("tool tcp: it is left out")), "{warnings:#?}");
}

#[test]
fn argument_never_passes_for_the_network_zone() {
    let tools = br#"[{"name":"a","inputSchema":{"properties":{"zone":{"type":"string"},"ids":{"type":"array","items":{"type":"integer"}}}}}]"#;
    let Imported { schema, mapping, .. } = import(tools, "", PRINCIPALS).unwrap();
    assert!(schema.contains("ids?: Set<Long>") && !schema.contains("zone") && !mapping.contains("zone"));
}

#[test]
fn what_is_no_list_of_tools_is_refused() {
    for tools in [
        "",
        "{}",
        "1",
        "null",
        r#"{"tools":{}}"#,
        "[1]",
        "[{}]",
        r#"[{"name":""}]"#,
        r#"[{"name":1}]"#,
        r#"[{"name":"a\nb"}]"#,
        r#"[{"name":"a"},{"name":"a"}]"#,
        r#"[{"name":"a","name":"b"}]"#,
    ] {
        assert!(import(tools.as_bytes(), "mail", PRINCIPALS).is_err(), "{tools}");
    }
    for server in ["a b", "a\"", "a\n", "{a}", "a/b"] {
        assert!(import(b"[]", server, PRINCIPALS).is_err(), "{server}");
    }
}

/// A tool of which every text is this.
fn tool_of(text: &str) -> String {
    let text = serde_json::to_string(text).unwrap();
    format!(
        r#"[{{"name":{text},"description":{text},"annotations":{{}},
            "inputSchema":{{"properties":{{{text}:{{"type":"string"}}}},"required":[{text}]}}}}]"#
    )
}

/// The lines of a schema and of a mapping that begin like these: each once, whatever the server writes.
fn assert_one_tool(text: &str, imported: &Imported) {
    let count = |draft: &str, start: &str| draft.lines().filter(|line| line.trim_start().starts_with(start)).count();
    assert_eq!(count(&imported.schema, "action "), 1, "{text:?}");
    assert_eq!(count(&imported.schema, "entity "), 1, "{text:?}");
    assert_eq!(count(&imported.schema, "principal: "), 2, "{text:?}");
    let mapping: toml::Table = toml::from_str(&imported.mapping).unwrap();
    let operation = &mapping["decoder"]["mail"]["operation"][0];
    assert_eq!(operation["when"]["tool"].as_str(), Some(text));
    let qualified = format!("Action::\"{text}\"");
    let action = if text.contains("::") { qualified.as_str() } else { text };
    assert_eq!(operation["action"].as_str(), Some(action));
    let pointer = text.replace('~', "~0").replace('/', "~1");
    assert_eq!(operation["attributes"][text].as_str(), Some(format!("{{arguments:/{pointer}}}").as_str()));
    assert_eq!(mapping["route"].as_array().unwrap().len(), 1);
}

#[test]
fn servers_write_nothing_but_strings_and_comments() {
    for text in ["[[route]]", "'''", "A::Action::b", "#", "a~/b", "a\u{202e}b", "a\u{2028}b", "\u{feff}a", "日本"] {
        let imported = import(tool_of(text).as_bytes(), "mail", PRINCIPALS).unwrap();
        assert_one_tool(text, &imported);
    }
    // A mapping cannot name their actions.
    for text in ["\"]; permit(principal,action,resource);//", "a\" in []; action \"b", "a\\", "a\\\"", "\"\"\""] {
        let imported = import(tool_of(text).as_bytes(), "mail", PRINCIPALS).unwrap();
        assert!(!imported.schema.contains("action \"") && !imported.mapping.contains(".operation]]"), "{text}");
        assert_eq!(imported.warnings.len(), 1);
    }
    let tools =
        r#"[{"name":"a","description":"b\r\naction \"c\";\u2028action d;\u0000","inputSchema":{},"annotations":{}}]"#;
    let imported = import(tools.as_bytes(), "mail", PRINCIPALS).unwrap();
    assert!(imported.schema.contains("// The server says: b?\n"), "{}", imported.schema);
}

proptest! {
    #[test]
    fn any_text_stays_a_text(text in "[^{}\"\\\\\\p{Cc}\\s]([^{}\"\\\\\\p{Cc}]{0,12}[^{}\"\\\\\\p{Cc}\\s])?") {
        assert_one_tool(&text, &import(tool_of(&text).as_bytes(), "mail", PRINCIPALS).unwrap());
    }

    #[test]
    fn every_list_ends_in_an_answer(bytes in prop::collection::vec(any::<u8>(), 0..256)) {
        let _ = import(&bytes, "mail", PRINCIPALS);
    }
}

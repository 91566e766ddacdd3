//! Drafts for the tools of MCP servers are bundles.

use chaperone_policy::mapping::{Headers, HttpRequest, Needs};
use chaperone_policy::{Bundle, BundleSource, Value, import_tools};

/// Names of tools, some of them odd; each is an action of this id.
const TOOLS: [(&str, &str); 20] = [
    ("send_email", "send_email"),
    ("list-folders", "list-folders"),
    ("search.messages", "search.messages"),
    ("files/read", "files/read"),
    ("a::b", "a::b"),
    ("Action::read", "Action::read"),
    ("if", "if"),
    ("in", "in"),
    ("__cedar", "__cedar"),
    ("Tool", "Tool"),
    ("http", "tool.http"),
    ("data.read", "tool.data.read"),
    ("mcp.tools/call", "tool.mcp.tools/call"),
    ("with space", "with space"),
    ("{braces}", "{braces}"),
    ("it's", "it's"),
    ("日本", "日本"),
    ("a\u{202e}b", "a\u{202e}b"),
    ("1", "1"),
    ("#", "#"),
];

fn bundle(server: &str) -> Bundle {
    let tools = TOOLS.map(|(name, _)| {
        serde_json::json!({
            "name": name,
            "description": format!("{name}\n\"*/ entity X;"),
            "inputSchema": {
                "type": "object",
                "properties": {
                    "to": { "type": "array", "items": { "type": "string" } },
                    "in": { "type": "string" },
                    "__cedar": { "type": "boolean" },
                    "odd \"name\"": { "type": "integer" },
                    "nested": { "type": "object", "properties": { "if": { "type": "string" } }, "required": ["if"] },
                },
                "required": ["to"],
            },
        })
    });
    let tools = serde_json::to_vec(&tools).expect("JSON");
    let drafted = import_tools(&tools, server, &["Agent"]).expect("a list of tools");
    let policy = "@id(\"a\") permit (principal, action, resource);";
    let files =
        [("schema.cedarschema", &*drafted.schema), ("mapping.toml", &*drafted.mapping), ("policies/a.cedar", policy)];
    let source = BundleSource { files: files.map(|(path, text)| (path.to_owned(), text.to_owned())).into() };
    Bundle::compile(&source).unwrap_or_else(|problems| panic!("{problems:#?}\n{}\n{}", drafted.schema, drafted.mapping))
}

#[test]
fn every_tool_is_an_action_of_its_own_whatever_its_name() {
    for server in ["mail", "a.b-c", ""] {
        let bundle = bundle(server);
        for (name, id) in TOOLS {
            let params = serde_json::json!({ "name": name, "arguments": { "to": ["ann"], "odd \"name\"": 7 } });
            let call = serde_json::json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params });
            let body = serde_json::to_vec(&call).expect("JSON");
            let length = body.len().to_string();
            let headers = [("content-type", b"application/json".as_slice()), ("content-length", length.as_bytes())];
            let headers = Headers::new(headers);
            let request =
                HttpRequest { method: "POST", target: "/mcp", headers, body: &body, ..HttpRequest::default() };
            let mut mapped = bundle.mapping().map_http(&request).unwrap_or_else(|error| panic!("{name:?}: {error}"));
            mapped.read_attributes(Needs::All).unwrap_or_else(|error| panic!("{name:?}: {error}"));
            let [asked] = mapped.requests.as_slice() else { panic!("{name:?}: {:?}", mapped.requests) };
            assert_eq!((asked.action.kind.as_str(), asked.action.id.as_str()), ("Action", id));
            let resource = if server.is_empty() { name.to_owned() } else { format!("{server}/{name}") };
            assert_eq!((asked.resource.kind.as_str(), asked.resource.id.as_str()), ("Tool", resource.as_str()));
            let odd = bundle.attributes(asked).find(|(known, _)| *known == "odd \"name\"");
            assert_eq!(odd.map(|(_, value)| value), Some(Value::Long(7)));
        }
    }
}

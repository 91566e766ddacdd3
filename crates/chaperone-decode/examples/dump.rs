fn main() {
    let mut p = tree_sitter::Parser::new();
    p.set_language(&tree_sitter_bash::LANGUAGE.into()).unwrap();
    for s in std::env::args().skip(1) {
        let t = p.parse(&s, None).unwrap();
        println!("=== {s}  err={}", t.root_node().has_error());
        let mut c = t.walk();
        let mut d = 0;
        'o: loop {
            let n = c.node();
            println!("{}{}{}{} {:?}", "  ".repeat(d), c.field_name().map(|f| format!("{f}: ")).unwrap_or_default(), if n.is_named() { n.kind().to_string() } else { format!("'{}'", n.kind()) }, if n.is_missing() {" MISSING"} else {""}, &s[n.byte_range()]);
            if c.goto_first_child() { d += 1; continue; }
            loop {
                if c.goto_next_sibling() { break; }
                if !c.goto_parent() { break 'o; }
                d -= 1;
            }
        }
    }
}

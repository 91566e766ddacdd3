//! Writes the expected lines of a table of statements.
use std::io::Read;
use chaperone_decode::{Classes, Fact, sql};
fn main() {
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text).unwrap();
    let classes = Classes::built_in().unwrap();
    let dialect = sql::Dialect::parse(&std::env::args().nth(1).unwrap()).unwrap();
    for block in text.split("\n\n") {
        let mut script = Vec::new();
        for line in block.lines() {
            if let Some(s) = line.strip_prefix("> ") { script.push(s); println!("{line}"); }
            else if line.starts_with('#') { println!("{line}"); }
        }
        if script.is_empty() { println!(); continue; }
        let script = script.join("\n").replace('␍', "\r").replace('␀', "\0");
        let options = sql::Options { dialect, database: "shop".into(), views: [("orders_v".into(), vec!["orders".into()]), ("all_v".into(), vec!["orders_v".into(), "audit.log".into()])].into() };
        match sql::decode(&script, &options, &classes) {
            Ok(ops) => {
                for o in &ops { println!("= {} | {} {}", o.action, o.resource.kind, o.resource.id); }
                let mut flags: Vec<_> = Vec::new();
                for name in ["changes_schema","changes_privileges","changes_settings","exports","unbounded"] {
                    if ops.iter().any(|o| o.facts[name] == Fact::Bool(true)) { flags.push(name); }
                }
                if !flags.is_empty() { println!("! {}", flags.join(" ")); }
            }
            Err(e) => println!("x {e}"),
        }
        println!();
    }
}

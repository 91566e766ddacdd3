fn main() {
    let classes = chaperone_decode::Classes::built_in().unwrap();
    for s in std::env::args().skip(1) {
        println!("=== {s}");
        match chaperone_decode::shell::decode(&s, &Default::default(), &classes) {
            Err(e) => println!("  !! {e}"),
            Ok(ops) => for o in ops { println!("  {} {}:{} {:?}", o.action, o.resource.kind, o.resource.id, o.facts.iter().filter(|(k,_)| !matches!(**k, "commands"|"background"|"program")).collect::<Vec<_>>()); }
        }
    }
}

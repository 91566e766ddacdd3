//! `docs/decoders.md` says of every decoder what the code says.

#![expect(clippy::panic, reason = "tests fail by panicking")]

use chaperone_decode::{Class, Decoder, FactSpec, FactType};

const DOCUMENT: &str = include_str!("../../../docs/decoders.md");

/// The part of the document about a decoder.
fn section(decoder: Decoder) -> &'static str {
    let heading = format!("\n## {}\n", decoder.as_str());
    let (_, rest) = DOCUMENT.split_once(&heading).unwrap_or_else(|| panic!("no section on {}", decoder.as_str()));
    rest.split_once("\n## ").map_or(rest, |(section, _)| section)
}

fn row(fact: &FactSpec) -> String {
    let ty = match fact.ty {
        FactType::Bool => "Bool",
        FactType::Long => "Long",
        FactType::Text => "String",
        FactType::Texts => "Set<String>",
    };
    format!("| `{}{}` | `{ty}` | {} |", fact.name, if fact.required { "" } else { "?" }, fact.meaning)
}

#[test]
fn document_has_the_facts_of_every_decoder() {
    for decoder in Decoder::ALL {
        let told: Vec<_> = section(decoder).lines().filter(|line| line.starts_with("| `")).collect();
        let known: Vec<_> = decoder.facts().iter().map(row).collect();
        assert_eq!(told, known, "{}", decoder.as_str());
    }
}

#[test]
fn document_has_the_resources_of_every_decoder() {
    for decoder in Decoder::ALL {
        let types = decoder.resources().iter().map(|kind| format!("`Chaperone::{}{kind}`", decoder.type_prefix()));
        let told = format!("Resources: {}.", types.collect::<Vec<_>>().join(", "));
        assert!(section(decoder).contains(&told), "{told}");
    }
}

#[test]
fn document_has_every_class() {
    for class in Class::ALL {
        assert!(DOCUMENT.contains(&format!("\n| `{}` | ", class.as_str())), "{}", class.as_str());
    }
}

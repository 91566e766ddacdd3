//! Laws of all decoders.

use chaperone_decode::{Classes, Decoder, Fact, FactType, Operation, Undecodable};

/// What stands in inputs for a value that no message may repeat.
const SECRET: &str = "s3cret";

/// Operations are told as the decoder declares them, and by actions that the classes have; a refusal repeats nothing.
pub(crate) fn told<'o>(
    decoder: Decoder,
    classes: &Classes,
    result: Result<impl IntoIterator<Item = &'o Operation>, &Undecodable>,
) {
    let operations = match result {
        Ok(operations) => operations,
        Err(undecodable) => return refused(undecodable),
    };
    let mut count = 0;
    for operation in operations {
        count += 1;
        let Operation { action, resource, facts } = operation;
        assert!(classes.get(decoder, action).is_some(), "the classes do not have `{action}`");
        assert!(decoder.resources().contains(&resource.kind), "`{}` is not declared", resource.kind);
        assert!(!resource.id.is_empty(), "`{action}` has a resource without an id");
        for (name, fact) in facts {
            let spec = decoder.facts().iter().find(|spec| spec.name == *name);
            let spec = spec.unwrap_or_else(|| panic!("`{name}` is not declared"));
            let ty = match fact {
                Fact::Bool(_) => FactType::Bool,
                Fact::Long(_) => FactType::Long,
                Fact::Text(_) => FactType::Text,
                Fact::Texts(_) => FactType::Texts,
            };
            assert_eq!(ty, spec.ty, "the type of `{name}`");
        }
        for spec in decoder.facts().iter().filter(|spec| spec.required) {
            assert!(facts.contains_key(spec.name), "`{action}` lacks `{}`", spec.name);
        }
    }
    assert!(count > 0, "it was decoded as nothing");
}

/// What a refusal says is not what the client wrote.
pub(crate) fn refused(undecodable: &Undecodable) {
    assert!(!undecodable.message.to_ascii_lowercase().contains(SECRET), "{undecodable}");
    assert!(undecodable.message.len() < 300, "{undecodable}");
}

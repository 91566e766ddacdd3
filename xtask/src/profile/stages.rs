//! The stages of a check, told by the names of functions.

/// A stage.
pub struct Stage {
    /// Its name.
    pub name: &'static str,
    /// What belongs to it.
    pub what: &'static str,
    /// Parts of the names of its functions, generic arguments left out.
    functions: &'static [&'static str],
}

/// In the order of a check. A stack belongs to the stage of its innermost function that one of them names; where several name it, to the
/// first of them in the order of [`PRECEDENCE`].
pub const STAGES: [Stage; 11] = [
    Stage { name: KERNEL, what: "system calls and interrupts: sockets, epoll, scheduling of threads", functions: &[] },
    Stage {
        name: RUNTIME,
        what: "tokio: tasks, wake-ups, timers",
        functions: &["tokio::", "mio::", "parking_lot", "futures_util::", "futures_core::", "__tls_get_addr"],
    },
    Stage {
        name: TRANSPORT,
        what: "h2, hyper, tonic and the layers over them",
        functions: &[
            "h2::",
            "hyper::",
            "hyper_util::",
            "tonic::",
            "tower::",
            "tower_service::",
            "tower_layer::",
            "http::",
            "http_body",
            "axum::",
            "matchit::",
            "bytes::",
            "chaperone_server::listener",
            "chaperone_server::grpc::data_plane",
            "chaperone_server::grpc::unary",
            "chaperone_server::wiring",
            "fnv::",
            "atomic_waker",
        ],
    },
    Stage {
        name: DECODING,
        what: "the protobuf of the request",
        functions: &[
            "chaperone_server::grpc::ext_authz_message",
            "chaperone_server::grpc::wire::fields",
            "::merge",
            "::decode",
            "prost::",
        ],
    },
    Stage {
        name: MAPPING,
        what: "routes, templates, attributes: from HTTP to an action on a resource",
        functions: &[
            "chaperone_policy::mapping",
            "chaperone_policy::bundle::Bundle::request",
            "chaperone_server::grpc::convert",
            "chaperone_server::grpc::ext_authz::",
            "chaperone_server::presenter",
            "chaperone_server::spiffe",
            "percent_encoding",
        ],
    },
    Stage {
        name: SESSION,
        what: "the handle's hash, the session and its ancestors, freshness",
        functions: &[
            "chaperone_policy::handle",
            "chaperone_policy::session",
            "chaperone_server::replica",
            "sha2::",
            "digest::",
            "block_buffer::",
            "base64::",
            "sqlx",
            "chaperone_store",
        ],
    },
    Stage {
        name: DECISION,
        what: "built-in rules and policies, context and entities",
        functions: &["chaperone_policy::", "cedar_policy", "chaperone_server::pdp", "smol_str::", "regex"],
    },
    Stage {
        name: RECORDING,
        what: "metrics, spans, logs, decision ids, clocks",
        functions: &[
            "chaperone_server::recorder",
            "chaperone_server::trail",
            "chaperone_trail",
            "chaperone_server::telemetry",
            "chaperone_server::clock",
            "opentelemetry",
            "prometheus::",
            "tracing",
            "uuid::",
            "rand::",
            "rand_core::",
            "chacha20",
            "std::time::",
            "clock_gettime",
            "__vdso",
        ],
    },
    Stage {
        name: ENCODING,
        what: "the answer: header changes, metadata, protobuf",
        functions: &[
            "chaperone_server::grpc::ext_authz_answer",
            "chaperone_server::grpc::wire::writer",
            "chaperone_policy::mapping::answer",
            "chaperone_policy::mapping::plan",
            "chaperone_policy::mapping::Mapping::mutations",
            "::encode",
            "::encoded_len",
        ],
    },
    Stage {
        name: ALLOCATOR,
        what: "mimalloc, called from anywhere",
        functions: &[
            "mi_",
            "_mi_",
            "mimalloc::",
            "__rust_alloc",
            "__rust_dealloc",
            "__rust_realloc",
            "__rdl_",
            "__rg_",
        ],
    },
    Stage { name: OTHER, what: "what none of these names", functions: &[] },
];

const KERNEL: &str = "kernel";
const RUNTIME: &str = "runtime";
const TRANSPORT: &str = "transport";
const DECODING: &str = "decoding";
const MAPPING: &str = "mapping";
const SESSION: &str = "session lookup";
const DECISION: &str = "decision";
const RECORDING: &str = "recording";
const ENCODING: &str = "answer encoding";
const ALLOCATOR: &str = "allocator";
/// What belongs to none.
pub const OTHER: &str = "other";

/// The narrower before the wider: `chaperone_policy::mapping::answer` is no mapping, and `h2::hpack::Decoder::decode` no protobuf.
const PRECEDENCE: [&str; 9] =
    [ALLOCATOR, TRANSPORT, RUNTIME, RECORDING, ENCODING, SESSION, MAPPING, DECODING, DECISION];

/// The stage of a folded stack: functions from the outermost to the innermost, with `;` between them.
pub fn stage_of(stack: &str) -> &'static str {
    if stack.ends_with("_[k]") {
        return KERNEL;
    }
    stack.rsplit(';').find_map(stage_of_function).unwrap_or(OTHER)
}

fn stage_of_function(name: &str) -> Option<&'static str> {
    let name = bare(name);
    PRECEDENCE.into_iter().find(|stage| {
        let functions =
            STAGES.iter().find(|candidate| candidate.name == *stage).map_or(&[][..], |stage| stage.functions);
        functions.iter().any(|part| is_named(&name, part))
    })
}

/// Whether a function's name has the part: at its beginning, or anywhere for a part that begins with `::`.
fn is_named(name: &str, part: &str) -> bool {
    if part.starts_with("::") { name.contains(part) } else { name.starts_with(part) }
}

/// A function's path without generic arguments; of a method of a trait, the path of the type that has it, and the method's name.
fn bare(name: &str) -> String {
    let name = name.strip_prefix('<').map_or_else(|| name.to_owned(), implementing_type);
    let (mut depth, mut path) = (0_u32, String::with_capacity(name.len()));
    for part in
        name.trim_start_matches(['&', '*', '(', '[']).trim_start_matches("mut ").trim_start_matches("dyn ").chars()
    {
        match part {
            '<' => depth += 1,
            '>' => depth = depth.saturating_sub(1),
            _ if depth == 0 => path.push(part),
            _ => {}
        }
    }
    // `Vec::<T>::push` leaves an empty part.
    path.replace("::::", "::")
}

/// Of what follows `<` in `<Type as Trait>::method`, `Type::method`.
fn implementing_type(rest: &str) -> String {
    let (mut depth, mut end_of_type, mut end) = (0_i32, None, rest.len());
    for (place, part) in rest.char_indices() {
        match part {
            '<' => depth += 1,
            '>' if depth == 0 => {
                end = place;
                break;
            }
            '>' => depth -= 1,
            ' ' if depth == 0
                && end_of_type.is_none()
                && rest.get(place..).is_some_and(|at| at.starts_with(" as ")) =>
            {
                end_of_type = Some(place);
            }
            _ => {}
        }
    }
    let kind = rest.get(..end_of_type.unwrap_or(end)).unwrap_or_default();
    let method = rest.get(end..).unwrap_or_default().trim_start_matches('>');
    format!("{kind}{method}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stacks_belong_to_their_innermost_function_that_is_known() {
        for (stack, stage) in [
            ("tokio-rt;tokio::runtime::task::poll;h2::proto::streams::Recv::recv_data;memcpy", TRANSPORT),
            ("tokio-rt;h2::proto::poll;<bytes::BytesMut as bytes::BufMut>::put;mi_malloc_aligned", ALLOCATOR),
            ("tokio-rt;h2::codec::flush;__libc_writev;tcp_sendmsg_[k]", KERNEL),
            ("tokio-rt;chaperone_policy::decide::decide;alloc::vec::Vec<T>::push", DECISION),
            ("tokio-rt;chaperone_policy::mapping::path::parse", MAPPING),
            ("tokio-rt;chaperone_policy::mapping::answer::Changes::of", ENCODING),
            ("tokio-rt;chaperone_server::grpc::ext_authz_message::Attributes::read", DECODING),
            ("tokio-rt;<chaperone_server::grpc::ext_authz::ExtAuthz as X>::check", MAPPING),
            ("tokio-rt;chaperone_server::grpc::ext_authz_answer::allow", ENCODING),
            (
                "tokio-rt;<chaperone_policy::handle::SessionHandle>::parse;<sha2::Sha256 as digest::Digest>::digest",
                SESSION,
            ),
            ("tokio-rt;<chaperone_api::HeaderMap as prost::message::Message>::merge_field", DECODING),
            ("tokio-rt;<chaperone_api::CheckResponse as prost::message::Message>::encode_raw", ENCODING),
            ("tokio-rt;<tonic::codec::Streaming<chaperone_policy::X> as core::Stream>::poll_next", TRANSPORT),
            ("tokio-rt;chaperone_server::telemetry::metrics::Metrics::decided", RECORDING),
            ("chaperone;[unknown]", OTHER),
        ] {
            assert_eq!(stage_of(stack), stage, "{stack}");
        }
    }

    #[test]
    fn generic_arguments_name_no_stage() {
        assert_eq!(bare("tokio::spawn<hyper::Body, h2::Stream>"), "tokio::spawn");
        assert_eq!(bare("<a::B<c::D> as e::F<g::H>>::i"), "a::B::i");
        assert_eq!(bare("alloc::vec::Vec::<u8>::push"), "alloc::vec::Vec::push");
    }

    #[test]
    fn every_named_stage_has_its_precedence() {
        for stage in STAGES.iter().filter(|stage| !stage.functions.is_empty()) {
            assert!(PRECEDENCE.contains(&stage.name), "{}", stage.name);
        }
    }
}

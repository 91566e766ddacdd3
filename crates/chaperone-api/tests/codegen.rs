//! Regenerates the committed code from `proto/` and fails on a difference, so that building needs no code generator.
//!
//! `cargo xtask codegen` runs this with `CHAPERONE_CODEGEN=write`, which writes instead of comparing.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use protox::prost::Message as _;

const ROOTS: &[&str] = &[
    "chaperone/v1/decision_service.proto",
    "chaperone/v1/session_service.proto",
    "chaperone/v1/policy_service.proto",
    "chaperone/v1/rollout_service.proto",
    "chaperone/v1/entity_service.proto",
    "chaperone/v1/approval_service.proto",
    "chaperone/v1/trail_service.proto",
    "envoy/service/auth/v3/external_auth.proto",
];

fn generate(out: &Path) {
    let proto = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../proto");
    let mut compiler = protox::Compiler::new([&proto]).expect("proto/ exists");
    compiler.include_imports(true).include_source_info(true).open_files(ROOTS).expect("the protos compile");
    let descriptors = compiler.file_descriptor_set();
    tonic_prost_build::configure()
        .out_dir(out)
        .bytes(".envoy.service.auth.v3.AttributeContext.HttpRequest.raw_body")
        .bytes(".envoy.config.core.v3.HeaderValue.raw_value")
        .compile_fds(descriptors.clone())
        .expect("code is generated");
    // Reflection serves names and types; comments would triple it.
    let mut served = descriptors;
    for file in &mut served.file {
        file.source_code_info = None;
    }
    fs::write(out.join("descriptors.bin"), served.encode_to_vec()).expect("descriptors are written");
}

fn files(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    fs::read_dir(dir)
        .expect("the folder is readable")
        .map(|entry| entry.expect("an entry").path())
        .map(|path| (PathBuf::from(path.file_name().expect("a name")), fs::read(&path).expect("a file")))
        .collect()
}

fn writes() -> bool {
    std::env::var_os("CHAPERONE_CODEGEN").is_some_and(|mode| mode == "write")
}

#[test]
fn descriptors_of_the_sample_are_those_of_its_proto() {
    let samples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/samples");
    let mut compiler = protox::Compiler::new([samples.join("protos")]).expect("the folder exists");
    compiler.include_imports(true).open_files(["ledger/v1/ledger.proto"]).expect("the proto compiles");
    let (committed, wanted) = (samples.join("grpc-service/descriptors.binpb"), compiler.encode_file_descriptor_set());
    if writes() {
        fs::write(committed, wanted).expect("written");
        return;
    }
    assert!(fs::read(committed).expect("a file") == wanted, "out of date: run `cargo xtask codegen`");
}

#[test]
fn committed_code_is_what_the_protos_generate() {
    let committed = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/gen");
    if writes() {
        fs::create_dir_all(&committed).expect("src/gen");
        generate(&committed);
        return;
    }
    let fresh = std::env::temp_dir().join(format!("chaperone-codegen-{}", std::process::id()));
    fs::create_dir_all(&fresh).expect("a temporary folder");
    generate(&fresh);
    let (want, have) = (files(&fresh), files(&committed));
    fs::remove_dir_all(&fresh).expect("the temporary folder goes");
    let names = |set: &BTreeMap<PathBuf, Vec<u8>>| set.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&have), names(&want), "run `cargo xtask codegen`");
    for (name, content) in want {
        assert!(have.get(&name) == Some(&content), "{} is out of date: run `cargo xtask codegen`", name.display());
    }
}

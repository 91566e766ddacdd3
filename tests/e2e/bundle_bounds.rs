//! Uploads that are too much, or not what a bundle is: each is refused with a stable code, and the server goes on deciding.

use std::fmt::Write as _;
use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use bytes::{BufMut as _, Bytes, BytesMut};
use chaperone_api::chaperone::v1::{BundleFile, PolicyServiceUploadRequest, PolicyServiceValidateResponse};
use chaperone_api::google::rpc;
use chaperone_e2e::bundles::Bundle;
use chaperone_e2e::chaperone::ADMIN_TOKEN;
use chaperone_e2e::direct::{self, Direct};
use chaperone_e2e::wait;
use chaperone_e2e::world::World;
use prost::Message as _;
use tokio::net::TcpStream;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

/// A server over PostgreSQL that decides by a bundle, and whoever asks it.
struct Server {
    world: World,
    caller: Direct,
    handle: String,
}

impl Server {
    async fn start() -> Self {
        let world = World::start().await;
        let (caller, handle) = (Direct::to(&world.replicas[0]).await, world.session().await.handle);
        Self { world, caller, handle }
    }

    /// Uploads files; the code of the refusal, and the codes of problems.
    async fn refusal(&self, files: Vec<BundleFile>) -> (Code, Vec<String>) {
        let refused = self.upload(files).await.expect_err("it is refused");
        self.assert_deciding().await;
        (refused.code(), codes(&refused))
    }

    async fn upload(&self, files: Vec<BundleFile>) -> Result<u64, Status> {
        let request = PolicyServiceUploadRequest { files, ..Default::default() };
        let response = self.world.admin.policies.clone().upload(request).await?;
        Ok(response.into_inner().bundle.expect("the bundle").number)
    }

    /// It decides, or does again by itself: reading large files keeps a core busy, and a replica that came not to read the feed meanwhile is
    /// stale for as long.
    async fn assert_deciding(&self) {
        wait::until("it decides", async || match self.caller.check(direct::read("42", &self.handle)).await {
            Ok(decision) => {
                assert_eq!(decision.code, "permitted");
                Some(())
            }
            Err(status) => {
                assert_eq!(status.code(), Code::Unavailable, "{status:?}");
                None
            }
        })
        .await;
    }

    /// The most memory that it has had, in MiB.
    fn memory_mebibytes(&mut self) -> u64 {
        let path = format!("/proc/{}/status", self.world.replicas[0].process().id());
        let status = fs::read_to_string(path).expect("the process lives");
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("its peak");
        line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") / 1024
    }

    /// Sends a message to `Upload` as these bytes, said to be compressed so; what the call came to.
    async fn upload_bytes(&self, encoding: Option<&str>, message: &[u8]) -> (Code, String) {
        let admin = self.world.replicas[0].admin;
        let stream = TcpStream::connect(admin).await.expect("it listens");
        let (client, connection) = h2::client::handshake(stream).await.expect("it speaks HTTP/2");
        tokio::spawn(connection);
        let mut request = http::Request::post(format!("http://{admin}/chaperone.v1.PolicyService/Upload"))
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .header("authorization", format!("Bearer {ADMIN_TOKEN}"));
        if let Some(encoding) = encoding {
            request = request.header("grpc-encoding", encoding);
        }
        let mut frame = BytesMut::with_capacity(message.len() + 5);
        frame.put_u8(u8::from(encoding.is_some()));
        frame.put_u32(u32::try_from(message.len()).expect("it fits"));
        frame.put_slice(message);
        let mut client = client.ready().await.expect("it takes a request");
        let (response, mut body) = client.send_request(request.body(()).expect("a request"), false).expect("sent");
        // What is refused by its headers alone may have been answered by now: nobody takes the rest then.
        let _ = body.send_data(frame.freeze(), true);
        let (parts, mut body) = response.await.expect("it answers").into_parts();
        while let Some(data) = body.data().await {
            let data = data.expect("the answer goes on");
            body.flow_control().release_capacity(data.len()).expect("it was had");
        }
        let trailers = body.trailers().await.expect("an end").unwrap_or(parts.headers);
        let status = Status::from_header_map(&trailers).expect("a status");
        self.assert_deciding().await;
        (status.code(), status.message().to_owned())
    }
}

/// The codes of a refusal: of each problem, or the one of the call.
fn codes(status: &Status) -> Vec<String> {
    if let Some(info) = status.get_details_error_info() {
        return vec![info.reason];
    }
    let details = rpc::Status::decode(status.details()).expect("details");
    let problems = details.details.iter().filter(|any| any.type_url.ends_with("PolicyServiceValidateResponse"));
    problems
        .flat_map(|any| PolicyServiceValidateResponse::decode(&*any.value).expect("problems").problems)
        .map(|problem| problem.code)
        .collect()
}

fn file(path: &str, content: &str) -> BundleFile {
    BundleFile { path: path.to_owned(), content: content.to_owned() }
}

#[tokio::test(flavor = "multi_thread")]
async fn text_that_nests_deeply_or_is_none_is_refused_with_its_code() {
    const DEEP: usize = 200_000;
    let mut server = Server::start().await;
    let policy =
        |condition: String| format!("@id(\"deep\") permit (principal, action, resource) when {{ {condition} }};\n");
    let nested = |open: &str, middle: &str, close: &str| format!("{}{middle}{}", open.repeat(DEEP), close.repeat(DEEP));
    let cases = [
        ("policies/deep.cedar", policy(nested("(", "true", ")")), "policy_syntax"),
        ("policies/deep.cedar", policy("(".repeat(DEEP)), "policy_syntax"),
        ("policies/deep.cedar", policy(nested("[", "1", "]")), "policy_syntax"),
        ("policies/deep.cedar", policy(nested("{a: ", "1", "}")), "policy_syntax"),
        ("policies/deep.cedar", policy(nested("!", "true", "")), "policy_syntax"),
        ("policies/deep.cedar", policy(nested("if true then ", "true", " else false")), "policy_syntax"),
        ("policies/deep.cedar", policy(nested("true && ", "true", "")), "policy_syntax"),
        ("policies/deep.cedar", policy(format!("context{}", ".a".repeat(DEEP))), "policy_syntax"),
        ("policies/deep.cedar", "\u{1}\u{fffd}\u{202e}%PDF-1.7".to_owned(), "policy_syntax"),
        ("schema.cedarschema", format!("entity A = {};", nested("{a: ", "Long", "}")), "schema_syntax"),
        ("schema.cedarschema", format!("entity A = {{a: {}}};", nested("Set<", "Long", ">")), "schema_syntax"),
        ("schema.cedarschema", "\u{1}\u{fffd}".to_owned(), "schema_syntax"),
        ("entities.json", nested("[", "", "]"), "entities_type"),
        ("entities.json", nested("{\"a\":", "1", "}"), "entities_syntax"),
        ("entities.json", "[{\"uid\"".to_owned(), "entities_syntax"),
        ("mapping.toml", format!("a = {}", nested("[", "", "]")), "mapping_syntax"),
        ("mapping.toml", format!("a = {}", nested("{a=", "1", "}")), "mapping_syntax"),
        ("mapping.toml", format!("[a{}]", ".a".repeat(DEEP)), "mapping_syntax"),
        ("mapping.toml", format!("a{} = 1", ".a".repeat(DEEP)), "mapping_syntax"),
        ("bundle.toml", format!("a = {}", nested("[", "", "]")), "manifest_syntax"),
        ("bundle.toml", format!("a{} = 1", ".a".repeat(DEEP)), "manifest_syntax"),
        ("bundle.toml", "\u{1}".to_owned(), "manifest_syntax"),
        ("tests/deep.yaml", nested("[", "", "]"), "test_syntax"),
        ("tests/deep.yaml", nested("{a: ", "1", "}"), "test_syntax"),
        ("tests/deep.yaml", nested("- ", "1", ""), "test_syntax"),
        ("tests/deep.yaml", nested("? ", "1", ""), "test_syntax"),
        ("tests/deep.yaml", "\u{1}: [".to_owned(), "test_syntax"),
        ("descriptors.binpb", "no base64".to_owned(), "descriptors_invalid"),
        ("descriptors.binpb", "////////".to_owned(), "descriptors_invalid"),
    ];
    let mut wrong = Vec::new();
    for (path, text, code) in cases {
        let began: String = text.chars().take(60).collect();
        let (refused, codes) = server.refusal(Bundle::documents().with(path, text).files()).await;
        if refused != Code::InvalidArgument || !codes.iter().any(|told| told == code) {
            wrong.push(format!("{path}: {began}: {refused:?} {codes:?}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    let memory = server.memory_mebibytes();
    assert!(memory < 512, "it took {memory} MiB");
}

#[tokio::test(flavor = "multi_thread")]
async fn files_that_no_bundle_has_are_refused_by_their_names() {
    let server = Server::start().await;
    let with = |path: &str| Bundle::documents().with(path, "// nothing\n").files();
    for path in [
        "policies/../bundle.toml",
        "policies/../../etc/cron.d/a.cedar",
        "/policies/a.cedar",
        "./policies/a.cedar",
        "policies//a.cedar",
        "policies/./a.cedar",
        "..",
        "",
        "policies/a\0.cedar",
        "policies/a\n.cedar",
        "policies\\a.cedar",
    ] {
        assert_eq!(
            server.refusal(with(path)).await,
            (Code::InvalidArgument, vec!["unknown_file".to_owned()]),
            "{path:?}"
        );
    }
    let twice = [Bundle::documents().files(), vec![file("bundle.toml", "name = \"other\"\n")]].concat();
    assert_eq!(server.refusal(twice).await, (Code::InvalidArgument, vec!["INVALID_FIELD".to_owned()]));
    assert_eq!(server.refusal(Vec::new()).await, (Code::InvalidArgument, vec!["INVALID_FIELD".to_owned()]));
    for (path, text) in [("policies/a.cedar", "// a\0b\n"), ("tests/a.yaml", "# a\0b\ntests: []\n")] {
        let refused = server.refusal(Bundle::documents().with(path, text).files()).await;
        assert_eq!(refused, (Code::InvalidArgument, vec!["nul_character".to_owned()]), "{path}");
    }
    // A text of protobuf is UTF-8, so that this is no message.
    let mut upload =
        PolicyServiceUploadRequest { files: with("policies/a.cedar"), ..Default::default() }.encode_to_vec();
    let place = upload.windows(7).position(|bytes| bytes == b"nothing").expect("the text");
    upload[place] = 0xff;
    let (code, message) = server.upload_bytes(None, &upload).await;
    assert!(code == Code::Internal && message.contains("UTF-8"), "{code:?}: {message}");
    let (code, message) = server.upload_bytes(None, b"\x0a\xff\xff\xff\xff\x0f").await;
    assert!(code == Code::Internal && message.contains("decode"), "{code:?}: {message}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_too_large_is_refused_before_it_takes_memory() {
    let mut server = Server::start().await;
    let before = server.memory_mebibytes();
    let many =
        (0..1_001).fold(Bundle::documents(), |bundle, number| bundle.with(&format!("policies/{number}.cedar"), ""));
    assert_eq!(server.refusal(many.files()).await, (Code::InvalidArgument, vec!["too_many_files".to_owned()]));
    let large = Bundle::documents().with("policies/large.cedar", format!("//{}\n", "x".repeat(9 << 20)));
    assert_eq!(server.refusal(large.files()).await, (Code::InvalidArgument, vec!["bundle_too_large".to_owned()]));
    let (code, message) = server.upload_bytes(None, &vec![b'x'; 64 << 20]).await;
    assert_eq!(code, Code::OutOfRange, "{message}");
    assert!(message.contains("16777216"), "it tells the limit: {message}");
    // 64 MiB of zeros in 64 KiB: not expanded, because nothing compressed is taken.
    let bomb = Command::new("sh").args(["-c", "head -c 67108864 /dev/zero | gzip -9"]).output().expect("gzip runs");
    let bomb = Bytes::from(bomb.stdout);
    assert!((1_000..200_000).contains(&bomb.len()), "{} bytes", bomb.len());
    for encoding in ["gzip", "deflate", "zstd", "br"] {
        let (code, message) = server.upload_bytes(Some(encoding), &bomb).await;
        assert_eq!(code, Code::Unimplemented, "{encoding}: {message}");
    }
    // Two bytes a file, nearly at the limit of messages: they are counted where they stand.
    let empty = [0x0a, 0x00].repeat(8 << 20);
    let (code, message) = server.upload_bytes(None, &empty[..(16 << 20) - 16]).await;
    assert_eq!(code, Code::InvalidArgument, "{message}");
    assert_eq!(message, "the bundle has 1 problem(s)");
    // The files of 9 MiB, as they were sent and as texts.
    let grown = server.memory_mebibytes() - before;
    assert!(grown < 100, "it took {grown} MiB");
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_policies_with_a_thousand_tests_are_taken() {
    let mut server = Server::start().await;
    let mut tests = String::from("session: { principal: 'Agent::\"agent-7\"' }\ntests:\n");
    for number in 0..1_000 {
        let resource = format!("'Document::\"{number}\"'");
        writeln!(tests, "  - {{ name: n{number}, request: {{ action: read, resource: {resource} }}, expect: allow }}")
            .expect("a string takes every text");
    }
    let large = Bundle::many_policies(10_000).with("tests/many.yaml", tests);
    let started = Instant::now();
    let number = {
        let upload = server.upload(large.files());
        tokio::pin!(upload);
        loop {
            tokio::select! {
                uploaded = &mut upload => break uploaded.expect("it is taken"),
                () = server.assert_deciding() => {}
            }
        }
    };
    let took = started.elapsed();
    server.world.admin.activate(number).await;
    assert!(took < Duration::from_secs(20), "it took {took:?}");
    let memory = server.memory_mebibytes();
    assert!(memory < 1024, "it took {memory} MiB");
    server.assert_deciding().await;
}

//! The service over records in memory.

use std::sync::Arc;

use chaperone_trail::{ChainId, Digest, MemorySource, Record, Sealed};
use futures_util::StreamExt as _;
use tonic::Code;
use tonic_types::StatusExt as _;

use super::*;

const STORY: &str = include_str!("../../../../chaperone-trail/fixtures/story.jsonl");
const ROOT: &str = "0198c0de-0000-7000-8000-000000000001";

/// One chain, as the exports' tests have it.
pub(crate) fn story() -> Vec<Sealed> {
    let sealed = |line: &str| {
        let record = Record::parse(line.as_bytes()).expect("a record");
        Sealed { chain: record.chain, seq: record.seq, bytes: line.into() }
    };
    STORY.lines().map(sealed).collect()
}

/// A chain whose records have these times and a text of this length.
fn chain(id: u128, times_us: impl IntoIterator<Item = i64>, note_len: usize) -> Vec<Sealed> {
    let (chain, mut prev, mut records) = (ChainId::new(uuid::Uuid::from_u128(id)), Digest::ZERO, Vec::new());
    for (seq, at) in (1..).zip(times_us) {
        let note = "n".repeat(note_len);
        let text = format!(
            r#"{{"chain":"{chain}","seq":{seq},"prev":"{prev}","at":{at},"kind":"act","act":"session.opened","note":"{note}"}}"#
        );
        prev = Digest::of(text.as_bytes());
        records.push(Sealed { chain, seq, bytes: text.into_bytes() });
    }
    records
}

fn api(records: impl IntoIterator<Item = Sealed>) -> (TrailApi, Arc<MemorySource>, CancellationToken) {
    let (source, stop) = (Arc::new(records.into_iter().collect::<MemorySource>()), CancellationToken::new());
    (TrailApi::new(TrailReading::new(Some(source.clone())), stop.clone()), source, stop)
}

async fn pages(api: &TrailApi, page_size: u32, order: api::TrailOrder, filter: api::TrailFilter) -> Vec<(String, u64)> {
    let (mut all, mut page_token) = (Vec::new(), String::new());
    loop {
        let request =
            api::TrailServiceQueryRequest { filter: Some(filter.clone()), page_size, page_token, order: order.into() };
        let page = api.query(Request::new(request)).await.expect("a page").into_inner();
        assert!(page.records.len() <= page_size as usize);
        all.extend(page.records.into_iter().map(|record| (record.chain_id, record.seq)));
        page_token = page.next_page_token;
        if page_token.is_empty() {
            return all;
        }
    }
}

async fn exported(api: &TrailApi, request: api::TrailServiceExportRequest) -> Vec<u8> {
    let mut parts = api.export(Request::new(request)).await.expect("an export").into_inner();
    let mut bytes = Vec::new();
    while let Some(part) = parts.next().await {
        bytes.extend(part.expect("a part").data);
    }
    bytes
}

fn stretch(stretch: api::TrailStretch) -> api::TrailServiceExportRequest {
    let what = Some(api::trail_service_export_request::What::Stretch(stretch));
    api::TrailServiceExportRequest { what, format: api::TrailFormat::JsonLines.into() }
}

#[tokio::test]
async fn pages_of_any_size_join_to_all_records_in_order() {
    // Two chains with the same times, so that places decide.
    let records = chain(1, [5, 6, 6, 7, 9], 0).into_iter().chain(chain(2, [4, 6, 6, 8], 0));
    let (api, ..) = api(records);
    let oldest = pages(&api, 100, api::TrailOrder::Oldest, api::TrailFilter::default()).await;
    assert_eq!(oldest.len(), 9);
    for size in 1..=10 {
        let filter = api::TrailFilter::default;
        assert_eq!(pages(&api, size, api::TrailOrder::Oldest, filter()).await, oldest, "{size}");
        let mut newest = pages(&api, size, api::TrailOrder::Newest, filter()).await;
        newest.reverse();
        assert_eq!(newest, oldest, "{size}");
    }
}

#[tokio::test]
async fn record_comes_with_its_very_bytes_and_their_digest() {
    let (api, ..) = api(story());
    let filter =
        api::TrailFilter { tree_id: ROOT.into(), outcome: api::TrailOutcome::Challenge.into(), ..Default::default() };
    let request = api::TrailServiceQueryRequest { filter: Some(filter), ..Default::default() };
    let page = api.query(Request::new(request)).await.expect("a page").into_inner();
    let [record] = &page.records[..] else { panic!("{page:?}") };
    assert_eq!((record.json.as_slice(), record.seq), (story()[9].bytes.as_slice(), 10));
    assert_eq!(record.digest, Digest::of(&record.json).to_string());
}

#[tokio::test]
async fn page_of_large_records_is_cut_short_and_goes_on() {
    let (api, ..) = api(chain(1, 0..9, 700_000));
    let request = api::TrailServiceQueryRequest::default();
    let page = api.query(Request::new(request)).await.expect("a page").into_inner();
    assert_eq!(page.records.len(), 2);
    assert_eq!(pages(&api, 100, api::TrailOrder::Newest, api::TrailFilter::default()).await.len(), 9);
}

#[tokio::test]
async fn token_of_another_question_is_refused() {
    let (api, ..) = api(story());
    let first = api::TrailServiceQueryRequest { page_size: 1, ..Default::default() };
    let page_token = api.query(Request::new(first)).await.expect("a page").into_inner().next_page_token;
    let filter = Some(api::TrailFilter { owner: "ann".into(), ..Default::default() });
    let other = api::TrailServiceQueryRequest { filter, page_token, ..Default::default() };
    let status = api.query(Request::new(other)).await.expect_err("it is refused");
    assert_eq!(status.code(), Code::InvalidArgument);
    let details = status.get_error_details();
    assert_eq!(details.bad_request().expect("details").field_violations[0].field, "page_token");
    let large = api::TrailServiceQueryRequest { page_size: 1_001, ..Default::default() };
    assert_eq!(api.query(Request::new(large)).await.expect_err("it is refused").code(), Code::InvalidArgument);
}

#[tokio::test]
async fn server_without_a_trail_says_so() {
    let api = TrailApi::new(TrailReading::new(None), CancellationToken::new());
    let refusals = [
        api.query(Request::new(api::TrailServiceQueryRequest::default())).await.err(),
        api.tail(Request::new(api::TrailServiceTailRequest::default())).await.err(),
        api.export(Request::new(api::TrailServiceExportRequest::default())).await.err(),
        api.verify(Request::new(api::TrailServiceVerifyRequest::default())).await.err(),
        api.list_chains(Request::new(api::TrailServiceListChainsRequest::default())).await.err(),
    ];
    for refusal in refusals {
        let status = refusal.expect("it is refused");
        let details = status.get_error_details();
        assert_eq!(
            (status.code(), details.error_info().expect("details").reason.as_str()),
            (Code::FailedPrecondition, "no_trail")
        );
    }
}

#[tokio::test]
async fn tail_gives_what_comes_later_and_matches_each_once_and_ends_with_a_drain() {
    let later = chain(1, 0..300, 0);
    let (api, source, stop) = api(later[..5].to_vec());
    let filter = Some(api::TrailFilter { kinds: vec![api::TrailKind::Act.into()], ..Default::default() });
    let mut tail = api.tail(Request::new(api::TrailServiceTailRequest { filter })).await.expect("a tail").into_inner();
    // A chain that begins after the tail, with records that do not match among those that do.
    let story = story();
    later[5..].iter().chain(&story).for_each(|sealed| source.push(sealed.clone()));
    let acts = story.iter().filter(|sealed| String::from_utf8_lossy(&sealed.bytes).contains(r#""kind":"act""#));
    let mut expected: Vec<(String, u64)> =
        later[5..].iter().chain(acts).map(|sealed| (sealed.chain.to_string(), sealed.seq)).collect();
    let mut seen = Vec::new();
    while seen.len() < expected.len() {
        let record = tail.next().await.expect("it goes on").expect("a record").record.expect("a record");
        seen.push((record.chain_id, record.seq));
    }
    let of_one = |chain: &str| seen.iter().filter(|(id, _)| id == chain).map(|(_, seq)| *seq).collect::<Vec<_>>();
    assert!(of_one(&later[0].chain.to_string()).is_sorted() && of_one(&story[0].chain.to_string()).is_sorted());
    seen.sort();
    expected.sort();
    assert_eq!(seen, expected);

    stop.cancel();
    let status = tail.next().await.expect("an end").expect_err("an error");
    assert_eq!(status.code(), Code::Unavailable);
    assert!(tail.next().await.is_none());
}

#[tokio::test]
async fn export_of_everything_is_the_very_bytes_chain_after_chain() {
    let records: Vec<Sealed> = chain(1, 0..700, 300).into_iter().chain(chain(2, 0..3, 0)).collect();
    let (api, ..) = api(records.clone());
    let expected: Vec<u8> = records.iter().flat_map(|sealed| [&sealed.bytes[..], b"\n"].concat()).collect();
    assert_eq!(exported(&api, api::TrailServiceExportRequest::default()).await, expected);

    let middle =
        api::TrailStretch { chain_id: records[0].chain.to_string(), from_seq: 3, to_seq: 600, ..Default::default() };
    let expected: Vec<u8> = records[2..600].iter().flat_map(|sealed| [&sealed.bytes[..], b"\n"].concat()).collect();
    assert_eq!(exported(&api, stretch(middle)).await, expected);
}

#[tokio::test]
async fn stretch_by_time_holds_all_of_that_time_and_little_more() {
    // A record every ten seconds, every third of them dated half a minute early.
    let times: Vec<i64> = (0..200).map(|n| (n * 10 - if n % 3 == 0 { 30 } else { 0 }) * 1_000_000).collect();
    let records = chain(1, times.iter().copied(), 0);
    let (api, source, _) = api(records.clone());
    source.remove(records[77].chain, 78);
    let (from, before) = (600, 1_200);
    let at = |seconds| Some(prost_types::Timestamp { seconds, nanos: 0 });
    let asked = api::TrailStretch { from: at(from), before: at(before), ..Default::default() };
    let text = String::from_utf8(exported(&api, stretch(asked)).await).expect("UTF-8");
    let seen: Vec<i64> =
        text.lines().map(|line| Record::parse(line.as_bytes()).expect("a record").at.as_micros() / 1_000_000).collect();
    let inside = times.iter().map(|at| at / 1_000_000).filter(|at| (from..before).contains(at)).count();
    // One of them was removed.
    assert_eq!(seen.iter().filter(|at| (from..before).contains(*at)).count(), inside - 1);
    assert!(seen.iter().all(|at| (from - 120..before + 120).contains(at)), "{seen:?}");
}

#[tokio::test]
async fn damaged_record_is_exported_as_it_is_and_found_by_nobody() {
    let (api, source, _) = api(chain(1, 0..3, 0));
    let chain = ChainId::new(uuid::Uuid::from_u128(1));
    source.push(Sealed { chain, seq: 2, bytes: b"{}".to_vec() });
    let text = String::from_utf8(exported(&api, api::TrailServiceExportRequest::default()).await).expect("UTF-8");
    assert_eq!(text.lines().nth(1), Some("{}"));
    let csv = api::TrailServiceExportRequest { format: api::TrailFormat::Csv.into(), ..Default::default() };
    let parts: Vec<_> = api.export(Request::new(csv)).await.expect("an export").into_inner().collect().await;
    let status = parts.into_iter().find_map(Result::err).expect("an error");
    assert_eq!(status.code(), Code::DataLoss);
    assert!(status.message().contains("record 2"), "{}", status.message());
}

#[tokio::test]
async fn export_ends_with_a_drain_and_says_that_it_is_not_whole() {
    let (api, _, stop) = api(chain(1, 0..2_000, 300));
    let mut parts =
        api.export(Request::new(api::TrailServiceExportRequest::default())).await.expect("an export").into_inner();
    assert!(parts.next().await.expect("a part").expect("a part").data.len() < 2 * 64 * 1024);
    stop.cancel();
    assert_eq!(parts.next().await.expect("an end").expect_err("an error").code(), Code::Unavailable);
}

#[tokio::test]
async fn chains_are_listed_with_their_keys() {
    let (api, ..) = api(story().into_iter().chain(chain(1, 0..3, 0)));
    let request =
        |page_token: &str| api::TrailServiceListChainsRequest { page_size: 1, page_token: page_token.to_owned() };
    let first = api.list_chains(Request::new(request(""))).await.expect("a page").into_inner();
    let second = api.list_chains(Request::new(request(&first.next_page_token))).await.expect("a page").into_inner();
    assert_eq!((first.chains[0].last_seq, first.chains[0].key.as_str()), (3, ""));
    assert_eq!((second.chains[0].last_seq, second.chains[0].replica.as_str()), (21, "pdp-1"));
    assert!(second.chains[0].key.starts_with("A6EH") && second.next_page_token.is_empty());
}

/// The story's key names itself in it, and signs nothing.
const KEY: &str = "A6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg=";

async fn verified(api: &TrailApi, request: api::TrailServiceVerifyRequest) -> api::TrailVerifyReport {
    use api::trail_service_verify_response::Step;
    let steps = api.verify(Request::new(request)).await.expect("it is verified").into_inner();
    let mut steps: Vec<Step> = steps.map(|step| step.expect("a step").step.expect("a step")).collect().await;
    let Some(Step::Report(report)) = steps.pop() else { panic!("no report: {steps:?}") };
    assert!(steps.iter().all(|step| matches!(step, Step::Progress(_))));
    report
}

fn fault(report: &api::TrailVerifyReport) -> (&str, u64) {
    let fault = report.chains[0].fault.as_ref().expect("a fault");
    assert!(!report.valid);
    (&fault.code, fault.seq)
}

#[tokio::test]
async fn trail_that_nobody_touched_is_proved_and_its_end_is_told() {
    let (api, ..) = api(story());
    let report = verified(&api, api::TrailServiceVerifyRequest::default()).await;
    let chain = &report.chains[0];
    assert_eq!((report.valid, report.record_count, chain.first_seq, chain.last_seq), (true, 21, 1, 21));
    assert_eq!(chain.last_digest, story()[20].digest().to_string());
    assert_eq!((chain.signed_seq, chain.unsigned_count, chain.stopped), (0, 21, false));
}

#[tokio::test]
async fn first_record_that_was_changed_removed_or_put_elsewhere_is_named() {
    let whole = || api::TrailServiceVerifyRequest::default();
    let change = |at: usize, from: &str, to: &str| {
        let mut records = story();
        let text = String::from_utf8(records[at].bytes.clone()).expect("UTF-8");
        assert!(text.contains(from), "{text}");
        records[at].bytes = text.replace(from, to).into_bytes();
        api(records).0
    };
    // The change itself cannot be seen in the record, but in what follows it.
    let changed = change(8, "\"deny\"", "\"allow\"");
    assert_eq!(fault(&verified(&changed, whole()).await), ("hash", 10));
    assert_eq!(fault(&verified(&change(8, "{\"chain\"", "\"chain\""), whole()).await), ("malformed", 9));
    assert_eq!(fault(&verified(&change(8, "\"seq\":9", "\"seq\":8"), whole()).await), ("misplaced", 9));

    let (removed, source, _) = api(story());
    source.remove(story()[0].chain, 9);
    assert_eq!(fault(&verified(&removed, whole()).await), ("gap", 9));
    let (swapped, source, _) = api(story());
    let records = story();
    source.push(Sealed { bytes: records[9].bytes.clone(), ..records[8].clone() });
    source.push(Sealed { bytes: records[8].bytes.clone(), ..records[9].clone() });
    assert_eq!(fault(&verified(&swapped, whole()).await), ("misplaced", 9));
}

#[tokio::test]
async fn stretch_that_is_not_there_whole_is_at_fault() {
    let (api, source, _) = api(story());
    let chain_id = story()[0].chain.to_string();
    let places = |from_seq, to_seq| {
        let stretch = Some(api::TrailStretch { chain_id: chain_id.clone(), from_seq, to_seq, ..Default::default() });
        api::TrailServiceVerifyRequest { stretch, ..Default::default() }
    };
    assert!(verified(&api, places(5, 21)).await.valid);
    assert_eq!(fault(&verified(&api, places(5, 22)).await), ("gap", 22));
    source.remove(story()[0].chain, 1);
    assert_eq!(fault(&verified(&api, places(1, 4)).await), ("gap", 1));
    // Retention may drop the oldest: what is kept is proved.
    assert!(verified(&api, api::TrailServiceVerifyRequest::default()).await.valid);
    source.remove(story()[0].chain, 10);
    assert_eq!(fault(&verified(&api, places(5, 10)).await), ("gap", 10));
}

#[tokio::test]
async fn key_that_signed_nothing_proves_nothing() {
    let (api, ..) = api(story());
    let keys = |key: &str| api::TrailServiceVerifyRequest { trusted_keys: vec![key.into()], ..Default::default() };
    assert_eq!(fault(&verified(&api, keys(KEY)).await), ("unsigned", 1));
    let other = KEY.replacen('A', "B", 1);
    assert_eq!(fault(&verified(&api, keys(&other)).await), ("unknown_key", 1));
    let status = api.verify(Request::new(keys("short"))).await.err().expect("it is refused");
    assert_eq!(status.code(), Code::InvalidArgument);
}

#[tokio::test]
async fn progress_of_a_long_proof_is_told() {
    let (api, source, _) = api(chain(1, 0..10_000, 0));
    // What is kept of it begins in its midst, so it needs no start.
    source.remove(ChainId::new(uuid::Uuid::from_u128(1)), 1);
    let steps =
        api.verify(Request::new(api::TrailServiceVerifyRequest::default())).await.expect("a proof").into_inner();
    let counts: Vec<u64> = steps
        .map(|step| match step.expect("a step").step.expect("a step") {
            api::trail_service_verify_response::Step::Progress(progress) => progress.record_count,
            api::trail_service_verify_response::Step::Report(report) => report.record_count,
        })
        .collect()
        .await;
    assert!(counts.len() >= 3 && counts.is_sorted() && counts.last() == Some(&9_999), "{counts:?}");
}

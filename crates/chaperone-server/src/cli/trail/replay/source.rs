//! Where the records come from that are replayed.

use std::fs::File;
use std::io::{BufRead, BufReader, Read as _};
use std::path::Path;
use std::time::Duration;

use chaperone_api::chaperone::v1::trail_service_export_request::What;
use chaperone_api::chaperone::v1::{
    TrailFilter, TrailFormat, TrailOrder, TrailServiceExportRequest, TrailServiceExportResponse, TrailStretch,
};
use chaperone_policy::Timestamp as At;
use chaperone_trail::{ChainId, Cursor, Segments};
use prost_types::Timestamp;
use tonic::Streaming;

use crate::cli::connect::Link;
use crate::cli::failure::Failure;
use crate::cli::trail::Entry;
use crate::cli::trail::filter::says_only_when;
use crate::cli::trail::stretch::StretchOptions;
use crate::grpc::convert::timestamp_to_api;
use crate::trail::read_since;

/// No record is longer, in bytes.
const LINE_BYTES_MAX: u64 = 32 * 1024 * 1024;
/// How many records are read at once.
const BATCH: usize = 512;
/// About how many bytes they have.
const BATCH_BYTES: usize = 1 << 20;

/// Records, each state before those that name it.
pub enum Source<'a> {
    /// Of the server's trail.
    Server {
        /// For what goes wrong.
        link: &'a Link,
        /// The parts that come.
        parts: Box<Streaming<TrailServiceExportResponse>>,
        /// The beginning of a record whose end is in the next part.
        rest: Vec<u8>,
    },
    /// Lines of a file.
    Lines(Box<dyn BufRead + Send>, String),
    /// Of a journal.
    Journal(Box<Cursor>),
}

/// Places of one chain.
#[derive(Clone, Copy, Debug, Default)]
pub struct Places {
    chain: Option<ChainId>,
    from_seq: Option<u64>,
    to_seq: Option<u64>,
}

impl Places {
    /// Those that are asked for.
    ///
    /// # Errors
    /// When the chain is none.
    pub fn of(options: &StretchOptions) -> Result<Self, Failure> {
        let chain = options.chain.as_deref().map(str::parse).transpose();
        let chain = chain.map_err(|_| Failure::Input("a chain's id is a UUID".to_owned()))?;
        Ok(Self { chain, from_seq: options.from_seq, to_seq: options.to_seq })
    }

    /// Which records of which chain.
    pub fn range(&self) -> (Option<ChainId>, std::ops::RangeInclusive<u64>) {
        (self.chain, self.from_seq.unwrap_or(0)..=self.to_seq.unwrap_or(u64::MAX))
    }
}

impl<'a> Source<'a> {
    /// Of the server's trail: from the beginning of the day in which the first decision was made, or of the one that was so long before.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn server(
        link: &'a Link,
        filter: &TrailFilter,
        places: &Places,
        backfill: Duration,
    ) -> Result<Self, Failure> {
        let (mut from, mut before) = (filter.from, filter.before);
        if !says_only_when(filter) {
            // What is wanted may be little: it is read from where it begins to where it ends.
            let Some(first) = at(link, filter, TrailOrder::Oldest).await? else {
                return Ok(Self::Lines(Box::new(std::io::empty()), String::new()));
            };
            from = Some(first);
            before = at(link, filter, TrailOrder::Newest)
                .await?
                .map(|last| Timestamp { seconds: last.seconds + 1, nanos: 0 });
        }
        // To a place a stretch begins with its chain, because nothing tells where the day of that place begins.
        let is_placed = places.to_seq.is_some();
        let stretch = TrailStretch {
            chain_id: places.chain.map(|chain| chain.to_string()).unwrap_or_default(),
            from_seq: 0,
            to_seq: places.to_seq.unwrap_or_default(),
            from: from.filter(|_| !is_placed).map(|from| earlier(from, backfill)),
            before: before.filter(|_| !is_placed),
        };
        let format = TrailFormat::JsonLines.into();
        let request = TrailServiceExportRequest { what: Some(What::Stretch(stretch)), format };
        let mut trail = link.trail_without_deadline();
        let parts = Box::new(link.answer(trail.export(request)).await?);
        Ok(Self::Server { link, parts, rest: Vec::new() })
    }

    /// Lines of an export.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub fn file(path: &Path) -> Result<Self, Failure> {
        let shown = path.display().to_string();
        if path == Path::new("-") {
            return Ok(Self::Lines(Box::new(BufReader::new(std::io::stdin())), shown));
        }
        let file = File::open(path).map_err(|error| Failure::Input(format!("cannot read `{shown}`: {error}")))?;
        Ok(Self::Lines(Box::new(BufReader::new(file)), shown))
    }

    /// Of a journal that nobody writes just now.
    ///
    /// # Errors
    /// When there is none.
    pub fn journal(directory: &Path) -> Result<Self, Failure> {
        let segments = Segments::open(directory).map_err(|error| unreadable(&error))?;
        let first = segments.extent().map_or(1, |extent| extent.first);
        Ok(Self::Journal(Box::new(segments.unshipped(first))))
    }

    /// The next records; `None` when there are no more.
    ///
    /// # Errors
    /// When they cannot be read.
    pub async fn next(&mut self) -> Result<Option<Vec<Vec<u8>>>, Failure> {
        match self {
            Self::Server { link, parts, rest } => {
                let part = parts.message().await.map_err(|status| link.failure(&status))?;
                let Some(part) = part else { return Ok(None) };
                rest.extend_from_slice(&part.data);
                let whole = rest.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
                let ended: Vec<u8> = rest.drain(..whole).collect();
                let lines = ended.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
                Ok(Some(lines.map(<[u8]>::to_vec).collect()))
            }
            Self::Lines(lines, shown) => {
                let mut batch = Vec::new();
                while batch.len() < BATCH {
                    let mut line = Vec::new();
                    let read = lines.by_ref().take(LINE_BYTES_MAX).read_until(b'\n', &mut line);
                    read.map_err(|error| Failure::Input(format!("cannot read `{shown}`: {error}")))?;
                    if line.is_empty() {
                        break;
                    }
                    if line.ends_with(b"\n") {
                        line.pop();
                    }
                    batch.push(line);
                }
                Ok(Some(batch).filter(|batch| !batch.is_empty()))
            }
            Self::Journal(cursor) => {
                let batch = cursor.batch(BATCH, BATCH_BYTES).map_err(|error| unreadable(&error))?;
                let records: Vec<_> = batch.into_iter().map(|sealed| sealed.bytes).collect();
                Ok(Some(records).filter(|records| !records.is_empty()))
            }
        }
    }
}

fn unreadable(error: &chaperone_trail::TrailError) -> Failure {
    let cause = std::error::Error::source(error).map(|cause| format!(": {cause}")).unwrap_or_default();
    Failure::Input(format!("{error}{cause}"))
}

/// When the first or last record of a filter happened.
async fn at(link: &Link, filter: &TrailFilter, order: TrailOrder) -> Result<Option<Timestamp>, Failure> {
    let Some(entry) = Entry::find(link, filter, order, 1).await?.pop() else { return Ok(None) };
    let record = entry.record.ok_or_else(|| {
        Failure::Input("a record that matches is none that this program reads: the server is newer".to_owned())
    })?;
    Ok(Some(timestamp_to_api(record.at)))
}

/// From when on all stands that a decision read which was made so long before.
fn earlier(time: Timestamp, by: Duration) -> Timestamp {
    let by = i64::try_from(by.as_secs()).unwrap_or(i64::MAX);
    // Nothing was recorded before 1970.
    let seconds = time.seconds.saturating_sub(by).max(0);
    timestamp_to_api(read_since(At::from_micros(seconds.saturating_mul(1_000_000))))
}

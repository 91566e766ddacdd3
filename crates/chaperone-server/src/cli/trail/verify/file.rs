//! Verifying an export without a server.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Read as _};
use std::path::Path;

use chaperone_trail::{ChainId, Record, Sealed, Trust, Verifier};

use super::super::progress::Progress;
use crate::admin::trail::{ChainProof, Proof};
use crate::cli::failure::Failure;

/// No record is longer, in bytes.
const LINE_BYTES_MAX: u64 = 32 * 1024 * 1024;

/// A chain of the file.
struct Chain {
    verifier: Verifier,
    /// The place after the last record.
    next: u64,
}

/// What the records in a file of JSON lines prove, chain by chain. No more than one of them is in memory.
///
/// # Errors
/// `Input` when it cannot be read, or does not begin with a record.
pub fn verify(path: &Path, trust: &Trust) -> Result<Proof, Failure> {
    if path == Path::new("-") {
        return read(std::io::stdin().lock(), path, trust);
    }
    let file =
        File::open(path).map_err(|error| Failure::Input(format!("cannot read `{}`: {error}", path.display())))?;
    read(BufReader::new(file), path, trust)
}

fn read(mut lines: impl BufRead, path: &Path, trust: &Trust) -> Result<Proof, Failure> {
    let shown = path.display();
    let mut chains: BTreeMap<ChainId, Chain> = BTreeMap::new();
    let (mut current, mut record_count, mut line) = (None, 0_u64, Vec::new());
    let mut progress = Progress::begin();
    loop {
        line.clear();
        lines
            .by_ref()
            .take(LINE_BYTES_MAX)
            .read_until(b'\n', &mut line)
            .map_err(|error| Failure::Input(format!("cannot read `{shown}`: {error}")))?;
        if line.is_empty() {
            break;
        }
        let bytes = line.strip_suffix(b"\n").unwrap_or(&line);
        let sealed = match (Record::parse(bytes), current) {
            (Ok(record), _) => Sealed { chain: record.chain, seq: record.seq, bytes: bytes.to_vec() },
            // What is no record stands where the next one of its chain should.
            (Err(_), Some(chain)) => {
                let seq = chains.get(&chain).map_or(1, |known| known.next);
                Sealed { chain, seq, bytes: bytes.to_vec() }
            }
            (Err(_), None) => {
                return Err(Failure::Input(format!(
                    "`{shown}` does not begin with a record; only exports as jsonl can be verified"
                )));
            }
        };
        current = Some(sealed.chain);
        let chain = chains
            .entry(sealed.chain)
            .or_insert_with(|| Chain { verifier: Verifier::new(trust.clone()), next: sealed.seq });
        record_count += u64::from(chain.verifier.add(&sealed));
        chain.next = sealed.seq.saturating_add(1);
        progress.tell(record_count);
    }
    if chains.is_empty() {
        return Err(Failure::Input(format!("`{shown}` is empty: there is nothing to verify")));
    }
    let chains = chains.into_iter().map(|(chain, found)| ChainProof::new(chain, found.verifier.finish(), trust));
    Ok(Proof { record_count, chains: chains.collect() })
}

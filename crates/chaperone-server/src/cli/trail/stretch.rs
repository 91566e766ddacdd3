//! Which stretch of the trail a command is about.

use chaperone_api::chaperone::v1::TrailStretch;
use chaperone_trail::ChainId;
use clap::Args;
use prost_types::Timestamp;

/// Options that name places of a chain.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Stretch")]
pub struct StretchOptions {
    /// Of this chain
    #[arg(long, value_name = "ID", value_parser = chain_id)]
    pub chain: Option<String>,
    /// From this record of the chain on
    #[arg(long, value_name = "SEQ", requires = "chain", value_parser = clap::value_parser!(u64).range(1..))]
    pub from_seq: Option<u64>,
    /// To this record of the chain, which is in it
    #[arg(long, value_name = "SEQ", requires = "chain", value_parser = clap::value_parser!(u64).range(1..))]
    pub to_seq: Option<u64>,
}

impl StretchOptions {
    /// Whether any was given.
    pub fn is_given(&self) -> bool {
        self.chain.is_some()
    }

    /// The stretch that the API takes.
    pub fn into_stretch(self, from: Option<Timestamp>, before: Option<Timestamp>) -> TrailStretch {
        TrailStretch {
            chain_id: self.chain.unwrap_or_default(),
            from_seq: self.from_seq.unwrap_or_default(),
            to_seq: self.to_seq.unwrap_or_default(),
            from,
            before,
        }
    }
}

fn chain_id(text: &str) -> Result<String, String> {
    let id: Result<ChainId, _> = text.parse();
    id.map(|id| id.to_string()).map_err(|_| "a chain's id is a UUID; records hold it".to_owned())
}

//! `chaperone entity`: put, delete and list.

mod json;

use std::path::PathBuf;

use chaperone_api::chaperone::v1::{
    EntityRef, EntityServiceDeleteRequest, EntityServiceListRequest, EntityServicePutRequest,
};
use clap::{Args, Subcommand};
use serde::Serialize;

pub(super) use self::json::write_value;
use super::connect::AdminOptions;
use super::failure::Failure;
use super::output::{self, Cell, Format, Table};
use super::parse::{self, show_entity_ref};
use super::{files, paging};
use crate::count_text::count_text;

/// The most entities that one call stores or deletes; more would not be all or nothing.
const ENTITIES_MAX: usize = 1_000;

const PUT_HELP: &str = "\
Examples:
  chaperone entity put agents.json
  echo '[{\"uid\": {\"type\": \"Agent\", \"id\": \"report-bot\"}, \"attrs\": {\"suspended\": true}, \"parents\": []}]' \\
      | chaperone entity put -

The file is an array in Cedar's JSON entity format. Entities and extension values in attributes are written with
`__entity` and `__extn`. All entities of the file are stored, or none; at most 1,000.";

const DELETE_HELP: &str = "\
Examples:
  chaperone entity delete 'Agent::\"report-bot\"' 'Document::\"welcome\"'

Entities of the active bundle are not deleted: they change with the bundle.";

/// Keep entities beside those of the bundle
#[derive(Debug, Subcommand)]
pub enum EntityCommand {
    /// Store entities, replacing those with the same identity
    #[command(after_help = PUT_HELP)]
    Put(PutArgs),
    /// Delete stored entities
    #[command(after_help = DELETE_HELP)]
    Delete(DeleteArgs),
    /// List stored entities by type and id
    List(ListArgs),
}

/// Arguments of `entity put`.
#[derive(Debug, Args)]
pub struct PutArgs {
    /// JSON file, or - for standard input
    #[arg(value_name = "FILE.json|-")]
    file: PathBuf,
    /// How to print the result
    #[arg(long, value_enum, default_value_t = Format::Table)]
    output: Format,
    #[command(flatten)]
    admin: AdminOptions,
}

/// Arguments of `entity delete`.
#[derive(Debug, Args)]
pub struct DeleteArgs {
    /// Entities, such as 'Document::"welcome"'
    #[arg(value_name = "ENTITY", required = true, value_parser = parse::entity_ref)]
    entities: Vec<EntityRef>,
    /// How to print the result
    #[arg(long, value_enum, default_value_t = Format::Table)]
    output: Format,
    #[command(flatten)]
    admin: AdminOptions,
}

/// Arguments of `entity list`.
#[derive(Debug, Args)]
pub struct ListArgs {
    /// Of this type only, such as Document
    #[arg(long = "type", value_name = "TYPE", default_value = "", hide_default_value = true)]
    kind: String,
    /// How many at most
    #[arg(long, value_name = "COUNT", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
    /// How to print the result; JSON is what `entity put` reads
    #[arg(long, value_enum, default_value_t = Format::Table)]
    output: Format,
    #[command(flatten)]
    admin: AdminOptions,
}

#[derive(Debug, Serialize)]
struct StoredJson {
    stored_count: u64,
}

#[derive(Debug, Serialize)]
struct DeletedJson {
    deleted_count: u64,
}

impl EntityCommand {
    /// Runs the command.
    ///
    /// # Errors
    /// As they come.
    pub async fn run(self) -> Result<(), Failure> {
        match self {
            Self::Put(args) => args.run().await,
            Self::Delete(args) => args.run().await,
            Self::List(args) => args.run().await,
        }
    }
}

impl PutArgs {
    async fn run(self) -> Result<(), Failure> {
        let text = files::read(&self.file, files::JSON_BYTES_MAX)?;
        let file = self.file.display();
        let entities = json::read_entities(&text).map_err(|message| Failure::Input(format!("`{file}`: {message}")))?;
        check_count(entities.len())?;
        let link = self.admin.connect().await?;
        let stored_count = link.answer(link.entities().put(EntityServicePutRequest { entities })).await?.stored_count;
        match self.output {
            Format::Json => output::print_json(&StoredJson { stored_count }),
            Format::Table => output::print(&format!("{} stored\n", counted(stored_count))),
        }
    }
}

impl DeleteArgs {
    async fn run(self) -> Result<(), Failure> {
        check_count(self.entities.len())?;
        let link = self.admin.connect().await?;
        let request = EntityServiceDeleteRequest { uids: self.entities };
        let deleted_count = link.answer(link.entities().delete(request)).await?.deleted_count;
        match self.output {
            Format::Json => output::print_json(&DeletedJson { deleted_count }),
            Format::Table => output::print(&format!("{} deleted\n", counted(deleted_count))),
        }
    }
}

impl ListArgs {
    async fn run(self) -> Result<(), Failure> {
        let link = self.admin.connect().await?;
        let entities = paging::collect(self.limit, async |page_size, page_token| {
            let request = EntityServiceListRequest { r#type: self.kind.clone(), page_size, page_token };
            let response = link.answer(link.entities().list(request)).await?;
            Ok((response.entities, response.next_page_token))
        })
        .await?;
        if self.output == Format::Json {
            return output::print_json(&entities.iter().map(json::write_entity).collect::<Vec<_>>());
        }
        let mut table = Table::with_header(&["ENTITY", "PARENTS", "ATTRIBUTES", "TAGS"]);
        for entity in &entities {
            let parents: Vec<String> = entity.parents.iter().map(show_entity_ref).collect();
            table.row([
                Cell::from(entity.uid.as_ref().map(show_entity_ref).unwrap_or_default()),
                parents.join(", ").into(),
                json::write_attributes(&entity.attributes).to_string().into(),
                json::write_attributes(&entity.tags).to_string().into(),
            ]);
        }
        output::print(&table.render())
    }
}

fn check_count(count: usize) -> Result<(), Failure> {
    if count <= ENTITIES_MAX {
        return Ok(());
    }
    Err(Failure::Input(format!("{count} entities are more than one call takes ({ENTITIES_MAX}); split them")))
}

fn counted(count: u64) -> String {
    count_text(count, "entity", "entities")
}

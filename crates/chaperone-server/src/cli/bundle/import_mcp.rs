//! `chaperone bundle import-mcp`: drafts schema and mapping for the tools of an MCP server.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use chaperone_policy::{ImportedTools, import_tools};
use clap::Args;

use crate::cli::failure::Failure;
use crate::cli::files;
use crate::cli::output;

/// Examples for the help.
pub const HELP: &str = "\
Examples:
  chaperone bundle import-mcp tools.json --server mail
  chaperone bundle import-mcp tools.json --server mail --principal Agent --out ./bundle
  mcp-client list-tools | chaperone bundle import-mcp - --server mail --out ./bundle --force

The file is a list of tools, the result of `tools/list`, or the whole response to it. What is drafted is a beginning: the groups of the
actions come from hints of the server, which nobody verified. What was left out or assumed goes to standard error.

Exit codes: 0 drafted, 2 the file is no list of tools, or something cannot be read or written.";

const SCHEMA: &str = "schema.cedarschema";
const MAPPING: &str = "mapping.toml";

/// Arguments of `bundle import-mcp`.
#[derive(Debug, Args)]
pub struct ImportMcpArgs {
    /// File with the server's tools in JSON, or - for standard input
    #[arg(value_name = "FILE")]
    tools: PathBuf,
    /// What the server is called in resources, such as Tool::"mail/send"
    #[arg(long, value_name = "NAME", default_value = "", hide_default_value = true)]
    server: String,
    /// A type of entity that may call the tools (repeatable)
    #[arg(long = "principal", value_name = "TYPE", default_value = "Agent")]
    principals: Vec<String>,
    /// Folder to write schema.cedarschema and mapping.toml into, or - for standard output
    #[arg(long, value_name = "DIR", default_value = "-", hide_default_value = true)]
    out: PathBuf,
    /// Overwrite files that are there
    #[arg(long)]
    force: bool,
}

impl ImportMcpArgs {
    /// Runs the command.
    ///
    /// # Errors
    /// As they come.
    pub fn run(self) -> Result<(), Failure> {
        let tools = files::read(&self.tools, files::JSON_BYTES_MAX)?;
        let principals: Vec<&str> = self.principals.iter().map(String::as_str).collect();
        let drafted = import_tools(&tools, &self.server, &principals);
        let drafted =
            drafted.map_err(|error| Failure::Input(format!("`{}`: {}", self.tools.display(), error.message)))?;
        for warning in &drafted.warnings {
            output::note(&format!("note: {}", output::plain(warning)));
        }
        let ImportedTools { schema, mapping, .. } = drafted;
        if self.out == Path::new("-") {
            let text = format!("// {SCHEMA}\n\n{schema}\n# {MAPPING}\n\n{mapping}");
            return output::print_raw(text.as_bytes());
        }
        let drafts = [(SCHEMA, schema), (MAPPING, mapping)].map(|(name, text)| (self.out.join(name), text));
        // Neither is written where one could not be.
        if let Some((path, _)) = drafts.iter().find(|(path, _)| !self.force && path.symlink_metadata().is_ok()) {
            return Err(Failure::Input(format!("`{}` is there already; --force overwrites it", path.display())));
        }
        std::fs::create_dir_all(&self.out).map_err(|error| unwritable(&self.out, &error))?;
        for (path, text) in &drafts {
            self.write(path, text).map_err(|error| unwritable(path, &error))?;
        }
        output::print(&format!("wrote {SCHEMA} and {MAPPING} to {}\n", output::plain(&self.out.display().to_string())))
    }

    fn write(&self, path: &Path, text: &str) -> std::io::Result<()> {
        let mut options = OpenOptions::new();
        let options = if self.force { options.create(true).truncate(true) } else { options.create_new(true) };
        options.write(true).open(path)?.write_all(text.as_bytes())
    }
}

fn unwritable(path: &Path, error: &std::io::Error) -> Failure {
    Failure::Input(format!("cannot write `{}`: {error}", path.display()))
}

//! `chaperone completions`.

use clap::{Args, CommandFactory as _};
use clap_complete::Shell;

use super::failure::Failure;
use super::{Cli, output};

/// Examples for the help.
pub const HELP: &str = "\
Examples:
  chaperone completions bash > ~/.local/share/bash-completion/completions/chaperone
  chaperone completions zsh > ~/.zfunc/_chaperone
  chaperone completions fish > ~/.config/fish/completions/chaperone.fish
  chaperone completions powershell >> $PROFILE";

/// Arguments of `completions`.
#[derive(Debug, Args)]
pub struct CompletionsArgs {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

impl CompletionsArgs {
    /// Runs the command.
    ///
    /// # Errors
    /// When the script cannot be written out.
    pub fn run(&self) -> Result<(), Failure> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), "chaperone", &mut script);
        output::print_raw(&script)
    }
}

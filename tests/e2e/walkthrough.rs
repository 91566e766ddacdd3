//! The commands of `docs/walkthrough.md`, as a reader types them, and what the page says that they print.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use chaperone_e2e::chaperone::Chaperone;
use chaperone_e2e::{binaries, ports, wait};
use tempfile::TempDir;

/// Stands before the exit code of a block's last command, in what the shell prints.
const END: &str = "--end-of-block--";
/// How the page tells the exit code of a command that does not end with 0.
const EXIT_CODE: &str = "# exit code ";
/// What these tell comes about beside the answers of the server, so that a reader may be too fast.
const EVENTUAL: [&str; 2] = ["chaperone bundle replay ", "chaperone bundle shadow status"];

/// A fenced block of commands, and the lines that the page shows of what they print.
#[derive(Debug, Default)]
struct Block {
    commands: String,
    shown: Vec<String>,
}

impl Block {
    /// Every `sh` block of the page, each with the `text` block that follows it.
    fn of_page(text: &str) -> Vec<Self> {
        let mut blocks = Vec::<Self>::new();
        let mut fence = None;
        for line in text.lines() {
            match (fence, line.strip_prefix("```")) {
                (None, None) => {}
                (None, Some(language)) => {
                    fence = Some(language);
                    match language {
                        "sh" => blocks.push(Self::default()),
                        "text" => assert!(blocks.last().is_some_and(|block| block.shown.is_empty()), "output of what?"),
                        other => panic!("a block of `{other}`, which nothing runs"),
                    }
                }
                (Some(_), Some(_)) => fence = None,
                (Some("sh"), None) => {
                    let block = blocks.last_mut().expect("it was begun");
                    block.commands.push_str(line);
                    block.commands.push('\n');
                }
                (Some(_), None) => blocks.last_mut().expect("it was begun").shown.push(line.to_owned()),
            }
        }
        blocks
    }

    fn exit_code(&self) -> i32 {
        let told = self.commands.split(EXIT_CODE).nth(1).map(|rest| rest.chars().take_while(char::is_ascii_digit));
        told.map_or(0, |digits| digits.collect::<String>().parse().expect("a number"))
    }

    fn is_eventual(&self) -> bool {
        EVENTUAL.iter().any(|command| self.commands.starts_with(command))
    }

    /// The first line of the page that is not among what was printed, in this order.
    fn missing(&self, printed: &str) -> Option<&str> {
        let mut lines = printed.lines();
        self.shown.iter().map(String::as_str).find(|shown| !lines.any(|line| is_like(line, shown)))
    }
}

/// Whether a line is as shown, where `…` stands for anything.
fn is_like(line: &str, shown: &str) -> bool {
    let mut parts: Vec<_> = shown.split('…').collect();
    let Some(mut rest) = line.strip_prefix(parts.remove(0)) else { return false };
    let Some(last) = parts.pop() else { return rest.is_empty() };
    for part in parts {
        let Some((_, after)) = rest.split_once(part) else { return false };
        rest = after;
    }
    rest.ends_with(last)
}

/// A shell in a folder, which keeps what is exported in it.
struct Shell {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Shell {
    fn start(folder: &Path, server: &Chaperone) -> Self {
        let mut child = as_a_reader(folder)
            .env("CHAPERONE_ADMIN_URL", format!("http://{}", server.admin))
            .env("CHAPERONE_DATA_URL", format!("http://{}", server.data))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a shell");
        let mut input = child.stdin.take().expect("its input");
        let output = BufReader::new(child.stdout.take().expect("its output"));
        input.write_all(b"exec 2>&1\n").expect("it reads");
        Self { child, input, output }
    }

    /// Runs a block; what it printed, and the exit code of its last command.
    fn run(&mut self, commands: &str) -> (String, i32) {
        self.input.write_all(format!("{commands}echo \"{END}$?\"\n").as_bytes()).expect("it reads");
        let mut printed = String::new();
        loop {
            let mut line = String::new();
            assert!(self.output.read_line(&mut line).expect("UTF-8") > 0, "the shell has ended: {printed}");
            match line.strip_prefix(END) {
                Some(code) => return (printed, code.trim().parse().expect("a number")),
                None => printed.push_str(&line),
            }
        }
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A shell that knows `chaperone`, and nothing of the surroundings' configuration.
fn as_a_reader(folder: &Path) -> Command {
    let directory = binaries::chaperone().parent().expect("a folder").to_owned();
    let inherited = std::env::var_os("PATH").unwrap_or_default();
    let path = std::env::join_paths([directory].into_iter().chain(std::env::split_paths(&inherited)));
    let mut command = Command::new("sh");
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("CHAPERONE_")) {
        command.env_remove(name);
    }
    command
        .env("PATH", path.expect("directories without colons"))
        .env("NO_PROXY", "127.0.0.1,localhost")
        .env("NO_COLOR", "1")
        .current_dir(folder);
    command
}

/// Starts the server as the page does, on ports that are free.
async fn serve(folder: &Path, block: &Block) -> Chaperone {
    let addresses = [ports::free(), ports::free(), ports::free()];
    let mut command = as_a_reader(folder);
    command.args(["-c", &format!("exec {}", block.commands)]);
    for (name, address) in ["DATA", "ADMIN", "HTTP"].into_iter().zip(addresses) {
        command.env(format!("CHAPERONE_{name}_LISTEN"), address.to_string());
    }
    let mut server = Chaperone::spawn_command(&mut command, addresses);
    server.alive().await;
    server
}

#[tokio::test(flavor = "multi_thread")]
async fn every_command_of_the_page_does_what_the_page_says() {
    let text = fs::read_to_string(binaries::repository().join("docs/walkthrough.md")).expect("the page");
    let blocks = Block::of_page(&text);
    let (first, others) = blocks.split_first().expect("blocks");
    let folder = TempDir::new().expect("a folder");
    let server = serve(folder.path(), first).await;
    let mut shell = Shell::start(folder.path(), &server);
    for block in others {
        let mut run = || {
            let (printed, code) = shell.run(&block.commands);
            match block.missing(&printed) {
                None if code == block.exit_code() => Ok(()),
                missing => Err(format!("{}\ngave {code} and\n\n{printed}\nwithout {missing:?}", block.commands)),
            }
        };
        if block.is_eventual() {
            wait::until(&block.commands, async || run().ok()).await;
        } else {
            run().unwrap_or_else(|told| panic!("{told}"));
        }
    }
    assert!(others.len() >= 10, "the page has only {} blocks", others.len());
}

#[test]
fn what_is_shown_stands_for_what_is_like_it() {
    for (line, shown, is) in [
        ("a 1 b", "a 1 b", true),
        ("a 1 b c", "a 1 b", false),
        ("a 1 b", "a … b", true),
        ("a 1 b", "… b", true),
        ("a 1 b", "a …", true),
        ("a 1 b", "a … c", false),
        ("a 1 b 2 c", "a … b … c", true),
        ("a 1 c", "a … b … c", false),
        ("x a", "a", false),
    ] {
        assert_eq!(is_like(line, shown), is, "{line} and {shown}");
    }
}

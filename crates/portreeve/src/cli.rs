//! The command line: arguments as types, from arguments to a command, and what is said when it ends badly.
//! Nothing is done here; each command is a function in `commands`. The environment is read by `config` alone, so no
//! argument takes its value from a variable.

use crate::{
    commands::{self, CommandError, Exit, Setup, cluster::ClusterCommand},
    config::{self, LoadError},
};
use clap::{Args, CommandFactory, Parser, Subcommand, ValueEnum, ValueHint};
use std::{
    error::Error,
    ffi::OsString,
    io::{self, Write},
    net::SocketAddr,
    path::PathBuf,
    str::FromStr,
    time::Duration,
};

const EXITS: &str = "Exit codes: 0 done; 1 failed; 2 wrong usage or configuration; 3 a server could not be reached; \
4 refused by policy. Those of `cluster` \
are with its commands.";

/// One gate between AI agents and MCP servers of every protocol revision.
#[derive(Debug, Parser)]
#[command(name = "portreeve", version, about = "One gate between AI agents and MCP servers of every protocol revision", after_help = EXITS, max_term_width = 110)]
#[command(propagate_version = true, disable_help_subcommand = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the gate; prints its addresses and a line to paste into a client
    #[command(after_help = "Examples:
  portreeve serve                          the configuration in the usual places, else a demo on loopback
  portreeve serve --config team.yaml
  portreeve serve --listen 127.0.0.1:9000")]
    Serve(ServeArguments),
    /// The gate over stdin and stdout, for clients that start a command
    #[command(after_help = "Examples:
  portreeve stdio files                    one server of the configuration, under its own tool names
  portreeve stdio                          all servers of the configuration, or its `mcp.root`
  portreeve stdio files tickets            two of them, as at the gate's address of all servers
  portreeve stdio --connect https://gate.example.com/mcp/files")]
    Stdio(StdioArguments),
    /// Read the configuration and say everything that is wrong with it
    #[command(after_help = "Examples:
  portreeve check
  portreeve check team.yaml --json

Exit codes: 0 the configuration can be used (warnings may be printed); 2 it cannot.")]
    Check(CheckArguments),
    /// Take over the servers of other programs' configuration
    #[command(after_help = "Examples:
  portreeve import ~/.config/Claude/claude_desktop_config.json
  portreeve import .vscode/mcp.json --write
  portreeve import mcp.json --config team.yaml --secrets /etc/portreeve/secrets --write

Without `--write` it only shows what would change. What looks like a secret goes into files of its own, which
the configuration refers to. Formats: `mcpServers` (Claude Desktop, Claude Code, Cursor, Windsurf, mcpo),
`servers` (VS Code), `context_servers` (Zed).

Exit codes: 0 done; 1 it cannot be written; 2 wrong usage, or the file cannot be understood.")]
    Import(ImportArguments),
    /// Try every server and say what it is and what is wrong
    #[command(after_help = "Examples:
  portreeve doctor                         all servers of the configuration
  portreeve doctor files tickets --json

Exit codes: 0 all servers answer; 2 wrong usage or configuration; 3 a server has a fault.")]
    Doctor(DoctorArguments),
    /// Call a tool from a terminal; progress and questions appear on stderr
    #[command(after_help = "Examples:
  portreeve call demo echo '{\"text\": \"hello\"}'
  portreeve call files read_file '{\"path\": \"/srv/data/a.txt\"}' --json
  portreeve call demo echo - < arguments.json

Exit codes: 0 done; 1 the tool reported an error; 2 wrong usage or configuration; 3 the server could not be
reached; 4 refused by policy.")]
    Call(CallArguments),
    /// List the tools of one server, or of all
    #[command(after_help = "Examples:
  portreeve tools
  portreeve tools files --json

Exit codes: 0 done; 2 wrong usage or configuration; 3 a server could not be reached.")]
    Tools(ToolsArguments),
    /// The demo server alone, to try clients and gateways with
    #[command(after_help = "Examples:
  portreeve demo --transport stdio --era legacy
  portreeve demo --transport http --era modern --listen 127.0.0.1:9001
  portreeve demo --transport sse --era legacy")]
    Demo(DemoArguments),
    /// Print the JSON Schema of the configuration, for editors
    #[command(after_help = "Example:
  portreeve schema > portreeve.schema.json

The first line `# yaml-language-server: $schema=portreeve.schema.json` tells an editor to use it.")]
    Schema {
        /// Make the tables of a page of the documentation anew
        #[arg(long, value_name = "FILE", hide = true)]
        page: Option<PathBuf>,
    },
    /// Work on a cluster that is described by cluster.yaml and nodes.yaml
    Cluster {
        /// What to do.
        #[command(subcommand)]
        command: ClusterCommand,
    },
    /// Print a completion script for a shell
    #[command(after_help = "Examples:
  portreeve completions bash > ~/.local/share/bash-completion/completions/portreeve
  portreeve completions fish > ~/.config/fish/completions/portreeve.fish")]
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Print the manual page
    #[command(after_help = "Example:
  portreeve man > ~/.local/share/man/man1/portreeve.1")]
    Man,
}

/// Which configuration, and where data lies.
#[derive(Debug, Clone, Default, Args)]
pub struct Places {
    /// The configuration [default: $PORTREEVE_CONFIG, ./portreeve.yaml, $XDG_CONFIG_HOME/portreeve/portreeve.yaml]
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub config: Option<PathBuf>,
    /// Where data lies, such as the seal key [default: $PORTREEVE_DATA, $XDG_DATA_HOME/portreeve]
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub data: Option<PathBuf>,
}

/// `serve`.
#[derive(Debug, Args)]
pub struct ServeArguments {
    /// Configuration and data.
    #[command(flatten)]
    pub places: Places,
    /// Listen here instead of where the configuration says; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub listen: Option<SocketAddr>,
}

/// `stdio`.
#[derive(Debug, Args)]
pub struct StdioArguments {
    /// The servers behind stdin and stdout: one under its own tool names, several together as at the gate's `/mcp`; without
    /// any the one with `mcp.root`, or all of the configuration
    #[arg(value_name = "SERVER", conflicts_with = "connect")]
    pub servers: Vec<String>,
    /// Bridge to a running gate, or any MCP server, instead of running one in this process
    #[arg(long, value_name = "URL", value_hint = ValueHint::Url)]
    pub connect: Option<String>,
    /// The API key to show to the gate behind `--connect`
    #[arg(long, value_name = "KEY", env = "PORTREEVE_KEY", hide_env_values = true)]
    pub key: Option<String>,
    /// A further header for the address behind `--connect`; may be given several times
    #[arg(long, value_name = "NAME: VALUE", requires = "connect")]
    pub header: Vec<String>,
    /// Configuration and data.
    #[command(flatten)]
    pub places: Places,
}

/// `check`.
#[derive(Debug, Args)]
pub struct CheckArguments {
    /// The file; without it the one that `serve` would use
    #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub file: Option<PathBuf>,
    /// The same as FILE, as other commands take it
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, conflicts_with = "file")]
    pub config: Option<PathBuf>,
    /// Print one JSON document and nothing else
    #[arg(long)]
    pub json: bool,
}

/// `import`.
#[derive(Debug, Args)]
pub struct ImportArguments {
    /// The other program's file
    #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub file: PathBuf,
    /// Write the configuration, instead of showing what would change
    #[arg(long)]
    pub write: bool,
    /// Where secrets are written [default: `secrets` in the data directory]
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub secrets: Option<PathBuf>,
    /// Configuration and data.
    #[command(flatten)]
    pub places: Places,
}

/// `doctor`.
#[derive(Debug, Args)]
pub struct DoctorArguments {
    /// The servers; without them all of the configuration
    #[arg(value_name = "SERVER")]
    pub servers: Vec<String>,
    /// How long each server may take, such as `90s`
    #[arg(long, value_name = "DURATION", default_value = "30s")]
    pub timeout: Patience,
    /// Print one JSON document and nothing else
    #[arg(long)]
    pub json: bool,
    /// Configuration and data.
    #[command(flatten)]
    pub places: Places,
}

/// A duration as the configuration writes it.
#[derive(Debug, Clone, Copy)]
pub struct Patience(pub Duration);

impl FromStr for Patience {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        config::duration(text).map(Self)
    }
}

/// `call`.
#[derive(Debug, Args)]
pub struct CallArguments {
    /// The server of the configuration
    #[arg(value_name = "SERVER")]
    pub server: String,
    /// The tool, under the server's own name for it
    #[arg(value_name = "TOOL")]
    pub tool: String,
    /// The arguments as a JSON object; `-` reads them from stdin
    #[arg(value_name = "JSON", default_value = "{}")]
    pub arguments: String,
    /// Print the result as one JSON document and nothing else
    #[arg(long)]
    pub json: bool,
    /// Configuration and data.
    #[command(flatten)]
    pub places: Places,
}

/// `tools`.
#[derive(Debug, Args)]
pub struct ToolsArguments {
    /// The server; without it all of the configuration
    #[arg(value_name = "SERVER")]
    pub server: Option<String>,
    /// Print one JSON document and nothing else
    #[arg(long)]
    pub json: bool,
    /// Configuration and data.
    #[command(flatten)]
    pub places: Places,
}

/// `demo`.
#[derive(Debug, Args)]
pub struct DemoArguments {
    /// The transport
    #[arg(long, value_enum)]
    pub transport: DemoTransport,
    /// The era that is spoken
    #[arg(long, value_enum)]
    pub era: DemoEra,
    /// Where to listen, for http and sse; port 0 takes a free one, which is printed
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:8490")]
    pub listen: SocketAddr,
}

/// The transports of the demo server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum DemoTransport {
    /// Over stdin and stdout
    Stdio,
    /// Streamable HTTP at /mcp
    Http,
    /// HTTP+SSE of 2024-11-05 at /sse
    Sse,
}

/// The eras of the demo server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum DemoEra {
    /// The initialize handshake, up to 2025-11-25
    Legacy,
    /// Stateless, from 2026-07-28
    Modern,
    /// Either, as the client wants
    Both,
}

/// Runs the program: parses, dispatches, and says on stderr what went wrong.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> Exit {
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version arrive as errors that belong on stdout. Where nobody reads, nothing is left to do.
            let _ = error.print();
            return if error.use_stderr() { Exit::Usage } else { Exit::Done };
        }
    };
    dispatch(&cli.command).unwrap_or_else(|error| {
        complain(&mut io::stderr().lock(), &error);
        error.exit()
    })
}

fn dispatch(command: &Command) -> Result<Exit, CommandError> {
    match command {
        Command::Serve(arguments) => commands::serve::run(&setup(&arguments.places)?, arguments),
        // A bridge to a running gate must not fail over a configuration that it does not use.
        Command::Stdio(arguments) if arguments.connect.is_some() => commands::stdio::run(None, arguments),
        Command::Stdio(arguments) => commands::stdio::run(Some(&setup(&arguments.places)?), arguments),
        Command::Check(arguments) => commands::check::run(arguments),
        Command::Call(arguments) => commands::call::run(&setup(&arguments.places)?, arguments),
        Command::Import(arguments) => commands::import::run(&setup(&arguments.places)?, arguments),
        Command::Doctor(arguments) => commands::doctor::run(&setup(&arguments.places)?, arguments),
        Command::Tools(arguments) => commands::tools::run(&setup(&arguments.places)?, arguments),
        Command::Demo(arguments) => commands::demo::run(arguments),
        Command::Cluster { command } => commands::cluster::run(command),
        Command::Schema { page: None } => print(format!("{:#}\n", config::schema()).as_bytes()),
        Command::Schema { page: Some(page) } => commands::schema::renew(page),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(*shell, &mut Cli::command(), "portreeve", &mut script);
            print(&script)
        }
        Command::Man => print(&manual()?),
    }
}

/// The configuration and the data directory; warnings go to stderr.
fn setup(places: &Places) -> Result<Setup, CommandError> {
    let loaded = config::load(places.config.as_deref()).map_err(CommandError::Configuration)?;
    let mut stderr = io::stderr().lock();
    for warning in &loaded.warnings {
        // A closed stderr must not keep the gate from running.
        let _ = writeln!(stderr, "warning: {warning}");
    }
    let data = config::data_directory(places.data.as_deref()).map_err(CommandError::Configuration)?;
    Ok(Setup { loaded, data })
}

/// One page with all commands: packagers install one file.
fn manual() -> Result<Vec<u8>, CommandError> {
    let failed = |error: io::Error| CommandError::new(Exit::Failed, "cannot make the manual page", error);
    let mut page = Vec::new();
    let command = Cli::command();
    clap_mangen::Man::new(command.clone()).render(&mut page).map_err(failed)?;
    for (name, sub) in leaves("portreeve", &command) {
        let man = clap_mangen::Man::new(sub.clone().bin_name(name.clone()));
        let mut section = Vec::new();
        man.render_description_section(&mut section).map_err(failed)?;
        man.render_options_section(&mut section).map_err(failed)?;
        man.render_extra_section(&mut section).map_err(failed)?;
        writeln!(page, ".SH {}", name.to_uppercase()).map_err(failed)?;
        // The parts of a command stand one level below it; `EXTRA` says nothing that its first word does not.
        let section =
            String::from_utf8_lossy(&section).replace(".SH EXTRA\n", ".PP\n").replace(".SH ", ".SS ");
        page.extend_from_slice(section.as_bytes());
    }
    Ok(page)
}

/// The commands that do something, with their full names.
fn leaves(name: &str, command: &clap::Command) -> Vec<(String, clap::Command)> {
    let mut found = Vec::new();
    for sub in command.get_subcommands().filter(|sub| !sub.is_hide_set()) {
        let name = format!("{name} {}", sub.get_name());
        match sub.has_subcommands() {
            true => found.extend(leaves(&name, sub)),
            false => found.push((name, sub.clone())),
        }
    }
    found
}

/// Writes to stdout; a reader that has gone away, such as `head`, is no failure.
pub(crate) fn print(bytes: &[u8]) -> Result<Exit, CommandError> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(bytes).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(CommandError::new(Exit::Failed, "cannot write to stdout", error))
        }
        _ => Ok(Exit::Done),
    }
}

/// Says what went wrong and why, one line for each cause; every problem of a configuration in full.
fn complain(out: &mut impl Write, error: &CommandError) {
    // Nobody can be told that stderr is closed.
    let _ = match error {
        CommandError::Configuration(LoadError::Wrong { problems, .. }) => {
            problems.iter().try_for_each(|problem| writeln!(out, "error: {problem}"))
        }
        other => chain(out, other),
    };
}

fn chain(out: &mut impl Write, error: &CommandError) -> io::Result<()> {
    writeln!(out, "error: {error}")?;
    let mut cause = error.source();
    while let Some(error) = cause {
        writeln!(out, "  because: {error}")?;
        cause = error.source();
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::ExitCode;

    fn arguments(line: &str) -> impl Iterator<Item = OsString> + '_ {
        line.split_whitespace().map(OsString::from)
    }

    #[test]
    fn the_definition_of_the_arguments_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn good_and_wrong_usage() {
        for (line, good) in [
            ("serve", true),
            ("serve --config a.yaml --data d --listen 127.0.0.1:0", true),
            ("serve --listen 8484", false),
            ("serve a.yaml", false),
            ("stdio", true),
            ("stdio files tickets --config a.yaml", true),
            ("stdio --connect http://127.0.0.1:1/mcp", true),
            ("stdio files --connect http://127.0.0.1:1/mcp", false),
            ("check", true),
            ("check a.yaml --json", true),
            ("check a.yaml --config b.yaml", false),
            ("call demo echo {} --json", true),
            ("call demo echo -", true),
            ("call demo echo", true),
            ("call demo", false),
            ("tools", true),
            ("tools demo --json", true),
            ("demo --transport stdio --era legacy", true),
            ("demo --transport sse --era both --listen 127.0.0.1:0", true),
            ("demo --transport pigeon --era both", false),
            ("demo --era both", false),
            ("completions fish", true),
            ("completions", false),
            ("man", true),
            ("", false),
            ("schema", true),
            ("import a.json --write --secrets d", true),
            ("import", false),
            ("doctor", true),
            ("doctor a b --json --timeout 5s", true),
            ("doctor --timeout 5", false),
            ("cluster validate", true),
            ("cluster", false),
            ("cluster schema nodes --markdown", false),
        ] {
            let parsed = Cli::try_parse_from(arguments(&format!("portreeve {line}")));
            assert_eq!(parsed.is_ok(), good, "{line}: {parsed:?}");
        }
    }

    #[test]
    fn every_example_in_the_help_is_good_usage() {
        let mut seen = 0;
        for (_, sub) in leaves("portreeve", &Cli::command()) {
            let help = sub.get_after_help().map(ToString::to_string).unwrap_or_default();
            for line in help.lines().filter(|line| line.trim_start().starts_with("portreeve ")) {
                // Behind two blanks stands what the example does; a shell sees quotes, redirections and pipes.
                let command = line.trim().split("   ").next().unwrap().split(['<', '>', '|']).next().unwrap();
                let command = command
                    .replace("{\"text\": \"hello\"}", "{}")
                    .replace("{\"path\": \"/srv/data/a.txt\"}", "{}");
                Cli::try_parse_from(arguments(&command)).unwrap_or_else(|error| panic!("{line}\n{error}"));
                seen += 1;
            }
        }
        assert!(seen >= 10, "{seen} examples");
    }

    #[test]
    fn exit_codes_are_fixed() {
        for (exit, code) in [
            (Exit::Done, 0),
            (Exit::Failed, 1),
            (Exit::Usage, 2),
            (Exit::Unreachable, 3),
            (Exit::Refused, 4),
            (Exit::Inputs, 3),
        ] {
            assert_eq!(ExitCode::from(exit), ExitCode::from(code));
        }
    }

    #[test]
    fn the_manual_has_every_command_that_is_for_people() {
        let page = String::from_utf8(manual().unwrap()).unwrap();
        for name in
            ["serve", "stdio", "check", "call", "tools", "demo", "completions", "man", "cluster validate"]
        {
            assert!(page.contains(&format!(".SH PORTREEVE {}\n", name.to_uppercase())), "{name}");
        }
    }

    #[test]
    fn an_error_is_said_with_its_causes() {
        let said = |error: &CommandError| {
            let mut out = Vec::new();
            complain(&mut out, error);
            String::from_utf8(out).unwrap()
        };
        let inner =
            CommandError::new(Exit::Failed, "cannot listen on 127.0.0.1:1", io::Error::other("in use"));
        let outer = CommandError::new(Exit::Unreachable, "cannot start", inner);
        assert_eq!(
            said(&outer),
            "error: cannot start\n  because: cannot listen on 127.0.0.1:1\n  because: in use\n"
        );
        assert_eq!(outer.exit(), Exit::Unreachable);

        let wrong = config::load_text(std::path::Path::new("f.yaml"), "log: 1\nmcp: 2").unwrap_err();
        let wrong = CommandError::Configuration(wrong);
        let lines: Vec<String> = said(&wrong).lines().map(|line| line.chars().take(20).collect()).collect();
        assert_eq!(
            lines,
            ["error: f.yaml:1:6: l", "    mend: write `key", "error: f.yaml:2:6: m", "    mend: write `key"]
        );
        assert_eq!(wrong.exit(), Exit::Usage);
    }
}

//! `headcount bench`: load for any WebSocket server.

mod progress;
mod show;
mod work;

use std::fs;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Args;
use headcount_load::Target;

use super::check::print;
use crate::limits::descriptors::Descriptors;
use progress::Progress;
use work::Plan;

/// Descriptors of this process that are no connections.
const RESERVE: u64 = 32;

#[derive(Debug, Args)]
pub(crate) struct Bench {
    /// Where to open idle connections, as ws://HOST:PORT/PATH; {n} stands for the connection's number
    url: String,

    /// Connections that are idle, or subscribe
    #[arg(long, value_name = "NUMBER", default_value_t = 1_000,
        value_parser = clap::value_parser!(u32).range(1..))]
    connections: u32,

    /// A URL whose connections get back what they send: measures echoes
    #[arg(long, value_name = "URL")]
    echo: Option<String>,

    /// A URL whose connections get what is published: measures broadcasts, with --publish
    #[arg(long, value_name = "URL", requires = "publish")]
    subscribe: Option<String>,

    /// A URL whose connections publish what they send
    #[arg(long, value_name = "URL", requires = "subscribe")]
    publish: Option<String>,

    /// Bytes of a message
    #[arg(long, value_name = "NUMBER", default_value_t = 64,
        value_parser = clap::value_parser!(u32).range(1..=16_777_216))]
    bytes: u32,

    /// Broadcasts a second beside which an echo is measured, with --echo and --subscribe
    #[arg(long, value_name = "NUMBER", default_value_t = 20,
        value_parser = clap::value_parser!(u32).range(1..=10_000))]
    storm: u32,

    /// Seconds for each kind of work
    #[arg(long, value_name = "SECONDS", default_value_t = 3,
        value_parser = clap::value_parser!(u32).range(1..=3_600))]
    seconds: u32,

    /// Seconds for all of it, after which it fails
    #[arg(long, value_name = "SECONDS", default_value_t = 120,
        value_parser = clap::value_parser!(u32).range(1..=86_400))]
    limit: u32,

    /// The server's process on this machine: its time and memory are measured as well
    #[arg(long, value_name = "PROCESS")]
    pid: Option<u32>,

    /// Print JSON in place of a table
    #[arg(long)]
    json: bool,

    /// Draw arrivals and the longest waits over time, as an SVG
    #[arg(long, value_name = "FILE")]
    plot: Option<PathBuf>,
}

pub(crate) const HELP: &str = "Each run opens idle connections, keeps them, and then opens others and \
ends them at once. Further work needs the URLs that do it:

  headcount bench ws://127.0.0.1:7400/ws?user=u{n}
  headcount bench ws://HOST/echo --echo ws://HOST/echo
  headcount bench ws://HOST/sub --subscribe ws://HOST/sub --publish ws://HOST/pub --echo ws://HOST/echo

The load comes from one thread. On a machine with few cores give the server one and this another: \
taskset -c 1 headcount bench …";

/// Prints what was measured on standard output. Exit code 1: the server failed, and what was measured before
/// is printed. An error is about what was asked for.
pub(crate) fn run(arguments: &Bench) -> Result<ExitCode, String> {
    let plan = plan(arguments)?;
    // Before the work, so that a mistake in the name does not cost its result.
    let plot = match &arguments.plot {
        None => None,
        Some(path) => {
            let file = fs::File::create(path).map_err(|error| {
                let path = path.display();
                format!("--plot {path}: cannot write there: {error}; choose another file")
            })?;
            Some((path, file))
        }
    };
    let progress = Progress::start(plan.lasts());
    let (rows, failed) = plan.run(&progress);
    drop(progress);
    let text = if arguments.json { show::json(&rows) } else { show::table(&rows) };
    let mut code = print(&text)?;
    if let Some((path, mut file)) = plot
        && let Err(error) = file.write_all(show::plot(&rows).as_bytes())
    {
        let _ = writeln!(io::stderr(), "headcount: cannot write {}: {error}", path.display());
        code = ExitCode::FAILURE;
    }
    if let Some(error) = failed {
        let _ = writeln!(io::stderr(), "headcount: {error}");
        code = ExitCode::FAILURE;
    }
    Ok(code)
}

fn plan(arguments: &Bench) -> Result<Plan, String> {
    let target = |url: &str| Target::new(url).map_err(|error| error.to_string());
    let optional = |url: &Option<String>| url.as_deref().map(target).transpose();
    let connections = arguments.connections;
    let Descriptors(descriptors) = Descriptors::of_the_process();
    if u64::from(connections) + RESERVE > descriptors {
        return Err(format!(
            "--connections {connections}: this process may have {descriptors} descriptors and needs {RESERVE} \
             for itself; give fewer, raise `ulimit -n`, or run several at once"
        ));
    }
    if let Some(process) = arguments.pid {
        headcount_load::usage::cpu(process)
            .map_err(|error| format!("--pid {process}: cannot read what it uses: {error}"))?;
    }
    let seconds = |seconds: u32| Duration::from_secs(seconds.into());
    Ok(Plan {
        idle: target(&arguments.url)?,
        echo: optional(&arguments.echo)?,
        broadcast: optional(&arguments.subscribe)?.zip(optional(&arguments.publish)?),
        connections: connections as usize,
        bytes: arguments.bytes as usize,
        storm_every: Duration::from_secs(1) / arguments.storm,
        length: seconds(arguments.seconds),
        ends_at: Instant::now() + seconds(arguments.limit),
        process: arguments.pid,
    })
}

//! Measures servers in paired rounds: in each round every server is started afresh, on the first core, and
//! gets the same work from this process, on the second one. Prints the table of medians.
//!
//! `measure --headcount PEER [--rounds N] [--seconds S] [--only NAME,NAME] [--limit SECONDS]`;
//! `benches/peers/run` builds all that it needs.

mod rows;
mod server;
mod table;

use std::path::PathBuf;
use std::process::ExitCode;
use std::str::FromStr;
use std::time::{Duration, Instant};

use server::{Kind, Server, kinds};
use table::{Measured, table};

struct Arguments {
    headcount: PathBuf,
    rounds: usize,
    /// How long each kind of work is given in a round.
    length: Duration,
    /// No round is begun after that.
    limit: Duration,
    only: Vec<String>,
}

impl Arguments {
    fn read(mut arguments: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut read = Self {
            headcount: PathBuf::new(),
            rounds: 5,
            length: Duration::from_millis(700),
            limit: Duration::from_secs(900),
            only: Vec::new(),
        };
        while let Some(name) = arguments.next() {
            let value = arguments.next().ok_or_else(|| format!("{name}: give a value"))?;
            match &*name {
                "--headcount" => read.headcount = PathBuf::from(value),
                "--rounds" => read.rounds = number(&name, &value)?,
                "--seconds" => read.length = seconds(&name, &value)?,
                "--limit" => read.limit = seconds(&name, &value)?,
                "--only" => read.only = value.split(',').map(str::to_owned).collect(),
                _ => return Err(format!("{name}: there is no such option")),
            }
        }
        if read.headcount.as_os_str().is_empty() {
            return Err("--headcount: give the program of its example `peer`".to_owned());
        }
        Ok(read)
    }
}

fn number<T: FromStr>(name: &str, value: &str) -> Result<T, String> {
    value.parse().map_err(|_| format!("{name} {value}: give a number"))
}

fn seconds(name: &str, value: &str) -> Result<Duration, String> {
    Duration::try_from_secs_f64(number(name, value)?).map_err(|error| format!("{name}: {error}"))
}

fn chosen(arguments: &Arguments) -> Result<Vec<Kind>, String> {
    let me = std::env::current_exe().map_err(|error| error.to_string())?;
    let peers = me.parent().ok_or("this program is in no folder")?;
    let all = kinds(peers, &arguments.headcount);
    let names = || all.iter().map(|kind| kind.name).collect::<Vec<_>>().join(", ");
    if let Some(name) =
        arguments.only.iter().find(|name| all.iter().all(|kind| kind.name != **name))
    {
        return Err(format!("--only {name}: the servers are {}", names()));
    }
    let is_chosen = |kind: &Kind| {
        arguments.only.is_empty() || arguments.only.iter().any(|name| name == kind.name)
    };
    // The floor is what ratios are to.
    Ok(all.iter().filter(|kind| kind.name == "raw" || is_chosen(kind)).cloned().collect())
}

fn run() -> Result<ExitCode, String> {
    let arguments = Arguments::read(std::env::args().skip(1))?;
    let kinds = chosen(&arguments)?;
    rlimit::increase_nofile_limit(u64::MAX).map_err(|error| format!("descriptors: {error}"))?;
    let is_pinned = std::env::var_os("PINNED").is_some();
    let mut measured: Vec<_> =
        kinds.iter().map(|kind| Measured { name: kind.name, rounds: Vec::new() }).collect();
    let (began, mut code) = (Instant::now(), ExitCode::SUCCESS);
    for round in 1..=arguments.rounds {
        if began.elapsed() >= arguments.limit {
            eprintln!("the time is over: {} rounds were measured", round - 1);
            code = ExitCode::FAILURE;
            break;
        }
        for (kind, measured) in kinds.iter().zip(&mut measured) {
            eprintln!("round {round} of {}: {}", arguments.rounds, kind.name);
            let server = Server::start(kind, is_pinned)?;
            let figures = rows::measure(&server, arguments.length);
            if let Err(error) = &figures {
                eprintln!("{}: {error}", kind.name);
                code = ExitCode::FAILURE;
            }
            measured.rounds.push(figures.ok());
        }
    }
    print!("{}", table(&measured));
    Ok(code)
}

fn main() -> ExitCode {
    run().unwrap_or_else(|error| {
        eprintln!("measure: {error}");
        ExitCode::from(2)
    })
}

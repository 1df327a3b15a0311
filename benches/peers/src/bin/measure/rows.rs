//! What is measured of one server, in the order of the table.

use std::time::Duration;

use headcount_load::{Broadcast, Crowd, Echo, LoadError, Outcome};

use crate::server::Server;

/// Connections that are opened before memory is read for the first time, so that what a server makes for
/// its first clients is not counted.
const WARM: usize = 500;
/// Idle connections that are measured.
const IDLE: usize = 5_000;
/// Connections of an echo.
const ECHOES: usize = 16;
/// Subscribers of the two sizes of broadcasts.
const ROOMS: [usize; 2] = [1_000, 10_000];

/// How a figure is written, and whether it is of time.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unit {
    Bytes,
    Micros,
}

pub(crate) const ROWS: [(&str, Unit); 9] = [
    ("bytes per idle connection", Unit::Bytes),
    ("upgrade", Unit::Micros),
    ("echo 64 B, 1 in flight", Unit::Micros),
    ("echo 64 B, 16 in flight", Unit::Micros),
    ("echo 1 KiB, 16 in flight", Unit::Micros),
    ("broadcast 64 B to 1,000, one at a time", Unit::Micros),
    ("broadcast 64 B to 1,000, eight outstanding", Unit::Micros),
    ("broadcast 64 B to 10,000, one at a time", Unit::Micros),
    ("broadcast 64 B to 10,000, eight outstanding", Unit::Micros),
];

/// The figures of one server in one round, as [`ROWS`] names them.
pub(crate) fn measure(server: &Server, length: Duration) -> Result<[f64; ROWS.len()], String> {
    let mut figures = [0.0; ROWS.len()];
    let [idle, upgrade, echoes @ .., _, _, _, _] = &mut figures;
    (*idle, *upgrade) = idle_and_upgrade(server)?;
    let loads = [(64, 1), (64, 16), (1_024, 16)];
    for (figure, (bytes, in_flight)) in echoes.iter_mut().zip(loads) {
        *figure = echo(server, bytes, in_flight, length)?;
    }
    let mut at = figures.len() - 4;
    for room in ROOMS {
        for figure in broadcasts(server, room, length)? {
            figures[at] = figure;
            at += 1;
        }
    }
    Ok(figures)
}

fn said(error: LoadError) -> String {
    error.to_string()
}

fn idle_and_upgrade(server: &Server) -> Result<(f64, f64), String> {
    let target = server.target("echo")?;
    let mut crowd = Crowd::new().map_err(said)?;
    crowd.connect(&target, WARM, |_| {}).map_err(said)?;
    let (cpu, bytes) = (server.cpu()?, server.resident_bytes()?);
    crowd.connect(&target, IDLE, |_| {}).map_err(said)?;
    let (used, grown) = (server.cpu()? - cpu, server.resident_bytes()?.saturating_sub(bytes));
    Ok((grown as f64 / IDLE as f64, micros(used) / IDLE as f64))
}

/// Server time per message, after a short run that is not counted.
fn per_message(
    server: &Server,
    length: Duration,
    mut run: impl FnMut(Duration) -> Result<Outcome, LoadError>,
) -> Result<f64, String> {
    run(length / 10).map_err(said)?;
    let before = server.cpu()?;
    let outcome = run(length).map_err(said)?;
    let used = server.cpu()? - before;
    Ok(micros(used) / outcome.messages as f64)
}

fn echo(server: &Server, bytes: usize, in_flight: usize, length: Duration) -> Result<f64, String> {
    let mut crowd = Crowd::new().map_err(said)?;
    let connections = crowd.connect(&server.target("echo")?, ECHOES, |_| {}).map_err(said)?;
    per_message(server, length, |length| {
        Echo { connections: connections.clone(), in_flight, bytes, length }.run(&mut crowd)
    })
}

/// One at a time, and eight outstanding.
fn broadcasts(server: &Server, room: usize, length: Duration) -> Result<[f64; 2], String> {
    let mut crowd = Crowd::new().map_err(said)?;
    let subscribers = crowd.connect(&server.target("sub")?, room, |_| {}).map_err(said)?;
    let publisher = crowd.connect(&server.target("pub")?, 1, |_| {}).map_err(said)?.start;
    let mut figures = [0.0; 2];
    for (figure, outstanding) in figures.iter_mut().zip([1, 8]) {
        *figure = per_message(server, length, |length| {
            let subscribers = subscribers.clone();
            Broadcast { subscribers, publisher, outstanding, bytes: 64, length }.run(&mut crowd)
        })?;
    }
    Ok(figures)
}

fn micros(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e6
}

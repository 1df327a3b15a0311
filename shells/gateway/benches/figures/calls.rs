//! What calls of the admin port cost: several connections call without a pause, one request at a time each,
//! and a browser gets what each says.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::latency::body;
use super::support::admin::Admin;
use super::support::users;
use super::{Bench, CALLERS, row};

pub(crate) fn publishes(bench: &mut Bench) {
    call(bench, "publishes", |_, _| {}, |admin, user| admin.post("/v1/publish", &body(user)));
}

pub(crate) fn deltas(bench: &mut Bench) {
    let open = |admin: &mut Admin, user: usize| {
        let name = users::name(user);
        let body = format!(r#"{{"user":"{name}","thread":"{name}","run":"run","agent":"bench"}}"#);
        admin.post("/v1/runs", &body);
    };
    call(bench, "deltas", open, |admin, user| {
        let name = users::name(user);
        let body = format!(r#"{{"user":"{name}","event":"text","delta":" a few words"}}"#);
        admin.post("/v1/runs/run/events", &body);
    });
}

/// Has each caller call for a user of its own.
fn call(
    bench: &mut Bench,
    work: &str,
    open: fn(&mut Admin, usize),
    each: impl Fn(&mut Admin, usize) + Copy + Send + 'static,
) {
    let admin = bench.gateway.admin;
    let mut admins: Vec<_> = (0..CALLERS).map(|user| opened(admin, user, open)).collect();
    assert_eq!(bench.crowd.hold(Duration::from_millis(200)).expect("a poll"), 0);
    let (stop, calls) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let (cpu, began) = (bench.cpu(), Instant::now());
    let callers: Vec<_> = admins
        .drain(..)
        .enumerate()
        .map(|(user, mut admin)| {
            let (stop, calls) = (Arc::clone(&stop), Arc::clone(&calls));
            thread::spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    each(&mut admin, user);
                    calls.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    let (mut reports, mut frames) = (Vec::new(), 0);
    while began.elapsed() < bench.lasts {
        bench.crowd.turn(Duration::from_millis(100), &mut reports).expect("a poll");
        let counted = users::count(&mut reports);
        assert_eq!(counted.ended, 0, "a connection has ended");
        frames += counted.messages;
    }
    let (seconds, cpu) = (began.elapsed().as_secs_f64(), (bench.cpu() - cpu).as_secs_f64());
    let calls = calls.load(Ordering::Relaxed) as f64;
    stop.store(true, Ordering::Relaxed);
    callers.into_iter().for_each(|caller| caller.join().expect("it does not panic"));
    row(work, "a second, all of the gateway's threads", &format!("{:.0}", calls / seconds));
    row(work, "cores that the gateway used", &format!("{:.2}", cpu / seconds));
    row(work, "a second and core", &format!("{:.0}", calls / cpu));
    row(work, "server CPU, a call", &format!("{:.1} µs", cpu * 1e6 / calls));
    row(work, "frames for each call", &format!("{:.2}", frames as f64 / calls));
}

fn opened(address: SocketAddr, user: usize, open: fn(&mut Admin, usize)) -> Admin {
    let mut admin = Admin::new(address);
    open(&mut admin, user);
    admin
}

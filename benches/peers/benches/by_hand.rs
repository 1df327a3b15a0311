//! What people write by hand in place of a registry, under the names that `benches/registry.rs` gives
//! the same work: a DashMap with a channel for each connection, moka as a cache of sessions, tokio's
//! DelayQueue for deadlines, and a bare slab, which is the least that any store costs.
//!
//! None of them does what the registry does: there are no limits, no windows and no order, and what has
//! lost its last name stays.

// `criterion_group!` makes a function that is public and has no docs.
#![allow(missing_docs, unreachable_pub)]

#[path = "../../support/mod.rs"]
mod support;

use std::collections::HashSet;
use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use dashmap::DashMap;
use moka::sync::Cache;
use slab::Slab;
use support::{PAYLOAD, Random, group, name, sizes};
use tokio::runtime::Runtime;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio_util::time::DelayQueue;

/// Messages that wait for one connection.
const QUEUE: usize = 16;
/// Members of the room that is sent to.
const MEMBERS: usize = 10_000;

struct Client {
    user: String,
    sender: Sender<Bytes>,
    last: AtomicU64,
}

/// The pattern of chat servers: clients by number, and the numbers of each user's clients.
#[derive(Default)]
struct Maps {
    clients: DashMap<u64, Client>,
    users: DashMap<String, HashSet<u64>>,
}

impl Maps {
    fn connect(&self, number: u64, user: String) -> Receiver<Bytes> {
        let (sender, receiver) = channel(QUEUE);
        self.users.entry(user.clone()).or_default().insert(number);
        self.clients.insert(number, Client { user, sender, last: AtomicU64::new(0) });
        receiver
    }

    fn disconnect(&self, number: u64) {
        let Some((_, client)) = self.clients.remove(&number) else { return };
        if let Some(mut numbers) = self.users.get_mut(&client.user) {
            numbers.remove(&number);
        }
        self.users.remove_if(&client.user, |_, numbers| numbers.is_empty());
    }

    fn send(&self, number: u64, message: &Bytes) -> bool {
        let client = self.clients.get(&number);
        client.is_some_and(|client| client.sender.try_send(message.clone()).is_ok())
    }

    /// One client for each user, and their receivers by number.
    fn populate(size: u32) -> (Self, Vec<Receiver<Bytes>>) {
        let maps = Self::default();
        let receivers = (0..size).map(|number| maps.connect(number.into(), name(number))).collect();
        (maps, receivers)
    }
}

/// What a cache keeps of a session.
struct Session {
    last: AtomicU64,
}

fn sessions(size: u32) -> Cache<String, Arc<Session>> {
    let cache = Cache::builder()
        .max_capacity(u64::from(size) * 2)
        .time_to_idle(Duration::from_secs(600))
        .build();
    for number in 0..size {
        cache.insert(name(number), Arc::new(Session { last: AtomicU64::new(0) }));
    }
    cache.run_pending_tasks();
    cache
}

/// Numbers below the size, in an order that has nothing to do with where they are kept.
fn shuffled(size: u32) -> Vec<usize> {
    let mut numbers: Vec<_> = (0..size as usize).collect();
    Random(7).shuffle(&mut numbers);
    numbers
}

/// The next one, from the beginning again at the end.
fn turn(numbers: &[usize], next: &mut usize) -> usize {
    *next = if *next + 1 == numbers.len() { 0 } else { *next + 1 };
    numbers[*next]
}

/// One goes and another one comes, of a user who is new.
fn connect_disconnect(criterion: &mut Criterion) {
    let mut group = group(criterion, "connect and disconnect");
    for size in sizes() {
        let mut random = Random(3);
        let mut fresh = size;
        let mut place_and_name = move || {
            fresh = fresh.wrapping_add(1);
            (random.below(size as usize), fresh, name(fresh))
        };
        {
            let (maps, mut receivers) = Maps::populate(size);
            let mut numbers: Vec<_> = (0..u64::from(size)).collect();
            group.bench_function(BenchmarkId::new("DashMap, new user", size), |bencher| {
                bencher.iter_batched(
                    &mut place_and_name,
                    |(place, number, user)| {
                        maps.disconnect(numbers[place]);
                        numbers[place] = number.into();
                        receivers[place] = maps.connect(number.into(), user);
                    },
                    BatchSize::SmallInput,
                );
            });
        }
        {
            let cache = sessions(size);
            let mut names: Vec<_> = (0..size).map(name).collect();
            group.bench_function(BenchmarkId::new("moka, new user", size), |bencher| {
                bencher.iter_batched(
                    &mut place_and_name,
                    |(place, _, user)| {
                        cache.invalidate(&names[place]);
                        names[place].clone_from(&user);
                        cache.insert(user, Arc::new(Session { last: AtomicU64::new(0) }));
                    },
                    BatchSize::SmallInput,
                );
            });
        }
        let mut slab: Slab<[u64; 4]> = (0..size as usize).map(|key| (key, [0; 4])).collect();
        group.bench_function(BenchmarkId::new("slab, no names", size), |bencher| {
            bencher.iter_batched(
                &mut place_and_name,
                |(place, number, _)| {
                    slab.remove(place);
                    slab.insert([number.into(); 4])
                },
                BatchSize::SmallInput,
            );
        });
    }
    group.finish();
}

/// A data message comes in on any connection.
fn activity(criterion: &mut Criterion) {
    let mut group = group(criterion, "inbound message");
    for size in sizes() {
        let order = shuffled(size);
        let (mut next, mut now) = (0, 0);
        {
            let (maps, _receivers) = Maps::populate(size);
            group.bench_function(BenchmarkId::new("DashMap", size), |bencher| {
                bencher.iter(|| {
                    now += 100;
                    let client = maps.clients.get(&(turn(&order, &mut next) as u64)).unwrap();
                    client.last.store(now, Ordering::Relaxed);
                });
            });
        }
        {
            let cache = sessions(size);
            let names: Vec<_> = (0..size).map(name).collect();
            group.bench_function(BenchmarkId::new("moka", size), |bencher| {
                bencher.iter(|| {
                    now += 100;
                    let session = cache.get(&names[turn(&order, &mut next)]).unwrap();
                    session.last.store(now, Ordering::Relaxed);
                });
            });
        }
        {
            let runtime = paused();
            let _entered = runtime.enter();
            let mut queue = DelayQueue::with_capacity(size as usize);
            let minute = Duration::from_secs(60);
            let keys: Vec<_> = (0..size).map(|number| queue.insert(number, minute)).collect();
            group.bench_function(BenchmarkId::new("DelayQueue reset", size), |bencher| {
                bencher.iter(|| {
                    now += 100;
                    queue.reset(&keys[turn(&order, &mut next)], minute + Duration::from_nanos(now));
                });
            });
        }
        let mut slab: Slab<[u64; 4]> = (0..size as usize).map(|key| (key, [0; 4])).collect();
        group.bench_function(BenchmarkId::new("slab", size), |bencher| {
            bencher.iter(|| {
                now += 100;
                slab[turn(&order, &mut next)][0] = now;
            });
        });
        black_box(&slab);
    }
    group.finish();
}

/// A message to a user with three connections, taken out of their channels again.
fn send(criterion: &mut Criterion) {
    let mut group = group(criterion, "send to three connections");
    for size in sizes() {
        let maps = Maps::default();
        let mut receivers: Vec<_> =
            (0..size / 3 * 3).map(|number| maps.connect(number.into(), name(number / 3))).collect();
        let users: Vec<_> = (0..size / 3).map(name).collect();
        let (order, mut next) = (shuffled(size / 3), 0);
        let message = Bytes::from_static(PAYLOAD);
        group.bench_function(BenchmarkId::new("DashMap, by name", size), |bencher| {
            bencher.iter(|| {
                let user = turn(&order, &mut next);
                let numbers = maps.users.get(&users[user]).unwrap();
                let sent = numbers.iter().filter(|number| maps.send(**number, &message)).count();
                assert_eq!(sent, 3);
                for receiver in &mut receivers[user * 3..user * 3 + 3] {
                    black_box(receiver.try_recv().unwrap());
                }
            });
        });
    }
    group.finish();
}

/// A message to a room of 10,000 connections that are scattered over the table; per recipient.
fn fan_out(criterion: &mut Criterion) {
    let mut group = group(criterion, "fan-out to 10,000");
    group.throughput(Throughput::Elements(MEMBERS as u64));
    for size in sizes() {
        let mut members = shuffled(size);
        members.truncate(MEMBERS);
        {
            let (maps, mut receivers) = Maps::populate(size);
            let room: HashSet<u64> = members.iter().map(|member| *member as u64).collect();
            let message = Bytes::from_static(PAYLOAD);
            group.bench_function(BenchmarkId::new("DashMap, taken out", size), |bencher| {
                bencher.iter(|| {
                    let sent = room.iter().filter(|number| maps.send(**number, &message)).count();
                    assert_eq!(sent, members.len());
                    for member in &members {
                        black_box(receivers[*member].try_recv().unwrap());
                    }
                });
            });
        }
        let mut slab: Slab<[u64; 4]> = (0..size as usize).map(|key| (key, [0; 4])).collect();
        group.bench_function(BenchmarkId::new("slab, a count each", size), |bencher| {
            bencher.iter(|| {
                for member in &members {
                    slab[*member][0] += 1;
                }
            });
        });
        black_box(&slab);
    }
    group.finish();
}

fn paused() -> Runtime {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_time().start_paused(true).build().unwrap()
}

/// All deadlines pass at once; per entry, which is a number and nothing else.
fn herd(criterion: &mut Criterion) {
    let mut group = group(criterion, "expire a herd");
    group.sample_size(10);
    for size in sizes() {
        group.throughput(Throughput::Elements(u64::from(size)));
        let runtime = paused();
        group.bench_function(BenchmarkId::new("DelayQueue", size), |bencher| {
            bencher.iter_batched(
                || {
                    let _entered = runtime.enter();
                    let mut queue = DelayQueue::with_capacity(size as usize);
                    for number in 0..size {
                        // At another instant each, so that the deadlines are spread.
                        let spread = Duration::from_micros(number.into());
                        queue.insert(number, Duration::from_secs(10) + spread);
                    }
                    queue
                },
                |mut queue| {
                    runtime.block_on(async {
                        tokio::time::advance(Duration::from_secs(30)).await;
                        let mut expired = 0;
                        while std::future::poll_fn(|context| queue.poll_expired(context))
                            .await
                            .is_some()
                        {
                            expired += 1;
                        }
                        assert_eq!(expired, size);
                    });
                    queue
                },
                BatchSize::PerIteration,
            );
        });
    }
    group.finish();
}

criterion_group!(benches, connect_disconnect, activity, send, fan_out, herd);
criterion_main!(benches);

//! The contract of the core, one file for each of its subjects: what a caller of the public interface
//! sees, told in virtual time.
//!
//! One program, because building and linking thirty takes longer than their tests. A test that needs a
//! process of its own, such as one that counts allocations, is a program beside this one.

#[path = "../support/mod.rs"]
mod support;

mod admission;
mod blocked;
mod budgets;
mod call_sites;
mod classes;
mod closing;
mod closing_words;
mod configuration;
mod connect_rates;
mod deadline_table;
mod deadlines;
mod delivery;
mod determinism;
mod drain;
mod edges;
mod embedding;
mod eviction;
mod expiry;
mod fairness;
mod fingerprint;
mod flushed_many;
mod following;
mod handles;
mod inbound;
mod left_out;
mod liveness;
mod making_room;
mod migration;
mod own_limit;
mod pause;
mod pending;
mod presence;
mod pressure;
mod profiles;
mod reload;
mod replies;
mod resume;
mod rules_together;
mod runs;
mod scenarios;
mod scope;
mod sessions;
mod slack;
mod slices;
mod snapshot;
mod stretches;
mod survey;
mod tenant_places;
mod tenants;
mod tick_budget;
mod time;
mod views;
mod window;

//! The calls of the admin port: what each takes, does and answers.

pub(crate) mod client_module;
pub(crate) mod close;
pub(crate) mod control;
pub(crate) mod explain;
pub(crate) mod metrics;
pub(crate) mod page;
pub(crate) mod publish;
pub(crate) mod queries;
pub(crate) mod reload;
pub(crate) mod rooms;
pub(crate) mod run_queries;
pub(crate) mod runs;
pub(crate) mod stats;

//! `POST /v1/reload`, and SIGHUP: the settings are read again, and a dry run says what that would do.

use std::sync::Arc;

use axum::Extension;
use axum::extract::{Request, State};
use axum::response::Response;
use headcount::Impact;
use headcount_mio::{Context, Handle};
use headcount_protocol::admin::form::{Field, Form, Shape};
use headcount_protocol::admin::nothing;
use headcount_protocol::json::quoted;
use headcount_protocol::problem::Problem;
use tokio::sync::{Mutex, Notify};
use tracing::{info, warn};

use super::publish::Limits;
use crate::admin::call::{Answer, Body, Call};
use crate::admin::http::refusal::Refusal;
use crate::admin::http::{body, recorded};
use crate::admin::idempotency::AnswerBounds;
use crate::admin::redaction::Rules;
use crate::admin::{AdminState, json};
use crate::live_settings::LiveSettings;
use crate::network::sites::Sites;
use crate::settings::sources::{Plan, Sources};
use crate::telemetry::audit::Record;
use crate::telemetry::fault;
use crate::telemetry::log::Log;

/// What the query can say.
pub(crate) const QUERY: [Field; 1] = [Field::optional(
    "dry_run",
    Shape::Among(&["0", "1", "false", "true"]),
    "1 or true: nothing is changed, and the answer says what would be.",
)];

static RELOADED: Form = Form::open(&[
    Field::needed("dry_run", Shape::Flag, "Nothing was changed."),
    Field::needed("closes", Shape::AtLeast(0), "Connections that are closed."),
    Field::needed("evicted", Shape::AtLeast(0), "Of those, over their users' own limits."),
    Field::needed("displaced", Shape::AtLeast(0), "Of those, over `limits.connections`."),
    Field::needed("overdue", Shape::AtLeast(0), "Of those, with a deadline that has passed."),
    Field::needed("sessions", Shape::AtLeast(0), "Sessions that end."),
    Field::needed("changed", Shape::Texts, "The keys of the settings that are others."),
]);

pub(crate) static CALL: Call = Call {
    name: "reload",
    says: "Reads the files of settings again.",
    body: Body::MayBeEmpty(&nothing::FORM),
    once: false,
    answer: Answer::Json(&RELOADED),
    refusals: &[409, 422, 500],
};

/// What can't change while the server runs: the sockets that listen are as old as the process.
const FIXED: [&str; 2] = ["listen", "admin"];

/// What a reload reads, and what it replaces beside the registry's configuration.
pub(crate) struct Reload {
    sources: Arc<Sources>,
    live_settings: LiveSettings,
    log: Log,
    /// Of the loop, which has requests that wait for keys.
    handle: Handle,
    /// One at a time, from the reading on: of two files the one that was read last is to win.
    turn: Mutex<()>,
}

impl Reload {
    pub(crate) fn new(
        sources: Sources,
        live_settings: LiveSettings,
        log: Log,
        handle: Handle,
    ) -> Self {
        Self { sources: Arc::new(sources), live_settings, log, handle, turn: Mutex::new(()) }
    }

    /// Who may come in.
    pub(crate) const fn live_settings(&self) -> &LiveSettings {
        &self.live_settings
    }

    pub(crate) const fn log(&self) -> &Log {
        &self.log
    }

    /// What is in force at the start.
    pub(crate) fn idempotency(&self) -> AnswerBounds {
        self.live_settings.lock().settings().idempotency()
    }

    /// What is in force at the start.
    pub(crate) fn admin_sites(&self) -> Sites {
        self.live_settings.lock().settings().admin_sites()
    }

    /// What is in force at the start.
    pub(crate) fn redaction(&self) -> Rules {
        Rules::new(self.live_settings.lock().settings().redaction())
    }
}

pub(crate) async fn reload(
    State(state): State<AdminState>,
    Extension(record): Extension<Record>,
    request: Request,
) -> Result<Response, Refusal> {
    let dry_run = is_dry_run(request.uri().query())?;
    record.plain("dry_run", dry_run);
    body::nothing(&state, request).await?;
    let (changed, impact) = state.reload(dry_run).await?;
    note(&record, &changed, impact);
    Ok(json(answer(dry_run, &changed, impact)))
}

/// Reloads at each notice, for ever. Several that come while one is under way are one.
pub(crate) async fn on_hang_up(state: AdminState, hang_ups: Arc<Notify>) {
    loop {
        hang_ups.notified().await;
        let Some(place) = state.log().audit().place().await else {
            let why = recorded::not_written();
            refused(&why);
            continue;
        };
        let record = Record::default();
        let outcome = match state.reload(false).await {
            Ok((changed, impact)) => {
                note(&record, &changed, impact);
                "done".to_owned()
            }
            // What a reload does is logged. Why it is refused would be the answer to a request.
            Err(problem) => {
                refused(&problem);
                format!("code={}", problem.code())
            }
        };
        state.log().write_audit(place, record.line("SIGHUP", None, None, &outcome));
    }
}

fn refused(problem: &Problem) {
    let why = problem.message();
    warn!(why, "the reload by SIGHUP is refused, and nothing has changed");
}

fn note(record: &Record, changed: &[&str], impact: Impact) {
    record.text("changed", &changed.join(","));
    record.plain("closes", impact.closes());
    record.plain("sessions", impact.sessions);
}

impl AdminState {
    /// Reads the settings again; a dry run changes nothing.
    async fn reload(&self, dry_run: bool) -> Result<(Vec<&'static str>, Impact), Problem> {
        let Reload { sources, turn, .. } = &self.0.reload;
        let _turn = turn.lock().await;
        let reader = Arc::clone(sources);
        // Files can be slow, and other requests are not to wait for them.
        let read = tokio::task::spawn_blocking(move || {
            fault::point("file");
            reader.read()
        });
        let plan = match read.await {
            Ok(plan) => plan.map_err(|sentence| Problem::new(422, "bad_config", sentence))?,
            Err(error) => return Err(Problem::new(500, "failed", error.to_string())),
        };
        if !plan.has_files {
            let message =
                "there is no file or key set to read again: start the server with --config FILE";
            return Err(Problem::new(409, "no_config", message));
        }
        let task = self.clone();
        self.call(move |context| task.apply(context, plan, dry_run)).await?
    }

    /// In a turn of the loop: previews the plan, or goes on with it.
    fn apply(
        &self,
        context: &mut Context<'_>,
        plan: Plan,
        dry_run: bool,
    ) -> Result<(Vec<&'static str>, Impact), Problem> {
        let Plan { settings, config, lowered, admin_keys, tokens, .. } = plan;
        let Reload { sources, live_settings, log, handle, .. } = &self.0.reload;
        let mut live = live_settings.lock();
        let changed = settings.changed(&config, live.settings(), context.registry.config());
        if let Some(key) = FIXED.into_iter().find(|key| changed.contains(key)) {
            let (written, now) = (settings.written(key), live.settings().address(key));
            let message = format!(
                "{written}: {key} is {now} as long as the server runs; restart it, or leave {key} \
                 as it was"
            );
            return Err(Problem::new(422, "restart_needed", message));
        }
        if live.token_auth().is_some() != tokens.is_some() {
            let message = "development mode neither begins nor ends while the server runs: restart \
                           it, or leave it a key to check tokens with (auth.key_file)";
            return Err(Problem::new(422, "restart_needed", message));
        }
        if admin_keys.is_empty() && !self.keys().is_empty() {
            let message = "the admin port asks for a key as long as the server runs: restart it, or leave \
                           it a key (auth.admin_key_file)";
            return Err(Problem::new(422, "restart_needed", message));
        }
        if dry_run {
            return Ok((changed, context.registry.preview_reload(context.now, &config)));
        }
        if let (Some(token_auth), Some(rules)) = (live.token_auth(), tokens) {
            let again = handle.clone();
            token_auth.reload(rules, move || again.authenticate_again()).map_err(|error| {
                let message = format!("cannot start the thread that reads keys: {error}");
                Problem::new(500, "failed", message)
            })?;
        }
        info!(changed = changed.join(","), "reloading");
        sources.warn_of(&lowered);
        self.set_limits(Limits::new(&config));
        self.set_keys(Arc::new(admin_keys));
        self.0.answers.set_bounds(settings.idempotency());
        self.set_sites(settings.admin_sites());
        self.set_redaction(Rules::new(settings.redaction()));
        log.set_level(settings.log_level());
        live.replace(settings);
        Ok((changed, context.registry.reload(context.now, config)))
    }
}

/// Any other query is refused: it may be a misspelt dry run, and a reload can close connections.
fn is_dry_run(query: Option<&str>) -> Result<bool, Problem> {
    match query {
        None | Some("" | "dry_run=0" | "dry_run=false") => Ok(false),
        Some("dry_run=1" | "dry_run=true") => Ok(true),
        Some(_) => {
            let message = "only dry_run=1 or dry_run=0 can be given in the query";
            Err(Problem::new(400, "bad_query", message))
        }
    }
}

fn answer(dry_run: bool, changed: &[&str], impact: Impact) -> String {
    let changed: Vec<_> = changed.iter().map(|key| quoted(key)).collect();
    RELOADED
        .write()
        .flag("dry_run", dry_run)
        .number("closes", u64::from(impact.closes()))
        .number("evicted", u64::from(impact.evicted))
        .number("displaced", u64::from(impact.displaced))
        .number("overdue", u64::from(impact.overdue))
        .number("sessions", u64::from(impact.sessions))
        .list("changed", &changed)
        .end()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_clear_is_a_reload() {
        for (query, expected) in [
            (None, Some(false)),
            (Some(""), Some(false)),
            (Some("dry_run=0"), Some(false)),
            (Some("dry_run=1"), Some(true)),
            (Some("dry_run=true"), Some(true)),
            (Some("dryrun=1"), None),
            (Some("dry_run"), None),
            (Some("dry_run=yes"), None),
            (Some("dry_run=1&dry_run=0"), None),
        ] {
            assert_eq!(is_dry_run(query).ok(), expected, "{query:?}");
        }
    }

    #[test]
    fn golden_answer() {
        let text = answer(true, &["limits.users", "profile"], Impact::default());
        assert_eq!(
            text,
            r#"{"dry_run":true,"closes":0,"evicted":0,"displaced":0,"overdue":0,"sessions":0,"changed":["limits.users","profile"]}"#
        );
    }
}

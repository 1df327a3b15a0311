//! `headcount serve`: the two ports, and the threads behind them.

use std::error::Error;
use std::io::{self, Write};
use std::net::{SocketAddr, TcpListener};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use clap::Args;
use headcount_mio::{Options, Server};
use headcount_protocol::SUBPROTOCOL;
use tokio::sync::Notify;
use tracing::{error, info};

use crate::admin::Reload;
use crate::auth::TokenAuth;
use crate::gateway::Gateway;
use crate::limits::descriptors::Descriptors;
use crate::live_settings::LiveSettings;
use crate::settings::Flags;
use crate::settings::sources::{Plan, Sources};
use crate::telemetry::counters::Counters;
use crate::telemetry::journal;
use crate::{admin, telemetry};

#[derive(Debug, Args)]
pub(crate) struct Serve {
    #[command(flatten)]
    pub(crate) settings: Flags,

    #[command(flatten)]
    pub(crate) journal: journal::Arguments,
}

/// Runs until it is told to stop. An error is about what was asked for, before anything ran.
pub(super) fn run(arguments: Serve) -> Result<ExitCode, String> {
    let counters = Arc::new(Counters::default());
    let log = telemetry::log::start(Arc::clone(&counters))
        .map_err(|error| format!("cannot start the log's thread: {error}"))?;
    telemetry::panics::end_the_process(log.clone());
    let descriptors = Descriptors::of_the_process();
    let seed = getrandom::u64()
        .map_err(|error| format!("the operating system gives no entropy for the seed: {error}"))?;
    let journal = arguments.journal;
    let sources = Sources::new(arguments.settings, seed, descriptors);
    let Plan { settings, config, lowered, admin_keys, tokens, has_files } = sources.read()?;
    let (listen, admin) = (settings.address("listen"), settings.address("admin"));

    let options =
        Options::new().paths(["/ws"]).subprotocol(SUBPROTOCOL).refuse_in_band(true).signals(true);
    let server = Server::bind(listen, config.clone(), options).map_err(|error| {
        let cause = error.source().and_then(|source| source.downcast_ref::<io::Error>());
        cannot_listen("--listen", listen, cause, &error)
    })?;
    let listener = TcpListener::bind(admin)
        .map_err(|error| cannot_listen("--admin", admin, Some(&error), &error))?;
    let admin_address =
        listener.local_addr().map_err(|error| format!("cannot use {admin}: {error}"))?;
    let address = server.local_addr();

    // Last of what may be refused: a start that fails leaves an earlier journal alone.
    let server = match journal.open()? {
        Some((recording, sink)) => {
            counters.journal.begin();
            server.journal(recording, sink)
        }
        None => server,
    };

    log.set_level(settings.log_level());
    sources.warn_of(&lowered);
    let handle = server.handle();
    let failed = Arc::new(AtomicBool::new(false));
    let again = handle.clone();
    let token_auth = tokens.map(|rules| TokenAuth::new(rules, move || again.authenticate_again()));
    let token_auth = token_auth
        .transpose()
        .map_err(|error| format!("cannot start the thread that reads keys: {error}"))?;
    let asks_for_tokens = token_auth.is_some();
    let live_settings = LiveSettings::new(settings, token_auth);
    let hang_ups = Arc::new(Notify::new());
    let reload = has_files.then(|| Arc::clone(&hang_ups));
    let keys: Vec<_> = admin_keys.names().map(str::to_owned).collect();
    let state = admin::AdminState::new(
        handle.clone(),
        &config,
        admin_keys,
        address,
        Arc::clone(&counters),
        Reload::new(sources, live_settings.clone(), log.clone(), handle.clone()),
    );
    let admin_failed = Arc::clone(&failed);
    // The thread is not joined: when the loop has ended, the process ends, and the admin port with it.
    std::thread::Builder::new()
        .name("admin".to_owned())
        .spawn(move || {
            if let Err(error) = admin::run(listener, state, hang_ups, descriptors.admin_places()) {
                error!(%error, "the admin port has failed; stopping");
                admin_failed.store(true, Ordering::Release);
                handle.stop();
            }
        })
        .map_err(|error| format!("cannot start the admin port's thread: {error}"))?;

    info!(
        version = env!("CARGO_PKG_VERSION"),
        connections = config.connections(),
        admin_keys = keys.join(","),
        "started{}",
        if asks_for_tokens {
            ": clients need tokens"
        } else {
            " in development mode: clients name their user without proof; loopback only"
        }
    );
    announce(address, admin_address)
        .map_err(|error| format!("cannot start the thread of standard output: {error}"))?;
    let result = server.run(Gateway::new(config.instance(), live_settings, counters, reload));
    let code = match result {
        Ok(()) if failed.load(Ordering::Acquire) => ExitCode::FAILURE,
        Ok(()) => {
            info!("stopped: no connection is left, or a second signal came");
            ExitCode::SUCCESS
        }
        Err(error) => {
            error!(%error, "the loop has failed");
            ExitCode::FAILURE
        }
    };
    log.finish();
    Ok(code)
}

/// The two lines that programs wait for, with the real ports. The server neither ends nor waits
/// when standard output is closed, or a full pipe.
fn announce(address: SocketAddr, admin: SocketAddr) -> io::Result<()> {
    let write = move || {
        let mut out = io::stdout().lock();
        let _ = writeln!(out, "websocket ws://{address}/ws\nadmin http://{admin}/");
        let _ = out.flush();
    };
    std::thread::Builder::new().name("stdout".to_owned()).spawn(write).map(drop)
}

fn cannot_listen(
    flag: &str,
    address: SocketAddr,
    cause: Option<&io::Error>,
    error: &dyn Error,
) -> String {
    match cause.map(io::Error::kind) {
        Some(io::ErrorKind::AddrInUse) => format!(
            "{address} is in use: stop the program that listens there, or choose another address \
             with {flag} (port 0 picks a free one)"
        ),
        Some(io::ErrorKind::PermissionDenied) => {
            format!("not permitted to listen on {address}: choose a port above 1023 with {flag}")
        }
        Some(io::ErrorKind::AddrNotAvailable) => {
            format!("{address} is not an address of this machine: choose another with {flag}")
        }
        _ => {
            let cause = cause.map_or_else(|| error.to_string(), ToString::to_string);
            format!("cannot listen on {address}: {cause}; choose another address with {flag}")
        }
    }
}

//! A whole chat beside axum: `cargo run -p headcount-tokio --example axum_chat`, then connect clients
//! to `ws://127.0.0.1:7500/chat/NAME`. What one says all others read. A real one verifies a token.

use axum::serve::ListenerExt;
use axum::{Router, extract::Path, http::StatusCode, response::*, routing::any};
use headcount_tokio::headcount::*;
use headcount_tokio::{Dialect, Handler, Hub, Upgrade, payload, seed};

struct Chat {
    lobby: RoomId,
}

impl Handler for Chat {
    fn admitted(&mut self, registry: &mut Registry, now: Timestamp, conn: ConnId, _: Admitted) {
        // Both can be refused by a limit; then the client just reads nothing.
        let _ = registry.join(now, conn, &self.lobby, Start::Now);
        let _ = registry.reply(now, conn, "welcome".into());
    }

    fn message(&mut self, registry: &mut Registry, now: Timestamp, conn: ConnId, said: Message) {
        let user = registry.connection(conn).and_then(|it| it.user());
        if let (Some(user), true) = (user, said.is_text()) {
            let line = format!("{user}: {}", String::from_utf8_lossy(said.payload()));
            let line = Message::text(line).except_connection(conn);
            registry.send(now, Target::Room(&self.lobby), line);
        }
    }

    fn encode(&mut self, _: Dialect, action: &Action<'_>) -> Message {
        match action {
            Action::Send { body, .. } => payload(*body),
            Action::Gap { from, to, .. } => format!("(you missed {} lines)", to - from + 1).into(),
            _ => "(the server is about to restart)".into(),
        }
    }
}

async fn enter(Path(name): Path<String>, upgrade: Upgrade) -> Result<Response> {
    let user = UserId::new(&name).map_err(|error| (StatusCode::BAD_REQUEST, error.to_string()))?;
    let place = upgrade.hub.admit(Principal::new(user), Start::Now, None).await?;
    Ok(upgrade.serve(place))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (hub, handle) = Hub::new(Config::new(seed()), Chat { lobby: "lobby".parse()? });
    let hub = tokio::spawn(hub.run());
    let app = Router::new().route("/chat/{name}", any(enter)).with_state(handle.clone());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:7500").await?;
    println!("ws://{}/chat/NAME", listener.local_addr()?);
    let listener = listener.tap_io(|stream| drop(stream.set_nodelay(true)));
    let stopped = async move {
        tokio::select! {
            _ = tokio::signal::ctrl_c() => handle.stop().await, // The last client has left.
            _ = hub => {} // A handler has panicked.
        }
    };
    Ok(axum::serve(listener, app).with_graceful_shutdown(stopped).await?)
}

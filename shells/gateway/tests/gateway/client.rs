//! The JavaScript client as the gateway serves it, in a real browser where there is one, over a network
//! that fails in every way.

use std::net::SocketAddr;
use std::thread;
use std::time::Duration;

use serde_json::json;

use crate::common::back_end::BackEnd;
use crate::common::browser::{Page, Tab};
use crate::common::proxy::Proxy;
use crate::common::site::Site;
use crate::common::{Server, request};

#[test]
fn the_module_can_be_loaded_by_pages_of_this_machine() {
    let server = Server::start();
    let origin = [("origin", "http://localhost:3000")];
    let answer = request(server.admin, "GET", "/client.js", &origin, "");
    assert_eq!(answer.status, 200);
    assert!(answer.head.contains("content-type: text/javascript; charset=utf-8"), "{answer:?}");
    assert!(answer.head.contains("access-control-allow-origin: *"), "{answer:?}");
    assert_eq!(answer.body, include_str!("../../../../clients/js/headcount.js"));
    let foreign = [("origin", "https://example.com")];
    assert_eq!(request(server.admin, "GET", "/client.js", &foreign, "").status, 403);
}

/// Makes a client in a page, which writes down what it hears.
fn start(tab: &mut Tab, server: &Server, at: SocketAddr, user: &str) {
    tab.until("document.readyState === 'complete' && location.protocol === 'http:'");
    let module = format!("http://{}/client.js", server.admin);
    let script = format!(
        "import({}).then(({{ Client }}) => {{
            const client = new Client('ws://{at}/ws', {{ user: {}, probe: 1000 }});
            const heard = Object.fromEntries(['session', 'room/lobby', 'gap', 'reset', 'close', 'state']
                .map(name => [name, []]));
            client.on('event', event => event.run || heard[event.stream].push(event.data));
            for (const name of ['gap', 'reset', 'close', 'state'])
                client.on(name, it => heard[name].push(it));
            const runs = [];
            client.on('run', async run => {{
                const told = {{ events: [], text: '' }};
                runs.push(told);
                for await (const {{ event, data }} of run) {{
                    if (event === 'text') told.text += data.delta; else told.events.push(event);
                }}
                told.end = run.end.event;
                told.partial = run.partial;
            }});
            client.join('lobby');
            Object.assign(window, {{ client, heard, runs }});
            return 0;
        }})",
        json!(module),
        json!(user),
    );
    tab.is(&script);
    tab.until("client.state === 'open' && client.rooms.includes('lobby')");
}

/// Waits until a page has heard all that the back end has said.
fn heard(back_end: &BackEnd<'_>, tab: &mut Tab) {
    let said = back_end.said;
    tab.until(&format!("heard.session.at(-1) === {said} && heard['room/lobby'].at(-1) === {said}"));
}

/// Everything once, in order; the streams that have lost nothing say so.
fn check(back_end: &BackEnd<'_>, tab: &mut Tab) {
    let all: Vec<_> = (1..=back_end.said).collect();
    assert_eq!(tab.is("heard.session"), json!(all));
    assert_eq!(tab.is("heard['room/lobby']"), json!(all));
    for name in ["gap", "reset", "close"] {
        assert_eq!(tab.is(&format!("heard.{name}")), json!([]), "{name}");
    }
}

#[test]
fn nothing_is_lost_and_nothing_comes_twice_over_a_network_that_fails() {
    let server = Server::with(&["heartbeat.interval=1s", "heartbeat.pong_timeout=30s"]);
    let proxy = Proxy::to(server.websocket);
    let Some(mut page) = Page::open(&Site::start().page(), "network") else { return };
    start(&mut page, &server, proxy.address, "alice");
    let mut back_end = BackEnd::new("alice");
    back_end.open(&server);
    back_end.say(&server, 3);
    heard(&back_end, &mut page);

    proxy.delay(Duration::from_millis(50));
    back_end.say(&server, 3);
    heard(&back_end, &mut page);
    proxy.delay(Duration::ZERO);

    let faults: [fn(&Proxy); 3] = [Proxy::cut, Proxy::half_close, Proxy::go_silent];
    for (number, fault) in faults.into_iter().enumerate() {
        // What is under way when it happens is what could come twice.
        back_end.say(&server, 2);
        fault(&proxy);
        back_end.say(&server, 3);
        page.until(&format!("heard.state.filter(it => it.state === 'waiting').length > {number}"));
        // As a browser does whose network is back: there is no need to wait.
        page.is("dispatchEvent(new Event('online')); 0");
        heard(&back_end, &mut page);
    }

    // Three seconds of silence: the client gives up on the socket, whose bytes still come.
    proxy.stall(true);
    back_end.say(&server, 3);
    thread::sleep(Duration::from_secs(3));
    back_end.say(&server, 2);
    proxy.stall(false);
    page.is("dispatchEvent(new Event('online')); 0");
    heard(&back_end, &mut page);
    let silent = "heard.state.some(it => it.reason === 'no sign of life')";
    assert_eq!(page.is(silent), true);

    back_end.complete(&server);
    page.until("runs[0].end === 'agent_completed'");
    check(&back_end, &mut page);
    let run = json!({
        "events": ["agent_started", "agent_completed"],
        "text": back_end.text, "end": "agent_completed", "partial": false,
    });
    assert_eq!(page.is("runs"), json!([run]));
    // The old connections are not left behind.
    server.until(|stats| stats["connections"]["live"] == 1);
}

#[test]
fn a_server_that_is_killed_in_the_middle_of_a_run_is_come_back_to() {
    let server = Server::start();
    let proxy = Proxy::to(server.websocket);
    let Some(mut page) = Page::open(&Site::start().page(), "killed") else { return };
    start(&mut page, &server, proxy.address, "alice");
    let mut back_end = BackEnd::new("alice");
    back_end.open(&server);
    back_end.say(&server, 3);
    heard(&back_end, &mut page);

    let (listen, admin) = (server.websocket.to_string(), server.admin.to_string());
    drop(server);
    page.until("client.state !== 'open'");
    let server = Server::at(&listen, &admin, &[]);
    page.is("client.retry(); 0");
    page.until("client.state === 'open' && heard.reset.some(it => it.stream === 'room/lobby')");
    // What the server no longer has is told, not passed over in silence.
    page.until("runs[0].end === 'run_lost'");
    assert_eq!(page.is("heard.reset.map(it => it.stream)"), json!(["session", "room/lobby"]));
    assert_eq!(page.is("runs[0].text"), json!(back_end.text));

    // The back end reports the run anew: to the client it is another one.
    back_end.text.clear();
    back_end.open(&server);
    back_end.say(&server, 3);
    back_end.complete(&server);
    heard(&back_end, &mut page);
    page.until("runs[1]?.end === 'agent_completed'");
    assert_eq!(page.is("runs[1].text"), json!(back_end.text));
    assert_eq!(page.is("heard.session"), json!([1, 2, 3, 4, 5, 6]));
    assert_eq!(page.is("heard['room/lobby']"), json!([1, 2, 3, 4, 5, 6]));
}

#[test]
fn two_users_in_two_tabs_get_each_their_own() {
    let server = Server::start();
    let proxy = Proxy::to(server.websocket);
    let address = Site::start().page();
    let Some(mut alice) = Page::open(&address, "tabs") else { return };
    let mut bob = alice.tab(&address);
    start(&mut alice, &server, proxy.address, "alice");
    start(&mut bob, &server, proxy.address, "bob");
    let say = |number: u32| {
        for user in ["alice", "bob"] {
            let to = json!({"user": user}).to_string();
            server.publish(&to, &json!(format!("{user} {number}")).to_string());
        }
    };
    for number in 0..3 {
        say(number);
    }
    proxy.cut();
    for number in 3..6 {
        say(number);
    }
    for (tab, user) in [(&mut *alice, "alice"), (&mut bob, "bob")] {
        tab.until("heard.session.length === 6");
        let own: Vec<_> = (0..6).map(|number| format!("{user} {number}")).collect();
        assert_eq!(tab.is("heard.session"), json!(own));
        // The room, in which nothing was said, has ended with its last member.
        let resets = "heard.reset.filter(it => it.stream === 'session')";
        assert_eq!(tab.is(&format!("[heard.gap, {resets}, heard.close]")), json!([[], [], []]));
    }
}

#[test]
fn a_page_that_slept_goes_on_where_it_was() {
    let server = Server::start();
    let proxy = Proxy::to(server.websocket);
    let Some(mut page) = Page::open(&Site::start().page(), "sleep") else { return };
    start(&mut page, &server, proxy.address, "alice");
    let mut back_end = BackEnd::new("alice");
    back_end.open(&server);
    // Its connection lives, dies, or is silent meanwhile.
    let faults: [fn(&Proxy); 3] = [|_| {}, Proxy::cut, Proxy::go_silent];
    for fault in faults {
        back_end.say(&server, 2);
        page.freeze(true);
        back_end.say(&server, 3);
        fault(&proxy);
        back_end.say(&server, 3);
        // Longer than an attempt or a probe of this client would wait.
        thread::sleep(Duration::from_secs(2));
        page.freeze(false);
        page.is("document.dispatchEvent(new Event('resume')); 0");
        heard(&back_end, &mut page);
    }
    back_end.complete(&server);
    page.until("runs[0].end === 'agent_completed'");
    check(&back_end, &mut page);
    assert_eq!(page.is("runs[0].text"), json!(back_end.text));
}

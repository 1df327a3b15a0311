"""A back end: it serves the page, says where to connect, and has an agent that answers."""

import base64
import hmac
import json
import os
import threading
import time
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, quote, urlencode, urlsplit
from urllib.request import Request, urlopen

ADMIN = os.environ.get("ADMIN_URL", "http://127.0.0.1:7401")
WEBSOCKET = os.environ.get("WEBSOCKET_URL", "ws://127.0.0.1:7400/ws")
# With these two set, the gateway asks for credentials.
ADMIN_KEY = os.environ.get("ADMIN_KEY")
TOKEN_KEY = os.environ.get("TOKEN_KEY")
HERE = Path(__file__).parent
FILES = {
    "/": ("index.html", "text/html; charset=utf-8"),
    "/headcount.js": ("headcount.js", "text/javascript; charset=utf-8"),
}


def agent(question):
    """The agent: yields its events when they happen. Call your model and your tools here."""
    yield {"event": "agent_thinking", "text": "This needs the time of day."}
    parameters = {"zone": "UTC", "api_key": "not for browsers"}
    yield {"event": "tool_executing", "tool": "clock", "call": "c1", "parameters": parameters}
    now = time.strftime("%H:%M", time.gmtime())
    yield {"event": "tool_completed", "call": "c1", "result": {"time": now}}
    answer = f"You asked: {question} All I can say is that it is {now} UTC."
    for word in answer.split(" "):
        time.sleep(0.4)  # slower than a model, so that there is time to reload the page
        yield {"event": "text", "delta": word + " "}
    yield {"event": "agent_completed", "result": {"answer": answer}}


def token(user):
    """A JWT that names the user for five minutes. The gateway checks it with the same key."""

    def encode(part):
        return base64.urlsafe_b64encode(part).rstrip(b"=")

    now = int(time.time())
    parts = [{"alg": "HS256"}, {"sub": user, "iat": now, "exp": now + 300}]
    signed = b".".join(encode(json.dumps(part).encode()) for part in parts)
    return (signed + b"." + encode(hmac.digest(TOKEN_KEY.encode(), signed, "sha256"))).decode()


def session(user):
    """Where the page connects, and as which user."""
    if TOKEN_KEY:
        return {"url": WEBSOCKET, "token": token(user)}
    return {"url": f"{WEBSOCKET}?{urlencode({'user': user})}"}


def post(path, body):
    """Calls the gateway. Raises if the answer is no success."""
    headers = {"content-type": "application/json"}
    if ADMIN_KEY:
        headers["authorization"] = f"Bearer {ADMIN_KEY}"
    request = Request(ADMIN + path, json.dumps(body).encode(), headers)
    with urlopen(request, timeout=10) as answer:
        return json.load(answer)


def tell(user, run, events):
    """Reports a run to the gateway, event by event, and its end if the agent fails."""
    path = f"/v1/runs/{quote(run, safe='')}/events"
    try:
        for event in events:
            post(path, {"user": user, **event})
    except Exception as failure:
        try:
            post(path, {"user": user, "event": "agent_failed", "error": str(failure)})
        except OSError as error:
            print(f"the gateway does not take the end of run {run}: {error}", flush=True)


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        url = urlsplit(self.path)
        if url.path in FILES:
            name, kind = FILES[url.path]
            self.answer(200, (HERE / name).read_bytes(), kind)
        elif url.path == "/session":
            # A real back end takes the user from its login, and never from the query.
            user = parse_qs(url.query).get("user", ["alice"])[0]
            self.json(200, session(user))
        else:
            self.json(404, {"error": "there is nothing here"})

    def do_POST(self):
        if self.path != "/ask":
            return self.json(404, {"error": "there is nothing here"})
        try:
            length = min(int(self.headers["content-length"] or 0), 65536)
            body = json.loads(self.rfile.read(length))
            user, question = str(body["user"]), str(body["question"])
        except (ValueError, KeyError, TypeError):
            return self.json(400, {"error": "a user and a question are needed"})
        run = str(uuid.uuid4())
        names = {"user": user, "thread": "main", "run": run, "agent": "Clock"}
        try:
            post("/v1/runs", {**names, "question": question})
        except OSError as error:
            return self.json(502, {"error": f"the gateway does not take it: {error}"})
        threading.Thread(target=tell, args=(user, run, agent(question)), daemon=True).start()
        self.json(202, {"run": run})

    def json(self, status, body):
        self.answer(status, json.dumps(body).encode(), "application/json")

    def answer(self, status, body, kind):
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


if __name__ == "__main__":
    server = ThreadingHTTPServer(("127.0.0.1", int(os.environ.get("PORT", "8000"))), Handler)
    print(f"http://127.0.0.1:{server.server_port}/", flush=True)
    server.serve_forever()

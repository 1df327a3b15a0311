// A back end: it serves the page, says where to connect, and has an agent that answers.

import { createHmac, randomUUID } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';

const ADMIN = process.env.ADMIN_URL ?? 'http://127.0.0.1:7401';
const WEBSOCKET = process.env.WEBSOCKET_URL ?? 'ws://127.0.0.1:7400/ws';
// With these two set, the gateway asks for credentials.
const { ADMIN_KEY, TOKEN_KEY } = process.env;
const FILES = {
  '/': ['index.html', 'text/html; charset=utf-8'],
  '/headcount.js': ['headcount.js', 'text/javascript; charset=utf-8'],
};

/** The agent: yields its events when they happen. Call your model and your tools here. */
async function* agent(question) {
  yield { event: 'agent_thinking', text: 'This needs the time of day.' };
  const parameters = { zone: 'UTC', api_key: 'not for browsers' };
  yield { event: 'tool_executing', tool: 'clock', call: 'c1', parameters };
  const now = new Date().toISOString().slice(11, 16);
  yield { event: 'tool_completed', call: 'c1', result: { time: now } };
  const answer = `You asked: ${question} All I can say is that it is ${now} UTC.`;
  for (const word of answer.split(' ')) {
    await sleep(400); // slower than a model, so that there is time to reload the page
    yield { event: 'text', delta: word + ' ' };
  }
  yield { event: 'agent_completed', result: { answer } };
}

/** A JWT that names the user for five minutes. The gateway checks it with the same key. */
function token(user) {
  const encode = (part) => Buffer.from(JSON.stringify(part)).toString('base64url');
  const now = Math.floor(Date.now() / 1000);
  const signed = `${encode({ alg: 'HS256' })}.${encode({ sub: user, iat: now, exp: now + 300 })}`;
  return `${signed}.${createHmac('sha256', TOKEN_KEY).update(signed).digest('base64url')}`;
}

/** Where the page connects, and as which user. */
function session(user) {
  if (TOKEN_KEY) return { url: WEBSOCKET, token: token(user) };
  return { url: `${WEBSOCKET}?${new URLSearchParams({ user })}` };
}

/** Calls the gateway. Throws if the answer is no success. */
async function post(path, body) {
  const headers = { 'content-type': 'application/json' };
  if (ADMIN_KEY) headers.authorization = `Bearer ${ADMIN_KEY}`;
  const answer = await fetch(ADMIN + path, {
    method: 'POST',
    headers,
    body: JSON.stringify(body),
    signal: AbortSignal.timeout(10_000),
  });
  if (!answer.ok) throw new Error(`${answer.status} ${await answer.text()}`);
  return answer.json();
}

/** Reports a run to the gateway, event by event, and its end if the agent fails. */
async function tell(user, run, events) {
  const path = `/v1/runs/${encodeURIComponent(run)}/events`;
  try {
    for await (const event of events) await post(path, { user, ...event });
  } catch (error) {
    await post(path, { user, event: 'agent_failed', error: String(error) });
  }
}

async function read(request) {
  let text = '';
  for await (const part of request.setEncoding('utf8')) {
    text += part;
    if (text.length > 65536) throw new Error('the body is too large');
  }
  return JSON.parse(text);
}

async function ask(request) {
  let user, question;
  try {
    ({ user, question } = await read(request));
    if (typeof user !== 'string' || typeof question !== 'string') throw new Error('missing');
  } catch {
    return [400, { error: 'a user and a question are needed' }];
  }
  const run = randomUUID();
  try {
    await post('/v1/runs', { user, thread: 'main', run, agent: 'Clock', question });
  } catch (error) {
    return [502, { error: `the gateway does not take it: ${error.message}` }];
  }
  tell(user, run, agent(question)).catch((error) => {
    console.error(`the gateway does not take the end of run ${run}: ${error.message}`);
  });
  return [202, { run }];
}

const server = createServer(async (request, response) => {
  const url = new URL(request.url, 'http://localhost');
  const route = `${request.method} ${url.pathname}`;
  if (request.method === 'GET' && Object.hasOwn(FILES, url.pathname)) {
    const [name, kind] = FILES[url.pathname];
    response.setHeader('content-type', kind);
    return response.end(await readFile(new URL(name, import.meta.url)));
  }
  let [status, body] = [404, { error: 'there is nothing here' }];
  if (route === 'GET /session') {
    // A real back end takes the user from its login, and never from the query.
    const user = url.searchParams.get('user') ?? 'alice';
    [status, body] = [200, session(user)];
  } else if (route === 'POST /ask') {
    [status, body] = await ask(request);
  }
  response.writeHead(status, { 'content-type': 'application/json' });
  response.end(JSON.stringify(body));
});

server.listen(Number(process.env.PORT ?? 8000), '127.0.0.1', () => {
  console.log(`http://127.0.0.1:${server.address().port}/`);
});

import assert from 'node:assert/strict';
import { afterEach, beforeEach, mock, test } from 'node:test';
import { Client } from '../headcount.js';
import { FakeSocket, begin, end, hear, pass, settle, token } from './fake.js';

let client;
beforeEach(begin);
afterEach(() => {
  client?.close();
  client = undefined;
  end();
});

/** A client, and everything that its listeners hear. */
async function make(options = {}) {
  client = new Client('ws://host/ws?debug=1', { user: 'u', WebSocket: FakeSocket, ...options });
  const names = ['event', 'gap', 'reset', 'state', 'joined', 'left', 'close', 'error', 'draining', 'run'];
  const heard = hear(client, names);
  await settle();
  return heard;
}

async function opened(options) {
  const heard = await make(options);
  FakeSocket.last.welcome();
  return heard;
}

/** Answers all joins, those that follow an answer included: how many there were. */
function answerJoins() {
  const answered = new Set();
  for (;;) {
    const next = FakeSocket.last.of('join').find(({ id }) => !answered.has(id));
    if (!next) return answered.size;
    answered.add(next.id);
    FakeSocket.last.says({ type: 'joined', room: next.room, epoch: 'r', offset: 0, recovered: 'fresh', request: next.id });
  }
}

const offsets = heard => heard('event').map(event => event.offset);

test('an address, a protocol, and who it is', async () => {
  await make({ thread: 't' });
  assert.deepEqual(FakeSocket.last.query, { debug: '1', user: 'u', thread: 't' });
  assert.deepEqual(FakeSocket.last.protocols, ['headcount.v1']);
});

test('a reconnect resumes: nothing twice, nothing lost', async () => {
  const heard = await opened();
  const first = FakeSocket.last;
  for (const offset of [1, 2, 2, 1, 3]) first.event(offset);
  first.ends(1006);
  first.event(4);
  await pass(1000);
  const second = FakeSocket.last;
  assert.notEqual(second, first);
  assert.deepEqual(second.query, { debug: '1', user: 'u', epoch: 'e', offset: '3', previous: 'c1' });
  second.welcome({ recovered: 'all', session: { epoch: 'e', offset: 3 } });
  for (const offset of [3, 4, 5]) second.event(offset);
  assert.deepEqual(offsets(heard), [1, 2, 3, 4, 5]);
  assert.deepEqual(client.position, { epoch: 'e', offset: 5, connection: 'c2', rooms: {}, threads: {} });
});

test('another client goes on where one stopped', async () => {
  await opened();
  FakeSocket.last.event(4);
  FakeSocket.last.says({ type: 'joined', room: 'a', epoch: 'r', offset: 2, recovered: 'fresh' });
  FakeSocket.last.ends(4503);
  const resume = JSON.parse(JSON.stringify(client.position));
  const heard = await make({ resume });
  assert.deepEqual(FakeSocket.last.query, { debug: '1', user: 'u', epoch: 'e', offset: '4', previous: 'c1' });
  FakeSocket.last.welcome({ recovered: 'all', session: { epoch: 'e', offset: 4 } });
  assert.deepEqual(FakeSocket.last.of('join'), [{ type: 'join', room: 'a', epoch: 'r', offset: 2, id: 1 }]);
  FakeSocket.last.event(4);
  FakeSocket.last.event(5);
  assert.deepEqual(offsets(heard), [5]);
  assert.equal(resume.offset, 4);
});

test('gaps move the position and are told once', async () => {
  const heard = await opened();
  const gap = { type: 'gap', stream: 'session', from: 1, to: 7 };
  FakeSocket.last.says(gap);
  FakeSocket.last.says(gap);
  FakeSocket.last.event(7);
  FakeSocket.last.event(8);
  assert.equal(heard('gap').length, 1);
  assert.deepEqual(offsets(heard), [8]);
});

test('a foreign epoch begins again, and is told', async () => {
  const heard = await opened();
  FakeSocket.last.event(9);
  FakeSocket.last.ends(1006);
  await pass(1000);
  FakeSocket.last.welcome({ recovered: 'gap', session: { epoch: 'f', offset: 0 } });
  FakeSocket.last.event(1);
  assert.deepEqual(heard('reset'), [{ stream: 'session', epoch: 'f' }]);
  assert.deepEqual(offsets(heard), [9, 1]);
});

test('an offset that the stream has not reached starts over', async () => {
  const heard = await opened();
  FakeSocket.last.event(9);
  FakeSocket.last.ends(1006);
  await pass(1000);
  FakeSocket.last.welcome({ recovered: 'gap', session: { epoch: 'e', offset: 0 } });
  FakeSocket.last.event(1);
  assert.deepEqual(offsets(heard), [9, 1]);
});

test('what is in no stream has no offset and passes', async () => {
  const heard = await opened();
  for (const data of [1, 1]) FakeSocket.last.says({ type: 'event', data });
  assert.equal(heard('event').length, 2);
});

test('delays are inside the window, grow with failures, and are capped', async () => {
  const heard = await opened();
  const delays = [];
  for (let turn = 0; turn < 12; turn++) {
    FakeSocket.last.ends(1006);
    delays.push(heard('state').at(-1).retryIn);
    await pass(70_000);
  }
  assert.deepEqual(delays, [1000, 2000, 4000, 8000, 16_000, 32_000, ...Array(6).fill(60_000)]);
});

test('the low end of the window is kept', async t => {
  const heard = await opened();
  t.mock.method(Math, 'random', () => 0);
  FakeSocket.last.ends(1006);
  assert.equal(heard('state').at(-1).retryIn, 200);
});

test('a connection that held resets the growth, one that was closed at once does not', async () => {
  const heard = await opened();
  for (let turn = 0; turn < 3; turn++) {
    FakeSocket.last.ends(1011);
    await pass(70_000);
    FakeSocket.last.welcome();
  }
  FakeSocket.last.ends(1011);
  assert.equal(heard('state').at(-1).retryIn, 8000);
  await pass(8000);
  FakeSocket.last.welcome();
  await pass(1500);
  FakeSocket.last.ends(1011);
  assert.equal(heard('state').at(-1).retryIn, 1000);
});

test('a drain says when to come back', async () => {
  const heard = await opened();
  await pass(2000);
  FakeSocket.last.says({ type: 'draining', reconnect_ms: [3000, 9000] });
  FakeSocket.last.ends(1012);
  assert.equal(heard('state').at(-1).retryIn, 9000);
});

test('a time to wait in the reason is waited', async () => {
  const heard = await make();
  FakeSocket.last.open();
  FakeSocket.last.ends(1013, 'connections_per_user retry_after=30');
  const { retryIn } = heard('state').at(-1);
  assert.ok(retryIn >= 30_000 && retryIn <= 35_000, String(retryIn));
  await pass(29_999);
  assert.equal(FakeSocket.all.length, 1);
});

for (const code of [1000, 1002, 1007, 1008, 1009, 4500, 4501, 4502, 4503, 4504, 4505, 4506, 4599, 4200, 4399]) {
  test(`${code} is the end`, async () => {
    const heard = await opened();
    const waits = client.join('lobby');
    FakeSocket.last.ends(code, 'why');
    assert.deepEqual(heard('close'), [{ code, reason: 'why' }]);
    assert.equal(client.state, 'closed');
    await assert.rejects(waits, { code: 'closed' });
    client.retry();
    await pass(600_000);
    assert.equal(FakeSocket.all.length, 1);
  });
}

for (const code of [1001, 1005, 1006, 1011, 1012, 1013, 1015, 4408, 4412, 4413, 4414]) {
  test(`${code} is not the end`, async () => {
    const heard = await opened();
    FakeSocket.last.ends(code);
    await pass(1000);
    assert.equal(FakeSocket.all.length, 2);
    assert.equal(heard('close').length, 0);
  });
}

test('a silence is broken by a ping, and without an answer the socket is dead', async () => {
  const heard = await opened();
  const first = FakeSocket.last;
  await pass(24_999);
  assert.equal(first.of('ping').length, 0);
  await pass(1);
  assert.equal(first.of('ping').length, 1);
  first.says({ type: 'ok' });
  await pass(25_000);
  assert.equal(first.of('ping').length, 2);
  await pass(10_000);
  assert.equal(client.state, 'waiting');
  assert.equal(heard('state').at(-1).reason, 'no sign of life');
  assert.equal(first.closed, 1000);
  // What the dead socket says after all is not heard.
  first.event(1);
  first.ends(4503);
  await pass(1000);
  FakeSocket.last.welcome({ recovered: 'all' });
  FakeSocket.last.event(1);
  assert.deepEqual(offsets(heard), [1]);
});

test('an attempt that stands still ends', async () => {
  await make();
  FakeSocket.last.open();
  await pass(15_000);
  assert.equal(client.state, 'waiting');
});

test('rooms come back at their offset', async () => {
  const heard = await opened();
  const first = FakeSocket.last;
  const lobby = client.join('lobby');
  const [join] = first.of('join');
  assert.deepEqual(join, { type: 'join', room: 'lobby', id: 1 });
  first.says({ type: 'joined', room: 'lobby', epoch: 'r', offset: 4, recovered: 'fresh', request: 1 });
  assert.equal((await lobby).offset, 4);
  // The back end can put a client into a room, too.
  first.says({ type: 'joined', room: 'news', epoch: 'n', offset: 0, recovered: 'fresh' });
  for (const offset of [5, 5, 6]) first.says({ type: 'event', stream: 'room/lobby', offset, data: offset });
  assert.deepEqual(client.rooms, ['lobby', 'news']);
  first.ends(1006);
  await pass(1000);
  const second = FakeSocket.last;
  second.welcome({ recovered: 'all' });
  assert.deepEqual(second.of('join'), [
    { type: 'join', room: 'lobby', epoch: 'r', offset: 6, id: 2 },
    { type: 'join', room: 'news', epoch: 'n', offset: 0, id: 3 },
  ]);
  second.says({ type: 'joined', room: 'lobby', epoch: 'r', offset: 6, recovered: 'all', request: 2 });
  for (const offset of [6, 7]) second.says({ type: 'event', stream: 'room/lobby', offset, data: offset });
  assert.deepEqual(offsets(heard), [5, 6, 7]);
  // One whose right is gone is no room to come back to.
  second.says({ type: 'error', code: 'room_forbidden', message: 'no', request: 3 });
  assert.deepEqual(heard('left'), [{ room: 'news', code: 'room_forbidden', message: 'no' }]);
  assert.deepEqual(client.rooms, ['lobby']);
});

test('a run is requested and cancelled, and a request is asked until it is answered', async () => {
  const heard = await opened();
  const first = FakeSocket.last;
  const asked = client.request('r', { text: 'why?' });
  assert.deepEqual(first.of('run_request'), [{ type: 'run_request', run: 'r', input: { text: 'why?' }, id: 1 }]);
  first.says({ type: 'event', stream: 'session', offset: 11, event: 'run_requested', run: 'r', agent: '', data: { input: { text: 'why?' } } });
  const run = client.run('r');
  assert.deepEqual([run.agent, run.partial, run.end, heard('run')], ['', false, undefined, [run]]);
  first.ends(1006);
  await pass(1000);
  const second = FakeSocket.last;
  second.welcome({ recovered: 'all' });
  assert.equal(second.of('run_request').length, 1);
  second.says({ type: 'ok', request: 1 });
  await asked;
  const stop = client.cancel('r', 'enough');
  assert.deepEqual(second.of('run_cancel'), [{ type: 'run_cancel', run: 'r', reason: 'enough', id: 2 }]);
  const says = (offset, event, agent, data) =>
    second.says({ type: 'event', stream: 'session', offset, event, run: 'r', agent, data });
  says(12, 'run_cancel_requested', '', { reason: 'enough' });
  second.says({ type: 'ok', request: 2 });
  await stop;
  assert.equal(run.end, undefined, 'the back end decides');
  says(13, 'agent_started', 'Planner', {});
  says(14, 'agent_cancelled', 'Planner', {});
  assert.deepEqual([run.agent, run.partial, run.end.event], ['Planner', false, 'agent_cancelled']);
  const seen = [];
  for await (const { event } of run) seen.push(event);
  assert.deepEqual(seen, ['run_requested', 'run_cancel_requested', 'agent_started', 'agent_cancelled']);
  const refused = client.cancel('r');
  assert.deepEqual(second.of('run_cancel').at(-1), { type: 'run_cancel', run: 'r', id: 3 });
  second.says({ type: 'error', code: 'run_ended', message: 'over', request: 3 });
  await assert.rejects(refused, { code: 'run_ended' });
});

test('more rooms come back than requests may wait', async () => {
  await opened();
  for (let number = 0; number < 300; number++) {
    FakeSocket.last.says({ type: 'joined', room: `r${number}`, epoch: 'r', offset: 0, recovered: 'fresh' });
  }
  FakeSocket.last.ends(1006);
  await pass(1000);
  FakeSocket.last.welcome({ recovered: 'all' });
  assert.equal(answerJoins(), 300);
});

test('a room of another epoch begins again, and is told', async () => {
  const heard = await opened();
  FakeSocket.last.says({ type: 'joined', room: 'a', epoch: 'r', offset: 9, recovered: 'fresh' });
  FakeSocket.last.says({ type: 'joined', room: 'a', epoch: 's', offset: 0, recovered: 'gap' });
  FakeSocket.last.says({ type: 'event', stream: 'room/a', offset: 1, data: 0 });
  assert.deepEqual(heard('reset'), [{ stream: 'room/a', epoch: 's' }]);
  assert.deepEqual(offsets(heard), [1]);
});

test('a refused join is an error of its own', async () => {
  const heard = await opened();
  const join = client.join('secret');
  FakeSocket.last.says({ type: 'error', code: 'room_forbidden', message: 'no', request: 1 });
  await assert.rejects(join, { code: 'room_forbidden', message: 'no' });
  assert.equal(heard('error').length, 0);
  assert.deepEqual(client.rooms, []);
});

test('what is asked while away waits, up to a bound', async () => {
  await make();
  const joins = Array.from({ length: 256 }, (_, number) => client.join(`r${number}`));
  await assert.rejects(client.join('one more'), { code: 'queue_full' });
  FakeSocket.last.welcome();
  assert.equal(answerJoins(), 256);
  await Promise.all(joins);
});

test('what is asked does not come all at once, for a server has a rate', async () => {
  await opened();
  const joins = Array.from({ length: 100 }, (_, number) => client.join(`r${number}`));
  assert.equal(FakeSocket.last.of('join').length, 32);
  FakeSocket.last.says({ type: 'error', code: 'rate_limited', message: 'slowly' });
  FakeSocket.last.says({ type: 'joined', room: 'r0', epoch: 'r', offset: 0, recovered: 'fresh', request: 1 });
  assert.equal(FakeSocket.last.of('join').length, 32, 'it waits');
  await pass(1000);
  assert.equal(FakeSocket.last.of('join').length, 64);
  answerJoins();
  await Promise.all(joins);
});

test('a request whose answer was cut off is asked again', async () => {
  await opened();
  const leave = client.leave('lobby');
  FakeSocket.last.ends(1006);
  await pass(1000);
  FakeSocket.last.welcome({ recovered: 'all' });
  assert.deepEqual(FakeSocket.last.of('leave'), [{ type: 'leave', room: 'lobby', id: 1 }]);
  FakeSocket.last.says({ type: 'left', room: 'lobby', request: 1 });
  await leave;
});

test('what was over the rate is asked again', async () => {
  const heard = await opened();
  client.join('a');
  FakeSocket.last.says({ type: 'error', code: 'rate_limited', message: 'slowly' });
  await pass(1000);
  assert.equal(FakeSocket.last.of('join').length, 2);
  assert.equal(heard('error').length, 0);
});

test('a room that was left while its join was under way is left', async () => {
  await opened();
  client.join('a');
  client.leave('a');
  FakeSocket.last.says({ type: 'joined', room: 'a', epoch: 'r', offset: 0, recovered: 'fresh', request: 1 });
  FakeSocket.last.says({ type: 'left', room: 'a', request: 2 });
  assert.deepEqual(client.rooms, []);
});

test('acknowledgements are put together', async () => {
  await opened();
  client.ack('session', 3);
  client.ack('session', 7);
  client.ack('session', 5);
  client.ack('room/a', 1);
  await pass(200);
  assert.deepEqual(FakeSocket.last.of('ack'), [
    { type: 'ack', stream: 'session', offset: 7 },
    { type: 'ack', stream: 'room/a', offset: 1 },
  ]);
});

test('several listeners, one that throws, one that goes', async t => {
  await opened();
  const heard = [];
  const thrown = [];
  // Reported as an error that nothing has caught is.
  t.mock.method(globalThis, 'queueMicrotask', task => {
    try { task(); } catch (error) { thrown.push(error.message); }
  });
  client.on('event', () => { throw new Error('mine'); });
  const off = client.on('event', event => heard.push(event.offset));
  FakeSocket.last.event(1);
  off();
  FakeSocket.last.event(2);
  assert.deepEqual(heard, [1]);
  assert.deepEqual(thrown, ['mine', 'mine']);
});

test('retry ends a wait, and asks a connection whether it lives', async () => {
  await opened();
  client.retry();
  assert.equal(FakeSocket.last.of('ping').length, 1);
  FakeSocket.last.ends(1006);
  client.retry();
  await settle();
  assert.equal(FakeSocket.all.length, 2);
});

test('the browser says when the network is back', async () => {
  const target = new EventTarget();
  globalThis.addEventListener = target.addEventListener.bind(target);
  globalThis.removeEventListener = target.removeEventListener.bind(target);
  try {
    await opened();
    FakeSocket.last.ends(1006);
    target.dispatchEvent(new Event('online'));
    await settle();
    assert.equal(FakeSocket.all.length, 2);
    client.close();
    target.dispatchEvent(new Event('pageshow'));
    await settle();
    assert.equal(FakeSocket.all.length, 2);
  } finally {
    delete globalThis.addEventListener;
    delete globalThis.removeEventListener;
  }
});

test('a page that is hidden and a network that goes end no wait', async () => {
  const target = new EventTarget();
  globalThis.addEventListener = target.addEventListener.bind(target);
  globalThis.removeEventListener = target.removeEventListener.bind(target);
  globalThis.document = Object.assign(new EventTarget(), { hidden: true });
  try {
    await opened();
    target.dispatchEvent(new Event('offline'));
    assert.equal(FakeSocket.last.of('ping').length, 1);
    FakeSocket.last.ends(1006);
    target.dispatchEvent(new Event('offline'));
    document.dispatchEvent(new Event('visibilitychange'));
    await settle();
    assert.equal(FakeSocket.all.length, 1);
    document.hidden = false;
    document.dispatchEvent(new Event('visibilitychange'));
    await settle();
    assert.equal(FakeSocket.all.length, 2);
  } finally {
    client.close();
    for (const name of ['addEventListener', 'removeEventListener', 'document']) delete globalThis[name];
  }
});

test('frames that are no frames break nothing', async () => {
  const heard = await opened();
  for (const data of ['', 'null', '7', '[]', '{"type":"new"}', '{', '"x"']) FakeSocket.last.onmessage({ data });
  FakeSocket.last.event(1);
  assert.deepEqual(offsets(heard), [1]);
});

test('close is the end of everything', async () => {
  const heard = await opened();
  client.close();
  client.close();
  assert.equal(FakeSocket.last.closed, 1000);
  assert.equal(heard('close').length, 1);
  await assert.rejects(client.join('a'), { code: 'closed' });
  await pass(600_000);
  assert.equal(FakeSocket.all.length, 1);
});

test('a listener of a gap may close', async () => {
  const heard = await opened();
  client.on('gap', () => client.close());
  FakeSocket.last.event(1, started);
  await pass(20_000);
  FakeSocket.last.says({ type: 'gap', stream: 'session', from: 2, to: 5 });
  assert.equal(client.state, 'closed');
  await pass(600_000);
  assert.equal(FakeSocket.all.length, 1);
  assert.equal(heard('state').at(-1).state, 'closed');
});

test('nothing is heard after the close', async () => {
  const heard = await opened();
  FakeSocket.last.ends(1006);
  await pass(1000);
  client.on('state', ({ state }) => state === 'open' && client.close());
  FakeSocket.last.welcome({ session: { epoch: 'f', offset: 0 } });
  assert.equal(heard('close').length, 1);
  assert.equal(heard('reset').length, 0);
});

test('two clients in one page are two', async () => {
  const first = await opened();
  const [one, socket] = [client, FakeSocket.last];
  try {
    const second = await opened({ thread: 't' });
    socket.event(1);
    FakeSocket.last.event(7);
    one.close();
    FakeSocket.last.event(8);
    assert.deepEqual([offsets(first), offsets(second)], [[1], [7, 8]]);
    assert.deepEqual([one.state, client.state], ['closed', 'open']);
  } finally {
    one.close();
  }
});

test('an address that is none is the end', async () => {
  const heard = await make({ WebSocket: class { constructor() { throw new SyntaxError('bad'); } } });
  assert.equal(heard('close')[0].code, 4501);
});

// Tokens

test('a token goes with the subprotocol, and one that has time left is used again', async () => {
  let calls = 0;
  const given = token({ exp: 1_800_003_600 });
  await opened({ user: undefined, token: async () => (calls++, given) });
  assert.deepEqual(FakeSocket.last.protocols, ['headcount.v1', `bearer.${given}`]);
  FakeSocket.last.ends(1006);
  await pass(1000);
  assert.equal(FakeSocket.all.length, 2);
  assert.equal(calls, 1);
});

test('a token goes with the first frame where that is wanted', async () => {
  await make({ user: undefined, thread: 't', token: 'secret', auth: 'frame' });
  FakeSocket.last.open();
  assert.deepEqual(FakeSocket.last.query, { debug: '1' });
  assert.deepEqual(FakeSocket.last.sent, [{ type: 'auth', token: 'secret', thread: 't' }]);
  assert.deepEqual(FakeSocket.last.protocols, ['headcount.v1']);
  FakeSocket.last.welcome();
  FakeSocket.last.event(3);
  FakeSocket.last.ends(1006);
  await pass(1000);
  FakeSocket.last.open();
  assert.deepEqual(FakeSocket.last.sent, [
    { type: 'auth', token: 'secret', thread: 't', epoch: 'e', offset: 3, previous: 'c1' },
  ]);
  assert.deepEqual(FakeSocket.last.query, { debug: '1' });
});

test('why a first frame is refused is told before the close', async () => {
  const heard = await make({ user: undefined, token: 'secret', auth: 'frame' });
  FakeSocket.last.open();
  FakeSocket.last.says({ type: 'error', code: 'token_expired', message: 'it is over' });
  FakeSocket.last.ends(4500, 'bad_credentials');
  assert.deepEqual(heard('error').map(({ code }) => code), ['token_expired']);
  assert.deepEqual(heard('close'), [{ code: 4500, reason: 'bad_credentials' }]);
});

test('a token is refreshed before it expires', async () => {
  let calls = 0;
  const give = async () => token({ iat: Date.now() / 1000, exp: Date.now() / 1000 + 100, call: ++calls });
  const heard = await opened({ token: give });
  for (const round of [1, 2]) {
    await pass(79_000);
    assert.equal(FakeSocket.last.of('refresh').length, round - 1);
    await pass(1000);
    const frame = FakeSocket.last.of('refresh')[round - 1];
    assert.ok(frame.token);
    FakeSocket.last.says({ type: 'ok', request: frame.id });
    await settle();
  }
  assert.equal(calls, 3);
  assert.equal(heard('error').length, 0);
});

test('a clock that is wrong does not make it ask all the time', async () => {
  let calls = 0;
  // By this clock all tokens have expired long ago.
  await opened({ token: async () => (calls++, token({ iat: 1_700_000_000, exp: 1_700_000_600 })) });
  await pass(479_000);
  assert.equal(calls, 1);
});

test('an expired token is replaced, a bad one once', async () => {
  let calls = 0;
  const heard = await opened({ token: async () => `t${++calls}` });
  FakeSocket.last.ends(4405);
  await pass(1000);
  assert.deepEqual(FakeSocket.last.protocols, ['headcount.v1', 'bearer.t2']);
  FakeSocket.last.ends(4500, 'token_expired');
  await pass(10_000);
  assert.deepEqual(FakeSocket.last.protocols, ['headcount.v1', 'bearer.t3']);
  FakeSocket.last.ends(4500, 'token_signature');
  assert.deepEqual(heard('close'), [{ code: 4500, reason: 'token_signature' }]);
});

test('a fixed token that has expired is the end', async () => {
  const heard = await opened({ token: 'fixed' });
  FakeSocket.last.ends(4405, 'token_expired');
  assert.equal(heard('close')[0].code, 4405);
});

test('a callback that fails is asked again later', async () => {
  let calls = 0;
  const heard = await make({ token: async () => { if (++calls < 3) throw new Error('offline'); return 't'; } });
  assert.equal(FakeSocket.all.length, 0);
  assert.equal(heard('error')[0].code, 'token');
  await pass(5000);
  await pass(10_000);
  assert.equal(FakeSocket.all.length, 1);
});

test('a refresh that is refused is told, and the next connection asks again', async () => {
  let calls = 0;
  const heard = await opened({ token: async () => (calls++, token({ exp: 1_800_000_100 })) });
  await pass(80_000);
  FakeSocket.last.says({ type: 'error', code: 'token_user', message: 'not yours', request: 1 });
  await settle();
  assert.equal(heard('error')[0].code, 'token');
  FakeSocket.last.ends(4405);
  await pass(5000);
  assert.equal(calls, 3);
});

for (const [name, given] of [['a page', '<!doctype html>'], ['a line', 'h.secret.s\n'], ['nothing', undefined]]) {
  test(`${name} in place of a token is no token, and is not told`, async () => {
    const given_out = [given, 't'];
    const heard = await make({ token: async () => given_out.shift() });
    assert.equal(FakeSocket.all.length, 0);
    assert.deepEqual(heard('error').map(({ code }) => code), ['token']);
    const told = JSON.stringify([heard('error').map(({ message }) => message), heard('state')]);
    assert.ok(!told.includes('secret') && !told.includes('html'), told);
    await pass(5000);
    assert.deepEqual(FakeSocket.last.protocols, ['headcount.v1', 'bearer.t']);
  });
}

test('a fixed token that is none is the end', async () => {
  const heard = await make({ token: 'two words' });
  assert.equal(heard('close')[0].code, 4500);
  assert.ok(!heard('close')[0].reason.includes('words'));
});

test('a token that grew old while away is replaced before it is used', async () => {
  let calls = 0;
  await opened({ token: async () => token({ iat: Date.now() / 1000, exp: Date.now() / 1000 + 100, call: ++calls }) });
  // The machine sleeps: no timer fires.
  mock.timers.setTime(Date.now() + 3_600_000);
  FakeSocket.last.ends(1006);
  await pass(1000);
  assert.equal(FakeSocket.all.length, 2);
  assert.equal(calls, 2);
});

test('a refresh that fails is tried again before the token expires', async () => {
  let calls = 0;
  const give = async () => {
    if (++calls === 2) throw new Error('offline');
    return token({ iat: Date.now() / 1000, exp: Date.now() / 1000 + 100, call: calls });
  };
  const heard = await opened({ token: give });
  await pass(80_000);
  assert.equal(heard('error')[0].code, 'token');
  FakeSocket.last.says({ type: 'ok' });
  await pass(17_000);
  assert.equal(calls, 3);
  assert.equal(FakeSocket.last.of('refresh').length, 1);
});

test('a refresh without an answer is not repeated with the next connection', async () => {
  let calls = 0;
  await opened({ token: async () => token({ iat: Date.now() / 1000, exp: Date.now() / 1000 + 100, call: ++calls }) });
  await pass(80_000);
  const [{ token: sent }] = FakeSocket.last.of('refresh');
  FakeSocket.last.ends(1006);
  await pass(1000);
  // It comes in with the new one.
  assert.deepEqual(FakeSocket.last.protocols, ['headcount.v1', `bearer.${sent}`]);
  FakeSocket.last.welcome({ recovered: 'all' });
  assert.equal(FakeSocket.last.of('refresh').length, 0);
  await pass(80_000);
  assert.equal(FakeSocket.last.of('refresh').length, 1);
});

test('a callback that takes longer than an attempt serves the next one', async () => {
  let calls = 0;
  const late = async () => {
    calls++;
    await new Promise(resolve => setTimeout(resolve, 17_000));
    return 't';
  };
  const heard = await make({ token: late });
  await pass(15_000);
  assert.equal(heard('state').at(-1).reason, 'no token in time');
  await pass(2000);
  await pass(3000);
  assert.deepEqual(FakeSocket.last?.protocols, ['headcount.v1', 'bearer.t']);
  assert.equal(calls, 1);
});

test('a callback that hangs is called again, and not after a close', async () => {
  let calls = 0;
  let answer;
  await make({ token: () => { calls++; return new Promise(resolve => { answer = resolve; }); } });
  for (let second = 0; second < 30; second++) await pass(1000);
  assert.equal(calls, 2);
  client.close();
  answer('t');
  await pass(600_000);
  assert.equal(FakeSocket.all.length, 0);
  assert.equal(calls, 2);
});

// Runs

const started = { event: 'agent_started', run: 'r', agent: 'A', data: {} };
const says = delta => ({ event: 'text', run: 'r', agent: 'A', data: { delta } });
const completed = { event: 'agent_completed', run: 'r', agent: 'A', data: { result: 1 } };

async function collect(run) {
  const events = [];
  for await (const event of run) events.push(event.event === 'text' ? event.data.delta : event.event);
  return events;
}

test('a run is whole over a reconnect, and ends with how it ended', async () => {
  await opened();
  const run = client.run('r');
  const live = collect(run);
  FakeSocket.last.event(1, started);
  FakeSocket.last.event(6, says('Hello'));
  await settle();
  FakeSocket.last.ends(1006);
  await pass(1000);
  FakeSocket.last.welcome({ recovered: 'all', session: { epoch: 'e', offset: 6 }, runs: [{ run: 'r', agent: 'A' }] });
  FakeSocket.last.event(6, says('Hello'));
  FakeSocket.last.event(9, says(' you'));
  await settle();
  FakeSocket.last.event(10, completed);
  assert.deepEqual(await live, ['agent_started', 'Hello', ' you', 'agent_completed']);
  assert.equal(run.text, 'Hello you');
  assert.deepEqual(run.end.data, { result: 1 });
  assert.equal(run.partial, false);
  // One who asks later gets all of it, text in fewer pieces.
  assert.deepEqual(await collect(client.run('r')), ['agent_started', 'Hello you', 'agent_completed']);
});

test('text between two readers of different speed is the same', async () => {
  await opened();
  FakeSocket.last.event(0.5, started);
  const quick = collect(client.run('r'));
  const text = Array.from({ length: 5000 }, (_, number) => `${number} `);
  for (const [number, delta] of text.entries()) {
    FakeSocket.last.event(number + 1, says(delta));
    if (number % 7 === 0) await settle();
  }
  FakeSocket.last.event(9000, completed);
  for (const pieces of [await quick, await collect(client.run('r'))]) {
    assert.equal(pieces.slice(1, -1).join(''), text.join(''));
  }
  assert.equal(client.run('r').text, text.join(''));
});

test('a run that is seen for the first time is told', async () => {
  const heard = await opened();
  FakeSocket.last.event(1, started);
  FakeSocket.last.event(2, says('x'));
  assert.deepEqual(heard('run').map(run => [run.id, run.agent]), [['r', 'A']]);
});

test('a restart loses the run, and one of the same name is another', async () => {
  const heard = await opened();
  FakeSocket.last.event(1, started);
  const live = collect(client.run('r'));
  FakeSocket.last.ends(1006);
  await pass(1000);
  FakeSocket.last.welcome({ recovered: 'gap', session: { epoch: 'f', offset: 0 }, runs: [{ run: 'r', agent: 'A' }] });
  assert.deepEqual(await live, ['agent_started', 'run_lost']);
  FakeSocket.last.event(1, started);
  FakeSocket.last.event(2, completed);
  assert.deepEqual(await collect(client.run('r')), ['agent_started', 'agent_completed']);
  assert.equal(heard('run').length, 2);
});

test('a run whose end is in a gap is lost once nothing more comes', async () => {
  await opened();
  FakeSocket.last.event(1, started);
  const run = client.run('r');
  FakeSocket.last.ends(1006);
  await pass(1000);
  FakeSocket.last.welcome({ recovered: 'gap', session: { epoch: 'e', offset: 1 } });
  FakeSocket.last.says({ type: 'gap', stream: 'session', from: 2, to: 5 });
  assert.equal(run.partial, true);
  await pass(9000);
  FakeSocket.last.event(6);
  await pass(9000);
  assert.equal(run.end, undefined);
  await pass(1000);
  assert.equal(run.end.event, 'run_lost');
});

test('a gap on a live connection asks which runs are open', async () => {
  await opened();
  FakeSocket.last.event(1, started);
  await pass(20_000);
  FakeSocket.last.says({ type: 'gap', stream: 'session', from: 2, to: 5 });
  await pass(1000);
  assert.equal(FakeSocket.all.length, 2);
  assert.equal(FakeSocket.last.query.offset, '5');
});

test('a reader can stop, and close ends all readers', async () => {
  await opened();
  const stopped = client.run('r')[Symbol.asyncIterator]();
  const waits = stopped.next();
  await stopped.return();
  assert.deepEqual(await waits, { done: true, value: undefined });
  const other = collect(client.run('other'));
  client.close();
  assert.deepEqual(await other, []);
});

test('ended runs are kept up to a bound', async () => {
  await opened();
  let offset = 0;
  for (let number = 0; number < 40; number++) {
    for (const event of [started, completed]) FakeSocket.last.event(++offset, { ...event, run: `r${number}` });
  }
  assert.equal(client.run('r39').end.event, 'agent_completed');
  assert.equal(client.run('r24').end.event, 'agent_completed');
  assert.equal(client.run('r23').end, undefined);
});

// Several sessions of a user over one socket.
import assert from 'node:assert/strict';
import { afterEach, beforeEach, test } from 'node:test';
import { Client } from '../headcount.js';
import { FakeSocket, begin, end, hear, pass, settle } from './fake.js';

let client;
beforeEach(begin);
afterEach(() => {
  client?.close();
  client = undefined;
  end();
});

/** A client that is connected, and what its listeners hear. */
async function opened(options = {}) {
  client = new Client('ws://host/ws', { user: 'u', WebSocket: FakeSocket, ...options });
  const heard = hear(client, ['event', 'gap', 'reset', 'followed', 'unfollowed', 'joined', 'error', 'run', 'state']);
  await settle();
  FakeSocket.last.welcome();
  return heard;
}

const says = frame => FakeSocket.last.says(frame);
const event = (thread, offset, more) => FakeSocket.last.event(offset, { stream: `session/${thread}`, ...more });
const followed = (thread, more) => {
  const request = FakeSocket.last.of('follow').findLast(frame => frame.thread === thread)?.id;
  says({ type: 'followed', thread, session: 's', epoch: 'f', offset: 0, recovered: 'fresh', runs: [], request, ...more });
};

async function cut() {
  let delay;
  const off = client.on('state', ({ retryIn }) => { delay = retryIn; });
  FakeSocket.last.ends(1006);
  off();
  await pass(delay);
}

test('each session goes on by itself over a reconnect', async () => {
  const heard = await opened();
  const asked = client.follow('work');
  assert.deepEqual(FakeSocket.last.of('follow'), [{ type: 'follow', thread: 'work', id: 1 }]);
  followed('work', { offset: 2 });
  assert.equal((await asked).epoch, 'f');
  for (const offset of [1, 2, 3, 3, 4]) event('work', offset);
  FakeSocket.last.event(1);
  assert.deepEqual(heard('event').map(it => [it.stream, it.offset]), [['session/work', 3], ['session/work', 4], ['session', 1]]);
  assert.deepEqual(client.threads, ['work']);
  assert.deepEqual(client.position, { epoch: 'e', offset: 1, connection: 'c1', rooms: {}, threads: { work: { epoch: 'f', offset: 4 } } });
  await cut();
  FakeSocket.last.welcome({ recovered: 'all', session: { epoch: 'e', offset: 1 } });
  assert.deepEqual(FakeSocket.last.of('follow'), [{ type: 'follow', thread: 'work', epoch: 'f', offset: 4, id: 2 }]);
  followed('work', { offset: 4, recovered: 'all' });
  event('work', 4);
  event('work', 5);
  assert.deepEqual(heard('event').slice(3).map(it => it.offset), [5]);
  assert.deepEqual(heard('reset'), []);
  await cut();
  FakeSocket.last.welcome({ recovered: 'all', session: { epoch: 'e', offset: 1 } });
  followed('work', { epoch: 'g', offset: 0, recovered: 'gap' });
  assert.deepEqual(heard('reset'), [{ stream: 'session/work', epoch: 'g' }]);
  event('work', 1);
  assert.deepEqual(client.position.threads, { work: { epoch: 'g', offset: 1 } });
});

test('another client goes on with all of them, and its own thread is no other', async () => {
  const threads = { work: { epoch: 'f', offset: 4 }, main: { epoch: 'h', offset: 7 } };
  await opened({ resume: { epoch: 'e', offset: 3, connection: 'c0', rooms: { a: { epoch: 'r', offset: 1 } }, threads } });
  assert.deepEqual(FakeSocket.last.sent, [
    { type: 'follow', thread: 'work', epoch: 'f', offset: 4, id: 1 },
    { type: 'join', room: 'a', epoch: 'r', offset: 1, id: 2 },
  ]);
  assert.deepEqual(client.threads, ['work']);
  // A position of an earlier version has no threads.
  client.close();
  await opened({ resume: { epoch: 'e', offset: 3, connection: 'c0', rooms: {} } });
  assert.deepEqual([FakeSocket.last.sent, client.threads], [[], []]);
});

test('where to begin is said once, and what was seen goes before it', async () => {
  await opened();
  client.follow('work', { recent: true });
  client.follow('home', { run: 'r' });
  await cut();
  FakeSocket.last.welcome();
  assert.deepEqual(FakeSocket.last.of('follow'), [
    { type: 'follow', thread: 'work', recent: true, id: 1 }, { type: 'follow', thread: 'home', run: 'r', id: 2 },
  ]);
  followed('work');
  event('work', 6);
  client.follow('work', { recent: true });
  assert.deepEqual(FakeSocket.last.of('follow').at(-1), { type: 'follow', thread: 'work', epoch: 'f', offset: 6, id: 3 });
  followed('home');
  await cut();
  FakeSocket.last.welcome({ recovered: 'all' });
  const again = FakeSocket.last.of('follow').map(({ thread, recent, run, offset }) => [thread, recent, run, offset]);
  assert.deepEqual(again, [['home', undefined, undefined, 0], ['work', undefined, undefined, 6]]);
});

test('what is asked in a thread waits until it is followed again', async () => {
  await opened();
  client.follow('work');
  followed('work');
  client.request('r', 1, 'work');
  await cut();
  client.cancel('q');
  FakeSocket.last.welcome({ recovered: 'all' });
  assert.deepEqual(FakeSocket.last.sent.map(({ type }) => type), ['follow', 'run_request', 'run_cancel']);
  assert.equal(FakeSocket.last.of('run_request')[0].thread, 'work');
});

test('a thread that is unfollowed is not followed again, and its runs are over', async () => {
  const heard = await opened();
  client.follow('work');
  followed('work');
  event('work', 1, { event: 'agent_started', run: 'r', agent: 'a', data: {} });
  FakeSocket.last.event(1, { event: 'agent_started', run: 'own', agent: 'a', data: {} });
  const gone = client.unfollow('work');
  assert.deepEqual(client.threads, []);
  const [{ id: request }] = FakeSocket.last.of('unfollow');
  says({ type: 'unfollowed', thread: 'work', request });
  await gone;
  assert.deepEqual(client.run('r').end, { event: 'run_lost', run: 'r', data: { reason: 'unfollowed' } });
  assert.equal(client.run('own').end, undefined);
  assert.equal(heard('unfollowed').length, 1);
  await cut();
  FakeSocket.last.welcome({ recovered: 'all', runs: [{ run: 'own', agent: 'a' }] });
  assert.deepEqual(FakeSocket.last.sent, []);
});

test('a session that is closed is told, and one that is refused', async () => {
  const heard = await opened();
  client.follow('work');
  followed('work');
  const told = { type: 'unfollowed', thread: 'work', session: 's', reason: 'application' };
  says(told);
  assert.deepEqual(heard('unfollowed'), [told]);
  assert.deepEqual(client.threads, []);
  const refused = client.follow('home');
  says({ type: 'error', code: 'sessions_per_connection', message: 'full', request: FakeSocket.last.of('follow').at(-1).id });
  await assert.rejects(refused, { code: 'sessions_per_connection' });
  assert.deepEqual(heard('unfollowed')[1], { thread: 'home', code: 'sessions_per_connection', message: 'full' });
  assert.deepEqual(heard('error'), []);
});

test('runs of one session say nothing of those of another', async () => {
  const heard = await opened();
  client.follow('work');
  followed('work');
  event('work', 1, { event: 'agent_started', run: 'r', agent: 'a', data: {} });
  await cut();
  // The welcome lists the runs of its own session only.
  FakeSocket.last.welcome({ recovered: 'gap' });
  followed('work', { recovered: 'all', offset: 1, runs: [{ run: 'r', agent: 'a' }] });
  await pass(10_000);
  assert.equal(client.run('r').end, undefined);
  says({ type: 'gap', stream: 'session', from: 1, to: 2 });
  assert.equal(client.run('r').partial, false);
  says({ type: 'gap', stream: 'session/work', from: 2, to: 3 });
  assert.equal(client.run('r').partial, true);
  await pass(1000);
  FakeSocket.last.welcome({ recovered: 'all' });
  followed('work', { recovered: 'all', offset: 3, runs: [] });
  await pass(6000);
  event('work', 4);
  await pass(6000);
  assert.equal(client.run('r').end, undefined, 'its end may still come');
  FakeSocket.last.event(1);
  await pass(4000);
  assert.equal(client.run('r').end.data.reason, 'gap');
  assert.equal(heard('run').length, 1);
});

test('its own thread keeps its stream when it is followed again', async () => {
  const heard = await opened();
  FakeSocket.last.event(3);
  client.unfollow('main');
  says({ type: 'unfollowed', thread: 'main', request: 1 });
  assert.equal(client.position.offset, 3);
  client.follow('main');
  assert.deepEqual(FakeSocket.last.of('follow'), [{ type: 'follow', thread: 'main', epoch: 'e', offset: 3, id: 2 }]);
  followed('main', { epoch: 'e', offset: 3, recovered: 'all' });
  FakeSocket.last.event(3);
  FakeSocket.last.event(4);
  assert.deepEqual(heard('event').map(it => it.offset), [3, 4]);
  assert.deepEqual([client.threads, client.position.threads], [[], {}]);
});

test('acknowledgements name the stream', async () => {
  await opened();
  client.follow('work');
  followed('work');
  client.ack('session/work', 4);
  await pass(200);
  assert.deepEqual(FakeSocket.last.of('ack'), [{ type: 'ack', stream: 'session/work', offset: 4 }]);
});

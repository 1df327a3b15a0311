// The golden vectors of the wire: what listeners hear is what the server's texts mean.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { afterEach, beforeEach, test } from 'node:test';
import { Client } from '../headcount.js';
import { FakeSocket, begin, end, hear, settle } from './fake.js';

const vectors = name => JSON.parse(readFileSync(new URL(`../../../shells/protocol/vectors/${name}`, import.meta.url)));

let client;
beforeEach(begin);
afterEach(() => {
  client?.close();
  client = undefined;
  end();
});

/** A client, and what its listeners hear of a name. */
async function make(options = {}) {
  client = new Client('ws://host/ws', { user: 'u', WebSocket: FakeSocket, ...options });
  const heard = hear(client, ['event', 'gap', 'joined', 'left', 'followed', 'unfollowed', 'close', 'error', 'draining', 'run']);
  await settle();
  return heard;
}

const says = text => FakeSocket.last.onmessage({ data: text });

const checks = {
  async welcome({ text, fields }) {
    await make();
    FakeSocket.last.open();
    says(text);
    const { connection, user, thread, session } = fields;
    assert.equal(client.state, 'open');
    assert.deepEqual([client.connection, client.user, client.thread], [connection, user, thread]);
    assert.deepEqual(client.position, { ...session, connection, rooms: {}, threads: {} });
  },
  async event({ text, fields }) {
    const heard = await opened();
    says(text);
    assert.deepEqual(heard('event'), [fields]);
    assert.deepEqual(heard('run').map(({ id, agent }) => [id, agent]), fields.run ? [[fields.run, fields.agent]] : []);
    if (fields.stream === 'session') assert.equal(client.position.offset, fields.offset);
  },
  async gap({ text, fields }) {
    const heard = await opened();
    says(text);
    assert.deepEqual(heard('gap'), [fields]);
  },
  async joined({ text, fields }) {
    const heard = await opened();
    const asked = fields.request && client.join(fields.room);
    says(text);
    const { room, epoch, offset } = fields;
    assert.deepEqual(heard('joined').map(({ recovered, ...place }) => place), [{ room, epoch, offset }]);
    assert.deepEqual(client.position.rooms, { [room]: { epoch, offset } });
    if (asked) assert.deepEqual(await asked, fields);
  },
  async left({ text, fields }) {
    const heard = await opened();
    const asked = fields.request && client.leave(fields.room);
    says(text);
    assert.deepEqual(heard('left'), [fields]);
    if (asked) await asked;
  },
  async followed({ text, fields }) {
    const heard = await opened();
    const asked = fields.request && follow(fields);
    says(text);
    const { type, request, ...told } = fields;
    assert.deepEqual(heard('followed'), [told]);
    const { thread, epoch, offset } = fields;
    assert.deepEqual(client.position.threads, { [thread]: { epoch, offset } });
    if (asked) assert.deepEqual(await asked, fields);
  },
  async unfollowed({ text, fields }) {
    const heard = await opened();
    follow({ thread: fields.thread, request: 1 });
    FakeSocket.last.says({ type: 'followed', thread: fields.thread, epoch: 'f', offset: 1, recovered: 'fresh', runs: [], request: 1 });
    says(text);
    assert.deepEqual(heard('unfollowed'), [fields]);
    assert.deepEqual(client.threads, []);
  },
  async ok({ text, fields }) {
    const heard = await opened();
    const asked = fields.request === 1 && client.leave('a');
    says(text);
    assert.deepEqual(heard(), []);
    if (asked) assert.deepEqual(await asked, fields);
  },
  async error({ text, fields }) {
    const heard = await opened();
    const asked = fields.request && client.leave('a');
    says(text);
    const { code, message } = fields;
    if (asked) await assert.rejects(asked, { code, message });
    else assert.deepEqual(heard('error').map(it => ({ code: it.code, message: it.message })), [{ code, message }]);
  },
  async draining({ text, fields }) {
    const heard = await opened();
    says(text);
    assert.deepEqual(heard('draining'), [fields]);
  },
};

/** Follows a thread with a request of this number, if it is one. */
function follow({ thread, request }) {
  if (typeof request !== 'number') return undefined;
  for (let number = 1; number < request; number++) client.cancel(`r${number}`);
  return client.follow(thread);
}

async function opened() {
  const heard = await make();
  FakeSocket.last.welcome();
  return heard;
}

/** A frame that it does not know is nothing to it. */
async function ignored({ text }) {
  const heard = await opened();
  says(text);
  assert.deepEqual(heard(), []);
  assert.equal(client.state, 'open');
}

for (const vector of vectors('server_frames.json').filter(({ fields }) => fields)) {
  test(`frame: ${vector.name}`, () => (checks[vector.fields.type] ?? ignored)(vector));
}

for (const { name, code, reason, retry, wait_s: wait = 0 } of vectors('close_codes.json')) {
  test(`close: ${name}`, async () => {
    const states = [];
    // It comes back after 4405 if there can be a new token.
    const heard = await make(code === 4405 ? { user: undefined, token: async () => 'h.c.s' } : {});
    client.on('state', detail => states.push(detail));
    FakeSocket.last.welcome();
    FakeSocket.last.ends(code, reason);
    const { state, retryIn } = states.at(-1);
    assert.equal(state, retry === 'stop' ? 'closed' : 'waiting');
    assert.deepEqual(heard('close'), retry === 'stop' ? [{ code, reason }] : []);
    // The delay of a reconnect is 1 s at most here.
    if (retry === 'reconnect') assert.ok(retryIn > wait * 1000 && retryIn <= wait * 1000 + 1000, `${retryIn} ms`);
  });
}

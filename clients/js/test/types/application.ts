// An application as a compiler sees it: it is compiled, and never run.
import { Client, Run } from 'headcount';
import type { Events, Followed, Joined, Json, Options, Position, RunEvent, ServerEvent, State } from 'headcount';

const written: string | null = localStorage.getItem('position');
const options: Options = {
  token: async () => (await fetch('/token')).text(),
  auth: 'frame',
  thread: 'main',
  probe: 5000,
  WebSocket,
  ...(written === null ? {} : { resume: JSON.parse(written) as Position }),
};
const client = new Client(new URL('wss://chat.example.com/ws'), options);
new Client('/ws', { user: 'alice', token: 'fixed', auth: 'subprotocol' }).close();
new Client('/ws', { token: () => 'at once' }).retry();

const off: () => void = client.on('event', (event: ServerEvent) => {
  if (event.stream !== undefined && event.offset !== undefined) client.ack(event.stream, event.offset);
  const data: Json = event.data;
  console.log(data, event.event, event.run, event.agent, event.at);
});
off();
void client.request('r', { text: 'why?' }).then(() => client.cancel('r', 'enough'));
void client.cancel('r');
client.on('gap', ({ stream, from, to }) => console.log(stream.length, to - from));
client.on('reset', ({ stream, epoch }) => console.log(stream.length, epoch.length));
client.on('state', ({ state, recovered, code, reason, retryIn }) => {
  const it: State = state;
  console.log(it, recovered === 'gap', code?.toFixed(), reason?.length, retryIn?.toFixed());
});
client.on('joined', ({ room, epoch, offset, recovered }: Joined) => console.log(room, epoch, offset, recovered));
client.on('left', ({ room, code, message }) => console.log(room.length, code?.length, message?.length));
client.on('draining', ({ reconnect_ms: [least, most] }) => console.log(most - least));
client.on('error', error => console.log(error.code.length, error.message, error.cause));
client.on('close', ({ code, reason }: Events['close']) => console.log(code.toFixed(), reason.length));
client.on('run', async (run: Run) => {
  for await (const { event, data, run: id, agent, offset, at } of run) console.log(event, data, id, agent, offset, at);
  const end: RunEvent | undefined = run.end;
  console.log(run.id, run.agent?.length, run.text.length, run.partial, end?.data);
});

const joined: Joined = await client.join('lobby');
const left: { room: string } = await client.leave(joined.room);
const followed: Followed = await client.follow('work', { recent: true });
void client.request('s', 1, followed.thread);
const unfollowed: { thread: string } = await client.unfollow(followed.thread);
client.on('unfollowed', ({ thread, reason, code }) => console.log(thread.length, reason?.length, code?.length));
console.log(unfollowed, followed.runs[0]?.agent, client.threads[0]);
const [first, ...others]: string[] = client.rooms;
const position: Position | null = client.position;
localStorage.setItem('position', JSON.stringify(position));
console.log(left, first, others, position?.rooms['lobby']?.epoch, position?.connection);
console.log(client.connection?.length, client.user?.length, client.thread?.length, client.state === 'open');

const iterator = client.run('r-17')[Symbol.asyncIterator]();
const next = await iterator.next();
if (next.done) console.log(next.value?.event);
else console.log(next.value.event);
await iterator.return?.();

// What a compiler has to refuse.
// @ts-expect-error There is no such event.
client.on('message', () => {});
// @ts-expect-error There is no such option.
new Client('/ws', { tokens: 'x' });
// @ts-expect-error There is no such way for a token.
new Client('/ws', { auth: 'query' });
// @ts-expect-error It is read only.
client.state = 'open';
// @ts-expect-error There is no such state.
client.state === 'opened';
// @ts-expect-error A room has a name.
client.join(1);
// @ts-expect-error Only the client makes runs.
new Run('r-17');
// @ts-expect-error The state may have no code.
client.on('state', ({ code }) => code.toFixed());
// @ts-expect-error Before the first welcome there is none.
client.position.epoch;

// A socket that the test plays the server of, and time that stands still.
import { mock } from 'node:test';

export class FakeSocket {
  static all = [];
  static get last() { return FakeSocket.all.at(-1); }
  readyState = 0;
  sent = [];
  closed = undefined;

  constructor(url, protocols) {
    this.url = new URL(url);
    this.protocols = protocols;
    FakeSocket.all.push(this);
  }

  get query() { return Object.fromEntries(this.url.searchParams); }

  send(text) { this.sent.push(JSON.parse(text)); }

  close(code) { this.closed = code; }

  /** The frames of a type that the client has sent. */
  of(type) { return this.sent.filter(frame => frame.type === type); }

  open() {
    this.readyState = 1;
    this.onopen?.();
  }

  says(frame) { this.onmessage?.({ data: JSON.stringify(frame) }); }

  welcome(more = {}) {
    if (this.readyState === 0) this.open();
    this.says({
      type: 'welcome', connection: `c${FakeSocket.all.length}`, user: 'u', thread: 'main', recovered: 'fresh',
      session: { epoch: 'e', offset: 0 }, runs: [], ping_interval_ms: 25_000, reconnect_ms: [200, 1000], ...more,
    });
  }

  event(offset, more = {}) { this.says({ type: 'event', stream: 'session', offset, data: offset, ...more }); }

  ends(code, reason = '') {
    this.readyState = 3;
    this.onclose?.({ code, reason });
  }
}

/** Lets everything that waits for no time go on. */
export const settle = async () => { for (let turn = 0; turn < 20; turn++) await Promise.resolve(); };

/** Listens to these events of a client: all that it hears of one, or of all of them. */
export function hear(client, names) {
  const heard = [];
  for (const name of names) client.on(name, detail => heard.push([name, detail]));
  return name => heard.filter(([it]) => !name || it === name).map(([, detail]) => detail);
}

/** Lets time pass. */
export async function pass(milliseconds) {
  mock.timers.tick(milliseconds);
  await settle();
}

/** Time stands still; chance is the highest. */
export function begin() {
  FakeSocket.all = [];
  mock.timers.enable({ apis: ['setTimeout', 'Date'], now: 1_800_000_000_000 });
  mock.method(Math, 'random', () => 0.999_999);
}

export function end() {
  mock.timers.reset();
  mock.restoreAll();
}

/** A token with these claims, which nobody has signed. */
export const token = claims => `h.${Buffer.from(JSON.stringify(claims)).toString('base64url')}.s`;

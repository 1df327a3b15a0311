// The client of a headcount gateway: docs/client.md, headcount.d.ts.

// Milliseconds.
const WINDOW = [250, 5000], MAX_DELAY = 60_000, UNTIL_WELCOME = 15_000, UNTIL_DEAD = 10_000;
const MAX_REQUESTS = 256, MAX_ASKED = 32, MAX_ENDED_RUNS = 16, MAX_PIECE = 1024;
const FINAL = /^(10(0[023789]|10)|4[235]..)$/;
const BEGIN = /^(agent_start|run_request)ed$/;
const END = /^(agent_[cfi]\w+ed|run_lost)$/;
const ENTER = /^(join|follow)$/;

const fault = (code, message, more) => Object.assign(new Error(message, more), { code });

// Unchecked: they only say when to ask again.
const claims = token => {
  try {
    return JSON.parse(atob(token.split('.')[1].replace(/-/g, '+').replace(/_/g, '/')));
  } catch {
    return {};
  }
};

// Two in a row are one longer piece.
const plain = event => event.event === 'text' && typeof event.data?.delta === 'string' &&
  Object.keys(event.data).length === 1;

export class Run {
  #pieces = [];
  #wake = new Set();
  #over = false;

  constructor(id) {
    this.id = id;
    this.agent = undefined;
    this.text = '';
    this.end = undefined;
    this.partial = false;
  }

  _take(event) {
    if (this.#over) return;
    if (!this.#pieces.length) this.partial ||= !BEGIN.test(event.event);
    this.agent = event.agent || this.agent || '';
    const last = this.#pieces.at(-1);
    if (event.event === 'text' && !event.part) this.text += event.data?.delta ?? '';
    if (last && plain(last) && plain(event) && last.part === event.part && last.data.delta.length < MAX_PIECE) {
      this.#pieces[this.#pieces.length - 1] = { ...event, data: { delta: last.data.delta + event.data.delta } };
    } else {
      this.#pieces.push(event);
    }
    if (END.test(event.event)) this.end = event;
    this._over(this.end);
  }

  _over(over) {
    this.#over = !!over;
    for (const wake of this.#wake) wake();
    this.#wake.clear();
  }

  [Symbol.asyncIterator]() {
    let at = 0, read = 0, done = false, wake;
    return {
      next: async () => {
        while (!done) {
          const piece = this.#pieces[at];
          if (piece && !plain(piece)) {
            at++;
            return { done, value: piece };
          }
          const delta = piece?.data.delta.slice(read);
          if (delta) {
            read += delta.length;
            return { done, value: { ...piece, data: { delta } } };
          }
          // The last piece may go on.
          if (at < this.#pieces.length - 1) at++, read = 0;
          else if (this.#over) break;
          else await new Promise(resolve => this.#wake.add(wake = resolve));
        }
        return { done: true, value: this.end };
      },
      return: async value => {
        done = true;
        this.#wake.delete(wake);
        wake?.();
        return { done: true, value };
      },
    };
  }
}

export class Client {
  #base; #options; #WebSocket;
  #listeners = new Map();
  #socket = null;
  // What belongs to an earlier attempt is ignored.
  #attempt = 0;
  #failures = 0;
  #window = WINDOW;
  #next = null;
  #timer; #watch; #renewal; #acking; #resending;
  #opened = 0;
  #interval = 25_000;
  #probing = false;
  #token; #due; #renew = true; #refused = false;
  // Of each stream, by its name.
  #places = new Map();
  #fading = new Map();
  #requests = new Map();
  #id = 0;
  #acks = new Map();
  #runs = new Map();
  #closing = new AbortController();

  constructor(url, options = {}) {
    this.#base = url;
    this.#options = options;
    this.#WebSocket = options.WebSocket ?? globalThis.WebSocket;
    if (!this.#WebSocket) throw fault('no_websocket', 'no WebSocket here: give one as options.WebSocket');
    this.state = 'connecting';
    this.connection = this.user = this.thread = undefined;
    if (options.resume) {
      const { epoch, offset, connection, rooms, threads } = structuredClone(options.resume);
      this.#places.set('session', { epoch, offset });
      this.connection = connection;
      for (const room in rooms) this.#places.set(`room/${room}`, rooms[room]);
      for (const thread in threads) this.#places.set(`session/${thread}`, threads[thread]);
    }
    const nudge = ({ type }) => {
      if (type === 'offline' ? this.state === 'open' : type !== 'visibilitychange' || !document.hidden) this.retry();
    };
    const hear = (target, name) => target?.addEventListener?.(name, nudge, { signal: this.#closing.signal });
    for (const name of ['online', 'offline', 'pageshow']) hear(globalThis, name);
    for (const name of ['visibilitychange', 'resume']) hear(globalThis.document, name);
    // Listeners that are added at once hear all.
    queueMicrotask(() => this.state === 'connecting' && this.#connect());
  }

  get position() {
    const session = this.#places.get('session');
    const of = kind => Object.fromEntries(this.#names(kind).map(name => [name, this.#places.get(kind + name)]));
    return session ? structuredClone({ ...session, connection: this.connection, rooms: of('room/'), threads: of('session/') }) : null;
  }

  get rooms() { return this.#names('room/'); }

  // Those that it follows beside its own.
  get threads() { return this.#names('session/'); }

  on(name, listener) {
    const listeners = this.#listeners.get(name) ?? new Set();
    this.#listeners.set(name, listeners.add(listener));
    return () => void listeners.delete(listener);
  }

  join(room) { return this.#request({ type: 'join', room }); }

  leave(room) { return this.#quit({ type: 'leave', room }); }

  follow(thread, { run, recent } = {}) { return this.#request({ type: 'follow', thread, run, recent }); }

  unfollow(thread) { return this.#quit({ type: 'unfollow', thread }); }

  request(run, input, thread) { return this.#request({ type: 'run_request', run, input, thread }); }

  cancel(run, reason) { return this.#request({ type: 'run_cancel', run, reason }); }

  ack(stream, offset) {
    this.#acks.set(stream, Math.max(offset, this.#acks.get(stream) ?? 0));
    this.#acking ??= setTimeout(() => this.#acknowledge(), 200);
  }

  run(id) {
    let run = this.#runs.get(id);
    if (!run) {
      run = new Run(id);
      if (this.state === 'closed') run._over(true);
      else this.#runs.set(id, run);
    }
    return run;
  }

  retry() {
    if (this.state === 'waiting') this.#connect();
    else if (this.state === 'open' && !this.#probing) this.#probe();
  }

  close() { this.#end({ code: 1000, reason: 'closed by the application' }); }

  #names(kind) { return [...this.#places.keys()].filter(it => it.startsWith(kind)).map(it => it.slice(kind.length)); }

  #stream({ room, thread }) {
    return room !== undefined ? `room/${room}` : thread === this.thread ? 'session' : `session/${thread}`;
  }

  #emit(name, detail) {
    for (const listener of this.#listeners.get(name) ?? []) {
      // What it throws is reported, and breaks nothing here.
      try { listener(detail); } catch (error) { queueMicrotask(() => { throw error; }); }
    }
  }

  #turn(state, more) {
    this.state = state;
    this.#emit('state', { state, ...more });
  }

  async #connect() {
    const attempt = ++this.#attempt;
    this.#abandon();
    this.#turn('connecting');
    if (attempt !== this.#attempt) return;
    this.#timer = setTimeout(() => this.#lost({ reason: `no ${this.#socket ? 'welcome' : 'token'} in time` }), UNTIL_WELCOME);
    const { token, user, thread, auth } = this.#options;
    if (token && (this.#renew || Date.now() > this.#due)) {
      try {
        await this.#obtain();
        if (attempt !== this.#attempt) return;
      } catch (error) {
        if (attempt !== this.#attempt) return;
        if (typeof token !== 'function') return this.#end({ code: 4500, reason: error.message });
        this.#tokenless(error);
        return this.#lost({ reason: 'no token' });
      }
    }
    let socket;
    try {
      const url = new URL(this.#base, globalThis.location?.href);
      url.protocol = url.protocol.replace('http', 'ws');
      const put = (name, value) => value != null && url.searchParams.set(name, value);
      put('user', user);
      const fields = { thread, ...this.#places.get('session'), previous: this.connection };
      const first = token && auth === 'frame';
      if (!first) for (const name in fields) put(name, fields[name]);
      const protocols = ['headcount.v1'];
      if (token && !first) protocols.push(`bearer.${this.#token}`);
      socket = this.#socket = new this.#WebSocket(url.href, protocols);
      if (first) socket.onopen = () => this.#send({ type: 'auth', token: this.#token, ...fields });
    } catch (error) {
      return this.#end({ code: 4501, reason: `bad_request: ${error?.message}` });
    }
    socket.onmessage = ({ data }) => this.#receive(data);
    socket.onclose = ({ code, reason }) => this.#lost({ code, reason });
    // A close follows. Without a listener some sockets throw.
    socket.onerror = () => {};
  }

  // The socket is heard no more.
  #abandon() {
    const fades = [...this.#fading.values()].map(it => it.timer);
    for (const timer of [this.#timer, this.#watch, this.#renewal, this.#resending, ...fades]) clearTimeout(timer);
    this.#resending = undefined;
    this.#probing = false;
    const socket = this.#socket;
    this.#socket = null;
    if (!socket) return;
    socket.onopen = socket.onmessage = socket.onclose = null;
    try { socket.close(1000); } catch { /* Not open yet. */ }
  }

  #lost({ code = 1006, reason = '' }) {
    if (this.state === 'closed') return;
    const opened = this.state === 'open' && this.#opened;
    ++this.#attempt;
    this.#abandon();
    const renewable = typeof this.#options.token === 'function';
    if (code === 4405 || code === 4500) {
      if (!renewable || (code === 4500 && this.#refused)) return this.#end({ code, reason });
      this.#refused = code === 4500;
      this.#renew = true;
    } else if (FINAL.test(code)) {
      return this.#end({ code, reason });
    }
    // A welcome alone does not reset the growth.
    const held = opened && Date.now() - opened > this.#window[1];
    this.#failures = held ? 0 : this.#failures + 1;
    const [low, high] = this.#next ?? this.#window;
    const top = held ? high : Math.max(high, Math.min(MAX_DELAY, high * 2 ** Math.min(this.#failures - 1, 16)));
    this.#next = null;
    const asked = /retry_after=(\d+)/.exec(reason)?.[1] ?? 0;
    const delay = Math.round(Math.min(asked, 3600) * 1000 + low + Math.random() * (top - low));
    this.#timer = setTimeout(() => this.#connect(), delay);
    this.#turn('waiting', { code, reason, retryIn: delay });
  }

  #end({ code, reason }) {
    if (this.state === 'closed') return;
    ++this.#attempt;
    this.#abandon();
    clearTimeout(this.#acking);
    this.#closing.abort();
    this.state = 'closed';
    const over = fault('closed', `the client is closed: ${code} ${reason}`);
    for (const { reject } of this.#requests.values()) reject(over);
    this.#requests.clear();
    for (const run of this.#runs.values()) run._over(true);
    this.#turn('closed', { code, reason });
    this.#emit('close', { code, reason });
    this.#listeners.clear();
  }

  #send(frame) {
    if (this.#socket?.readyState === 1) this.#socket.send(JSON.stringify(frame));
  }

  #receive(data) {
    let frame;
    try { frame = JSON.parse(data); } catch { return; }
    this.#arm();
    const { type, request } = frame ?? {};
    if (type === 'welcome') return this.#welcome(frame);
    // An error before says why a first frame is refused.
    if (this.state !== 'open' && type !== 'error') return;
    switch (type) {
      case 'event':
        return this.#event(frame);
      case 'gap':
        return this.#gap(frame);
      case 'joined':
      case 'followed':
        this.#entered(frame);
        return this.#settle(request, frame);
      case 'left':
      case 'unfollowed': {
        const stream = this.#stream(frame);
        if (!this.#entering().has(stream)) this.#drop(stream);
        this.#forget(stream, [], type);
        this.#emit(frame.room ? 'left' : 'unfollowed', frame);
        return this.#settle(request, frame);
      }
      case 'ok':
        return this.#settle(request, frame);
      case 'draining':
        this.#next = frame.reconnect_ms;
        return this.#emit('draining', frame);
      case 'error':
        return this.#failed(frame);
    }
  }

  #welcome(welcome) {
    const { session, recovered, runs } = welcome;
    for (const name of ['connection', 'user', 'thread']) this[name] = welcome[name];
    this.#drop(`session/${this.thread}`);
    const foreign = this.#goOn('session', { ...session, recovered, runs });
    clearTimeout(this.#timer);
    this.#window = welcome.reconnect_ms ?? WINDOW;
    this.#interval = welcome.ping_interval_ms || this.#interval;
    this.#refused = false;
    this.#opened = Date.now();
    // It came in with the token of an unanswered refresh.
    for (const [id, { frame }] of this.#requests) if (frame.token) this.#settle(id);
    // What is asked in a thread needs that it is followed.
    const asked = this.#entering(), waiting = this.#requests;
    this.#requests = new Map();
    const enter = (kind, type, name) => {
      for (const it of this.#names(kind)) if (!asked.has(kind + it)) this.#request({ type, [name]: it }, true);
    };
    enter('session/', 'follow', 'thread');
    enter('room/', 'join', 'room');
    for (const it of waiting) this.#requests.set(...it);
    this.state = 'open';
    this.#resend();
    this.#acknowledge();
    this.#schedule();
    this.#turn('open', { recovered });
    if (foreign) this.#emit('reset', { stream: 'session', epoch: session.epoch });
  }

  // Whether the server has another history of the stream now.
  #goOn(stream, { epoch, offset, recovered, runs }) {
    const before = this.#places.get(stream);
    const same = before?.epoch === epoch;
    const foreign = before?.epoch && !same;
    this.#places.set(stream, { epoch, offset: same && recovered !== 'gap' ? Math.max(before.offset, offset) : offset });
    if (foreign) this.#acks.delete(stream);
    if (runs) this.#forget(stream, runs.map(({ run }) => run), foreign && 'restart', recovered);
    return foreign;
  }

  // Runs that can't go on are over. In the same epoch the end may come behind the gap.
  #forget(stream, open, reason, recovered) {
    clearTimeout(this.#fading.get(stream)?.timer);
    this.#fading.delete(stream);
    const absent = [...this.#runs.values()].filter(run => run._stream === stream && !run.end &&
      (reason || (!open.includes(run.id) && (run.partial || recovered === 'gap'))));
    const lose = () => {
      this.#fading.delete(stream);
      for (const run of absent) {
        if (!run.end) run._take({ event: 'run_lost', run: run.id, data: { reason: reason || 'gap' } });
      }
    };
    if (reason) lose();
    else if (absent.length) {
      this.#fading.set(stream, { lose });
      this.#fade(stream);
    }
  }

  #fade(stream) {
    const it = this.#fading.get(stream);
    if (!it) return;
    clearTimeout(it.timer);
    it.timer = setTimeout(it.lose, UNTIL_DEAD);
  }

  #event(event) {
    const { stream, offset, run: id } = event;
    if (stream && !this.#isNew(stream, offset)) return;
    this.#fade(stream);
    if (id !== undefined) {
      let run = this.#runs.get(id);
      // A name that begins again is a new run.
      if (run?.end) this.#runs.delete(id);
      run = this.run(id);
      const known = run.agent !== undefined;
      run._stream = stream;
      run._take(event);
      if (!known) this.#emit('run', run);
      if (run.end) this.#prune();
    }
    this.#emit('event', event);
  }

  #prune() {
    const ended = [...this.#runs.values()].filter(run => run.end);
    for (const run of ended.slice(0, -MAX_ENDED_RUNS)) this.#runs.delete(run.id);
  }

  #isNew(stream, offset) {
    const cursor = this.#places.get(stream);
    if (!cursor) return true;
    if (offset <= cursor.offset) return false;
    cursor.offset = offset;
    return true;
  }

  #gap(gap) {
    if (!this.#isNew(gap.stream, gap.to)) return;
    let open = false;
    for (const run of this.#runs.values()) {
      if (run._stream === gap.stream && !run.end) open = run.partial = true;
    }
    this.#emit('gap', gap);
    // A welcome says which are still open.
    if (open && Date.now() - this.#opened > UNTIL_DEAD) this.#lost({ reason: 'gap' });
  }

  #entered({ type, request, ...place }) {
    // It was left before the answer came.
    if (request !== undefined && !this.#requests.has(request)) return;
    const stream = this.#stream(place);
    if (this.#goOn(stream, place)) this.#emit('reset', { stream, epoch: place.epoch });
    this.#emit(place.room ? 'joined' : 'followed', place);
  }

  // The streams that it has asked for, and is not in yet.
  #entering() {
    const frames = [...this.#requests.values()].map(({ frame }) => frame);
    return new Set(frames.filter(({ type }) => ENTER.test(type)).map(frame => this.#stream(frame)));
  }

  #quit(frame) {
    this.#drop(this.#stream(frame));
    return this.#request(frame);
  }

  #drop(stream) {
    // The place of its own session is where a reconnect goes on.
    if (stream !== 'session') this.#places.delete(stream);
  }

  #failed({ code, message, request }) {
    const error = fault(code, message);
    if (code === 'rate_limited' && request === undefined) {
      this.#resending ??= setTimeout(() => this.#resend(), 1000);
      return;
    }
    const asked = this.#requests.get(request);
    if (ENTER.test(asked?.frame.type)) {
      const { type, run, recent, ...name } = asked.frame;
      const stream = this.#stream(name);
      this.#drop(stream);
      this.#forget(stream, [], 'unfollowed');
      this.#emit(name.room ? 'left' : 'unfollowed', { ...name, code, message });
    }
    if (asked) this.#settle(request, null, error);
    else this.#emit('error', error);
  }

  // It is asked on each connection until there is an answer.
  #request(frame, own) {
    const answer = new Promise((resolve, reject) => {
      if (this.state === 'closed') return reject(fault('closed', 'the client is closed'));
      if (!own && this.#requests.size >= MAX_REQUESTS) return reject(fault('queue_full', `${MAX_REQUESTS} requests are waiting`));
      const id = ++this.#id;
      this.#requests.set(id, { frame, resolve, reject });
      this.#ask();
    });
    // One that is not awaited is no unhandled rejection.
    answer.catch(() => {});
    return answer;
  }

  // Each counts against the server's rate.
  #ask() {
    if (this.state !== 'open' || this.#resending) return;
    for (const [id, it] of [...this.#requests].slice(0, MAX_ASKED)) {
      const { frame, asked } = it, { type, room, thread } = frame;
      const seen = ENTER.test(type) && this.#places.get(this.#stream(frame));
      if (!asked) this.#send({ ...(seen?.epoch ? { type, room, thread, ...seen } : frame), id });
      it.asked = true;
    }
  }

  #resend() {
    this.#resending = undefined;
    for (const it of this.#requests.values()) it.asked = false;
    this.#ask();
  }

  #settle(id, frame, error) {
    const asked = this.#requests.get(id);
    if (!asked) return;
    this.#requests.delete(id);
    if (error) asked.reject(error);
    else asked.resolve(frame);
    this.#ask();
  }

  #acknowledge() {
    this.#acking = undefined;
    if (this.state !== 'open') return;
    for (const [stream, offset] of this.#acks) this.#send({ type: 'ack', stream, offset });
    this.#acks.clear();
  }

  // Browsers hide the server's pings: a frame `ping` breaks a silence.
  #arm() {
    clearTimeout(this.#watch);
    this.#probing = false;
    if (this.#socket) this.#watch = setTimeout(() => this.#probe(), this.#interval);
  }

  #probe() {
    clearTimeout(this.#watch);
    this.#probing = true;
    this.#watch = setTimeout(() => this.#lost({ reason: 'no sign of life' }), this.#options.probe ?? UNTIL_DEAD);
    this.#send({ type: 'ping' });
    // What was lost on its way is asked for again.
    this.#resend();
  }

  async #obtain() {
    const attempt = this.#attempt;
    this.#renew = true;
    const { token } = this.#options;
    const fresh = typeof token === 'function' ? await token() : token;
    // It is not shown: it may be a secret.
    if (typeof fresh !== 'string' || !/^[\w.-]+$/.test(fresh)) throw new Error('malformed token');
    // What comes late serves the next attempt.
    if (attempt !== this.#attempt && !this.#renew) return;
    this.#token = fresh;
    this.#renew = false;
    this.#plan();
  }

  #tokenless(cause) {
    this.#emit('error', fault('token', `no new token: ${cause?.message}`, { cause }));
  }

  // The next token is due after four fifths of this one's life.
  #plan() {
    const { exp, iat } = claims(this.#token);
    const now = Date.now() / 1000;
    const left = exp - now;
    const life = exp > iat ? exp - iat : left;
    // A wrong clock must not make it ask all the time.
    const after = 0.8 * Math.max(life / 8, left > 0 ? Math.min(left, life) : life);
    this.#due = after > 0 ? (now + after) * 1000 : NaN;
  }

  #schedule() {
    if (typeof this.#options.token === 'function' && this.#due) {
      this.#renewal = setTimeout(() => this.#refresh(), Math.min(this.#due - Date.now(), 2 ** 31 - 1));
    }
  }

  async #refresh() {
    const attempt = this.#attempt;
    try {
      await this.#obtain();
      if (attempt !== this.#attempt) return;
      await this.#request({ type: 'refresh', token: this.#token }, true);
    } catch (error) {
      if (attempt !== this.#attempt) return;
      this.#renew = true;
      this.#plan();
      this.#tokenless(error);
    }
    if (attempt === this.#attempt) this.#schedule();
  }
}

/** The type of whatever JSON an application sends. */
export type Json = null | boolean | number | string | Json[] | { [name: string]: Json };

export interface Options {
  /** The credentials, or where to get them: called for the first connection, before the token expires, and
   * again when the server finds it expired or bad. What it throws, and what is no token, is told as an `error`, and
   * it is called again later. */
  token?: string | (() => string | Promise<string>);
  /** How the token is sent: as the subprotocol `bearer.…` (the default), or in the first frame. */
  auth?: 'subprotocol' | 'frame';
  /** Who connects, for a server in development mode. */
  user?: string;
  /** Which of the user's threads; `main` without. */
  thread?: string;
  /** The `position` of an earlier client: this one goes on there. */
  resume?: Position;
  /** What to connect with, where there is no global `WebSocket` (Node 20: the package `ws`). */
  WebSocket?: new (url: string, protocols: string[]) => any;
  /** Milliseconds from a ping of the client to any frame; 10,000 without. Then the socket counts as dead. */
  probe?: number;
}

/** What a client has seen, as JSON can hold it. */
export interface Position {
  /** Of the session's stream. */
  epoch: string;
  offset: number;
  connection: string;
  rooms: { [room: string]: { epoch: string; offset: number } };
  /** Of the sessions of other threads that it follows; absent in a position of an earlier version. */
  threads?: { [thread: string]: { epoch: string; offset: number } };
}

/** What the server sent in a stream, to this connection (no stream), or of an agent run. */
export interface ServerEvent {
  stream?: string;
  offset?: number;
  data: any;
  /** Of an agent run: what happened, in which run, of which agent, and when (ms since 1970). */
  event?: string;
  run?: string;
  agent?: string;
  at?: number;
  /** Of a `text` of another part than what the agent says: the name of the part, and what it is. */
  part?: string;
  kind?: 'text' | 'reasoning' | 'tool_arguments';
}

/** What a run hands out: the server's, or `run_lost`, made by the client, with `data.reason` `restart`, `gap` or
 * `unfollowed`. */
export interface RunEvent {
  event: 'run_requested' | 'run_cancel_requested' | 'agent_started' | 'agent_thinking' | 'tool_executing' | 'tool_completed' | 'progress' | 'text'
    | 'agent_completed' | 'agent_failed' | 'agent_cancelled' | 'agent_interrupted' | 'run_lost' | (string & {});
  run: string;
  data: any;
  agent?: string;
  offset?: number;
  at?: number;
  part?: string;
  kind?: 'text' | 'reasoning' | 'tool_arguments';
}

/** An agent run. Each reader gets all of it, from its start. */
export class Run implements AsyncIterable<RunEvent> {
  private constructor();
  readonly id: string;
  /** `undefined` until its first event, empty until an agent has opened it. */
  readonly agent: string | undefined;
  /** All that the agent has said so far: the texts without a `part`. */
  readonly text: string;
  /** The event that ended it; `undefined` while it is open, and if the client was closed before. */
  readonly end: RunEvent | undefined;
  /** Whether something of it may be missing: its start was not seen, or a gap was told while it was open. */
  readonly partial: boolean;
  [Symbol.asyncIterator](): AsyncIterator<RunEvent, RunEvent | undefined>;
}

export interface Followed {
  thread: string;
  /** The name of the session on the admin port. */
  session: string;
  epoch: string;
  offset: number;
  recovered: 'fresh' | 'all' | 'gap';
  /** The open runs. */
  runs: { run: string; agent: string }[];
}

export interface Joined {
  room: string;
  epoch: string;
  offset: number;
  recovered: 'fresh' | 'all' | 'gap';
}

export interface Events {
  /** A message, or an event of a run: each offset of a stream once, in order. */
  event: ServerEvent;
  /** Offsets of a stream that are lost for good. */
  gap: { stream: string; from: number; to: number };
  /** The server no longer has what this client has seen of a stream: what was sent since may be lost. */
  reset: { stream: string; epoch: string };
  /** The first event of a run has come. */
  run: Run;
  state: { state: State; recovered?: 'fresh' | 'all' | 'gap'; code?: number; reason?: string; retryIn?: number };
  joined: Joined;
  /** Not in this room any more; with a `code` and a `message` if the server refused it. */
  left: { room: string; code?: string; message?: string };
  followed: Followed;
  /** The session of this thread is followed no more; with a `reason` if the server has closed it, with a `code` and
   * a `message` if the server refused it. */
  unfollowed: { thread: string; session?: string; reason?: string; code?: string; message?: string };
  /** The server is about to close the connection; the client comes back by itself. */
  draining: { reconnect_ms: [number, number] };
  /** Something failed that no promise tells of. It goes on, unless a refused first frame is told: `close` follows. */
  error: Error & { code: string };
  /** The end: no reconnect follows. */
  close: { code: number; reason: string };
}

export type State = 'connecting' | 'open' | 'waiting' | 'closed';

export class Client {
  /** Connects. `url` may be relative to the page, and `http` stands for `ws`. */
  constructor(url: string | URL, options?: Options);
  readonly state: State;
  /** What the last welcome named; `undefined` before the first. */
  readonly connection: string | undefined;
  readonly user: string | undefined;
  readonly thread: string | undefined;
  /** What has been handed to the listeners so far; `null` before the first welcome. */
  readonly position: Position | null;
  /** The rooms that it is in, or comes back to. */
  readonly rooms: string[];
  /** Listens; what it returns ends that. */
  on<Name extends keyof Events>(name: Name, listener: (detail: Events[Name]) => void): () => void;
  /** Joins a room, now or once it is connected. Rejects with the server's code, `queue_full` (256 requests
   * wait), or `closed`. */
  join(room: string): Promise<Joined>;
  leave(room: string): Promise<{ room: string }>;
  /** The other threads of which it follows the sessions, or comes back to them. */
  readonly threads: string[];
  /** Follows the session of another thread of the user, in the stream `session/<thread>`, now or once it is connected.
   * Where it begins, if it has seen nothing: with the open runs, with a `run`, or with the `recent` ones too. */
  follow(thread: string, start?: { run?: string; recent?: boolean }): Promise<Followed>;
  /** Of the thread of the client itself: until the next connection. */
  unfollow(thread: string): Promise<{ thread: string }>;
  /** Requests a run, under a name that no other run of the user has, in the session of a thread that it follows: its
   * own without one. Rejects with the server's code: `run_exists` after a reconnect means that it was taken before. */
  request(run: string, input: Json, thread?: string): Promise<unknown>;
  /** Wishes that a run is cancelled; the back end decides. */
  cancel(run: string, reason?: string): Promise<unknown>;
  /** Says that everything up to an offset of a stream has been dealt with; no answer is awaited. */
  ack(stream: string, offset: number): void;
  /** The run of this name, that there is or that will be. */
  run(id: string): Run;
  /** Connects at once if it waits; asks whether the server is there if it is connected. */
  retry(): void;
  /** Closes for good. */
  close(): void;
}

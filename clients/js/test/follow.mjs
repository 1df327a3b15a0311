// A client that tells everything it hears, for tests that play the back end and the network.
import { Client } from '../headcount.js';

/** Connects. `tokens` is the address that gives out tokens; each thing that is heard is told as JSON can hold it. */
export function follow({ url, tokens, rooms = [], threads = [], ...options }, tell) {
  // Of the delays that chance picks, tests wait for the shortest.
  Math.random = () => 0;
  if (tokens) {
    options.token = async () => {
      const answer = await fetch(tokens);
      if (!answer.ok) throw new Error(`the tokens' server answers ${answer.status}`);
      return answer.text();
    };
  }
  const client = new Client(url, options);
  for (const name of ['event', 'gap', 'reset', 'joined', 'left', 'followed', 'unfollowed', 'close']) {
    client.on(name, detail => tell({ name, ...detail }));
  }
  client.on('state', detail => tell({ name: 'state', connection: client.connection, ...detail }));
  client.on('error', ({ code, message }) => tell({ name: 'error', code, message }));
  client.on('run', async run => {
    for await (const { event, data, run: id } of run) tell({ name: 'run', id, event, data });
  });
  for (const thread of threads) client.follow(thread);
  for (const room of rooms) client.join(room);
  return client;
}

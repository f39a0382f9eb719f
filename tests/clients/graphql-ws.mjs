// graphql-ws: operations of each kind over one socket, its close codes, and a cut in the middle.

import assert from 'node:assert/strict';
import { createClient } from 'graphql-ws';
import {
  authorization, CURSOR, CutSocket, cutSockets, done, EVENTS, followsThroughACut, given, heard, ME,
  run, SAY, socketUrl,
} from './support.mjs';

const connect = (options) => createClient({
  url: socketUrl,
  webSocketImpl: CutSocket,
  retryAttempts: 0,
  // One socket for operations that follow each other.
  connectionParams: { Authorization: authorization },
  ...options,
});

async function one(client, payload) {
  const results = [];
  for await (const result of client.iterate(payload)) results.push(result);
  assert.equal(results.length, 1);
  return results[0];
}

// Queries and mutations go over the socket too, several at once.
const client = connect();
const { thread: { cursor: beginning } } = await run(CURSOR, { id: given.thread });
const input = { threadId: given.thread, body: 'over a socket' };
const [me, said] = await Promise.all([
  one(client, { query: ME }),
  one(client, { query: SAY, variables: { input } }),
]);
assert.equal(me.data.viewer.user.id, given.user);
assert.equal(said.data.createMessage.message.body, 'over a socket');

// A document that cannot be executed ends its operation, not the socket.
const refused = new Promise((resolve, reject) => {
  client.subscribe({ query: '{ nonsense }' }, { next: reject, error: resolve, complete: reject });
});
assert.equal((await refused)[0].extensions.code, 'GRAPHQL_VALIDATION_FAILED');
assert.equal((await one(client, { query: ME })).data.viewer.user.id, given.user);

await followsThroughACut((variables) => client.iterate({ query: EVENTS, variables }), cutSockets);

// The client comes back by itself as well, and reads its variables anew when it does. The cut
// comes in the middle of what it missed.
const variables = { id: given.thread, after: beginning };
const again = connect({ retryAttempts: 5, shouldRetry: () => true, retryWait: async () => {} });
const bodies = [];
const events = heard((sink) => again.subscribe({ query: EVENTS, variables }, sink));
for await (const { data } of events) {
  variables.after = data.threadEvents.cursor;
  if (data.threadEvents.message === undefined) continue;
  bodies.push(data.threadEvents.message.body);
  if (bodies.length === 3) cutSockets();
  if (bodies.length === 7) break;
}
assert.deepEqual(bodies, ['over a socket', '1', '2', '3', '4', '5', '6']);

// A credential that is refused closes the socket with 4403, which clients take as final or not,
// as they like.
const stranger = connect({ connectionParams: { token: 'nonsense' } });
await assert.rejects(one(stranger, { query: ME }), (event) => {
  assert.equal(event.code, 4403);
  return true;
});
done();

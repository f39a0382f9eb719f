// What the scripts share: whom they are, how they write, and how they follow a thread.

import assert from 'node:assert/strict';
import { WebSocket } from 'ws';

/** What the test gives: the server's address, a token, a thread, and who that is. */
export const given = JSON.parse(process.argv[2]);
export const url = `http://${given.address}/graphql`;
export const socketUrl = `ws://${given.address}/graphql`;
export const authorization = `Bearer ${given.token}`;

export const ME = 'query Me { viewer { user { id name } } }';
export const CURSOR = 'query Cursor($id: ID!) { thread(id: $id) { id cursor } }';
export const SAY = `mutation Say($input: CreateMessageInput!) {
  createMessage(input: $input) { message { id body } }
}`;
export const EVENTS = `subscription Events($id: ID!, $after: String) {
  threadEvents(threadId: $id, after: $after) {
    __typename
    cursor
    ... on MessageCreated { message { id body } }
  }
}`;

/** Executes a document by a plain fetch, which no client library has a part in. */
export async function run(query, variables) {
  const response = await fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization },
    body: JSON.stringify({ query, variables }),
  });
  const answer = await response.json();
  assert.equal(answer.errors, undefined, JSON.stringify(answer));
  return answer.data;
}

export async function say(...bodies) {
  for (const body of bodies) {
    await run(SAY, { input: { threadId: given.thread, body } });
  }
}

/** The sockets that clients have opened, so that a script can cut them. */
export const sockets = [];

export class CutSocket extends WebSocket {
  constructor(...args) {
    super(...args);
    sockets.push(this);
  }
}

/** Ends every socket as a network does: without a word. */
export function cutSockets() {
  assert.ok(sockets.length > 0, 'there is a socket to cut');
  for (const socket of sockets.splice(0)) {
    socket.terminate();
  }
}

/** What an observable or a sink tells, as something to iterate over. */
export async function* heard(subscribe) {
  const waiting = [];
  let wake = () => {};
  const put = (item) => {
    waiting.push(item);
    wake();
  };
  const stop = subscribe({
    next: (value) => put({ value }),
    error: (error) => put({ error }),
    complete: () => put({ done: true }),
  });
  try {
    for (;;) {
      while (waiting.length === 0) {
        await new Promise((resolve) => { wake = resolve; });
      }
      const { value, error, done } = waiting.shift();
      if (error) throw error;
      if (done) return;
      yield value;
    }
  } finally {
    stop();
  }
}

/**
 * Follows the thread, is cut off in the middle, and comes back after the last cursor: every
 * message must arrive, in order, once. `open(variables)` iterates over results.
 */
export async function followsThroughACut(open, cut) {
  const { thread } = await run(CURSOR, { id: given.thread });
  let after = thread.cursor;
  let cuts = 0;
  const bodies = [];
  await say('1', '2');
  while (bodies.length < 6) {
    try {
      for await (const { data, errors } of open({ id: given.thread, after })) {
        assert.equal(errors, undefined, JSON.stringify(errors));
        const event = data.threadEvents;
        after = event.cursor;
        if (event.__typename !== 'MessageCreated') continue;
        bodies.push(event.message.body);
        if (bodies.length === 2) await say('3');
        if (bodies.length === 3) {
          cuts += 1;
          cut();
          await say('4', '5');
        }
        if (bodies.length === 5) await say('6');
        if (bodies.length === 6) break;
      }
    } catch (error) {
      if (error instanceof assert.AssertionError) throw error;
      assert.equal(bodies.length, 3, `it broke where nobody cut it: ${error?.stack ?? error}`);
    }
  }
  assert.equal(cuts, 1);
  assert.deepEqual(bodies, ['1', '2', '3', '4', '5', '6']);
}

/** Ends the script: what a client keeps open would keep it running. */
export function done() {
  process.exit(0);
}

// graphql-sse with distinct connections: operations of each kind, and a cut in the middle.

import assert from 'node:assert/strict';
import { createClient } from 'graphql-sse';
import { authorization, done, EVENTS, followsThroughACut, given, ME, SAY, url } from './support.mjs';

// The connections that are open, so that they can be cut.
const open = new Set();

async function cuttingFetch(input, options) {
  const cutter = new AbortController();
  open.add(cutter);
  const signal = AbortSignal.any([options.signal, cutter.signal]);
  return fetch(input, { ...options, signal });
}

function cut() {
  for (const cutter of open) cutter.abort(new Error('cut'));
  open.clear();
}

const client = createClient({
  url,
  fetchFn: cuttingFetch,
  retryAttempts: 0,
  headers: { authorization },
});

async function one(payload) {
  const results = [];
  for await (const result of client.iterate(payload)) results.push(result);
  assert.equal(results.length, 1);
  return results[0];
}

assert.equal((await one({ query: ME })).data.viewer.user.id, given.user);
const input = { threadId: given.thread, body: 'over a stream' };
const said = await one({ query: SAY, variables: { input } });
assert.equal(said.data.createMessage.message.body, 'over a stream');

await followsThroughACut((variables) => client.iterate({ query: EVENTS, variables }), cut);
done();

// urql: HTTP, and subscriptions through its exchange over graphql-ws.

import assert from 'node:assert/strict';
import { Client, fetchExchange, subscriptionExchange } from '@urql/core';
import { createClient } from 'graphql-ws';
import { pipe, subscribe } from 'wonka';
import {
  authorization, CutSocket, cutSockets, done, EVENTS, followsThroughACut, given, heard, ME, SAY,
  socketUrl, url,
} from './support.mjs';

const socket = createClient({
  url: socketUrl,
  webSocketImpl: CutSocket,
  retryAttempts: 0,
  connectionParams: { Authorization: authorization },
});

const client = new Client({
  url,
  preferGetMethod: 'within-url-limit',
  fetchOptions: { headers: { authorization } },
  exchanges: [
    fetchExchange,
    subscriptionExchange({
      forwardSubscription: (payload) => ({
        subscribe: (sink) => ({ unsubscribe: socket.subscribe(payload, sink) }),
      }),
    }),
  ],
});

// urql writes its queries into the URL if they are short enough, its mutations into a body.
const me = await client.query(ME, {}).toPromise();
assert.equal(me.error, undefined, String(me.error));
assert.equal(me.data.viewer.user.id, given.user);
const input = { threadId: given.thread, body: 'by urql' };
const said = await client.mutation(SAY, { input }).toPromise();
assert.equal(said.data.createMessage.message.body, 'by urql');
const unknown = await client.query('query($id: ID!) { thread(id: $id) { id } }', { id: 'x' }).toPromise();
assert.equal(unknown.error.graphQLErrors[0].extensions.code, 'NOT_FOUND');

await followsThroughACut(
  (variables) => heard((sink) => {
    const { unsubscribe } = pipe(
      client.subscription(EVENTS, variables),
      subscribe(({ data, error }) => (error ? sink.error(error) : sink.next({ data }))),
    );
    return unsubscribe;
  }),
  cutSockets,
);
done();

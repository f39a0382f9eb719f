// Apollo Client: HTTP, persisted queries by POST and by GET, batches, subscriptions.

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import {
  ApolloClient, ApolloLink, CombinedGraphQLErrors, gql, HttpLink, InMemoryCache,
} from '@apollo/client/core/index.js';
import { BatchHttpLink } from '@apollo/client/link/batch-http/index.js';
import { PersistedQueryLink } from '@apollo/client/link/persisted-queries/index.js';
import { GraphQLWsLink } from '@apollo/client/link/subscriptions/index.js';
import { createClient } from 'graphql-ws';
import {
  authorization, CutSocket, cutSockets, done, EVENTS, followsThroughACut, given, heard, ME, SAY,
  socketUrl, url,
} from './support.mjs';

// What went over the wire.
let requests = [];
async function recorded(input, options) {
  requests.push({ url: String(input), method: options.method, body: options.body });
  return fetch(input, options);
}

const http = { uri: url, headers: { authorization }, fetch: recorded };
const sha256 = (text) => createHash('sha256').update(text).digest('hex');
const apollo = (link) => new ApolloClient({
  link,
  cache: new InMemoryCache(),
  defaultOptions: { query: { fetchPolicy: 'no-cache' } },
});
const subject = gql`query Subject($id: ID!) { thread(id: $id) { id subject } }`;

// Queries, mutations and errors over HTTP.
const plain = apollo(new HttpLink(http));
assert.equal((await plain.query({ query: gql(ME) })).data.viewer.user.id, given.user);
const input = { threadId: given.thread, body: 'by Apollo' };
const said = await plain.mutate({ mutation: gql(SAY), variables: { input } });
assert.equal(said.data.createMessage.message.body, 'by Apollo');
await assert.rejects(plain.query({ query: subject, variables: { id: 'unknown' } }), (error) => {
  assert.ok(CombinedGraphQLErrors.is(error), String(error));
  assert.equal(error.errors[0].extensions.code, 'NOT_FOUND');
  return true;
});

// A persisted query: asked for by its hash, sent once in full, by its hash from then on.
for (const useGETForHashedQueries of [false, true]) {
  requests = [];
  const link = new PersistedQueryLink({ sha256, useGETForHashedQueries });
  const persisted = apollo(ApolloLink.from([link, new HttpLink(http)]));
  // A name that the server has not heard yet.
  const name = `${useGETForHashedQueries ? 'ByGet' : 'ByPost'}_${process.pid}`;
  const query = gql`query ${name} { viewer { user { id } } }`;
  for (let time = 0; time < 2; time += 1) {
    assert.equal((await persisted.query({ query })).data.viewer.user.id, given.user);
  }
  const inFull = requests.map(({ body }) => body !== undefined && 'query' in JSON.parse(body));
  assert.deepEqual(inFull, [false, true, false], JSON.stringify(requests));
  const methods = requests.map(({ method }) => method);
  const hashed = useGETForHashedQueries ? 'GET' : 'POST';
  assert.deepEqual(methods, [hashed, 'POST', hashed]);
}

// Operations of the same moment go in one request.
requests = [];
const batched = apollo(new BatchHttpLink({ ...http, batchMax: 10, batchInterval: 10 }));
const [me, thread, unknown] = await Promise.allSettled([
  batched.query({ query: gql(ME) }),
  batched.query({ query: subject, variables: { id: given.thread } }),
  batched.query({ query: subject, variables: { id: 'unknown' } }),
]);
assert.equal(requests.length, 1);
assert.equal(me.value.data.viewer.user.id, given.user);
assert.equal(thread.value.data.thread.id, given.thread);
assert.equal(unknown.reason.errors[0].extensions.code, 'NOT_FOUND');

// Subscriptions over graphql-ws.
const socket = createClient({
  url: socketUrl,
  webSocketImpl: CutSocket,
  retryAttempts: 0,
  connectionParams: { Authorization: authorization },
});
const live = apollo(new GraphQLWsLink(socket));
await followsThroughACut(
  (variables) => heard((sink) => {
    const events = live.subscribe({ query: gql(EVENTS), variables, fetchPolicy: 'no-cache' });
    const subscription = events.subscribe({
      ...sink,
      // Apollo tells a broken connection as a result with an error.
      next: ({ data, error }) => (error ? sink.error(error) : sink.next({ data })),
    });
    return () => subscription.unsubscribe();
  }),
  cutSockets,
);
done();

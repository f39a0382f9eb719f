// The audits of GraphQL over HTTP: every one of them must pass.

import assert from 'node:assert/strict';
import { serverAudits } from 'graphql-http';
import { done, url } from './support.mjs';

const failed = [];
let count = 0;
for (const audit of serverAudits({ url })) {
  const result = await audit.fn();
  count += 1;
  if (result.status !== 'ok') {
    failed.push(`${audit.id} ${audit.name}: ${result.reason}`);
  }
}
assert.deepEqual(failed, []);
assert.equal(count, 61);
done();

// Apollo's upload client: multipart requests with one file, and with several.

import assert from 'node:assert/strict';
import { ApolloClient, CombinedGraphQLErrors, gql, InMemoryCache } from '@apollo/client/core/index.js';
import UploadHttpLink from 'apollo-upload-client/UploadHttpLink.mjs';
import { authorization, done, given, url } from './support.mjs';

const client = new ApolloClient({
  link: new UploadHttpLink({ uri: url, headers: { authorization } }),
  cache: new InMemoryCache(),
});
const ATTACHMENT = `attachment {
  __typename id file { name mimeType size uploadStatus url } ... on ImageAttachment { width height }
}`;
const one = gql`mutation One($input: UploadAttachmentInput!) {
  uploadAttachment(input: $input) { ${ATTACHMENT} }
}`;

// A text, and where it can be fetched.
const text = new File(['Grüße\n'], 'grüße & "mehr".txt', { type: 'text/plain' });
const { data } = await client.mutate({ mutation: one, variables: { input: { file: text } } });
const { attachment } = data.uploadAttachment;
assert.equal(attachment.__typename, 'FileAttachment');
assert.equal(attachment.file.mimeType, 'text/plain');
assert.equal(attachment.file.size, text.size);
assert.equal(attachment.file.uploadStatus, 'UPLOADED');
assert.ok(attachment.file.name.startsWith('grüße & '), attachment.file.name);
const fetched = await fetch(attachment.file.url);
assert.equal(await fetched.text(), 'Grüße\n');

// Several at once, and a picture among them.
const png = Buffer.from(
  'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==',
  'base64',
);
const several = gql`mutation Several($a: UploadAttachmentInput!, $b: UploadAttachmentInput!) {
  a: uploadAttachment(input: $a) { ${ATTACHMENT} }
  b: uploadAttachment(input: $b) { ${ATTACHMENT} }
}`;
const both = await client.mutate({
  mutation: several,
  variables: {
    a: { file: new Blob([png], { type: 'image/png' }), kind: 'IMAGE' },
    b: { file: new File(['1,2\n'], 'table.csv', { type: 'text/csv' }) },
  },
});
assert.equal(both.data.a.attachment.__typename, 'ImageAttachment');
assert.equal(both.data.a.attachment.width, 1);
assert.equal(both.data.b.attachment.file.name, 'table.csv');

// They go with a message.
const send = gql`mutation Send($input: CreateMessageInput!) {
  createMessage(input: $input) { message { id attachments { id } } }
}`;
const ids = [both.data.b.attachment.id, both.data.a.attachment.id];
const input = { threadId: given.thread, attachmentIds: ids };
const sent = await client.mutate({ mutation: send, variables: { input } });
assert.deepEqual(sent.data.createMessage.message.attachments.map(({ id }) => id), ids);

// What is not what it says is told with its code and where it was.
const program = new Blob(['MZ\x90\0\x03\0\0\0', new Uint8Array(200)], { type: 'image/png' });
await assert.rejects(
  client.mutate({ mutation: one, variables: { input: { file: program } } }),
  (error) => {
    assert.ok(CombinedGraphQLErrors.is(error), String(error));
    const { extensions } = error.errors[0];
    assert.equal(extensions.code, 'UNSUPPORTED_MEDIA_TYPE');
    assert.equal(extensions.fields[0].path, 'variables.input.file');
    return true;
  },
);
done();

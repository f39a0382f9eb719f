// Uses the explorer page of a running Bobbin in a real browser: first query, a live subscription, a changed header;
// fails on any request to another host and on any complaint in the console (a refused script or style, say).
//
//   npm install --no-save playwright-core    (in web/)
//   node test/graphiql.mjs http://127.0.0.1:4000 TOKEN [screenshot.png]
//
// TOKEN is a person's, who may create threads. CHROMIUM names the browser's binary (default /usr/bin/chromium).

import assert from "node:assert/strict";
import { chromium } from "playwright-core";

const [address, token, screenshot] = process.argv.slice(2);
assert(address && token, "usage: graphiql.mjs ADDRESS TOKEN [SCREENSHOT]");
const origin = new URL(address).origin;

const QUERY = ".graphiql-query-editor .CodeMirror";
const HEADERS = ".graphiql-editor-tool .graphiql-editor:nth-of-type(2) .CodeMirror";
const RESULT = ".result-window .CodeMirror";

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: [
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
  ],
});
try {
  const page = await browser.newPage({ viewport: { width: 1280, height: 800 } });
  const { complaints, sockets } = listen(page);

  const answer = await page.goto(`${origin}/graphiql`, { waitUntil: "networkidle" });
  assert.equal(answer.status(), 200);
  assert.equal(await page.title(), "Bobbin");
  await page.waitForSelector(".graphiql-query-editor .CodeMirror");
  if (!(await read(page, HEADERS)).includes("Bearer ")) {
    await write(page, HEADERS, credential(token));
  }

  await run(page);
  const first = JSON.parse(await result(page, '"viewer"'));
  assert.equal(first.errors, undefined);
  console.log("ok: the first query");

  const thread = await createThread();
  await write(page, QUERY, follow(thread));
  // GraphiQL reads the operation's name a moment after the last key.
  await page.waitForFunction((editor) => document.querySelector(editor).CodeMirror.operationName === "Follow", QUERY);
  await run(page);
  for (const body of ["one", "two"]) {
    await createMessage(thread.id, body);
    await result(page, `"plaintext": "${body}"`);
  }
  console.log("ok: a subscription follows a thread");
  if (screenshot) {
    await page.screenshot({ path: screenshot });
  }
  await run(page); // the same button stops it

  await write(page, HEADERS, credential("wrong"));
  await run(page);
  await result(page, "4403");
  assert.equal(sockets.length, 2, "a changed header opens a new socket, once");
  console.log("ok: a changed header counts for the next subscription");

  assert.deepEqual(complaints, []);
  console.log("ok: nothing left the server, nothing in the console");
} finally {
  await browser.close();
}

// Collects what must stay empty, and the sockets that the page opens.
function listen(page) {
  const complaints = [];
  const sockets = [];
  const check = (url) => {
    const { protocol, host } = new URL(url);
    if (protocol !== "data:" && host !== new URL(origin).host) {
      complaints.push(`request to ${url}`);
    }
  };
  page.on("request", (request) => check(request.url()));
  page.on("websocket", (socket) => {
    check(socket.url());
    sockets.push(socket);
  });
  page.on("pageerror", (error) => complaints.push(`error: ${error.message}`));
  page.on("console", (message) => {
    // Without a token in the page, the first introspection is refused; the operations are checked by themselves.
    const refused = message.text().includes("status of 401");
    if (["error", "warning"].includes(message.type()) && !refused) {
      complaints.push(`${message.type()}: ${message.text()}`);
    }
  });
  return { complaints, sockets };
}

async function api(query, variables) {
  const response = await fetch(`${origin}/graphql`, {
    method: "POST",
    headers: { "Content-Type": "application/json", Authorization: `Bearer ${token}` },
    body: JSON.stringify({ query, variables }),
  });
  const { data, errors } = await response.json();
  assert.equal(errors, undefined, JSON.stringify(errors));
  return data;
}

async function createThread() {
  const { viewer } = await api("{ viewer { memberships { organization { id } } } }");
  const { createThread } = await api(
    "mutation ($input: CreateThreadInput!) { createThread(input: $input) { thread { id cursor } } }",
    { input: { organizationId: viewer.memberships[0].organization.id, subject: "A test of the explorer" } },
  );
  return createThread.thread;
}

async function createMessage(threadId, body) {
  await api("mutation ($input: CreateMessageInput!) { createMessage(input: $input) { message { id } } }", {
    input: { threadId, body },
  });
}

// From the thread's beginning, so that no message can come before the socket is ready.
function follow({ id, cursor }) {
  return `subscription Follow {
  threadEvents(threadId: "${id}", after: "${cursor}") {
    cursor
    ... on MessageCreated { message { plaintext } }
  }
}`;
}

function credential(value) {
  return JSON.stringify({ Authorization: `Bearer ${value}` });
}

async function run(page) {
  await page.click(".graphiql-execute-button");
}

// The text of the result pane, once it holds `expected`.
async function result(page, expected) {
  await page.waitForFunction(
    ({ selector, expected }) => document.querySelector(selector).CodeMirror.getValue().includes(expected),
    { selector: RESULT, expected },
    { timeout: 15_000 },
  );
  return read(page, RESULT);
}

async function read(page, selector) {
  return page.$eval(selector, (editor) => editor.CodeMirror.getValue());
}

async function write(page, selector, text) {
  await page.$eval(selector, (editor, text) => editor.CodeMirror.setValue(text), text);
}

// Sends GraphiQL's operations to Bobbin: subscriptions over a WebSocket, everything else over HTTP.
// Every failure comes back as a GraphQL result, so that the result pane shows it like any other error.

import { getOperationAST, parse } from "graphql";
import { createClient } from "graphql-ws";

const endpoint = new URL("/graphql", location.href);
const FORBIDDEN = 4403;

// `pageHeaders` serve the first introspection, which GraphiQL sends before its headers editor exists.
export function createFetcher(pageHeaders) {
  return (params, { headers } = {}) => {
    if (isSubscription(params)) {
      return overWebSocket(params, headers);
    }
    const early = params.operationName === "IntrospectionQuery" && !headers;
    return overHttp(params, early ? pageHeaders : headers);
  };
}

function isSubscription({ query, operationName }) {
  try {
    return getOperationAST(parse(query), operationName)?.operation === "subscription";
  } catch {
    // A syntax error: the server answers it best.
    return false;
  }
}

async function overHttp(params, headers) {
  try {
    const response = await fetch(endpoint, {
      method: "POST",
      headers: {
        Accept: "application/graphql-response+json, application/json",
        "Content-Type": "application/json",
        ...headers,
      },
      body: JSON.stringify(params),
    });
    if (/[/+]json\b/.test(response.headers.get("Content-Type"))) {
      return await response.json();
    }
    return failure(`HTTP ${response.status} ${response.statusText}`.trim());
  } catch (error) {
    return failure(`no answer from the server: ${error.message}`);
  }
}

// A client per subscription: its socket opens with the headers of this run and closes with the subscription.
function overWebSocket(params, headers) {
  const url = new URL(endpoint);
  url.protocol = url.protocol.replace("http", "ws");
  const authorization = headerNamed("authorization", headers);
  const client = createClient({
    url: url.href,
    connectionParams: authorization && { Authorization: authorization },
    // The same credential again would be refused again.
    shouldRetry: (event) => event?.code !== FORBIDDEN,
  });
  return {
    subscribe: (observer) => ({
      unsubscribe: client.subscribe(params, {
        next: (result) => observer.next(result),
        complete: () => observer.complete(),
        error: (reason) => {
          observer.next(socketFailure(reason));
          observer.complete();
        },
      }),
    }),
  };
}

function headerNamed(name, headers = {}) {
  return Object.entries(headers).find(([key]) => key.toLowerCase() === name)?.[1];
}

// graphql-ws reports the operation's GraphQL errors, the socket's close event, or an Error of its own.
function socketFailure(reason) {
  if (Array.isArray(reason)) {
    return { errors: reason };
  }
  if (reason?.code) {
    return failure(`the WebSocket closed: ${reason.code} ${reason.reason}`.trim());
  }
  return failure(reason?.message ?? "the WebSocket failed");
}

function failure(message) {
  return { errors: [{ message }] };
}

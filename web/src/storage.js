// The browser's storage for GraphiQL, which never keeps a credential. GraphiQL leaves the headers out of its tabs,
// but not out of its history; there they come back as those of the page, whose token is the one in force.

const PREFIX = "graphiql:";
const HISTORY = [`${PREFIX}queries`, `${PREFIX}favorites`];

export function createStorage(pageHeaders) {
  return {
    getItem: (key) => {
      const text = localStorage.getItem(key);
      return text && HISTORY.includes(key) ? withHeaders(text, pageHeaders) : text;
    },
    setItem: (key, text) => {
      localStorage.setItem(key, HISTORY.includes(key) ? withHeaders(text, "") : text);
    },
    removeItem: (key) => localStorage.removeItem(key),
    clear: () => keys().forEach((key) => localStorage.removeItem(key)),
    get length() {
      return keys().length;
    },
  };
}

function withHeaders(text, headers) {
  return JSON.stringify(JSON.parse(text, (key, value) => (key === "headers" ? headers : value)));
}

function keys() {
  return Object.keys(localStorage).filter((key) => key.startsWith(PREFIX));
}

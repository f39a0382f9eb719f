// The explorer page: GraphiQL with Bobbin's fetcher, a first query and the token that the server put in the page.

import { useEditorContext } from "@graphiql/react";
import { GraphiQL } from "graphiql";
import { useEffect } from "react";
import { createRoot } from "react-dom/client";

import { createFetcher } from "./fetcher.js";
import firstLook from "./first-look.graphql";
import { createStorage } from "./storage.js";

import "graphiql/style.css";
import "./graphiql.css";

const { token } = JSON.parse(document.getElementById("settings").textContent);
const headers = token ? { Authorization: `Bearer ${token}` } : {};
const headersText = token ? JSON.stringify(headers, null, 2) : "";

// GraphiQL shows the default headers in a restored tab, but would note its runs in the history as made without any,
// and clear the headers when such a run is taken up again.
function Logo() {
  const { tabs, activeTabIndex, updateActiveTabValues } = useEditorContext({ nonNull: true });
  const restored = tabs[activeTabIndex].headers === null;
  useEffect(() => {
    if (restored) {
      updateActiveTabValues({ headers: headersText });
    }
  }, [restored, updateActiveTabValues]);
  return <span className="bobbin-logo">Bobbin</span>;
}

// Headers are never kept in the browser's storage: a token belongs to one load of the page.
createRoot(document.getElementById("graphiql")).render(
  <GraphiQL
    fetcher={createFetcher(headers)}
    storage={createStorage(headersText)}
    defaultQuery={firstLook}
    defaultHeaders={headersText}
    defaultEditorToolsVisibility="headers"
    shouldPersistHeaders={false}
    showPersistHeadersSettings={false}
  >
    <GraphiQL.Logo>
      <Logo />
    </GraphiQL.Logo>
  </GraphiQL>,
);

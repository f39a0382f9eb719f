//! GraphQL over HTTP: media types, status codes, errors, limits.

use reqwest::{Method, RequestBuilder, Response, StatusCode};
use serde_json::{Value, json};

use crate::support::server::Server;
use crate::support::{Actor, Tenant};

const GRAPHQL: &str = "application/graphql-response+json";

async fn request(method: Method, path: &str) -> RequestBuilder {
    let server = Server::get().await;
    server.http.request(method, server.url(path))
}

async fn post(body: impl Into<reqwest::Body>) -> RequestBuilder {
    request(Method::POST, "/graphql")
        .await
        .header("content-type", "application/json")
        .body(body)
}

async fn sent(request: RequestBuilder) -> (StatusCode, String, Value) {
    let response = request.send().await.expect("the server answers");
    let kind = header(&response, "content-type").unwrap_or_default();
    let status = response.status();
    let body = response.text().await.expect("a body");
    (
        status,
        kind,
        serde_json::from_str(&body).unwrap_or_else(|_| panic!("no JSON: {body}")),
    )
}

fn header(response: &Response, name: &str) -> Option<String> {
    let value = response.headers().get(name)?;
    Some(value.to_str().expect("a text").to_owned())
}

/// The code of an answer's first error; every error has a message and a code.
#[track_caller]
fn code(body: &Value) -> &str {
    let errors = body["errors"]
        .as_array()
        .unwrap_or_else(|| panic!("no error in {body}"));
    for error in errors {
        assert!(
            error["message"].is_string() && error["extensions"]["code"].is_string(),
            "{error}"
        );
    }
    errors[0]["extensions"]["code"].as_str().expect("a code")
}

#[tokio::test]
async fn the_answer_s_media_type_is_the_one_that_is_accepted() {
    for (accept, expected) in [
        (None, "application/json"),
        (Some("*/*"), "application/json"),
        (Some("application/*"), "application/json"),
        (Some("application/json"), "application/json"),
        (Some("application/json; charset=utf-8"), "application/json"),
        (Some("application/JSON"), "application/json"),
        (Some(GRAPHQL), GRAPHQL),
        (
            Some("application/graphql-response+json; charset=utf-8, application/json;q=0.9"),
            GRAPHQL,
        ),
        (
            Some("application/json, application/graphql-response+json;q=0.9"),
            "application/json",
        ),
        (
            Some("text/html, application/graphql-response+json;q=0.1"),
            GRAPHQL,
        ),
    ] {
        let mut asked = post(json!({ "query": "{ __typename }" }).to_string()).await;
        if let Some(accept) = accept {
            asked = asked.header("accept", accept);
        }
        let (status, kind, body) = sent(asked).await;
        assert_eq!(
            (status.as_u16(), kind),
            (200, format!("{expected}; charset=utf-8")),
            "{accept:?}"
        );
        assert_eq!(body, json!({ "data": { "__typename": "Query" } }));
    }
}

#[tokio::test]
async fn what_we_do_not_write_is_406() {
    for accept in [
        "text/html",
        "application/json;q=0",
        "image/*",
        "application/json; charset=utf-16",
    ] {
        let asked = post(r#"{"query":"{ __typename }"}"#)
            .await
            .header("accept", accept);
        let (status, kind, body) = sent(asked).await;
        assert_eq!(status, 406, "{accept}");
        assert!(kind.starts_with("application/json"));
        assert_eq!(code(&body), "NOT_ACCEPTABLE");
    }
}

#[tokio::test]
async fn an_operation_that_cannot_be_executed_has_no_data_and_is_400_for_the_newer_media_type() {
    for (body, expected) in [
        (json!({ "query": "{ nonsense" }), "GRAPHQL_PARSE_FAILED"),
        (
            json!({ "query": "{ nonsense }" }),
            "GRAPHQL_VALIDATION_FAILED",
        ),
        (
            json!({ "query": "query a { __typename } query b { __typename }" }),
            "GRAPHQL_VALIDATION_FAILED",
        ),
        (
            json!({ "query": "{ __typename }", "operationName": "other" }),
            "GRAPHQL_VALIDATION_FAILED",
        ),
        (
            json!({ "query": "query($id: ID!) { thread(id: $id) { id } }" }),
            "BAD_USER_INPUT",
        ),
        (
            json!({ "query": "query($id: ID!) { thread(id: $id) { id } }", "variables": { "id": [] } }),
            "GRAPHQL_VALIDATION_FAILED",
        ),
        (
            json!({ "query": "query($n: Int) { threads(first: $n) { totalCount } }", "variables": { "n": "x" } }),
            "GRAPHQL_VALIDATION_FAILED",
        ),
        (
            json!({ "query": "subscription { threadEvents(threadId: \"x\") { cursor } }" }),
            "GRAPHQL_VALIDATION_FAILED",
        ),
    ] {
        for (accept, expected_status) in [(GRAPHQL, 400), ("application/json", 200)] {
            let (status, _, answer) =
                sent(post(body.to_string()).await.header("accept", accept)).await;
            assert_eq!(code(&answer), expected, "{body}: {answer}");
            assert!(answer.get("data").is_none(), "{body}: {answer}");
            assert_eq!(status, expected_status, "{body}");
        }
    }
}

#[tokio::test]
async fn what_is_no_request_is_400_whatever_is_accepted() {
    for body in [
        "",
        "no JSON",
        "null",
        "[]",
        "1",
        "{}",
        r#"{"query":null}"#,
        r#"{"query":""}"#,
        r#"{"query":1}"#,
        r#"{"query":["{ __typename }"]}"#,
        r#"{"query":"{ __typename }","variables":"text"}"#,
        r#"{"query":"{ __typename }","variables":[1]}"#,
        r#"{"query":"{ __typename }","operationName":1}"#,
        r#"{"query":"{ __typename }","extensions":"text"}"#,
        r#"["{ __typename }",null,null,null]"#,
        "{\"query\":\"{ __typename }\u{0}\"}",
    ] {
        for accept in [GRAPHQL, "application/json"] {
            let (status, _, answer) = sent(post(body).await.header("accept", accept)).await;
            assert_eq!(status, 400, "{body}: {answer}");
            code(&answer);
            assert!(answer.get("data").is_none());
        }
    }
    let (status, _, answer) = sent(post(&b"{\"query\":\"\xff\"}"[..]).await).await;
    assert_eq!(status, 400, "{answer}");
}

#[tokio::test]
async fn null_parameters_are_as_good_as_none() {
    let body = json!({ "query": "{ __typename }", "variables": null, "operationName": null, "extensions": null });
    assert_eq!(sent(post(body.to_string()).await).await.0, 200);
    let body = json!({ "query": "{ __typename }", "unknown": 1 });
    assert_eq!(sent(post(body.to_string()).await).await.0, 200);
}

#[tokio::test]
async fn what_a_form_of_any_page_could_send_is_refused() {
    let query = r#"{"query":"mutation { __typename }"}"#;
    for kind in [
        "text/plain",
        "text/plain;application/json",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/jsonp",
        "application/json; charset=utf-16",
        "application/graphql",
        "",
    ] {
        let asked = request(Method::POST, "/graphql")
            .await
            .header("content-type", kind)
            .body(query);
        let (status, _, answer) = sent(asked).await;
        assert_eq!(
            (status.as_u16(), code(&answer)),
            (415, "UNSUPPORTED_MEDIA_TYPE"),
            "{kind}"
        );
    }
    let (status, ..) = sent(request(Method::POST, "/graphql").await.body(query)).await;
    assert_eq!(status, 415);
    for kind in ["application/json; charset=UTF-8", "Application/JSON"] {
        let asked = request(Method::POST, "/graphql")
            .await
            .header("content-type", kind);
        assert_eq!(
            sent(asked.body(r#"{"query":"{ __typename }"}"#)).await.0,
            200,
            "{kind}"
        );
    }
}

#[tokio::test]
async fn a_query_goes_by_get_with_its_variables() {
    let tenant = Tenant::new().await;
    let ada = tenant.member("ada").await;
    let thread = ada
        .open_thread(json!({ "subject": "Grüße \u{1F98A} & =" }))
        .await;
    let variables = json!({ "id": thread }).to_string();
    let query = "query other { __typename } query one($id: ID!) { thread(id: $id) { subject } }";
    let params = [
        ("query", query),
        ("operationName", "one"),
        ("variables", &variables),
        ("extensions", "{}"),
    ];
    let server = Server::get().await;
    let mut url = reqwest::Url::parse(&server.url("/graphql")).expect("a URL");
    url.query_pairs_mut().extend_pairs(params);
    let asked = server
        .http
        .get(url)
        .header("authorization", ada.authorization());
    let (status, _, answer) = sent(asked).await;
    assert_eq!(status, 200);
    assert_eq!(answer["data"]["thread"]["subject"], "Grüße \u{1F98A} & =");
}

#[tokio::test]
async fn a_get_whose_parameters_cannot_be_read_is_400() {
    for path in [
        "/graphql",
        "/graphql?query=",
        "/graphql?variables=%7B%7D",
        "/graphql?query=%7B__typename%7D&variables=x",
        "/graphql?query=%7B__typename%7D&variables=%5B1%5D",
        "/graphql?query=%7B__typename%7D&extensions=1",
        "/graphql?query=%7B__typename%7D&query=%7B__typename%7D",
    ] {
        let (status, _, answer) = sent(request(Method::GET, path).await).await;
        assert_eq!(status, 400, "{path}");
        code(&answer);
    }
}

#[tokio::test]
async fn only_queries_go_by_get() {
    for operation in ["mutation", "subscription"] {
        let path = format!("/graphql?query={operation}%7B__typename%7D");
        let response = request(Method::GET, &path)
            .await
            .send()
            .await
            .expect("an answer");
        assert_eq!(response.status(), 405);
        assert_eq!(header(&response, "allow").as_deref(), Some("POST"));
        let body: Value = response.json().await.expect("JSON");
        assert_eq!(code(&body), "METHOD_NOT_ALLOWED");
    }
}

#[tokio::test]
async fn other_methods_are_405_and_learn_which_ones_are_not() {
    for method in [Method::PUT, Method::DELETE, Method::PATCH] {
        let response = request(method, "/graphql")
            .await
            .send()
            .await
            .expect("an answer");
        assert_eq!(response.status(), 405);
        assert_eq!(header(&response, "allow").as_deref(), Some("GET, POST"));
    }
}

#[tokio::test]
async fn too_large_a_request_is_413() {
    let server = Server::other(&["--max-request-bytes", "1000"]).await;
    let body = json!({ "query": format!("{{ __typename }} #{}", "x".repeat(1000)) }).to_string();
    let asked = server
        .http
        .post(server.url("/graphql"))
        .header("content-type", "application/json");
    let (status, _, answer) = sent(asked.body(body)).await;
    assert_eq!((status.as_u16(), code(&answer)), (413, "PAYLOAD_TOO_LARGE"));
}

#[tokio::test]
async fn a_bad_credential_is_401_and_never_nobody() {
    for bad in [
        "Bearer nonsense",
        "Bearer key_unknown:secret",
        "Basic !",
        "Basic YTpi",
        "Digest x",
        "nonsense",
        "",
    ] {
        let asked = post(r#"{"query":"{ __typename }"}"#)
            .await
            .header("authorization", bad);
        let response = asked.send().await.expect("an answer");
        assert_eq!(response.status(), 401, "{bad}");
        let challenge = header(&response, "www-authenticate").expect("a challenge");
        assert!(challenge.contains("Bearer") && challenge.contains("Basic"));
        let body: Value = response.json().await.expect("JSON");
        assert_eq!(code(&body), "UNAUTHENTICATED");
        assert!(body.get("data").is_none(), "{body}");
    }
}

#[tokio::test]
async fn nobody_reads_the_schema_and_nothing_else() {
    let nobody = Actor::nobody().await;
    nobody
        .run("{ __schema { queryType { name } } }", json!({}))
        .await
        .at("/__schema");
    let refused = nobody.run("{ viewer { user { id } } }", json!({})).await;
    assert_eq!(
        (refused.status, refused.code().as_str()),
        (401, "UNAUTHENTICATED")
    );
    let input = json!({ "subject": "x" });
    let refused = nobody.mutate("createThread", input, "thread { id }").await;
    assert_eq!(refused.code(), "UNAUTHENTICATED");
}

#[tokio::test]
async fn every_failure_of_a_field_has_a_code_and_a_path() {
    let tenant = Tenant::new().await;
    let ada = tenant.member("ada").await;
    let (status, _, body) = {
        let query = "{ a: thread(id: \"unknown\") { id } b: viewer { user { id } } }";
        let asked = post(json!({ "query": query }).to_string()).await;
        sent(
            asked
                .header("authorization", ada.authorization())
                .header("accept", GRAPHQL),
        )
        .await
    };
    assert_eq!((status.as_u16(), code(&body)), (200, "NOT_FOUND"));
    assert_eq!(body["errors"][0]["path"], json!(["a"]));
    assert_eq!(
        body["data"],
        json!({ "a": null, "b": { "user": { "id": ada.id } } })
    );
    let bad = ada
        .mutate("createThread", json!({ "subject": "" }), "thread { id }")
        .await;
    assert_eq!(bad.faults(), ["subject"]);
}

#[tokio::test]
async fn too_deep_and_too_complex_documents_are_refused() {
    let nested = |levels: usize| {
        let open = "ofType { ".repeat(levels);
        format!(
            "{{ __type(name: \"Query\") {{ {open} name {} }} }}",
            "}".repeat(levels)
        )
    };
    let tenant = Tenant::new().await;
    let ada = tenant.member("ada").await;
    let of_thread = |levels: usize| {
        let open = "replyTo { ".repeat(levels);
        format!(
            "{{ message(id: \"x\") {{ {open} id {} }} }}",
            "}".repeat(levels)
        )
    };
    assert_eq!(ada.run(&of_thread(10), json!({})).await.code(), "NOT_FOUND");
    assert_eq!(
        ada.run(&of_thread(40), json!({})).await.code(),
        "QUERY_TOO_COMPLEX"
    );
    ada.run(&nested(5), json!({})).await.at("/__type");
    let narrow = ada.at(Server::other(&["--max-complexity", "100"]).await);
    let wide: Vec<String> = (0..60)
        .map(|index| format!("a{index}: viewer {{ user {{ id }} }}"))
        .collect();
    let wide = format!("{{ {} }}", wide.join(" "));
    assert_eq!(
        narrow.run(&wide, json!({})).await.code(),
        "QUERY_TOO_COMPLEX"
    );
    ada.run(&wide, json!({})).await.at("/a59");
}

#[tokio::test]
async fn a_document_that_asks_for_millions_of_rows_is_refused() {
    let tenant = Tenant::new().await;
    let ada = tenant.member("ada").await;
    let page = "threads(first: 100) { nodes { id messages(first: 100) { nodes { id body } } } }";
    let wide: Vec<String> = (0..40).map(|index| format!("a{index}: {page}")).collect();
    let refused = ada
        .run(&format!("{{ {} }}", wide.join(" ")), json!({}))
        .await;
    assert_eq!(refused.code(), "QUERY_TOO_COMPLEX");
}

#[tokio::test]
async fn a_document_that_nests_without_end_is_refused_and_the_server_lives() {
    for query in [
        "{ a ".repeat(20_000),
        "{ a(b: ".to_owned() + &"[".repeat(50_000),
        format!("query({}) {{ __typename }}", "$a: Int ".repeat(5_000)),
        "fragment f on Query { ...f } { ...f }".to_owned(),
        "fragment f on Query { ...g } fragment g on Query { ...f } { ...f }".to_owned(),
    ] {
        let (status, _, answer) = sent(
            post(json!({ "query": query }).to_string())
                .await
                .header("accept", GRAPHQL),
        )
        .await;
        assert_eq!(status, 400);
        code(&answer);
    }
    let deep = format!(
        r#"{{"query":"{{ __typename }}","variables":{{"a":{}}}}}"#,
        "[".repeat(100_000)
    );
    assert_eq!(sent(post(deep).await).await.0, 400);
}

#[tokio::test]
async fn text_of_every_script_comes_back_as_it_was() {
    let tenant = Tenant::new().await;
    let ada = tenant.member("ada").await;
    let thread = ada.open_thread(json!({})).await;
    let text =
        "Grüße, \u{1F98A}\u{200D}\u{1F469} مرحبا 你好 e\u{301} \u{10FFFF} \"\\ \u{2028}\n\ttab";
    let id = ada.say(&thread, text).await;
    let read = ada
        .run(
            "query($id: ID!) { message(id: $id) { body } }",
            json!({ "id": id }),
        )
        .await;
    assert_eq!(read.text("/message/body"), text);
    // As an escape of JSON.
    let query = format!(
        r#"{{"query":"mutation {{ createMessage(input: {{threadId: \"{thread}\", body: \"\ud83e\udd8a\"}}) {{ message {{ body }} }} }}"}}"#
    );
    let (_, _, answer) = sent(
        post(query)
            .await
            .header("authorization", ada.authorization()),
    )
    .await;
    let body = &answer["data"]["createMessage"]["message"]["body"];
    assert_eq!(body, "\u{1F98A}", "{answer}");
}

#[tokio::test]
async fn a_zero_character_is_bad_input_and_never_an_internal_error() {
    let tenant = Tenant::new().await;
    let ada = tenant.member("ada").await;
    let thread = ada.open_thread(json!({})).await;
    let zero = "a\u{0}b";
    let query = "query($id: ID!) { thread(id: $id) { id } }";
    for (document, variables) in [
        (query, json!({ "id": zero })),
        (
            "query($filter: ThreadFilter) { threads(filter: $filter) { totalCount } }",
            json!({ "filter": { "metadata": { "a": zero } } }),
        ),
        (
            "query($filter: MessageFilter) { messages(filter: $filter) { totalCount } }",
            json!({ "filter": { "threadMetadata": { zero: "a" } } }),
        ),
        (
            "query($id: ID!) { message(id: $id) { id } }",
            json!({ "id": zero }),
        ),
        (
            "query($id: ID!) { user(id: $id) { id } }",
            json!({ "id": zero }),
        ),
        (
            "query($id: ID!) { organization(id: $id) { id } }",
            json!({ "id": zero }),
        ),
        (
            "mutation($input: CreateMessageInput!) { createMessage(input: $input) { message { id } } }",
            json!({ "input": { "threadId": thread, "body": zero } }),
        ),
        (
            "mutation($input: CreateMessageInput!) { createMessage(input: $input) { message { id } } }",
            json!({ "input": { "threadId": thread, "body": "x", "externalId": zero } }),
        ),
        (
            "mutation($input: CreateMessageInput!) { createMessage(input: $input) { message { id } } }",
            json!({ "input": { "threadId": thread, "body": "x", "metadata": { "a": zero } } }),
        ),
        (
            "mutation($input: CreateThreadInput!) { createThread(input: $input) { thread { id } } }",
            json!({ "input": { "subject": zero } }),
        ),
    ] {
        let code = ada.run(document, variables.clone()).await.code();
        assert!(
            ["BAD_USER_INPUT", "NOT_FOUND"].contains(&code.as_str()),
            "{code} {document} {variables}"
        );
    }
}

#[tokio::test]
async fn health_routes_tell_that_it_lives_and_that_it_is_ready() {
    for path in ["/healthz", "/readyz"] {
        let response = request(Method::GET, path)
            .await
            .send()
            .await
            .expect("an answer");
        assert_eq!(response.status(), 200, "{path}");
    }
}

#[tokio::test]
async fn what_is_not_there_is_404_in_json() {
    let (status, kind, body) = sent(request(Method::GET, "/nothing").await).await;
    assert_eq!((status.as_u16(), code(&body)), (404, "NOT_FOUND"));
    assert!(kind.starts_with("application/json"));
}

#[tokio::test]
async fn introspection_can_be_turned_off() {
    let server = Server::other(&["--introspection", "false"]).await;
    let tenant = Tenant::new().await;
    let ada = tenant.member("ada").await.at(server);
    let refused = ada
        .run("{ __schema { queryType { name } } }", json!({}))
        .await;
    assert!(
        refused.body["data"]["__schema"].is_null(),
        "{}",
        refused.body
    );
    ada.run("{ __typename }", json!({})).await.at("/__typename");
}

//! Several operations in one request.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::server::Server;
use crate::support::{Actor, Tenant};

async fn sent(server: &Server, who: &Actor, body: &Value) -> (u16, Value) {
    let request = server.http.request(Method::POST, server.url("/graphql"));
    let request = match who.authorization() {
        "" => request,
        authorization => request.header("authorization", authorization),
    };
    let response = request.json(body).send().await.expect("an answer");
    let status = response.status().as_u16();
    (status, response.json().await.expect("JSON"))
}

#[tokio::test]
async fn a_batch_is_answered_in_its_order() {
    let tenant = Tenant::new().await;
    let ada = tenant.member("ada").await;
    let server = Server::get().await;
    let batch = json!([
        { "query": "{ viewer { user { name } } }" },
        { "query": "query($id: ID!) { thread(id: $id) { id } }", "variables": { "id": "x" } },
        { "query": "{ nonsense" },
        { "query": "query A { __typename } query B { b: __typename }", "operationName": "B" },
        { "query": "subscription { threadEvents(threadId: \"x\") { cursor } }" },
    ]);
    let (status, answers) = sent(server, &ada, &batch).await;
    assert_eq!(status, 200);
    assert_eq!(answers.as_array().map(Vec::len), Some(5), "{answers}");
    assert_eq!(answers[0]["data"]["viewer"]["user"]["name"], "ada");
    assert_eq!(answers[3]["data"]["b"], "Query");
    for (index, code) in [
        (1, "NOT_FOUND"),
        (2, "GRAPHQL_PARSE_FAILED"),
        (4, "GRAPHQL_VALIDATION_FAILED"),
    ] {
        let found = &answers[index]["errors"][0]["extensions"]["code"];
        assert_eq!(found, code, "{answers}");
    }
}

#[tokio::test]
async fn each_operation_of_a_batch_sees_what_those_before_it_have_written() {
    let tenant = Tenant::new().await;
    let ada = tenant.member("ada").await;
    let thread = ada.open_thread(json!({})).await;
    let server = Server::get().await;
    let say = "mutation($input: CreateMessageInput!) { createMessage(input: $input) { message { body } } }";
    let count = "query($id: ID!) { thread(id: $id) { messages { totalCount } } }";
    let mut batch = Vec::new();
    for body in ["one", "two", "three"] {
        let input = json!({ "threadId": thread, "body": body });
        batch.push(json!({ "query": say, "variables": { "input": input } }));
        batch.push(json!({ "query": count, "variables": { "id": thread } }));
    }
    let (_, answers) = sent(server, &ada, &json!(batch)).await;
    for index in 0..3 {
        let counted = &answers[2 * index + 1]["data"]["thread"]["messages"]["totalCount"];
        assert_eq!(counted, index + 1, "{answers}");
    }
}

#[tokio::test]
async fn a_batch_has_a_limit_which_is_a_setting() {
    let nobody = Actor::nobody().await;
    let batch = |count: usize| json!(vec![json!({ "query": "{ __typename }" }); count]);
    let server = Server::get().await;
    assert_eq!(sent(server, &nobody, &batch(10)).await.0, 200);
    let (status, answer) = sent(server, &nobody, &batch(11)).await;
    let code = &answer["errors"][0]["extensions"]["code"];
    assert_eq!((status, code), (413, &json!("PAYLOAD_TOO_LARGE")));
    let server = Server::other(&["--max-batch", "0"]).await;
    let (status, answer) = sent(server, &nobody, &batch(1)).await;
    let code = &answer["errors"][0]["extensions"]["code"];
    assert_eq!((status, code), (400, &json!("BAD_REQUEST")));
}

#[tokio::test]
async fn a_batch_whose_credential_is_bad_is_401() {
    let server = Server::get().await;
    let stranger = Actor::with(server, "Bearer nonsense".to_owned());
    let batch = json!([{ "query": "{ __typename }" }, { "query": "{ __typename }" }]);
    let (status, answers) = sent(server, &stranger, &batch).await;
    assert_eq!(status, 401, "{answers}");
    assert_eq!(
        answers[1]["errors"][0]["extensions"]["code"],
        "UNAUTHENTICATED"
    );
}

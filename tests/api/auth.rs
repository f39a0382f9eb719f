//! Credentials: tokens by secret and by JWK set, API keys, and what they make true.

use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use bobbin::actions;
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};

use crate::support::server::{SECRET, Server, now};
use crate::support::socket::Socket;
use crate::support::{Actor, Tenant, merge, unique};

/// Somebody with this token.
async fn bearer(token: &str) -> Actor {
    Actor::with(Server::get().await, format!("Bearer {token}"))
}

/// A token that is signed with a secret, with exactly these claims.
fn signed(algorithm: Algorithm, secret: &str, claims: &Value) -> String {
    let key = EncodingKey::from_secret(secret.as_bytes());
    encode(&Header::new(algorithm), claims, &key).expect("a token")
}

/// Claims of a token of a minute, changed by these.
fn claims(changes: Value) -> Value {
    let mut claims = json!({ "sub": "somebody", "exp": now() + 60.0 });
    merge(&mut claims, changes);
    if let Some(claims) = claims.as_object_mut() {
        claims.retain(|_, value| !value.is_null());
    }
    claims
}

#[track_caller]
fn refused(answer: &crate::support::Answer) {
    assert_eq!(
        (answer.status, answer.code().as_str()),
        (401, "UNAUTHENTICATED")
    );
}

#[tokio::test]
async fn a_token_by_the_secret_names_its_user() {
    let sub = unique("sub");
    let token = signed(Algorithm::HS256, SECRET, &claims(json!({ "sub": sub })));
    let read = bearer(&token)
        .await
        .run(
            "{ viewer { user { externalId } organization { id } } }",
            json!({}),
        )
        .await;
    assert_eq!(read.text("/viewer/user/externalId"), sub);
    assert!(read.at("/viewer/organization").is_null());
}

#[tokio::test]
async fn tokens_that_break_a_rule_are_refused() {
    let none = {
        let part = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let (header, body) = (
            part(json!({ "alg": "none", "typ": "JWT" })),
            part(claims(json!({}))),
        );
        [
            format!("{header}.{body}."),
            format!("{header}.{body}"),
            format!("{header}.{body}.AAAA"),
        ]
    };
    let good = signed(Algorithm::HS256, SECRET, &claims(json!({})));
    let (head, tail) = good.split_at(good.len() - 4);
    let other = signed(
        Algorithm::HS256,
        SECRET,
        &claims(json!({ "sub": "somebody else" })),
    );
    let swapped = {
        let parts: Vec<&str> = good.split('.').collect();
        let others: Vec<&str> = other.split('.').collect();
        format!("{}.{}.{}", parts[0], others[1], parts[2])
    };
    let mut tokens = vec![
        signed(Algorithm::HS384, SECRET, &claims(json!({}))),
        signed(Algorithm::HS512, SECRET, &claims(json!({}))),
        signed(
            Algorithm::HS256,
            "another secret that is long enough",
            &claims(json!({})),
        ),
        signed(Algorithm::HS256, "", &claims(json!({}))),
        format!("{head}{}", if tail == "AAAA" { "BBBB" } else { "AAAA" }),
        head.to_owned(),
        swapped,
        "a.b.c".to_owned(),
        "..".to_owned(),
    ];
    tokens.extend(none);
    for changes in [
        json!({ "exp": now() - 1.0 }),
        json!({ "exp": 0 }),
        json!({ "exp": -1e300 }),
        json!({ "exp": null }),
        json!({ "exp": "tomorrow" }),
        json!({ "nbf": now() + 300.0 }),
        json!({ "iat": now() + 300.0 }),
        json!({ "sub": null }),
        json!({ "sub": "" }),
        json!({ "sub": 7 }),
        json!({ "sub": "x".repeat(321) }),
        json!({ "sub": "a\u{0}b" }),
        json!({ "org": "" }),
        json!({ "org": "x", "role": "OWNER" }),
        json!({ "name": "line\nbreak" }),
        json!({ "sub": "usr_01h455vb4pex5vsknk084sn02q" }),
        json!({ "org": "org_01h455vb4pex5vsknk084sn02q" }),
    ] {
        tokens.push(signed(Algorithm::HS256, SECRET, &claims(changes)));
    }
    for token in tokens {
        let answer = bearer(&token).await.run("{ __typename }", json!({})).await;
        assert_eq!(answer.status, 401, "{token}: {:#}", answer.body);
        refused(&answer);
    }
}

#[tokio::test]
async fn clocks_may_differ_a_little_and_dates_may_be_far() {
    for changes in [
        json!({ "iat": now() + 10.0, "nbf": now() + 10.0 }),
        json!({ "exp": 1e15 }),
        json!({ "aud": "anybody", "iss": "anyone", "extra": { "x": 1 } }),
    ] {
        let token = signed(Algorithm::HS256, SECRET, &claims(changes));
        bearer(&token)
            .await
            .run("{ __typename }", json!({}))
            .await
            .at("/__typename");
    }
}

/// A JWK set in a file, and who signs with its keys.
struct KeySet {
    file: std::path::PathBuf,
    signers: Vec<(Algorithm, &'static str, EncodingKey)>,
}

impl Drop for KeySet {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.file);
    }
}

fn key_set() -> KeySet {
    let random = SystemRandom::new();
    let rsa =
        aws_lc_rs::rsa::KeyPair::generate(aws_lc_rs::rsa::KeySize::Rsa2048).expect("an RSA key");
    let rsa = rsa.as_der().expect("DER");
    // PKCS#8 wraps the PKCS#1 that the library wants in 26 bytes, for this size.
    let rsa = EncodingKey::from_rsa_der(&rsa.as_ref()[26..]);
    let ec =
        EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).expect("an EC key");
    let ed = Ed25519KeyPair::generate_pkcs8v1(&random).expect("an Ed25519 key");
    let signers = vec![
        (Algorithm::RS256, "rsa", rsa),
        (
            Algorithm::ES256,
            "ec",
            EncodingKey::from_ec_der(ec.as_ref()),
        ),
        (
            Algorithm::EdDSA,
            "ed",
            EncodingKey::from_ed_der(ed.as_ref()),
        ),
    ];
    let mut keys: Vec<Value> = signers
        .iter()
        .map(|(algorithm, kid, key)| {
            let mut jwk = Jwk::from_encoding_key(key, *algorithm).expect("a JWK");
            jwk.common.key_id = Some((*kid).to_owned());
            serde_json::to_value(jwk).expect("JSON")
        })
        .collect();
    // What a set holds that we do not understand is no fault of it (RFC 7517, section 5).
    keys.push(json!({ "kty": "AKP", "alg": "ML-DSA-44", "kid": "pq", "pub": "AAAA" }));
    keys.push(json!({ "kty": "RSA", "use": "enc", "alg": "RSA-OAEP-512", "kid": "enc", "n": "AQAB", "e": "AQAB" }));
    keys.push(json!({ "kty": "EC", "crv": "secp256k1", "kid": "k1", "x": "AAAA", "y": "AAAA" }));
    let file = std::env::temp_dir().join(format!("{}.jwks", unique("bobbin-test")));
    std::fs::write(&file, json!({ "keys": keys }).to_string()).expect("a file");
    KeySet { file, signers }
}

#[tokio::test]
async fn tokens_by_a_jwk_set_are_verified_with_the_key_that_they_name() {
    let set = key_set();
    let server = Server::other(&["--jwt-jwks", set.file.to_str().expect("a path")]).await;
    let ask = async |token: String| {
        let actor = Actor::with(server, format!("Bearer {token}"));
        actor
            .run("{ viewer { user { externalId } } }", json!({}))
            .await
    };
    for (algorithm, kid, key) in &set.signers {
        let sub = unique("sub");
        let mut header = Header::new(*algorithm);
        let body = claims(json!({ "sub": sub }));
        // There is but one key for each algorithm, so the name may be left out.
        for name in [Some(*kid), None] {
            header.kid = name.map(str::to_owned);
            let token = encode(&header, &body, key).expect("a token");
            assert_eq!(ask(token).await.text("/viewer/user/externalId"), sub);
        }
        header.kid = Some("unknown".to_owned());
        refused(&ask(encode(&header, &body, key).expect("a token")).await);
        let (_, wrong, _) = set
            .signers
            .iter()
            .find(|(other, ..)| other != algorithm)
            .expect("another");
        header.kid = Some((*wrong).to_owned());
        refused(&ask(encode(&header, &body, key).expect("a token")).await);
        header.kid = Some((*kid).to_owned());
        let expired = claims(json!({ "sub": sub, "exp": now() - 1.0 }));
        refused(&ask(encode(&header, &expired, key).expect("a token")).await);
    }
    // A key of somebody else under the same name, and an algorithm that nobody configured.
    let stranger = key_set();
    for (algorithm, kid, key) in &stranger.signers {
        let header = Header {
            kid: Some((*kid).to_owned()),
            ..Header::new(*algorithm)
        };
        refused(&ask(encode(&header, &claims(json!({})), key).expect("a token")).await);
    }
    let (_, kid, key) = &set.signers[0];
    let header = Header {
        kid: Some((*kid).to_owned()),
        ..Header::new(Algorithm::RS512)
    };
    refused(&ask(encode(&header, &claims(json!({})), key).expect("a token")).await);
    // The secret is configured beside the set, and holds.
    let token = signed(Algorithm::HS256, SECRET, &claims(json!({})));
    ask(token).await.at("/viewer/user/externalId");
}

#[tokio::test]
async fn a_public_key_is_no_secret() {
    // The classic confusion: HS256 with the bytes of the public key.
    let set = key_set();
    let server = Server::other(&["--jwt-jwks", set.file.to_str().expect("a path")]).await;
    let published = std::fs::read_to_string(&set.file).expect("the set");
    for kid in ["rsa", "ec", "ed"] {
        let header = Header {
            kid: Some(kid.to_owned()),
            ..Header::new(Algorithm::HS256)
        };
        let key = EncodingKey::from_secret(published.as_bytes());
        let token = encode(&header, &claims(json!({})), &key).expect("a token");
        refused(
            &Actor::with(server, format!("Bearer {token}"))
                .run("{ __typename }", json!({}))
                .await,
        );
    }
}

#[tokio::test]
async fn a_token_makes_the_user_the_organization_and_the_membership() {
    let (sub, org) = (unique("sub"), unique("org"));
    let token = signed(
        Algorithm::HS256,
        SECRET,
        &claims(json!({
            "sub": sub, "org": org, "role": "AGENT", "name": "Ada L.", "email": "ada@example.com",
            "picture": "https://example.com/ada.png",
        })),
    );
    let query = "{ viewer { user { externalId name email avatarUrl } organization { externalId }
                   memberships { role organization { externalId } } } }";
    let read = bearer(&token).await.run(query, json!({})).await;
    assert_eq!(read.text("/viewer/user/externalId"), sub);
    assert_eq!(read.text("/viewer/user/name"), "Ada L.");
    assert_eq!(read.text("/viewer/user/email"), "ada@example.com");
    assert_eq!(
        read.text("/viewer/user/avatarUrl"),
        "https://example.com/ada.png"
    );
    assert_eq!(read.text("/viewer/organization/externalId"), org);
    assert_eq!(read.texts("/viewer/memberships", "/role"), ["AGENT"]);
    assert_eq!(
        read.texts("/viewer/memberships", "/organization/externalId"),
        [org]
    );
}

#[tokio::test]
async fn many_first_requests_at_once_make_one_person() {
    let (sub, org) = (unique("sub"), unique("org"));
    let token = signed(
        Algorithm::HS256,
        SECRET,
        &claims(json!({ "sub": sub, "org": org })),
    );
    let mut asking = tokio::task::JoinSet::new();
    for _ in 0..12 {
        let actor = bearer(&token).await;
        asking.spawn(async move {
            let read = actor
                .run("{ viewer { user { id } organization { id } } }", json!({}))
                .await;
            (
                read.text("/viewer/user/id"),
                read.text("/viewer/organization/id"),
            )
        });
    }
    let mut found = asking.join_all().await;
    found.dedup();
    assert_eq!(found.len(), 1, "{found:?}");
}

#[tokio::test]
async fn a_newer_token_s_name_and_role_are_taken_over() {
    let (sub, org) = (unique("sub"), unique("org"));
    let token = |changes: Value| {
        let mut all = json!({ "sub": sub, "org": org, "iat": now() + 1.0 });
        merge(&mut all, changes);
        signed(Algorithm::HS256, SECRET, &claims(all))
    };
    let query = "{ viewer { user { name } memberships { role } } }";
    let seen = async |token: String| {
        let read = bearer(&token).await.run(query, json!({})).await;
        (
            read.text("/viewer/user/name"),
            read.texts("/viewer/memberships", "/role").concat(),
        )
    };
    let pair = |name: &str, role: &str| (name.to_owned(), role.to_owned());
    assert_eq!(
        seen(token(json!({ "name": "Old" }))).await,
        pair("Old", "MEMBER")
    );
    assert_eq!(
        seen(token(json!({ "name": "New", "role": "ADMIN" }))).await,
        pair("New", "ADMIN")
    );
    // What a token does not say stays.
    assert_eq!(seen(token(json!({}))).await, pair("New", "ADMIN"));
    // An older token does not set the clock back.
    let old = json!({ "name": "Old", "role": "CONTACT", "iat": now() - 3600.0 });
    assert_eq!(seen(token(old)).await, pair("New", "ADMIN"));
}

#[tokio::test]
async fn a_removed_membership_comes_back_only_by_a_newer_token() {
    let tenant = Tenant::new().await;
    let ada = tenant.member("ada").await;
    let input = json!({ "organizationId": tenant.id, "userId": ada.id, "role": null });
    tenant
        .backend
        .mutate("setMembership", input, "role")
        .await
        .at("/role");
    let query = "{ viewer { memberships { role } } }";
    assert_eq!(
        ada.run(query, json!({})).await.at("/viewer/memberships"),
        json!([])
    );
    let newer = tenant.again(&ada, "AGENT").await;
    assert_eq!(
        newer
            .run(query, json!({}))
            .await
            .texts("/viewer/memberships", "/role"),
        ["AGENT"]
    );
}

#[tokio::test]
async fn a_user_s_own_id_is_as_good_a_subject_as_the_external_one() {
    let tenant = Tenant::new().await;
    let ada = tenant.member("ada").await;
    let token = signed(
        Algorithm::HS256,
        SECRET,
        &claims(json!({ "sub": ada.id, "org": tenant.id })),
    );
    let read = bearer(&token)
        .await
        .run(
            "{ viewer { user { externalId } organization { id } } }",
            json!({}),
        )
        .await;
    assert_eq!(read.text("/viewer/user/externalId"), ada.external_id);
    assert_eq!(read.text("/viewer/organization/id"), tenant.id);
}

#[tokio::test]
async fn a_token_that_is_bound_to_an_organization_sees_no_other_one() {
    let (here, there) = (Tenant::new().await, Tenant::new().await);
    let ada = here.member("ada").await;
    let elsewhere = signed(
        Algorithm::HS256,
        SECRET,
        &claims(json!({ "sub": ada.external_id, "org": there.name })),
    );
    let elsewhere = bearer(&elsewhere).await;
    let thread = ada.open_thread(json!({})).await;
    let query = "query($id: ID!) { thread(id: $id) { id } }";
    assert_eq!(
        elsewhere.run(query, json!({ "id": thread })).await.code(),
        "NOT_FOUND"
    );
    let unbound = signed(
        Algorithm::HS256,
        SECRET,
        &claims(json!({ "sub": ada.external_id })),
    );
    bearer(&unbound)
        .await
        .run(query, json!({ "id": thread }))
        .await
        .at("/thread/id");
}

#[tokio::test]
async fn an_api_key_goes_by_bearer_and_by_basic() {
    let tenant = Tenant::new().await;
    let server = Server::get().await;
    let key = server.key(Some(&tenant.name)).await;
    for value in [
        format!("Bearer {key}"),
        format!("bearer  {key} "),
        format!("Basic {}", STANDARD.encode(&key)),
        format!("BASIC {}", STANDARD.encode(&key)),
    ] {
        let read = Actor::with(server, value)
            .run("{ viewer { user { id } organization { id } } }", json!({}))
            .await;
        assert!(read.at("/viewer/user").is_null());
        assert_eq!(read.text("/viewer/organization/id"), tenant.id);
    }
    let (id, secret) = key.split_once(':').expect("an id and a secret");
    for bad in [
        format!("Bearer {id}:"),
        format!("Bearer {id}:{secret}x"),
        format!("Bearer {id}:{}", &secret[1..]),
        format!("Bearer key_unknown:{secret}"),
        format!("Bearer :{secret}"),
        format!("Bearer {secret}"),
        format!("Basic {}", STANDARD.encode(id)),
        format!("Basic {}", STANDARD.encode(format!("{id}:"))),
        format!("Basic {key}"),
        "Bearer a\u{7f}:b".to_owned(),
    ] {
        let request = server
            .http
            .post(server.url("/graphql"))
            .json(&json!({ "query": "{ __typename }" }));
        let Ok(value) = reqwest::header::HeaderValue::from_bytes(bad.as_bytes()) else {
            continue;
        };
        let response = request
            .header("authorization", value)
            .send()
            .await
            .expect("an answer");
        assert_eq!(response.status(), 401, "{bad}");
    }
}

#[tokio::test]
async fn a_revoked_key_is_refused_also_for_the_next_operation_of_an_open_socket() {
    let tenant = Tenant::new().await;
    let server = Server::get().await;
    let key = server.key(Some(&tenant.name)).await;
    let actor = Actor::with(server, format!("Bearer {key}"));
    actor
        .run("{ __typename }", json!({}))
        .await
        .at("/__typename");
    let mut socket = Socket::greeted(server, actor.authorization()).await;
    let (id, _) = key.split_once(':').expect("an id and a secret");
    actions::api_key::revoke(&server.app, id)
        .await
        .expect("revoked");
    refused(&actor.run("{ __typename }", json!({})).await);
    socket.subscribe("1", "{ __typename }", json!({})).await;
    let message = socket.hear().await;
    assert_eq!(message["type"], "error", "{message}");
    assert_eq!(
        message["payload"][0]["extensions"]["code"],
        "UNAUTHENTICATED"
    );
    let mut late = Socket::connect(server).await;
    late.greet(json!({ "Authorization": actor.authorization() }))
        .await;
    assert_eq!(late.close_code().await, 4403);
}

#[tokio::test]
async fn a_key_for_one_organization_reaches_no_other_one_and_a_root_key_all() {
    let (here, there) = (Tenant::new().await, Tenant::new().await);
    let ada = there.member("ada").await;
    let thread = ada.open_thread(json!({})).await;
    let query = "query($id: ID!) { thread(id: $id) { id } }";
    assert_eq!(
        here.backend
            .run(query, json!({ "id": thread }))
            .await
            .code(),
        "NOT_FOUND"
    );
    there
        .backend
        .run(query, json!({ "id": thread }))
        .await
        .at("/thread/id");
    Actor::root()
        .await
        .run(query, json!({ "id": thread }))
        .await
        .at("/thread/id");
    let organization = "query($id: ID!) { organization(id: $id) { id } }";
    assert_eq!(
        here.backend
            .run(organization, json!({ "id": there.id }))
            .await
            .code(),
        "NOT_FOUND"
    );
}

#[tokio::test]
async fn the_token_command_prints_a_token_that_its_secret_verifies() {
    let tenant = Tenant::new().await;
    let (user, directory) = (
        unique("sub"),
        std::env::temp_dir().join(unique("bobbin-test-data")),
    );
    let run = async |secret: Option<&str>| {
        let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_bobbin"));
        command
            .args([
                "token",
                "--user",
                &user,
                "--organization",
                &tenant.name,
                "--role",
                "agent",
            ])
            .args(["--name", "Ada L.", "--expires", "10m", "--data-dir"])
            .arg(&directory)
            .env_remove("BOBBIN_JWT_SECRET");
        if let Some(secret) = secret {
            command.env("BOBBIN_JWT_SECRET", secret);
        }
        let output = command.output().await.expect("the program runs");
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).expect("a text")
    };
    let printed = run(Some(SECRET)).await;
    let token = printed.strip_suffix('\n').expect("one line");
    assert!(!token.contains(char::is_whitespace));
    let query = "{ viewer { user { externalId name } memberships { role } } }";
    let read = bearer(token).await.run(query, json!({})).await;
    assert_eq!(read.text("/viewer/user/externalId"), user);
    assert_eq!(read.text("/viewer/user/name"), "Ada L.");
    assert_eq!(read.texts("/viewer/memberships", "/role"), ["AGENT"]);

    // Without a secret it makes one, once, which this server does not know.
    let own = run(None).await;
    refused(&bearer(own.trim()).await.run(query, json!({})).await);
    let kept: Vec<_> = std::fs::read_dir(&directory)
        .expect("a directory")
        .flatten()
        .collect();
    let secret = kept
        .iter()
        .find_map(|entry| std::fs::read_to_string(entry.path()).ok());
    let server = Server::other(&["--jwt-secret", secret.expect("a secret").trim()]).await;
    Actor::with(server, format!("Bearer {}", own.trim()))
        .run(query, json!({}))
        .await
        .at("/viewer");
    std::fs::remove_dir_all(&directory).expect("it is removed");
}

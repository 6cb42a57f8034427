//! Who may call what, in a shop that requires tokens; the gateway before services of other processes.

use std::{
    collections::BTreeSet,
    fs,
    io::{Read as _, Write as _},
    net::TcpStream,
    path::Path,
};

use serde_json::{Value, json};

use crate::{
    sandbox::Sandbox,
    server::refused,
    shop::{BOUND, Reply, Shop, body, command, send, until_refused, wait_for},
};

const PASSWORD: &str = "mainstay-demo";
const REQUIRED: [&str; 6] = [
    "--traffic",
    "off",
    "--auth",
    "required",
    "--seed-password",
    PASSWORD,
];

fn ask(shop: &Shop, method: &str, path: &str, token: Option<&str>, body: &str) -> Reply {
    let bearer = token.map(|token| format!("Bearer {token}"));
    let key = format!("{:?}", std::time::Instant::now());
    let mut headers = vec![("idempotency-key", &*key)];
    headers.extend(bearer.as_deref().map(|bearer| ("authorization", bearer)));
    send(shop.address(), method, path, &headers, body).unwrap()
}

fn post(shop: &Shop, path: &str, body: &Value) -> Reply {
    ask(shop, "POST", path, None, &body.to_string())
}

/// Sends the form of the login page, and returns the status.
fn enter(shop: &Shop, email: &str) -> u16 {
    let form = format!("email={email}&password={PASSWORD}");
    let mut stream = TcpStream::connect(shop.address()).unwrap();
    stream.set_read_timeout(Some(BOUND)).unwrap();
    let head = format!(
        "POST /login HTTP/1.1\r\nhost: {}\r\nconnection: close\r\ncontent-type: application/x-www-form-urlencoded\r\n\
         content-length: {}\r\n\r\n",
        shop.address(),
        form.len()
    );
    stream.write_all((head + &form).as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer.split(' ').nth(1).unwrap().parse().unwrap()
}

/// Logs in, and returns the tokens.
fn log_in(shop: &Shop, email: &str) -> Value {
    let body = json!({"email": email, "password": PASSWORD});
    let reply = post(shop, "/api/v1/auth/login", &body);
    assert_eq!(reply.status, 200, "{reply:?}");
    assert_eq!(reply.headers["cache-control"], "no-store");
    reply.json()
}

fn access(tokens: &Value) -> &str {
    tokens["access_token"].as_str().unwrap()
}

fn slug(reply: &Reply) -> String {
    assert_eq!(
        reply.headers["content-type"], "application/problem+json",
        "{reply:?}"
    );
    let problem = reply.json();
    let kind = problem["type"].as_str().unwrap();
    kind.strip_prefix("urn:commerce:problem:")
        .unwrap()
        .to_owned()
}

#[test]
fn a_customer_sees_and_changes_own_orders_only() {
    let Some(directory) = Sandbox::new() else {
        return;
    };
    let shop = Shop::start(directory.path(), &REQUIRED).unwrap();
    let (ada, bob) = (
        log_in(&shop, "cust-001@example.com"),
        log_in(&shop, "cust-002@example.com"),
    );
    let operator = log_in(&shop, "operator@example.com");
    let order = body(&[("SKU-001", 1)], "pm_ok");

    let nobody = ask(&shop, "POST", "/api/v1/orders", None, &order);
    assert_eq!((nobody.status, &*slug(&nobody)), (401, "token-missing"));
    // The order names cust-001.
    let foreign = ask(&shop, "POST", "/api/v1/orders", Some(access(&bob)), &order);
    assert_eq!(foreign.status, 403, "{foreign:?}");
    let placed = ask(&shop, "POST", "/api/v1/orders", Some(access(&ada)), &order);
    assert_eq!(placed.status, 202, "{placed:?}");

    let path = format!("/api/v1/orders/{}", placed.order_id());
    for (token, status) in [
        (None, 401),
        (Some(&ada), 200),
        (Some(&bob), 404),
        (Some(&operator), 200),
    ] {
        for path in [
            path.clone(),
            format!("{path}/events"),
            format!("{path}/timeline"),
        ] {
            let reply = ask(&shop, "GET", &path, token.map(access), "");
            assert_eq!(reply.status, status, "{path}: {reply:?}");
        }
    }
    let cancel = ask(
        &shop,
        "POST",
        &format!("{path}/cancel"),
        Some(access(&bob)),
        "",
    );
    assert_eq!(cancel.status, 404, "{cancel:?}");
    for path in ["/api/v1/sagas", "/api/v1/dlq/order/groups"] {
        assert_eq!(ask(&shop, "GET", path, None, "").status, 401);
        let customer = ask(&shop, "GET", path, Some(access(&ada)), "");
        assert_eq!((customer.status, &*slug(&customer)), (403, "forbidden"));
        assert_eq!(
            ask(&shop, "GET", path, Some(access(&operator)), "").status,
            200
        );
    }
    // What everyone may see, and the health of the process.
    for path in [
        "/api/v1/products",
        "/api/v1/stock/SKU-001",
        "/healthz",
        "/readyz",
        "/docs",
    ] {
        let reply = ask(&shop, "GET", path, None, "");
        assert_eq!(reply.status, 200, "{path}: {reply:?}");
    }
}

#[test]
fn a_replayed_refresh_token_and_wrong_passwords_are_noticed() {
    let Some(directory) = Sandbox::new() else {
        return;
    };
    let shop = Shop::start(directory.path(), &REQUIRED).unwrap();
    let registration =
        json!({"email": "new@example.com", "password": PASSWORD, "display_name": "New"});
    let registered = post(&shop, "/api/v1/auth/register", &registration);
    assert_eq!(registered.status, 201, "{registered:?}");
    let first = log_in(&shop, "new@example.com");
    let me = ask(&shop, "GET", "/api/v1/users/me", Some(access(&first)), "");
    assert_eq!(me.json()["user_id"], registered.json()["user_id"]);

    let refresh = |tokens: &Value| {
        let token = json!({"refresh_token": tokens["refresh_token"]});
        post(&shop, "/api/v1/auth/refresh", &token)
    };
    let second = refresh(&first).json();
    // Within the grace, the lost answer comes again.
    assert_eq!(
        refresh(&first).json()["refresh_token"],
        second["refresh_token"]
    );
    let ended = json!({"refresh_token": second["refresh_token"]});
    assert_eq!(post(&shop, "/api/v1/auth/logout", &ended).status, 204);
    let gone = refresh(&second);
    assert_eq!((gone.status, &*slug(&gone)), (401, "session-ended"));

    let guess = json!({"email": "cust-003@example.com", "password": "not the password"});
    for _ in 0..5 {
        assert_eq!(post(&shop, "/api/v1/auth/login", &guess).status, 401);
    }
    let locked = post(&shop, "/api/v1/auth/login", &guess);
    assert_eq!((locked.status, &*slug(&locked)), (429, "login-locked"));
    assert!(locked.headers["retry-after"].parse::<u32>().unwrap() <= 30);
}

#[test]
fn a_client_that_asks_too_often_is_slowed_down() {
    let Some(directory) = Sandbox::new() else {
        return;
    };
    let arguments = ["--traffic", "off", "--rate-limit", "5/s"];
    let shop = Shop::start(directory.path(), &arguments).unwrap();
    let (_, slowed) = until_refused(&shop, "/api/v1/stock/SKU-001");
    assert_eq!((slowed.status, &*slug(&slowed)), (429, "too-many-requests"));
    assert_eq!(slowed.headers["retry-after"], "1");
    // Probes are not counted.
    assert_eq!(shop.get("/healthz").status, 200);
}

/// The page calls the gateway within the process, in the name of the client.
#[test]
fn whoever_guesses_passwords_on_the_page_is_slowed_down_too() {
    let Some(directory) = Sandbox::new() else {
        return;
    };
    let arguments: Vec<_> = [&REQUIRED[..], &["--rate-limit", "5/s"]].concat();
    let shop = Shop::start(directory.path(), &arguments).unwrap();
    assert_eq!(enter(&shop, "cust-001%40example.com"), 303);
    // An address that is none is refused at once, and never locked.
    let mut statuses = (0..1_000).map(|_| enter(&shop, "nobody"));
    let slowed = statuses.find(|status| *status != 401);
    assert_eq!(slowed, Some(429));
}

/// A site whose DNS points to this machine.
#[test]
fn an_open_shop_answers_to_names_of_this_machine_only() {
    let Some(directory) = Sandbox::new() else {
        return;
    };
    let ask = |shop: &Shop, path: &str, host: &str| {
        send(shop.address(), "GET", path, &[("host", host)], "").unwrap()
    };
    let open = Shop::open(directory.path());
    for path in ["/", "/api/v1/orders", "/readyz", "/metrics", "/nothing"] {
        let foreign = ask(&open, path, "evil.example:8080");
        assert_eq!((foreign.status, &*slug(&foreign)), (421, "foreign-host"));
        assert_ne!(ask(&open, path, "localhost:8080").status, 421, "{path}");
    }
    open.stop();
    let closed = Shop::start(directory.path(), &REQUIRED).unwrap();
    assert_eq!(ask(&closed, "/readyz", "shop.example").status, 200);
}

#[test]
fn how_a_process_is_inside_is_for_operators_where_tokens_are_required() {
    let Some(directory) = Sandbox::new() else {
        return;
    };
    let token = "a token of operators";
    let token = &*token.replace(' ', "-");
    let arguments: Vec<_> = [&REQUIRED[..], &["--operator-token", token]].concat();
    let shop = Shop::start(directory.path(), &arguments).unwrap();
    let customer = log_in(&shop, "cust-001@example.com");
    let operator = log_in(&shop, "operator@example.com");
    for (token, metrics, is_told) in [
        (None, 401, false),
        (Some(access(&customer)), 403, false),
        (Some(access(&operator)), 200, true),
        (Some(token), 200, true),
    ] {
        let reply = ask(&shop, "GET", "/metrics", token, "");
        assert_eq!(reply.status, metrics, "{reply:?}");
        // Until relay and worker have had a first round, an operator should look.
        let ready = wait_for("a process that is well", || {
            let ready = ask(&shop, "GET", "/readyz", token, "");
            assert_eq!(ready.status, 200);
            Some(ready).filter(|ready| ready.json()["status"] == "ok")
        });
        let members = ready.json().as_object().unwrap().len();
        assert_eq!(members, if is_told { 2 } else { 1 }, "{ready:?}");
    }
    shop.stop();
    let open = Shop::open(directory.path());
    assert_eq!(open.get("/metrics").status, 200);
    assert!(open.get("/readyz").json()["services"].is_array());
}

#[test]
fn the_gateway_stands_before_services_of_other_processes() {
    let Some(directory) = Sandbox::new() else {
        return;
    };
    let data = directory.path();
    let start = |arguments: &[&str]| {
        let arguments: Vec<_> = REQUIRED.iter().chain(arguments).copied().collect();
        Shop::start(data, &arguments).unwrap()
    };
    let identity = start(&["--service", "identity"]);
    let jwks = format!("http://{}/.well-known/jwks.json", identity.address());
    let order = start(&["--service", "order", "--jwks", &jwks]);
    let upstreams = format!(
        "identity=http://{},order=http://{}",
        identity.address(),
        order.address()
    );
    let gateway = start(&["--service", "gateway", "--upstream", &upstreams]);

    let ada = log_in(&gateway, "cust-001@example.com");
    let orders = |shop: &Shop, token| ask(shop, "GET", "/api/v1/orders", token, "").status;
    // The processes read the keys soon after their start.
    wait_for("the keys", || {
        (orders(&gateway, Some(access(&ada))) == 200).then_some(())
    });
    // The service checks the token itself, whoever reaches it.
    assert_eq!(orders(&order, None), 401);
    assert_eq!(orders(&order, Some(access(&ada))), 200);
    // And it stands for itself before browsers: ids, and no changes from other sites.
    let origin = [("origin", "http://evil.example")];
    let foreign = send(order.address(), "POST", "/api/v1/orders", &origin, "").unwrap();
    assert_eq!((foreign.status, &*slug(&foreign)), (403, "cross-site"));
    assert!(
        order
            .get("/openapi.json")
            .headers
            .contains_key("x-request-id")
    );
    // What the gateway has judged, the service does not judge again by its own name.
    let own = format!("http://{}", gateway.address());
    let headers = [("origin", &*own), ("sec-fetch-site", "same-origin")];
    let passed = send(
        gateway.address(),
        "POST",
        "/api/v1/auth/logout",
        &headers,
        "{}",
    )
    .unwrap();
    assert_eq!(passed.status, 422, "{passed:?}");
    let document = gateway.get("/openapi.json").json();
    assert!(document["paths"]["/api/v1/orders"]["post"].is_object());
    assert!(document["paths"].get("/api/v1/products").is_none());

    // How the services are: the gateway asks them, with the token of an operator, and else without.
    let operator = log_in(&gateway, "operator@example.com");
    let readiness = |token: Option<&str>| {
        let ready = ask(&gateway, "GET", "/readyz", token, "");
        assert_eq!(ready.status, 200);
        ready.json()
    };
    // Until relays and workers have had a first round, an operator should look.
    let ready = wait_for("processes that are well", || {
        let ready = readiness(Some(access(&operator)));
        Some(ready).filter(|ready| ready["status"] == "ok")
    });
    let told = |ready: &Value, name: &str| {
        let mut all = ready["services"].as_array().unwrap().iter();
        let found = all.find(|it| it["service"] == name);
        found.unwrap().clone()
    };
    for name in ["identity", "order"] {
        assert!(told(&ready, name)["outbox"].is_object(), "{ready:#}");
    }
    // For a second, everyone gets the same answer. Customers, too, get no more than the status.
    for token in [None, Some(access(&ada))] {
        let well = json!({"status": "ok"});
        wait_for("a shop that is well", || {
            (readiness(token) == well).then_some(())
        });
    }

    order.kill();
    let ready = wait_for("identity, which is well", || {
        let ready = readiness(Some(access(&operator)));
        assert_eq!(ready["status"], "attention");
        Some(ready).filter(|ready| told(ready, "identity")["healthy"] == true)
    });
    assert_eq!(told(&ready, "order")["healthy"], false);
    assert!(told(&ready, "order")["error"].is_string());
    let attention = json!({"status": "attention"});
    wait_for("a shop that is not well", || {
        (readiness(None) == attention).then_some(())
    });
    assert_eq!(gateway.get("/healthz").json()["status"], "ok");
    let away = ask(&gateway, "GET", "/api/v1/orders", Some(access(&ada)), "");
    assert_eq!((away.status, &*slug(&away)), (503, "service-away"));
    assert_eq!(away.headers["retry-after"], "1");
    log_in(&gateway, "cust-001@example.com");
    let unrouted = ask(&gateway, "GET", "/api/v1/products", None, "");
    assert_eq!(unrouted.status, 404);
}

#[test]
fn an_open_shop_refuses_to_listen_where_others_reach_it() {
    let directory = tempfile::tempdir().unwrap();
    let mut command = command();
    command
        .args(["serve", "--listen", "0.0.0.0:0", "--data"])
        .arg(directory.path());
    let line = refused(&mut command);
    assert!(line.contains("--auth required"), "{line}");
    assert!(fs::read_dir(directory.path()).unwrap().next().is_none());
}

/// Every operation of the document has a row in the gateway's table, and every row an operation.
#[test]
fn the_document_and_the_table_of_the_gateway_name_the_same_routes() {
    let Some(directory) = Sandbox::new() else {
        return;
    };
    let shop = Shop::open(directory.path());
    let document = shop.get("/openapi.json").json();
    let mut documented = BTreeSet::new();
    let mut names = BTreeSet::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            documented.insert((method.to_uppercase(), path.clone()));
            let name = operation["operationId"].as_str().unwrap();
            assert!(names.insert(name.to_owned()), "{name} names two operations");
            assert!(
                operation["responses"]["default"].is_object(),
                "{method} {path}"
            );
        }
    }
    let row = |route: commerce_gateway::Route| (route.method.to_string(), route.path.into_owned());
    let table: BTreeSet<_> = commerce_gateway::routes().map(row).collect();
    let missing: Vec<_> = documented.difference(&table).collect();
    let extra: Vec<_> = table.difference(&documented).collect();
    assert!(
        missing.is_empty() && extra.is_empty(),
        "without a row: {missing:?}; without an operation: {extra:?}"
    );
}

/// A route that is added without its operation would be missing in the document, and unnoticed.
#[test]
fn services_add_routes_only_together_with_their_operations() {
    let services = [
        "identity",
        "catalog",
        "inventory",
        "order",
        "payment",
        "shipping",
        "notification",
        "analytics",
    ];
    for service in services {
        check(
            &Path::new(env!("CARGO_MANIFEST_DIR"))
                .join(service)
                .join("src"),
        );
    }
}

fn check(folder: &Path) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            check(&path);
        } else {
            let text = fs::read_to_string(&path).unwrap();
            assert!(
                !text.contains(".route("),
                "{}: use `routes!`",
                path.display()
            );
        }
    }
}

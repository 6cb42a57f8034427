//! compose.yaml is parsed, not run.

use saphyr::{LoadableYamlNode, Yaml};

#[test]
fn compose_offers_the_urls_that_its_comment_names() {
    let text = include_str!("../../../compose.yaml");
    let documents = Yaml::load_from_str(text).unwrap();
    let services = &documents[0]["services"];

    let postgres = &services["postgres"];
    let password = postgres["environment"]["POSTGRES_PASSWORD"]
        .as_str()
        .unwrap();
    let at = reached(&postgres["ports"][0], ":5432");
    let url = format!("MAINSTAY_POSTGRES_URL=postgres://postgres:{password}@{at}/postgres\n");
    assert!(text.contains(&url), "{url}");
    assert!(postgres["image"].as_str().unwrap().starts_with("postgres:"));

    let redis = &services["redis"];
    assert_eq!(redis["command"][1].as_str(), Some("--requirepass"));
    let password = redis["command"][2].as_str().unwrap();
    let at = reached(&redis["ports"][0], ":6379");
    let url = format!("MAINSTAY_REDIS_URL=redis://:{password}@{at}/0\n");
    assert!(text.contains(&url), "{url}");
    assert!(redis["image"].as_str().unwrap().starts_with("redis:"));

    let kafka = &services["kafka"];
    let at = reached(&kafka["ports"][0], ":29092");
    // Clients are told where it is, and go there.
    assert_eq!(
        kafka["environment"]["KAFKA_ADVERTISED_LISTENERS"].as_str(),
        Some(&*format!("PLAINTEXT://{at}"))
    );
    let url = format!("MAINSTAY_KAFKA_URL={at}\n");
    assert!(text.contains(&url), "{url}");
    let image = kafka["image"].as_str().unwrap();
    assert!(image.starts_with("apache/kafka:"));
}

/// The address on the machine of a container's port.
fn reached<'a>(port: &'a Yaml, inside: &str) -> &'a str {
    let reached = port.as_str().unwrap().strip_suffix(inside).unwrap();
    assert!(
        reached.starts_with("127.0.0.1:"),
        "only this machine may reach it"
    );
    reached
}

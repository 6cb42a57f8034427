//! compose.yaml is parsed, not run.

use saphyr::{LoadableYamlNode, Yaml};

#[test]
fn compose_offers_the_url_that_its_comment_names() {
    let text = include_str!("../../../compose.yaml");
    let documents = Yaml::load_from_str(text).unwrap();
    let postgres = &documents[0]["services"]["postgres"];
    let password = postgres["environment"]["POSTGRES_PASSWORD"]
        .as_str()
        .unwrap();
    let port = postgres["ports"][0].as_str().unwrap();
    let reached = port.strip_suffix(":5432").unwrap();
    let url = format!("MAINSTAY_POSTGRES_URL=postgres://postgres:{password}@{reached}/postgres\n");
    assert!(text.contains(&url), "{url}");
    assert!(
        reached.starts_with("127.0.0.1:"),
        "only this machine may reach it"
    );
    assert!(postgres["image"].as_str().unwrap().starts_with("postgres:"));
}

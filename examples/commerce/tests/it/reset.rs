//! `commerce reset`: a shop that is gone, beside files that are nobody's business.

use std::fs;

use commerce_chassis::ON_A_SERVER;

use crate::{
    dead_letters::run,
    sandbox::Sandbox,
    shop::{Shop, assert_holds, body},
};

#[test]
fn a_reset_deletes_what_the_shop_made_and_nothing_else() {
    let Some(sandbox) = Sandbox::new().filter(|_| !ON_A_SERVER) else {
        return;
    };
    let data = sandbox.path();
    let shop = Shop::open(data);
    let order = shop.accept("k", &body(&[("SKU-001", 1)], "pm_ok"));
    shop.ended(&order);
    let (code, text) = run(data, &["reset", "--yes"]);
    assert_eq!(code, 2, "{text}");
    assert!(text.contains("stop it first"), "{text}");
    assert_eq!(shop.ended(&order)["status"], "completed");
    shop.stop();

    fs::write(data.join("notes.db"), "mine").unwrap();
    fs::create_dir_all(data.join("mails")).unwrap();
    fs::write(data.join("mails/list.csv"), "mine").unwrap();
    fs::write(data.join("mails/notes.txt"), "mine").unwrap();
    let (code, text) = run(data, &["reset"]);
    assert_eq!(code, 2, "nobody confirms: {text}");
    assert!(data.join("order.db").is_file(), "{text}");

    let (code, text) = run(data, &["reset", "--yes"]);
    assert_eq!(code, 0, "{text}");
    let names = |of: &std::path::Path| {
        let names = of.read_dir().unwrap().map(|it| it.unwrap().file_name());
        let mut names: Vec<_> = names.map(|it| it.into_string().unwrap()).collect();
        names.sort();
        names
    };
    assert_eq!(names(data), ["mails", "notes.db", "serving.lock"]);
    assert_eq!(names(&data.join("mails")), ["list.csv", "notes.txt"]);
    let (code, text) = run(data, &["reset", "--yes"]);
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("there is no shop"), "{text}");

    let shop = Shop::open(data);
    assert_eq!(shop.get(&format!("/api/v1/orders/{order}")).status, 404);
    shop.stop();
    assert_holds(data);
}

#[test]
fn a_reset_leaves_servers_to_their_administrator() {
    let Some(sandbox) = Sandbox::new().filter(|_| ON_A_SERVER) else {
        return;
    };
    let (code, text) = run(sandbox.path(), &["reset", "--yes"]);
    assert_eq!(code, 2, "{text}");
    assert!(text.contains("DROP DATABASE IF EXISTS "), "{text}");
}

//! Messages that do not decode: they are kept, reported, and block only their own order.

use serde_json::Value;

use crate::{
    sandbox::{Sandbox, count, execute},
    shop::{Shop, assert_holds, body, wait_for},
};

/// Two `OrderPlaced` are damaged before a consumer reads them: the first is no message any more,
/// the second has the version of a newer build. The third is intact.
#[test]
fn a_message_that_does_not_decode_blocks_its_order_and_no_other() {
    let Some(directory) = Sandbox::new() else {
        return;
    };
    let data = directory.path();
    let seller = Shop::start(data, &["--traffic", "off", "--service", "order"], None).unwrap();
    let order = |key: &str| seller.accept(key, &body(&[("SKU-001", 1)], "pm_ok"));
    let [corrupted, future, sound] = ["a", "b", "c"].map(order);
    let logged = "SELECT count(*) FROM broker_records";
    wait_for("the orders to be in the log", || {
        (count(data, "broker", logged) == 3).then_some(())
    });
    seller.stop();
    for damage in [
        "CREATE TABLE sound AS SELECT id, envelope FROM broker_records",
        &format!(
            "UPDATE broker_records SET envelope = substr(envelope, 1, 40) WHERE key = '{corrupted}'"
        ),
        &format!(
            "UPDATE broker_records SET envelope = json_set(envelope, '$.version', 99) WHERE key = '{future}'"
        ),
        "CREATE TABLE damaged AS SELECT id, envelope FROM broker_records",
    ] {
        execute(data, "broker", damage);
    }

    let shop = Shop::open(data);
    assert_eq!(shop.ended(&sound)["status"], "completed");
    let blocked = wait_for("inventory to report both", || {
        let ready = shop.get("/readyz").json();
        let inventory = of_inventory(&ready)?;
        (inventory.len() == 2).then_some((ready["status"].clone(), inventory))
    });
    assert_eq!(blocked.0, "attention", "{blocked:#?}");
    for (order_id, says) in [(&corrupted, "damaged"), (&future, "99")] {
        let key = blocked.1.iter().find(|key| key["key"] == **order_id);
        let error = key.unwrap()["error"].as_str().unwrap();
        assert!(error.contains(says), "{error}");
        let order = shop.get(&format!("/api/v1/orders/{order_id}")).json();
        assert_eq!(order["status"], "placed");
    }
    shop.stop();
    let untouched = "SELECT count(*) FROM broker_records JOIN damaged USING (id, envelope)";
    assert_eq!(count(data, "broker", untouched), 3, "kept raw");

    // Once they are repaired, the blocked orders continue.
    let repair = "UPDATE broker_records SET envelope = sound.envelope FROM sound WHERE sound.id = broker_records.id";
    execute(data, "broker", repair);
    let shop = Shop::open(data);
    for order_id in [&corrupted, &future] {
        assert_eq!(shop.ended(order_id)["status"], "completed");
    }
    assert_holds(data, 30);
    assert_eq!(shop.get("/readyz").json()["status"], "ok");
    shop.stop();
}

fn of_inventory(ready: &Value) -> Option<Vec<Value>> {
    let services = ready["services"].as_array()?;
    let inventory = services
        .iter()
        .find(|service| service["service"] == "inventory")?;
    inventory["inbox"]["blocked_keys"].as_array().cloned()
}

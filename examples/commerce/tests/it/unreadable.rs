//! Messages that cannot be read: kept as they are, shown, in nobody's way but their own order's.

use serde_json::Value;

use crate::{
    ground::{Ground, count, execute},
    shop::{Shop, assert_holds, body, wait_for},
};

/// Two `OrderPlaced` are damaged before anybody reads them: the first order's is no message any more, the second one's
/// says that it comes from a newer build. The third is left alone.
#[test]
fn a_message_that_cannot_be_read_stops_its_order_and_no_other() {
    let Some(directory) = Ground::new() else {
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
    let blocked = wait_for("inventory to show both", || {
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

    // Mended, they go on where they were blocked.
    let mend = "UPDATE broker_records SET envelope = sound.envelope FROM sound WHERE sound.id = broker_records.id";
    execute(data, "broker", mend);
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

//! Messages that do not decode: they are kept, reported, and block only their own order. An operator
//! mends them.

use std::path::Path;

use serde_json::Value;

use crate::{
    dead_letters::{RESERVATIONS, dlq},
    sandbox::{Sandbox, count, execute, text},
    shop::{Shop, assert_settles, body, wait_for},
};

/// Two `ReserveStock` are damaged before inventory reads them: the first is no message any more, the
/// second has the version of a newer build. The third is intact.
#[test]
fn a_message_that_does_not_decode_blocks_its_order_and_no_other() {
    let Some(directory) = Sandbox::new() else {
        return;
    };
    let data = directory.path();
    let seller = Shop::start(data, &["--traffic", "off", "--service", "order"]).unwrap();
    let order = |key: &str| seller.accept(key, &body(&[("SKU-001", 1)], "pm_ok"));
    let [corrupted, future, sound] = ["a", "b", "c"].map(order);
    wait_for("the commands to be in the log", || {
        (count(data, "broker", RESERVATIONS) == 3).then_some(())
    });
    seller.stop();
    let of =
        |order_id: &str| format!("key = '{order_id}' AND envelope ->> 'kind' = 'ReserveStock'");
    for damage in [
        "CREATE TABLE sound AS SELECT id, envelope FROM broker_records WHERE envelope ->> 'kind' = 'ReserveStock'",
        &format!(
            "UPDATE broker_records SET envelope = json_set(envelope, '$.version', 99) WHERE {}",
            of(&future)
        ),
        &format!(
            "UPDATE broker_records SET envelope = substr(envelope, 1, 40) WHERE {}",
            of(&corrupted)
        ),
        "CREATE TABLE damaged AS SELECT id, broker_records.envelope FROM broker_records JOIN sound USING (id)",
    ] {
        execute(data, "broker", damage);
    }

    let shop = Shop::open(data);
    assert_eq!(shop.ended(&sound)["status"], "completed");
    let letters = wait_for("inventory to keep both", || {
        let letters = dlq(data, &["list"]);
        (letters.as_array().unwrap().len() == 2).then_some(letters)
    });
    for (order_id, says) in [(&corrupted, "damaged"), (&future, "99")] {
        let letter = of_key(&letters, order_id);
        let error = letter["error"].as_str().unwrap();
        assert!(error.contains(says), "{error}");
        let order = shop.get(&format!("/api/v1/orders/{order_id}")).json();
        assert_eq!(order["status"], "placed");
    }
    let untouched = "SELECT count(*) FROM broker_records JOIN damaged USING (id, envelope)";
    assert_eq!(count(data, "broker", untouched), 3, "kept raw");

    // Once an operator has mended them, the blocked orders continue.
    let file = |name: &str, text: &str| {
        let path = data.join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    for order_id in [&corrupted, &future] {
        let reference = format!("inventory/{}", of_key(&letters, order_id)["id"]);
        let shown = dlq(data, &["show", &reference]);
        let payload = file("payload", shown["payload"]["text"].as_str().unwrap());
        let envelope = file("envelope", &envelope(data, order_id));
        dlq(
            data,
            &[
                "edit",
                &reference,
                "--payload",
                &payload,
                "--envelope",
                &envelope,
                "--reason",
                "damaged in the log",
            ],
        );
        dlq(
            data,
            &["replay", &reference, "--reason", "mended", "--wait"],
        );
        assert_eq!(shop.ended(order_id)["status"], "completed");
    }
    assert_settles(data);
    wait_for("the shop to be healthy", || {
        (shop.get("/readyz").json()["status"] == "ok").then_some(())
    });
    shop.stop();
}

/// It could have been for each of them.
#[test]
fn a_record_that_is_no_message_is_kept_by_every_service_that_reads_its_topic() {
    let Some(directory) = Sandbox::new() else {
        return;
    };
    let data = directory.path();
    let shop = Shop::open(data);
    let order_id = shop.accept("k", &body(&[("SKU-001", 1)], "pm_ok"));
    shop.ended(&order_id);
    assert_settles(data);
    shop.stop();
    let partition = "SELECT min(id) FROM broker_partitions WHERE topic = 'shipping'";
    for damage in [
        format!(
            "INSERT INTO broker_records (id, key, envelope, appended_at)
             SELECT id << 40 | next_offset, '{order_id}', '{{', 0 FROM broker_partitions WHERE id = ({partition})"
        ),
        format!("UPDATE broker_partitions SET next_offset = next_offset + 1 WHERE id = ({partition})"),
    ] {
        assert_eq!(execute(data, "broker", &damage), 1);
    }
    let shop = Shop::open(data);
    let letters = wait_for("every service that reads the topic to keep it", || {
        let letters = dlq(data, &["list"]);
        (letters.as_array().unwrap().len() == 4).then_some(letters)
    });
    for letter in letters.as_array().unwrap() {
        let reference = format!("{}/{}", letter["service"].as_str().unwrap(), letter["id"]);
        dlq(data, &["discard", &reference, "--reason", "no message"]);
    }
    assert_settles(data);
    shop.stop();
}

fn of_key<'a>(letters: &'a Value, key: &str) -> &'a Value {
    let mut letters = letters.as_array().unwrap().iter();
    letters.find(|letter| letter["key"] == *key).unwrap()
}

/// The envelope of an order's record before the damage.
fn envelope(data: &Path, order_id: &str) -> String {
    let query = format!(
        "SELECT sound.envelope FROM sound JOIN broker_records USING (id) WHERE key = '{order_id}'"
    );
    text(data, "broker", &query)
}

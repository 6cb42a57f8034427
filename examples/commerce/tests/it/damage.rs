//! Deployments with one damaged row: exactly the invariants over that row are broken, and name it.

use commerce_chassis::ON_A_SERVER;

use crate::{
    sandbox::{Sandbox, copy, drop_databases, execute},
    shop::{Shop, assert_holds, body, verify},
};

/// The damage, its database, its SQL, the broken invariants, and a word that an offender must
/// contain.
const CASES: [(&str, &str, &str, &str, &str); 21] = [
    (
        "an order that is stuck",
        "order",
        "UPDATE orders SET status = 'fulfilling' WHERE status = 'completed' AND customer_id = 'cust-001'",
        "I1",
        "fulfilling",
    ),
    (
        "a missing compensation",
        "order",
        "UPDATE orders SET awaiting = '[\"release_stock\"]' WHERE status = 'cancelled'",
        "I1",
        "release_stock",
    ),
    (
        "a wrong amount in the books",
        "payment",
        "UPDATE ledger_entries SET amount_minor = amount_minor + 1 WHERE account = 'customer'",
        "I2",
        "capture",
    ),
    (
        "a lost operation in the books",
        "payment",
        "DELETE FROM ledger_entries WHERE operation LIKE '%:capture:%'",
        "I2",
        "completed",
    ),
    (
        "a second charge at the provider",
        "psp",
        "INSERT INTO operations SELECT effect_key || '-again', kind, amount_minor, currency, reference, done_at FROM operations WHERE kind = 'authorize' LIMIT 1",
        "I2",
        "provider",
    ),
    (
        "a wrong stock count",
        "inventory",
        "UPDATE stock_items SET on_hand = on_hand + 1 WHERE sku = 'SKU-001'",
        "I3",
        "SKU-001",
    ),
    (
        "stock reserved for nobody",
        "inventory",
        "UPDATE stock_items SET reserved = 1 WHERE sku = 'SKU-005'",
        "I3",
        "SKU-005",
    ),
    (
        "a wrong quantity sent",
        "inventory",
        "UPDATE reservation_lines SET quantity = quantity + 1 WHERE order_id IN (SELECT order_id FROM reservations WHERE state = 'committed')",
        "I4",
        "committed",
    ),
    (
        "a hold that outlived its order",
        "inventory",
        "UPDATE reservations SET state = 'committed' WHERE state = 'released'",
        "I4",
        "committed",
    ),
    (
        "a double effect",
        "inventory",
        "INSERT INTO effects SELECT effect || ':again', event_id, outcome, done_at FROM effects WHERE effect LIKE 'OrderPlaced:%' LIMIT 1",
        "I5",
        "again",
    ),
    (
        "an effect that never happened",
        "shipping",
        "DELETE FROM effects WHERE effect LIKE 'DispatchShipment:%'",
        "I5",
        "DispatchShipment",
    ),
    (
        "a lost event",
        "broker",
        "DELETE FROM broker_records WHERE id = (SELECT min(id) FROM broker_records WHERE envelope ->> 'kind' = 'StockReserved')",
        "I6",
        "StockReserved",
    ),
    (
        "a consumer ahead of the log",
        "broker",
        "UPDATE broker_claims SET committed = 1000 WHERE grp = 'order' AND partition = (SELECT min(partition) FROM broker_claims WHERE grp = 'order')",
        "I6",
        "has committed offset 1000",
    ),
    (
        "a lost partition",
        "broker",
        "DELETE FROM broker_partitions WHERE topic = 'order' AND number = 0",
        "I6",
        "order/0 is not in the log",
    ),
    (
        "a lost processed record",
        "payment",
        "DELETE FROM inbox_processed WHERE seq = (SELECT min(seq) FROM inbox_processed)",
        "I5 I6",
        "without a processed record",
    ),
    (
        "a lost order",
        "order",
        "DELETE FROM orders WHERE status = 'completed'",
        "I2 I4 I10 I12",
        "does not exist",
    ),
    (
        "a message that no service emitted",
        "shipping",
        "DELETE FROM emitted WHERE kind = 'ShipmentStatusChanged' AND aggregate_version = (SELECT max(aggregate_version) FROM emitted)",
        "I6",
        "no service emitted it",
    ),
    (
        "a record that cannot be read",
        "broker",
        "UPDATE broker_records SET envelope = '{' WHERE envelope ->> 'kind' = 'OrderCompleted'",
        "I6",
        "cannot be read",
    ),
    (
        "a gap in an aggregate's messages",
        "payment",
        "UPDATE emitted SET aggregate_version = 7 WHERE kind = 'PaymentCaptured'",
        "I7",
        "version 7",
    ),
    (
        "a lost shipment",
        "shipping",
        "DELETE FROM shipments WHERE status = 'delivered'",
        "I10",
        "no shipment",
    ),
    (
        "a lost idempotency key",
        "order",
        "DELETE FROM idempotency_records WHERE key = 'ok'",
        "I12",
        "under no key",
    ),
];

#[test]
fn each_damaged_row_breaks_its_invariants_and_is_named() {
    let Some(directory) = Sandbox::new() else {
        return;
    };
    let sound = directory.path().join("sound");
    let shop = Shop::open(&sound);
    let order_ids = [
        shop.accept("ok", &body(&[("SKU-001", 2)], "pm_ok")),
        shop.accept("declined", &body(&[("SKU-002", 1)], "pm_declined")),
    ];
    for order_id in &order_ids {
        shop.ended(order_id);
    }
    assert_holds(&sound, 30);
    shop.stop();
    assert_holds(&sound, 0);

    for (what, database, sql, invariants, word) in CASES {
        let data = directory.path().join(what.replace(' ', "-"));
        copy(&sound, &data);
        assert_eq!(execute(&data, database, sql), expected_rows(sql), "{what}");
        let (code, verdict) = verify(&data, 0);
        assert_eq!(code, 1, "{what}: {verdict:#}");
        let rows = verdict["invariants"].as_array().unwrap();
        let broken: Vec<&str> = rows
            .iter()
            .filter(|row| !row["holds"].as_bool().unwrap())
            .map(|row| row["id"].as_str().unwrap())
            .collect();
        let expected: Vec<&str> = invariants.split(' ').collect();
        assert_eq!(broken, expected, "{what}: {verdict:#}");
        let offenders: String = rows
            .iter()
            .map(|row| row["offenders"].to_string())
            .collect();
        assert!(offenders.contains(word), "{what}: {offenders}");
        if ON_A_SERVER {
            drop_databases(&data);
        }
    }
}

/// Each damage changes one row, except that an operation of the ledger has several.
fn expected_rows(sql: &str) -> u64 {
    if sql.contains("DELETE FROM ledger_entries") {
        4
    } else {
        1
    }
}

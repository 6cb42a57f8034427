//! Deployments with one damaged row: exactly the invariants over that row are broken, and name it.

use commerce_chassis::ON_A_SERVER;

use crate::{
    sandbox::{DATABASES, Sandbox, copy, execute, keep, put_back},
    shop::{Shop, assert_holds, assert_settles, body, verify},
};

/// The damage, its database, its SQL, the broken invariants, and a word that an offender must
/// contain.
const CASES: [(&str, &str, &str, &str, &str); 36] = [
    (
        "an order that is stuck",
        "order",
        "UPDATE order_view SET status = 'fulfilling' WHERE status = 'completed'",
        "I1 I9",
        "fulfilling",
    ),
    (
        "a run that did not end with its order",
        "order",
        "UPDATE saga_runs SET status = 'running', ended_at = NULL WHERE status = 'completed'",
        "I1",
        "is running, the order is completed",
    ),
    (
        "a broken run",
        "order",
        "UPDATE saga_runs SET status = 'broken', step = 'PrepareShipment', ended_at = NULL WHERE status = 'completed'",
        "I1",
        "is broken at PrepareShipment",
    ),
    (
        "an overdue run",
        "order",
        "UPDATE saga_runs SET status = 'undoing', step = 'ReserveStock', is_overdue = (1 = 1), ended_at = NULL WHERE status = 'undone'",
        "I1",
        "is overdue at ReserveStock",
    ),
    (
        "a wrong amount in the books",
        "payment",
        "UPDATE ledger_entries SET amount_minor = amount_minor + 1 WHERE account = 'customer'",
        "I2",
        "CapturePayment",
    ),
    (
        "a lost operation in the books",
        "payment",
        "DELETE FROM ledger_entries WHERE operation LIKE '%:CapturePayment:%'",
        "I2",
        "completed",
    ),
    (
        "a second charge at the provider",
        "psp",
        "INSERT INTO operations (effect_key, order_id, kind, amount_minor, currency, reference, done_at) SELECT effect_key || '-again', order_id, kind, amount_minor, currency, reference, done_at FROM operations WHERE kind = 'authorize' LIMIT 1",
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
        "I4 I5",
        "committed",
    ),
    (
        "a hold that outlived its order",
        "inventory",
        "UPDATE reservations SET state = 'committed' WHERE state = 'released'",
        "I4 I5",
        "committed",
    ),
    (
        "a double effect",
        "inventory",
        "INSERT INTO stock_movements (movement_key, sku, quantity, moved_at) SELECT movement_key || ':again', sku, quantity, moved_at FROM stock_movements WHERE movement_key LIKE 'dispatch:%' LIMIT 1",
        "I3 I5",
        "again",
    ),
    (
        "an effect that never happened",
        "inventory",
        "DELETE FROM stock_movements WHERE movement_key LIKE 'dispatch:%'",
        "I3 I5",
        "is missing",
    ),
    (
        "a booking that the provider does not know",
        "payment",
        "UPDATE ledger_entries SET operation = operation || '-new' WHERE operation LIKE '%:AuthorizePayment:%'",
        "I5",
        "the provider 0",
    ),
    (
        "a command that was answered twice",
        "broker",
        "UPDATE broker_records SET envelope = json_set(envelope, '$.causation_id', (SELECT envelope ->> 'causation_id' FROM broker_records WHERE envelope ->> 'kind' = 'PaymentAuthorized')) WHERE envelope ->> 'kind' = 'PaymentCaptured'",
        "I5",
        "was answered 2 times",
    ),
    (
        "a lost answer",
        "broker",
        "DELETE FROM broker_records WHERE id = (SELECT min(id) FROM broker_records WHERE envelope ->> 'kind' = 'StockReserved')",
        "I5 I6",
        "its answer is lost",
    ),
    (
        "a lost event",
        "broker",
        "DELETE FROM broker_records WHERE envelope ->> 'kind' = 'OrderCompleted'",
        "I6",
        "OrderCompleted of order",
    ),
    (
        "a lost command",
        "broker",
        "DELETE FROM broker_records WHERE envelope ->> 'kind' = 'CapturePayment'",
        "I6",
        "CapturePayment",
    ),
    (
        "a lost scan",
        "broker",
        "DELETE FROM broker_records WHERE CAST(payload AS TEXT) LIKE '%\"to\":\"delivered\"%'",
        "I6 I11",
        "is delivered, and that",
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
        "I6",
        "without a processed record",
    ),
    (
        "a message that nobody emitted",
        "order",
        "DELETE FROM saga_journal WHERE number = (SELECT min(number) FROM saga_journal WHERE entry LIKE '%\"sent\"%')",
        "I6",
        "no saga has sent it",
    ),
    (
        "a record that cannot be read",
        "broker",
        "UPDATE broker_records SET envelope = '{' WHERE CAST(payload AS TEXT) LIKE '%\"to\":\"delivered\"%'",
        "I6 I11",
        "cannot be read",
    ),
    (
        "messages that changed places",
        "broker",
        "UPDATE broker_records SET envelope = json_set(envelope, '$.kind', CASE envelope ->> 'kind' WHEN 'PaymentCaptured' THEN 'PaymentAuthorized' ELSE 'PaymentCaptured' END) WHERE envelope ->> 'kind' IN ('PaymentAuthorized', 'PaymentCaptured')",
        "I6 I7",
        "comes too late",
    ),
    (
        "a gap in a stream",
        "order",
        "UPDATE eventstore_events SET version = 70 WHERE kind = 'Packed'",
        "I9",
        "version 6 follows 4",
    ),
    (
        "a row that is behind its stream",
        "order",
        "UPDATE order_view SET version = version - 1 WHERE status = 'completed'",
        "I9",
        "its row at",
    ),
    (
        "a lost order",
        "order",
        "DELETE FROM order_view WHERE status = 'completed'",
        "I1 I2 I4 I6 I9 I10 I12",
        "does not exist",
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
    (
        "a token that nobody granted",
        "inventory",
        "INSERT INTO dlock_fences (name, fence) VALUES ('nobody', 1000000)",
        "I13",
        "newest that was granted",
    ),
    (
        "a count that no fact leads to",
        "analytics",
        "UPDATE daily_sales SET orders = orders + 1 WHERE dimension = 'status' AND member = 'completed'",
        "I8",
        "completed",
    ),
    (
        "a mail about nothing",
        "notification",
        "UPDATE notifications SET event_id = 'unknown' WHERE news = 'confirmed'",
        "I11",
        "which is not in the log",
    ),
    (
        "a lost user",
        "identity",
        "DELETE FROM users WHERE user_id = 'cust-009'",
        "I6",
        "cust-009 is told, and has no row",
    ),
    (
        "a product that was changed in silence",
        "catalog",
        "UPDATE products SET version = 7 WHERE sku = 'SKU-009'",
        "I6",
        "nothing of SKU-009 is told",
    ),
    (
        "a card in a message",
        "broker",
        "UPDATE broker_records SET payload = CAST(replace(payload, '}', ', \"note\": \"4242 4242 4242 4242\"}') AS BLOB) WHERE id = (SELECT max(id) FROM broker_records WHERE envelope ->> 'kind' = 'OrderCompleted')",
        "I14",
        "number of a card",
    ),
];

#[test]
fn each_damaged_row_breaks_its_invariants_and_is_named() {
    let Some(directory) = Sandbox::new() else {
        return;
    };
    let data = directory.path();
    let shop = Shop::open(data);
    let order_ids = [
        shop.accept("ok", &body(&[("SKU-001", 2)], "pm_ok")),
        shop.accept("declined", &body(&[("SKU-002", 1)], "pm_declined")),
    ];
    for order_id in &order_ids {
        shop.ended(order_id);
    }
    assert_settles(data);
    shop.stop();
    assert_holds(data);

    let mut wrong = Vec::new();
    for (what, database, sql, invariants, word) in CASES {
        keep(data, database);
        assert_eq!(execute(data, database, sql), expected_rows(sql), "{what}");
        let (code, verdict) = verify(data);
        assert_eq!(code, 1, "{what}: {verdict:#}");
        let rows = verdict["invariants"].as_array().unwrap();
        let broken: Vec<&str> = rows
            .iter()
            .filter(|row| !row["holds"].as_bool().unwrap())
            .map(|row| row["id"].as_str().unwrap())
            .collect();
        if broken.join(" ") != invariants {
            wrong.push(format!("{what}: {broken:?} instead of {invariants}"));
        }
        let offenders: String = rows
            .iter()
            .map(|row| row["offenders"].to_string())
            .collect();
        assert!(offenders.contains(word), "{what}: {offenders}");
        put_back(data, database);
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert_holds(data);
}

/// Each damage changes one row, except that an operation of the ledger has several, and that two
/// messages change places.
fn expected_rows(sql: &str) -> u64 {
    if sql.contains("DELETE FROM ledger_entries") {
        4
    } else if sql.contains("operation || '-new'") || sql.contains("CASE") {
        2
    } else {
        1
    }
}

#[test]
fn a_lost_database_is_not_taken_for_one_of_a_service_that_was_never_started() {
    let Some(directory) = Sandbox::new().filter(|_| !ON_A_SERVER) else {
        return;
    };
    let sound = directory.path().join("sound");
    let shop = Shop::open(&sound);
    // Orders reach every service; identity has told of its users.
    let order_id = shop.accept("ok", &body(&[("SKU-001", 1)], "pm_ok"));
    shop.ended(&order_id);
    assert_settles(&sound);
    shop.stop();
    for service in DATABASES {
        let data = directory.path().join(format!("without-{service}"));
        copy(&sound, &data);
        for file in ["", "-wal", "-shm"] {
            let file = data.join(format!("{service}.db{file}"));
            if file.exists() {
                std::fs::remove_file(file).unwrap();
            }
        }
        let (code, line) = verify(&data);
        assert_eq!(code, 2, "{service}: {line}");
        assert!(line.as_str().unwrap().contains(service), "{line}");
    }
}

//! Random orders of the built-in customers and the load generator.

use mainstay_clock::IdGenerator;
use serde_json::json;

/// Payment methods and their weights.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub(crate) struct Mix(Vec<(String, u64)>);

impl Mix {
    /// Reads `pm_ok=90,pm_declined=10`.
    pub(crate) fn read(text: &str) -> Option<Self> {
        let weights = text
            .split(',')
            .map(|part| {
                let (method, weight) = part.split_once('=')?;
                Some((method.trim().to_owned(), weight.trim().parse().ok()?))
            })
            .collect::<Option<Vec<(String, u64)>>>()?;
        let total = weights
            .iter()
            .try_fold(0_u64, |total, (_, weight)| total.checked_add(*weight))?;
        (total > 0).then_some(Self(weights))
    }

    fn draw(&self, ids: &dyn IdGenerator) -> &str {
        let total: u64 = self.0.iter().map(|(_, weight)| weight).sum();
        let mut left = below(ids, total);
        for (method, weight) in &self.0 {
            if left < *weight {
                return method;
            }
            left -= weight;
        }
        "pm_ok"
    }
}

/// Payment methods of the built-in customers.
pub(crate) const TRAFFIC_MIX: &str =
    "pm_ok=80,pm_declined=6,pm_timeout=2,pm_late=4,pm_flaky=4,pm_3ds=4";

/// A random order. One in `shortages` orders more of a scarce product than its stock; 0 = none.
pub(crate) fn order(ids: &dyn IdGenerator, mix: &Mix, shortages: u64) -> String {
    let lines: Vec<_> = (0..=below(ids, 3))
        .map(|_| {
            let sku = format!("SKU-{:03}", 1 + below(ids, 197));
            (sku, 1 + below(ids, 3))
        })
        .collect();
    let lines = if shortages > 0 && below(ids, shortages) == 0 {
        vec![("SKU-199".to_owned(), 1_000)]
    } else {
        lines
    };
    let currency = match below(ids, 3) {
        0 => "EUR",
        1 => "USD",
        _ => "GBP",
    };
    let customer = format!("cust-{:03}", 1 + below(ids, 50));
    let lines: Vec<(&str, u64)> = lines.iter().map(|(sku, of)| (&**sku, *of)).collect();
    body(&customer, currency, &lines, mix.draw(ids))
}

/// An order of these quantities.
pub(crate) fn order_of(lines: &[(&str, u64)], payment_method: &str) -> String {
    body("cust-001", "EUR", lines, payment_method)
}

fn body(customer: &str, currency: &str, lines: &[(&str, u64)], payment_method: &str) -> String {
    let lines: Vec<_> = lines
        .iter()
        .map(|(sku, quantity)| json!({"sku": sku, "quantity": quantity}))
        .collect();
    json!({
        "customer_id": customer,
        "currency": currency,
        "lines": lines,
        "payment_method": payment_method,
        "ship_to": {
            "name": "Ada Example", "street": "Example Street 1", "city": "Berlin", "postcode": "10115", "country": "DE",
        },
    })
    .to_string()
}

/// A random number below `bound`; 0 if there is none.
pub(crate) fn below(ids: &dyn IdGenerator, bound: u64) -> u64 {
    ids.random().checked_rem(bound).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use mainstay_clock::SeededIds;

    #[test]
    fn a_mix_is_drawn_by_its_weights() {
        let mix = Mix::read("pm_ok=3, pm_late=1").unwrap();
        let ids = SeededIds::new(1);
        let late = (0..4_000).filter(|_| mix.draw(&ids) == "pm_late").count();
        assert!((900..1_100).contains(&late), "{late}");
        for wrong in [
            "",
            "pm_ok",
            "pm_ok=x",
            "pm_ok=0",
            "pm_ok=18446744073709551615,pm_late=1",
        ] {
            assert_eq!(Mix::read(wrong), None, "{wrong}");
        }
    }
}

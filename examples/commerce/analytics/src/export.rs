//! Orders as CSV.

use commerce_chassis::{Error, Result, rfc3339};

use crate::store::Known;

const HEAD: [&str; 9] = [
    "order_id",
    "placed_at",
    "customer_id",
    "status",
    "currency",
    "total_minor",
    "refunded_minor",
    "pieces",
    "cancel_code",
];

/// The first line.
pub(crate) fn head() -> Result<Vec<u8>> {
    lines(std::iter::once(HEAD.map(str::to_owned)))
}

/// A line for each order.
pub(crate) fn orders(known: &[Known]) -> Result<Vec<u8>> {
    lines(known.iter().filter_map(|known| {
        let fact = &known.fact;
        let placed = fact.placed.as_ref()?;
        let pieces: i64 = placed.lines.values().map(|line| line.qty).sum();
        Some([
            text(&known.order_id),
            rfc3339(placed.at),
            text(&placed.customer_id),
            fact.status().to_owned(),
            text(&placed.currency),
            placed.total_minor.to_string(),
            fact.refunded_minor.to_string(),
            pieces.to_string(),
            text(fact.cancel_code.as_deref().unwrap_or_default()),
        ])
    }))
}

fn lines(rows: impl Iterator<Item = [String; 9]>) -> Result<Vec<u8>> {
    let failed = |error| Error::damaged("a report", error);
    let mut writer = csv::Writer::from_writer(Vec::new());
    for row in rows {
        writer.write_record(&row).map_err(failed)?;
    }
    let written = writer.into_inner();
    written.map_err(|error| Error::damaged("a report", error.into_error()))
}

/// A text that no spreadsheet takes for a formula.
fn text(text: &str) -> String {
    let starts_formula = ['=', '+', '-', '@', '\t', '\r', '\n'];
    if text.starts_with(starts_formula) {
        return format!("'{text}");
    }
    text.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fact::{Fact, Placed};

    #[test]
    fn no_text_is_a_formula_and_every_line_reads_back() {
        let customers = [
            "=HYPERLINK(\"http://x\",\"y\")",
            "+1",
            "-1",
            "@SUM(A1)",
            "\t=1",
            "\r=1",
            "a,\"b\"\n=c",
            "cust-001",
        ];
        let known = customers.map(|customer| Known {
            order_id: "o".to_owned(),
            fact: Fact {
                placed: Some(Placed {
                    at: 0,
                    customer_id: customer.to_owned(),
                    currency: "EUR".to_owned(),
                    total_minor: -5,
                    lines: [].into(),
                }),
                ..Fact::default()
            },
        });
        let csv = orders(&known).unwrap();
        let mut reader = csv::ReaderBuilder::new()
            .has_headers(false)
            .from_reader(&*csv);
        let rows: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
        assert_eq!(rows.len(), customers.len());
        for (row, customer) in rows.iter().zip(customers) {
            let field = &row[2];
            assert!(field.ends_with(customer), "{field:?}");
            let first = field.chars().next().unwrap();
            assert!(!"=+-@\t\r\n".contains(first), "{field:?}");
            assert_eq!(&row[5], "-5", "a number stays a number");
        }
        assert_eq!(&rows[7][2], "cust-001");
        let head = String::from_utf8(head().unwrap()).unwrap();
        assert_eq!(head.split(',').count(), rows[0].len());
    }
}

//! Numbers of payment cards in texts.

/// Whether `text` holds what looks like a card's number: 13 to 19 digits that begin and add up
/// (ISO/IEC 7812, Luhn) as those of the large networks do, alone or in groups.
pub(crate) fn is_in(text: &[u8]) -> bool {
    let mut digits: Vec<u8> = Vec::new();
    let mut before = b' ';
    let mut starts_word = true;
    for (at, byte) in text.iter().enumerate() {
        if byte.is_ascii_digit() {
            if digits.is_empty() {
                starts_word = !before.is_ascii_alphanumeric() && before != b'-' && before != b'.';
            }
            digits.push(byte - b'0');
        } else {
            let next = text.get(at + 1).copied().unwrap_or(b' ');
            let separates = matches!(byte, b' ' | b'-') && next.is_ascii_digit();
            if !separates || digits.is_empty() {
                let ends_word = !byte.is_ascii_alphanumeric();
                if starts_word && ends_word && is_card(&digits) {
                    return true;
                }
                digits.clear();
            }
        }
        before = *byte;
    }
    starts_word && is_card(&digits)
}

fn is_card(digits: &[u8]) -> bool {
    (13..=19).contains(&digits.len()) && has_network(digits) && adds_up(digits)
}

/// Cards of the large networks begin with 3 to 6, or with 2221 to 2720.
fn has_network(digits: &[u8]) -> bool {
    let first = digits.iter().take(4);
    let prefix = first.fold(0_u32, |prefix, digit| prefix * 10 + u32::from(*digit));
    (3000..7000).contains(&prefix) || (2221..=2720).contains(&prefix)
}

/// The check digit of Luhn.
fn adds_up(digits: &[u8]) -> bool {
    let from_the_right = digits.iter().rev().enumerate();
    let sum: u32 = from_the_right
        .map(|(place, digit)| {
            let digit = u32::from(*digit);
            match (place % 2 == 1, digit * 2) {
                (false, _) => digit,
                (true, double) if double > 9 => double - 9,
                (true, double) => double,
            }
        })
        .sum();
    sum.is_multiple_of(10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_cards_are_found_alone_and_in_groups() {
        for text in [
            r#"{"card":"4242424242424242"}"#,
            r#"{"note":"please take 5555 5555 5555 4444, thanks"}"#,
            "3782-822463-10005",
            "2223003122003222",
        ] {
            assert!(is_in(text.as_bytes()), "{text}");
        }
    }

    #[test]
    fn times_amounts_and_ids_are_no_cards() {
        for text in [
            r#"{"occurred_at":1796000000000000}"#,
            r#"{"total_minor":424242424242}"#,
            r#"{"order_id":"0198f3c2-4242-7242-8242-424242424242"}"#,
            r#"{"note":"4242424242424241"}"#,
            r#"{"hash":"a4242424242424242"}"#,
        ] {
            assert!(!is_in(text.as_bytes()), "{text}");
        }
    }
}

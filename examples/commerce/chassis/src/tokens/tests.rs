use super::*;

const NOW: Duration = Duration::from_secs(1_800_000_000);
const LIFETIME: Duration = Duration::from_secs(600);

fn signed(key: &SigningKey) -> String {
    key.sign(&claims()).unwrap()
}

fn claims() -> Claims {
    Claims::new("cust-001", vec![Role::Customer], "session", NOW, LIFETIME)
}

#[test]
fn a_token_is_valid_until_its_end_and_only_with_a_known_key() {
    let (mine, other) = (
        SigningKey::new("a", &[1; 32]),
        SigningKey::new("a", &[2; 32]),
    );
    let keys = KeySet::default();
    assert_eq!(keys.verify(&signed(&mine), NOW), Err(Refusal::NoKeys));
    keys.publish([&mine]).unwrap();

    assert_eq!(keys.verify(&signed(&mine), NOW), Ok(claims()));
    let last = NOW + LIFETIME + LEEWAY.saturating_sub(Duration::from_millis(1));
    assert_eq!(keys.verify(&signed(&mine), last), Ok(claims()));
    let end = NOW + LIFETIME + LEEWAY;
    assert_eq!(keys.verify(&signed(&mine), end), Err(Refusal::Expired));
    // The same name of a key, another key.
    assert_eq!(keys.verify(&signed(&other), NOW), Err(Refusal::Invalid));
    let unknown = signed(&SigningKey::new("b", &[1; 32]));
    assert_eq!(keys.verify(&unknown, NOW), Err(Refusal::Invalid));
}

#[test]
fn a_changed_token_and_every_other_algorithm_are_refused() {
    let key = SigningKey::new("a", &[1; 32]);
    let keys = KeySet::default();
    keys.publish([&key]).unwrap();
    let token = signed(&key);
    let [header, body, signature]: [&str; 3] =
        token.split('.').collect::<Vec<_>>().try_into().unwrap();
    // {"alg":"none","kid":"a"} and {"alg":"HS256","kid":"a"}
    for other in [
        "eyJhbGciOiJub25lIiwia2lkIjoiYSJ9",
        "eyJhbGciOiJIUzI1NiIsImtpZCI6ImEifQ",
    ] {
        for forged in [
            format!("{other}.{body}."),
            format!("{other}.{body}.{signature}"),
        ] {
            assert_eq!(keys.verify(&forged, NOW), Err(Refusal::Invalid), "{forged}");
        }
    }
    let mut operator = claims();
    operator.roles = vec![Role::Operator];
    let operator = SigningKey::new("a", &[2; 32]).sign(&operator).unwrap();
    let body = operator.split('.').nth(1).unwrap();
    let swapped = format!("{header}.{body}.{signature}");
    assert_eq!(keys.verify(&swapped, NOW), Err(Refusal::Invalid));
    for text in ["", "a", "a.b.c", "..", &token[1..]] {
        assert_eq!(keys.verify(text, NOW), Err(Refusal::Invalid), "{text}");
    }
}

#[test]
fn the_key_set_travels_as_json_and_holds_no_secret() {
    let key = SigningKey::new("a", &[7; 32]);
    let (here, there) = (KeySet::default(), KeySet::default());
    here.publish([&key]).unwrap();
    let json = here.to_json();
    let jwk = &json["keys"][0];
    assert_eq!(
        (&jwk["kty"], &jwk["crv"]),
        (&"OKP".into(), &"Ed25519".into())
    );
    assert_eq!(jwk.get("d"), None);
    there.publish_json(json.to_string().as_bytes()).unwrap();
    assert_eq!(there.verify(&signed(&key), NOW), Ok(claims()));
    assert!(there.publish_json(b"{}").is_err());
    let shown = format!("{key:?} {here:?}");
    assert!(!shown.contains('7'), "{shown}");
}

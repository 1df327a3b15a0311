//! Which key checks a token, and by which algorithm.

use super::super::keys::MAX_GUESSES;
use super::*;

#[test]
fn the_algorithm_is_the_keys_and_never_the_tokens() {
    // The classic: everyone has the public key, and signs with it as if it were a secret.
    let forged = sign(
        &Header::new(Jwt::HS256),
        &EncodingKey::from_secret(RSA_PUBLIC),
        &claims(json!({"sub": "admin"})),
    );
    let rsa = || Key::new(Algorithm::Rs256, RSA_PUBLIC).unwrap();
    assert_eq!(code(verifier(vec![rsa()]).verify(&forged, now())), "token_algorithm");
    let both = verifier(vec![rsa(), hs256(SECRET)]);
    assert_eq!(code(both.verify(&forged, now())), "token_signature");
    // Of the same family, and still another one.
    for jwt in [Jwt::HS384, Jwt::HS512] {
        let token = sign(&Header::new(jwt), &EncodingKey::from_secret(SECRET), &claims(json!({})));
        let refused = verifier(vec![hs256(SECRET)]).verify(&token, now());
        assert_eq!(code(refused), "token_algorithm");
    }
    for jwt in [Jwt::RS512, Jwt::PS256] {
        let key = EncodingKey::from_rsa_pem(RSA).unwrap();
        let token = sign(&Header::new(jwt), &key, &claims(json!({})));
        assert_eq!(code(verifier(vec![rsa()]).verify(&token, now())), "token_algorithm");
    }
}

#[test]
fn a_header_can_not_bring_its_own_key() {
    let key = EncodingKey::from_secret(OTHER_SECRET);
    let mut header = Header::new(Jwt::HS256);
    header.jku = Some("https://attacker.example/keys".to_owned());
    header.jwk = jsonwebtoken::jwk::Jwk::from_encoding_key(&key, Jwt::HS256).ok();
    let token = sign(&header, &key, &claims(json!({})));
    assert_eq!(code(verifier(vec![hs256(SECRET)]).verify(&token, now())), "token_signature");
}

#[test]
fn while_keys_are_rotated_tokens_of_the_old_and_of_the_new_one_pass() {
    let old = with_secret(&claims(json!({})));
    let new = sign(&Header::default(), &EncodingKey::from_secret(OTHER_SECRET), &claims(json!({})));
    let codes = |keys| {
        let verifier = verifier(keys);
        [&old, &new].map(|token| code(verifier.verify(token, now())))
    };
    assert_eq!(codes(vec![hs256(SECRET)]), ["fine", "token_signature"]);
    assert_eq!(codes(vec![hs256(SECRET), hs256(OTHER_SECRET)]), ["fine", "fine"]);
    assert_eq!(codes(vec![hs256(OTHER_SECRET)]), ["token_signature", "fine"]);
    assert_eq!(codes(vec![]), ["unknown_key", "unknown_key"]);
}

#[test]
fn a_key_with_an_id_is_for_tokens_that_name_it_or_none() {
    let token = |id: Option<&str>| {
        let header = Header { kid: id.map(str::to_owned), ..Header::default() };
        sign(&header, &EncodingKey::from_secret(SECRET), &claims(json!({})))
    };
    let codes = |keys| {
        let verifier = verifier(keys);
        [None, Some("a"), Some("b"), Some("c")].map(|id| code(verifier.verify(&token(id), now())))
    };
    let keys = || vec![named("a", SECRET), named("b", OTHER_SECRET)];
    assert_eq!(codes(keys()), ["fine", "fine", "token_signature", "unknown_key"]);
    let with_unnamed = || keys().into_iter().chain([hs256(SECRET)]).collect();
    assert_eq!(codes(with_unnamed()), ["fine"; 4]);
}

/// Anyone can send such tokens, and each try costs the loop's time.
#[test]
fn a_token_that_names_no_key_is_tried_with_few_of_those_that_have_a_name() {
    let token = |id: Option<&str>| {
        let header = Header { kid: id.map(str::to_owned), ..Header::default() };
        sign(&header, &EncodingKey::from_secret(SECRET), &claims(json!({})))
    };
    let keys = |before: usize| {
        let others = (0..before).map(|number| named(&format!("k{number}"), OTHER_SECRET));
        others.chain([named("last", SECRET)]).collect::<Vec<_>>()
    };
    let of = |keys: Vec<Key>, id| code(verifier(keys).verify(&token(id), now()));
    assert_eq!(of(keys(MAX_GUESSES - 1), None), "fine");
    assert_eq!(of(keys(MAX_GUESSES), None), "token_signature");
    assert_eq!(of(keys(MAX_GUESSES), Some("last")), "fine");
    let with_unnamed = keys(MAX_GUESSES).into_iter().chain([hs256(SECRET)]).collect();
    assert_eq!(of(with_unnamed, None), "fine");
}

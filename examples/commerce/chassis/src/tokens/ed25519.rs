//! The cryptography of tokens: Ed25519, and nothing else. A token that asks for another algorithm is
//! refused, because no code for it is built.

use ed25519_dalek::{Signature, SigningKey, VerifyingKey};
use jsonwebtoken::{
    Algorithm, AlgorithmFamily, DecodingKey, EncodingKey,
    crypto::{CryptoProvider, JwtSigner, JwtVerifier, KeyUtils},
    errors::{Error, ErrorKind},
    jwk::EllipticCurve,
    signature::{self, Signer, Verifier},
};

type Result<T, E = Error> = std::result::Result<T, E>;

/// What stands before the seed in the PKCS #8 document of an Ed25519 key.
const PKCS8: [u8; 16] = [
    0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20,
];

static PROVIDER: CryptoProvider = CryptoProvider {
    signer_factory: signer,
    verifier_factory: verifier,
    key_utils: KeyUtils {
        ed_pub_components_from_private_key: public_half,
        ..KeyUtils::new_unimplemented()
    },
};

/// Installs the provider, once per process: without one, the first token would panic.
pub(super) fn install() {
    // A second call finds the provider of the first one.
    let _already_installed = PROVIDER.install_default();
}

/// The PKCS #8 document of a seed.
pub(super) fn pkcs8(seed: &[u8; 32]) -> Vec<u8> {
    [&PKCS8[..], seed].concat()
}

struct Signing(SigningKey);

struct Verifying(VerifyingKey);

fn unsupported() -> Error {
    ErrorKind::InvalidAlgorithm.into()
}

fn unusable() -> Error {
    ErrorKind::InvalidEddsaKey.into()
}

fn read(pkcs8: &[u8]) -> Result<SigningKey> {
    let seed = pkcs8.strip_prefix(&PKCS8).ok_or_else(unusable)?;
    let seed = seed.try_into().map_err(|_| unusable())?;
    Ok(SigningKey::from_bytes(seed))
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "the signature is the provider's"
)]
fn signer(algorithm: &Algorithm, key: &EncodingKey) -> Result<Box<dyn JwtSigner>> {
    if *algorithm != Algorithm::EdDSA || key.family() != AlgorithmFamily::Ed {
        return Err(unsupported());
    }
    Ok(Box::new(Signing(read(key.as_bytes())?)))
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "the signature is the provider's"
)]
fn verifier(algorithm: &Algorithm, key: &DecodingKey) -> Result<Box<dyn JwtVerifier>> {
    if *algorithm != Algorithm::EdDSA || key.family() != AlgorithmFamily::Ed {
        return Err(unsupported());
    }
    let key = key.try_get_as_bytes()?.try_into().map_err(|_| unusable())?;
    let key = VerifyingKey::from_bytes(key).map_err(|_| unusable())?;
    Ok(Box::new(Verifying(key)))
}

fn public_half(pkcs8: &[u8], curve: &EllipticCurve) -> Result<Vec<u8>> {
    if *curve != EllipticCurve::Ed25519 {
        return Err(unsupported());
    }
    Ok(read(pkcs8)?.verifying_key().to_bytes().to_vec())
}

impl Signer<Vec<u8>> for Signing {
    fn try_sign(&self, message: &[u8]) -> Result<Vec<u8>, signature::Error> {
        Ok(self.0.sign(message).to_bytes().to_vec())
    }
}

impl JwtSigner for Signing {
    fn algorithm(&self) -> Algorithm {
        Algorithm::EdDSA
    }
}

impl Verifier<Vec<u8>> for Verifying {
    fn verify(&self, message: &[u8], signature: &Vec<u8>) -> Result<(), signature::Error> {
        // Strict: one message has one signature, and weak keys sign nothing.
        let signature = Signature::from_slice(signature)?;
        self.0.verify_strict(message, &signature)
    }
}

impl JwtVerifier for Verifying {
    fn algorithm(&self) -> Algorithm {
        Algorithm::EdDSA
    }
}

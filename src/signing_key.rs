//! A key that signs JSON web tokens: ES256, because every library for them knows it.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

const ALGORITHM: &str = "ES256";

/// A private key with its public one.
#[derive(Debug)]
pub struct SigningKey {
    pair: EcdsaKeyPair,
    public: Value,
    /// RFC 7638.
    thumbprint: String,
}

impl SigningKey {
    /// A new private key, as PKCS#8; none when the system has no random numbers.
    pub fn generate() -> Option<Zeroizing<Vec<u8>>> {
        let (algorithm, random) = (&ECDSA_P256_SHA256_FIXED_SIGNING, SystemRandom::new());
        let made = EcdsaKeyPair::generate_pkcs8(algorithm, &random).ok()?;
        Some(Zeroizing::new(made.as_ref().to_vec()))
    }

    /// The key that [`SigningKey::generate`] made.
    pub fn from_pkcs8(pkcs8: &[u8]) -> Option<Self> {
        let (algorithm, random) = (&ECDSA_P256_SHA256_FIXED_SIGNING, SystemRandom::new());
        let pair = EcdsaKeyPair::from_pkcs8(algorithm, pkcs8, &random).ok()?;
        // A byte that says "uncompressed", then the coordinates (SEC 1, 2.3.3).
        let (x, y) = pair.public_key().as_ref().get(1..)?.split_at_checked(32)?;
        // The members in the order of the alphabet, as RFC 7638 wants them.
        let public = json!({"crv": "P-256", "kty": "EC", "x": encoded(x), "y": encoded(y)});
        let thumbprint = encoded(Sha256::digest(public.to_string()));
        Some(Self { pair, public, thumbprint })
    }

    /// The public key (RFC 7517).
    pub fn jwk(&self) -> Value {
        let mut jwk = self.public.clone();
        jwk["alg"] = ALGORITHM.into();
        jwk["kid"] = self.thumbprint.clone().into();
        jwk["use"] = "sig".into();
        jwk
    }

    /// A JSON web token with these claims (RFC 7519); none when the system has no random numbers.
    pub fn sign(&self, claims: &Value) -> Option<String> {
        let header = json!({"alg": ALGORITHM, "kid": self.thumbprint, "typ": "JWT"});
        let text = format!("{}.{}", encoded(header.to_string()), encoded(claims.to_string()));
        let signature = self.pair.sign(&SystemRandom::new(), text.as_bytes()).ok()?;
        Some(format!("{text}.{}", encoded(signature)))
    }
}

fn encoded(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

#[cfg(test)]
mod tests {
    use ring::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};

    use super::*;

    #[test]
    fn what_it_signs_is_verified_with_its_public_key_alone() {
        let pkcs8 = SigningKey::generate().unwrap();
        let key = SigningKey::from_pkcs8(&pkcs8).unwrap();
        let token = key.sign(&json!({"sub": "ann"})).unwrap();
        let (text, signature) = token.rsplit_once('.').unwrap();
        let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
        let jwk = key.jwk();
        let part = |name: &str| URL_SAFE_NO_PAD.decode(jwk[name].as_str().unwrap()).unwrap();
        let point = [vec![4], part("x"), part("y")].concat();
        let public = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, &point);
        assert!(public.verify(text.as_bytes(), &signature).is_ok());
        assert!(public.verify(format!("{text}x").as_bytes(), &signature).is_err());
        let other = SigningKey::from_pkcs8(&SigningKey::generate().unwrap()).unwrap();
        assert_ne!(other.jwk()["kid"], jwk["kid"]);
    }

    #[test]
    fn the_public_key_has_no_private_part() {
        let key = SigningKey::from_pkcs8(&SigningKey::generate().unwrap()).unwrap();
        let jwk = key.jwk();
        let names: Vec<_> = jwk.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(names, ["alg", "crv", "kid", "kty", "use", "x", "y"]);
        assert!(!format!("{key:?}").contains("private"));
    }

    #[test]
    fn what_is_no_key_is_none() {
        let pkcs8 = SigningKey::generate().unwrap();
        for bytes in [&b""[..], b"no key", &pkcs8[1..], &pkcs8[..pkcs8.len() - 1]] {
            assert!(SigningKey::from_pkcs8(bytes).is_none());
        }
    }
}

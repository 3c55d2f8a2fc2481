//! Signing keys: ECDSA over P-256 with SHA-256.

use p256::ecdsa::signature::Signer as _;
use p256::ecdsa::{DerSignature, Signature, SigningKey};

/// A key that signs manifests, and the certificate that says whose it is.
#[derive(Clone)]
pub struct Signer {
    key: SigningKey,
    certificate: Vec<u8>,
}

impl Signer {
    pub(crate) fn new(key: SigningKey, certificate: Vec<u8>) -> Self {
        Self { key, certificate }
    }

    /// The certificate, DER.
    pub fn certificate(&self) -> &[u8] {
        &self.certificate
    }

    /// Signs bytes: ECDSA-P256-SHA256, DER, deterministic (RFC 6979).
    pub fn sign(&self, bytes: &[u8]) -> Vec<u8> {
        let signature: Signature = self.key.sign(bytes);
        DerSignature::from(signature).as_bytes().to_vec()
    }
}

impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Signer")
    }
}

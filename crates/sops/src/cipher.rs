//! One encrypted value: `ENC[AES256_GCM,data:…,iv:…,tag:…,type:…]`. The keys that lead to a value are authenticated with it,
//! so that nobody can move it. Nonces are 32 bytes and come from the caller.

use crate::{Error, tree::Scalar};
use aes_gcm::{
    AesGcm, KeyInit,
    aead::{Aead, Payload, consts::U32},
    aes::Aes256,
};
use base64::{Engine, prelude::BASE64_STANDARD};
use zeroize::Zeroizing;

type Cipher = AesGcm<Aes256, U32>;

/// The length of a nonce; SOPS takes longer ones than the cipher's usual 12 bytes.
pub(crate) const NONCE: usize = 32;
/// The length of the authentication tag.
const TAG: usize = 16;

/// The key that all values of a file are encrypted with.
#[derive(Clone)]
pub(crate) struct DataKey(Zeroizing<[u8; 32]>);

impl DataKey {
    pub(crate) fn new(bytes: [u8; 32]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    pub(crate) fn from_slice(bytes: &[u8]) -> Option<Self> {
        <[u8; 32]>::try_from(bytes).ok().map(Self::new)
    }

    pub(crate) fn bytes(&self) -> &[u8; 32] {
        &self.0
    }

    fn cipher(&self) -> Cipher {
        Cipher::new((&*self.0).into())
    }

    /// Encrypts a value that stands where `bound` says; an empty text stays as it is.
    pub(crate) fn encrypt(&self, value: &Scalar, bound: &str, nonce: &[u8; NONCE]) -> Result<String, Error> {
        let plain = value.canonical();
        if plain.is_empty() {
            return Ok(String::new());
        }
        let payload = Payload { msg: plain.as_bytes(), aad: bound.as_bytes() };
        let sealed = self.cipher().encrypt(nonce.into(), payload).map_err(|_| Error::Mac)?;
        let (data, tag) = sealed.split_at(sealed.len().saturating_sub(TAG));
        Ok(format!(
            "ENC[AES256_GCM,data:{},iv:{},tag:{},type:{}]",
            BASE64_STANDARD.encode(data),
            BASE64_STANDARD.encode(nonce),
            BASE64_STANDARD.encode(tag),
            value.kind()
        ))
    }

    /// Opens a value that stands where `bound` says; `None` if it was not encrypted there with this key.
    pub(crate) fn decrypt(&self, text: &str, bound: &str) -> Option<Scalar> {
        if text.is_empty() {
            return Some(Scalar::text(""));
        }
        let parts = Parts::parse(text)?;
        let nonce = <&[u8; NONCE]>::try_from(&parts.nonce[..]).ok()?;
        let payload = Payload { msg: &parts.sealed, aad: bound.as_bytes() };
        let plain = self.cipher().decrypt(nonce.into(), payload).ok()?;
        Scalar::from_canonical(parts.kind, Zeroizing::new(String::from_utf8(plain).ok()?))
    }
}

/// The parts of an encrypted value.
struct Parts<'a> {
    /// Ciphertext and tag.
    sealed: Vec<u8>,
    nonce: Vec<u8>,
    kind: &'a str,
}

impl<'a> Parts<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let inner = text.strip_prefix("ENC[AES256_GCM,data:")?.strip_suffix(']')?;
        let (data, rest) = inner.split_once(",iv:")?;
        let (nonce, rest) = rest.split_once(",tag:")?;
        let (tag, kind) = rest.split_once(",type:")?;
        let mut sealed = BASE64_STANDARD.decode(data).ok()?;
        let tag = BASE64_STANDARD.decode(tag).ok()?;
        if sealed.is_empty() || tag.len() != TAG {
            return None;
        }
        sealed.extend_from_slice(&tag);
        Some(Self { sealed, nonce: BASE64_STANDARD.decode(nonce).ok()?, kind })
    }
}

/// Whether a text has the form of an encrypted value.
pub(crate) fn looks_encrypted(text: &str) -> bool {
    Parts::parse(text).is_some()
}

//! Keys of age (X25519): reading and making them, wrapping and opening the data key of a file. The format is the `age` crate's
//! business; plugins, passphrases and SSH keys are not taken.

use crate::{Error, cipher::DataKey, metadata::Wrapped};
use age::{
    armor::{ArmoredReader, ArmoredWriter, Format},
    secrecy::ExposeSecret,
    x25519::{Identity, Recipient as Public},
};
use portreeve_model::Secret;
use std::{
    fmt,
    io::{Read, Write},
    str::FromStr,
};
use zeroize::Zeroizing;

/// What comes before a private key.
const PRIVATE: &str = "AGE-SECRET-KEY-1";
/// A wrapped key is 32 bytes; whatever is longer is none.
const LONGEST_KEY: u64 = 64;

/// The private keys that files are opened with.
#[derive(Clone)]
pub struct Keys(Vec<Identity>);

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.recipients()).finish()
    }
}

impl Keys {
    /// Reads a key file: one private key a line, comments and empty lines between them.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let lines = text.lines().map(str::trim).enumerate();
        let keys = lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
        let keys = keys.map(|(number, line)| {
            Identity::from_str(line).map_err(|_| Error::Key {
                what: format!("line {} of the key file is no age key; one begins with {PRIVATE}", number + 1),
            })
        });
        let keys = keys.collect::<Result<Vec<_>, _>>()?;
        if keys.is_empty() {
            return Err(Error::Key { what: "the key file has no age key in it".to_owned() });
        }
        Ok(Self(keys))
    }

    /// The public keys, in the order of the file.
    pub fn recipients(&self) -> Vec<Recipient> {
        self.0.iter().map(|key| Recipient(key.to_public().to_string())).collect()
    }

    /// Opens the data key of a file.
    pub(crate) fn unwrap(&self, wrapped: &[Wrapped]) -> Result<DataKey, Error> {
        let pairs = wrapped.iter().flat_map(|wrapped| self.0.iter().map(move |key| (wrapped, key)));
        for (wrapped, identity) in pairs {
            let Some(key) = unwrap_with(identity, &wrapped.enc) else { continue };
            if identity.to_public().to_string() != wrapped.recipient {
                return Err(Error::metadata("names another recipient than the one whose key opens it"));
            }
            return Ok(key);
        }
        Err(Error::NoKey { recipients: listed(wrapped.iter().map(|wrapped| &wrapped.recipient)) })
    }
}

fn unwrap_with(identity: &Identity, armored: &str) -> Option<DataKey> {
    let decryptor = age::Decryptor::new_buffered(ArmoredReader::new(armored.as_bytes())).ok()?;
    let mut key = Zeroizing::new(Vec::new());
    let identities = std::iter::once(identity as &dyn age::Identity);
    decryptor.decrypt(identities).ok()?.take(LONGEST_KEY).read_to_end(&mut key).ok()?;
    DataKey::from_slice(&key)
}

/// Names several public keys.
pub(crate) fn listed<T: fmt::Display>(names: impl Iterator<Item = T>) -> String {
    let names: Vec<String> = names.map(|name| name.to_string()).collect();
    if names.is_empty() { "nobody".to_owned() } else { names.join(", ") }
}

/// The public key of somebody that a file is for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Recipient(String);

impl fmt::Display for Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Recipient {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        match Public::from_str(text) {
            Ok(_) => Ok(Self(text.to_owned())),
            // Somebody may have pasted the wrong half.
            Err(_) if text.to_uppercase().starts_with("AGE-SECRET-KEY") => {
                Err(Error::Key { what: "a private age key stands where a public one belongs".to_owned() })
            }
            Err(why) => Err(Error::Key { what: format!("`{text}` is no age recipient: {why}") }),
        }
    }
}

impl Recipient {
    /// Wraps the data key of a file for this recipient.
    pub(crate) fn wrap(&self, key: &DataKey) -> Result<Wrapped, Error> {
        let failed = |why: String| Error::Key { what: format!("cannot wrap a data key for {self}: {why}") };
        let public = Public::from_str(&self.0).map_err(|why| failed(why.to_owned()))?;
        let encryptor = age::Encryptor::with_recipients(std::iter::once(&public as &dyn age::Recipient))
            .map_err(|why| failed(why.to_string()))?;
        let mut out = Vec::new();
        let write = || -> std::io::Result<()> {
            let armor = ArmoredWriter::wrap_output(&mut out, Format::AsciiArmor)?;
            let mut writer = encryptor.wrap_output(armor)?;
            writer.write_all(key.bytes())?;
            writer.finish()?.finish()?;
            Ok(())
        };
        write().map_err(|why| failed(why.to_string()))?;
        let enc = String::from_utf8(out).map_err(|why| failed(why.to_string()))?;
        Ok(Wrapped { recipient: self.0.clone(), enc })
    }
}

/// Makes a new key: the text of a key file, and its public half.
pub fn generate() -> (Secret<String>, Recipient) {
    let identity = Identity::generate();
    let recipient = Recipient(identity.to_public().to_string());
    let private = identity.to_string();
    (Secret::new(format!("# public key: {recipient}\n{}\n", private.expose_secret())), recipient)
}

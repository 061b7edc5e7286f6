//! A deploy key in the form of OpenSSH (`openssh-key-v1`, as PROTOCOL.key of OpenSSH has it): an ed25519 pair without a passphrase, which
//! Flux opens a private repository with. Keys are made and their public half is read here; nothing is signed.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use curve25519_dalek::EdwardsPoint;
use portreeve_model::Secret;
use sha2::{Digest, Sha512};

const MAGIC: &[u8] = b"openssh-key-v1\0";
const KIND: &[u8] = b"ssh-ed25519";
const BEGIN: &str = "-----BEGIN OPENSSH PRIVATE KEY-----";
const END: &str = "-----END OPENSSH PRIVATE KEY-----";
/// Columns of the text, and the block that the private part is filled up to.
const COLUMNS: usize = 70;
const BLOCK: usize = 8;

/// The text of a private key made of a seed; `check` is any number.
pub(super) fn private(seed: &[u8; 32], check: [u8; 4], comment: &str) -> Secret<String> {
    let public = point(seed);
    let mut inner = [check, check].concat();
    string(&mut inner, KIND);
    string(&mut inner, &public);
    string(&mut inner, &[seed.as_slice(), &public].concat());
    string(&mut inner, comment.as_bytes());
    inner.extend((1..).take((BLOCK - inner.len() % BLOCK) % BLOCK));
    let mut key = MAGIC.to_vec();
    // No cipher, no way to make its key, and so nothing to make it from.
    for nothing in [b"none".as_slice(), b"none", b""] {
        string(&mut key, nothing);
    }
    key.extend(1_u32.to_be_bytes());
    string(&mut key, &blob(&public));
    string(&mut key, &inner);
    let mut text = format!("{BEGIN}\n");
    for (column, c) in STANDARD.encode(&key).chars().enumerate() {
        if column > 0 && column % COLUMNS == 0 {
            text.push('\n');
        }
        text.push(c);
    }
    text.push_str(&format!("\n{END}\n"));
    Secret::new(text)
}

/// The line of the public half of a private key; it stands in the clear even where there is a passphrase.
pub(super) fn public(private: &str, comment: &str) -> Option<String> {
    let armour = private.trim().strip_prefix(BEGIN)?.strip_suffix(END)?;
    let text: String = armour.split_whitespace().collect();
    let bytes = STANDARD.decode(text).ok()?;
    let mut rest = bytes.strip_prefix(MAGIC)?;
    for _ in 0..3 {
        rest = take(rest)?.1;
    }
    let (blob, _) = take(rest.strip_prefix(&1_u32.to_be_bytes())?)?;
    let (kind, _) = take(blob)?;
    let kind = std::str::from_utf8(kind).ok().filter(|kind| !kind.contains(char::is_whitespace))?;
    Some(format!("{kind} {} {comment}\n", STANDARD.encode(blob)))
}

/// The public half of a seed (RFC 8032, 5.1.5).
fn point(seed: &[u8; 32]) -> [u8; 32] {
    let hash = Sha512::digest(seed);
    let mut scalar = [0; 32];
    scalar.copy_from_slice(&hash[..32]);
    EdwardsPoint::mul_base_clamped(scalar).compress().to_bytes()
}

fn blob(public: &[u8; 32]) -> Vec<u8> {
    let mut blob = Vec::new();
    string(&mut blob, KIND);
    string(&mut blob, public);
    blob
}

/// A text with its length before it (RFC 4251, 5); ours are short.
fn string(out: &mut Vec<u8>, text: &[u8]) {
    out.extend(u32::try_from(text.len()).unwrap_or(u32::MAX).to_be_bytes());
    out.extend(text);
}

/// The first text, and what follows it.
fn take(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    rest.split_at_checked(usize::try_from(u32::from_be_bytes(*length)).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first example of RFC 8032, 7.1.
    #[test]
    fn the_public_half_is_that_of_the_rfc() {
        let hex = |text: &str| -> Vec<u8> {
            (0..32).map(|n| u8::from_str_radix(&text[2 * n..2 * n + 2], 16).unwrap()).collect()
        };
        let seed = hex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60");
        let expected = hex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a");
        assert_eq!(point(&seed.try_into().unwrap()).to_vec(), expected);
    }

    #[test]
    fn the_public_half_is_read_from_what_was_made() {
        let key = private(&[7; 32], [1, 2, 3, 4], "flux@harbour");
        let line = public(key.expose(), "flux@harbour").unwrap();
        assert!(
            line.starts_with("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI") && line.ends_with(" flux@harbour\n")
        );
        assert!(key.expose().lines().all(|line| line.len() <= COLUMNS));
        assert_eq!(
            public("-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----\n", ""),
            None
        );
        assert_eq!(public("x", ""), None);
    }

    /// What OpenSSH itself makes of it.
    #[test]
    fn openssh_takes_it() {
        use std::os::unix::fs::OpenOptionsExt;
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("key");
        let key = private(&[9; 32], [5, 6, 7, 8], "flux");
        let mut file =
            std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path).unwrap();
        std::io::Write::write_all(&mut file, key.expose().as_bytes()).unwrap();
        #[expect(clippy::disallowed_methods, reason = "another program judges what is made here")]
        let output = std::process::Command::new("ssh-keygen").arg("-y").arg("-f").arg(&path).output();
        let Ok(output) = output else {
            eprintln!("SKIPPED: ssh-keygen is not there");
            return;
        };
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let line = String::from_utf8(output.stdout).unwrap();
        assert_eq!(line.trim(), public(key.expose(), "flux").unwrap().trim());
    }
}

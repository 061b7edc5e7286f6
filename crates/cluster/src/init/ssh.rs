//! A deploy key in the form of OpenSSH: an ed25519 pair without a passphrase, which Flux opens a private repository with. Keys are
//! made and their public half is read here; nothing is signed.

use portreeve_model::Secret;
use ssh_key::{
    LineEnding, PrivateKey, Result,
    private::{Ed25519Keypair, KeypairData},
};

/// The text of a private key made of a seed.
pub(super) fn private(seed: &[u8; 32], comment: &str) -> Result<Secret<String>> {
    let pair = KeypairData::from(Ed25519Keypair::from_seed(seed));
    let text = PrivateKey::new(pair, comment)?.to_openssh(LineEnding::LF)?;
    Ok(Secret::new(text.as_str().to_owned()))
}

/// The line of the public half of a private key; it stands in the clear even where there is a passphrase.
pub(super) fn public(private: &str, comment: &str) -> Option<String> {
    let mut public = PrivateKey::from_openssh(private).ok()?.public_key().clone();
    public.set_comment(comment);
    Some(public.to_openssh().ok()? + "\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_public_half_is_read_from_what_was_made() {
        let key = private(&[7; 32], "flux@harbour").unwrap();
        let line = public(key.expose(), "flux@harbour").unwrap();
        assert!(
            line.starts_with("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI") && line.ends_with(" flux@harbour\n")
        );
        assert_eq!(public("x", ""), None);
    }

    /// What OpenSSH itself makes of it.
    #[test]
    fn openssh_takes_it() {
        use std::os::unix::fs::OpenOptionsExt;
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("key");
        let key = private(&[9; 32], "flux").unwrap();
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

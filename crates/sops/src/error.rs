//! What can be wrong with a SOPS file. No message ever holds a plaintext; places are lines, or the path of keys.

/// Why a file could not be read or written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The text is not a document of its format.
    #[error("line {line}: {what}")]
    Unreadable {
        /// Counted from 1.
        line: usize,
        /// What is wrong there.
        what: String,
    },
    /// The file has no `sops` block, or one that is incomplete.
    #[error("the `sops` block {what}")]
    Metadata {
        /// What is missing or wrong.
        what: String,
    },
    /// The data key is wrapped for others than age recipients.
    #[error("the data key is wrapped with {kinds}; only age recipients in one group are understood")]
    Foreign {
        /// What was found, such as `pgp`.
        kinds: String,
    },
    /// None of the keys opens the file.
    #[error("none of the given age keys opens this file; it is for {recipients}")]
    NoKey {
        /// The public keys that it is for.
        recipients: String,
    },
    /// A value was changed, moved or cut off after it was encrypted.
    #[error(
        "the value at `{path}` was not encrypted here with this file's key: it was changed, moved, or merged by hand"
    )]
    Tampered {
        /// The keys that lead there, joined by dots.
        path: String,
    },
    /// Values were added, removed or changed after the file was encrypted.
    #[error(
        "the file was changed after it was encrypted: its values do not add up to its authentication code"
    )]
    Mac,
    /// A pattern of a rule is no regular expression.
    #[error("`{pattern}` is not a regular expression: {why}")]
    Pattern {
        /// The pattern.
        pattern: String,
        /// What the parser said.
        why: String,
    },
    /// A public or private key is not one of age.
    #[error("{what}")]
    Key {
        /// What is wrong with it; never the key itself.
        what: String,
    },
    /// The recipients of a file are not those that are wanted: re-keying has to be asked for.
    #[error(
        "this file is for {found}, not for {wanted}; change the recipients of existing files with a rotation"
    )]
    Recipients {
        /// Whom the file is for.
        found: String,
        /// Whom it should be for.
        wanted: String,
    },
}

impl Error {
    pub(crate) fn at(line: usize, what: impl Into<String>) -> Self {
        Self::Unreadable { line, what: what.into() }
    }

    pub(crate) fn metadata(what: impl Into<String>) -> Self {
        Self::Metadata { what: what.into() }
    }

    pub(crate) fn tampered(path: &[String]) -> Self {
        Self::Tampered { path: path.join(".") }
    }
}

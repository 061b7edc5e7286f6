//! A value that must not be printed, logged or serialised. Its type has no `Display`, its `Debug` hides it,
//! and its memory is wiped when it goes.

use std::fmt;
use zeroize::Zeroize;

/// Something secret. [`Secret::expose`] is the only way to the value, so each use can be found by its name.
#[derive(Clone)]
pub struct Secret<T: Zeroize>(T);

impl<T: Zeroize> Secret<T> {
    /// Takes the value into custody.
    pub fn new(value: T) -> Self {
        Self(value)
    }

    /// The value itself. Never log it, never put it into an error.
    pub fn expose(&self) -> &T {
        &self.0
    }
}

/// For telling whether a configuration has changed; in the same time wherever two of one length differ.
impl PartialEq for Secret<String> {
    fn eq(&self, other: &Self) -> bool {
        let differs = |(one, two): (u8, u8)| one ^ two;
        let difference = self.0.bytes().zip(other.0.bytes()).map(differs).fold(0, |all, next| all | next);
        self.0.len() == other.0.len() && difference == 0
    }
}

impl Eq for Secret<String> {}

impl<T: Zeroize> Drop for Secret<T> {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl<T: Zeroize> fmt::Debug for Secret<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_hides_the_value() {
        assert!(!format!("{:?}", Secret::new("hunter2".to_owned())).contains("hunter2"));
    }
}

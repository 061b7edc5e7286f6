//! A secret as templates see it: a thing that is there and says nothing. Only the filter `q` takes its text out, and only in
//! a file that is going to be encrypted.

use minijinja::value::{Object, ObjectRepr, Value};
use portreeve_model::Secret;
use std::{fmt, sync::Arc};

/// What stands where somebody tries to print one.
const HIDDEN: &str = "<secret>";

/// The secret.
pub(super) struct Hidden(Secret<String>);

impl Hidden {
    pub(super) fn value(text: &str) -> Value {
        Value::from_object(Self(Secret::new(text.to_owned())))
    }

    /// The secret that a value is, if it is one.
    pub(super) fn of(value: &Value) -> Option<&Secret<String>> {
        value.downcast_object_ref::<Self>().map(|hidden| &hidden.0)
    }
}

impl fmt::Debug for Hidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(HIDDEN)
    }
}

impl Object for Hidden {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(HIDDEN)
    }
}

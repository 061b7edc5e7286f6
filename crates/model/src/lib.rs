//! The nouns everyone shares: ids, principals, secrets, limits, error kinds.

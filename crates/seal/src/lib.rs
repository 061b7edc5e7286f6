//! The one place that seals values which leave the process.

//! The life of a call: catalogue, view, bridge, parked calls, sessions, record.

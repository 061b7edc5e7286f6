//! Child programs: groups, limits, shutdown.

//! Everything HTTP: the MCP doors, health, metrics.

//! Built-in MCP servers.

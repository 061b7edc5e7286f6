//! Connectors to MCP servers: stdio children and Streamable HTTP of both eras.

//! Built-in MCP servers. Each looks to the gateway like any other server: a [`portreeve_mcp::Service`].
//! No transport and no configuration here; whoever starts a server hands it its options.

pub mod demo;

pub use demo::Demo;

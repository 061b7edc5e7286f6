//! The Model Context Protocol, sans-IO: frames, eras, SSE, headers, payload versions.

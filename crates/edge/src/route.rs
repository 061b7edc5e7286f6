//! Paths, compared byte for byte: nothing is decoded, normalised or completed, so no spelling reaches what another is
//! refused. Unknown paths are JSON 404s.

/// Where a path leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Route<'a> {
    /// `/mcp/<server>`
    Server(&'a str),
    /// `/mcp`
    Root,
    /// `/sse/<server>`
    Sse(&'a str),
    /// `/sse`
    SseRoot,
    /// The process lives.
    Live,
    /// The gate takes calls.
    Ready,
    /// Nowhere.
    Unknown,
}

/// Reads a path.
pub fn route(path: &str) -> Route<'_> {
    match path {
        "/mcp" => Route::Root,
        "/sse" => Route::SseRoot,
        "/healthz" | "/health" | "/api/healthz" => Route::Live,
        "/readyz" | "/ready" => Route::Ready,
        _ => match path.strip_prefix("/mcp/") {
            Some(rest) => match rest.split_once('/') {
                None if is_name(rest) => Route::Server(rest),
                Some((name, "health")) if is_name(name) => Route::Live,
                _ => Route::Unknown,
            },
            None => match path.strip_prefix("/sse/") {
                Some(name) if is_name(name) => Route::Sse(name),
                _ => Route::Unknown,
            },
        },
    }
}

fn is_name(name: &str) -> bool {
    portreeve_model::ServerName::new(name).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_exact() {
        let rows = [
            ("/mcp", Route::Root),
            ("/mcp/demo", Route::Server("demo")),
            ("/mcp/demo/health", Route::Live),
            ("/sse", Route::SseRoot),
            ("/sse/demo", Route::Sse("demo")),
            ("/sse/demo/", Route::Unknown),
            ("/healthz", Route::Live),
            ("/health", Route::Live),
            ("/api/healthz", Route::Live),
            ("/readyz", Route::Ready),
            ("/ready", Route::Ready),
            ("/", Route::Unknown),
            ("/mcp/", Route::Unknown),
            ("/mcp/demo/", Route::Unknown),
            ("/mcp//demo", Route::Unknown),
            ("//mcp/demo", Route::Unknown),
            ("/mcp/../mcp/demo", Route::Unknown),
            ("/mcp/%64emo", Route::Unknown),
            ("/mcp/demo%2f", Route::Unknown),
            ("/mcp/demo;x", Route::Unknown),
            ("/MCP/demo", Route::Unknown),
            ("/mcp/demo/health/", Route::Unknown),
        ];
        for (path, expected) in rows {
            assert_eq!(route(path), expected, "{path}");
        }
    }
}

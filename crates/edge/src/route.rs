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
    /// The door for people and scripts, below `/api/v1/tools`.
    Rest(Named<'a>),
    /// The process lives.
    Live,
    /// The gate takes calls.
    Ready,
    /// Nowhere.
    Unknown,
}

/// What a path of the door for people and scripts names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Named<'a> {
    /// `/api/v1/tools`
    All,
    /// `/api/v1/tools/<server>`
    Server(&'a str),
    /// `/api/v1/tools/<server>/<tool>`: the tool as the path spells it, which may hold slashes.
    Tool(&'a str, &'a str),
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
                Some(_) => Route::Unknown,
                None => named(path).map_or(Route::Unknown, Route::Rest),
            },
        },
    }
}

fn named(path: &str) -> Option<Named<'_>> {
    let rest = path.strip_prefix("/api/v1/tools")?;
    if rest.is_empty() {
        return Some(Named::All);
    }
    let rest = rest.strip_prefix('/')?;
    let (server, tool) = rest.split_once('/').map_or((rest, None), |(server, tool)| (server, Some(tool)));
    match tool {
        _ if !is_name(server) => None,
        None => Some(Named::Server(server)),
        Some(tool) => (!tool.is_empty()).then_some(Named::Tool(server, tool)),
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
            ("/api/v1/tools", Route::Rest(Named::All)),
            ("/api/v1/tools/demo", Route::Rest(Named::Server("demo"))),
            ("/api/v1/tools/demo/echo", Route::Rest(Named::Tool("demo", "echo"))),
            ("/api/v1/tools/demo/a%2Fb", Route::Rest(Named::Tool("demo", "a%2Fb"))),
            ("/api/v1/tools/demo/a/b", Route::Rest(Named::Tool("demo", "a/b"))),
            ("/api/v1/tools/", Route::Unknown),
            ("/api/v1/tools/demo/", Route::Unknown),
            ("/api/v1/tools/%64emo", Route::Unknown),
            ("/api/v1/toolsets", Route::Unknown),
            ("/api/v1", Route::Unknown),
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

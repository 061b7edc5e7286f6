//! The door for people and scripts (decision D32): `/api/v1/tools` lists tools, `/api/v1/tools/<server>/<tool>` describes one or
//! calls it. Every request goes the way of an MCP request, under the same decision and into the same record; nobody is there
//! to be asked, so questions of a server are declined.

use crate::{
    answer,
    body::OutBody,
    listener::Edge,
    mcp::identify,
    request::{accepts, is_json, read_body},
    route::Named,
};
use bytes::Bytes;
use futures_util::future::join_all;
use http::{HeaderValue, Method as Verb, Request, Response, StatusCode, header};
use hyper::body::Incoming;
use percent_encoding::percent_decode_str;
use portreeve_gateway::{Inbound, ModernEnvelope, Server, Trace, error};
use portreeve_mcp::{
    ClientCapabilities, Code, Id, Method, Outcome, Params, RawJson, RpcError, json, json::Kind, meta::Meta,
};
use portreeve_model::Principal;
use std::{borrow::Cow, sync::Arc, time::Duration};

/// How long one server may take to list its tools; who is slower is named as missing (mcp.md 5.2).
const LIST_TIME: Duration = Duration::from_secs(5);
/// How many pages of one list are read: the gate makes pages of hundreds, so only a list without an end is longer.
const MAX_PAGES: usize = 100;

type Answered<T> = Result<T, Box<Response<OutBody>>>;

/// Serves one request. Host and Origin were checked.
pub(crate) async fn serve(edge: &Edge, named: Named<'_>, request: Request<Incoming>) -> Response<OutBody> {
    answer(edge, named, request).await.unwrap_or_else(|refused| *refused)
}

async fn answer(edge: &Edge, named: Named<'_>, request: Request<Incoming>) -> Answered<Response<OutBody>> {
    let (parts, body) = request.into_parts();
    let principal = identify(edge, &parts)?;
    if !accepts(&parts.headers, &["application/json"]) {
        return Err(problem(StatusCode::NOT_ACCEPTABLE, "accept application/json"));
    }
    let trace = Trace::of_header(parts.headers.get("traceparent").map(HeaderValue::as_bytes));
    let desk = Desk { edge, principal, trace };
    match (named, parts.method) {
        (Named::All, Verb::GET) => Ok(desk.all().await),
        (Named::Server(server), Verb::GET) => desk.of_server(server).await,
        (Named::Tool(server, tool), Verb::GET) => desk.describe(server, tool).await,
        (Named::Tool(server, tool), Verb::POST) => {
            let (server, tool) = (desk.server(server)?, name_of(tool)?);
            let arguments = read_arguments(edge, &parts.headers, body).await?;
            desk.call(&server, &tool, arguments).await
        }
        (Named::Tool(..), _) => Err(wrong_verb("GET, POST")),
        (Named::All | Named::Server(_), _) => Err(wrong_verb("GET")),
    }
}

/// Where one caller is served.
struct Desk<'a> {
    edge: &'a Edge,
    principal: Principal,
    trace: Trace,
}

impl Desk<'_> {
    fn server(&self, name: &str) -> Answered<Arc<Server>> {
        let server = self.edge.gateway.server(name);
        let reached = server.filter(|server| self.edge.gateway.reaches(&self.principal, server));
        reached.ok_or_else(|| problem(StatusCode::NOT_FOUND, "no such server"))
    }

    /// One request as an MCP client of the newest revision would send it, that can be asked nothing.
    async fn ask(&self, server: &Arc<Server>, method: Method, params: Params) -> Result<RawJson, RpcError> {
        let inbound = Inbound {
            principal: self.principal.clone(),
            server: server.clone(),
            id: Id::number(0),
            method,
            raw: Some(params.encode(None)),
            params,
            trace: self.trace,
        };
        let envelope = ModernEnvelope {
            capabilities: ClientCapabilities::none(),
            log_level: None,
            meta: Meta::default(),
        };
        match self.edge.gateway.modern(inbound, envelope, None).await.into_outcome().await {
            Some(Outcome::Result(result)) => Ok(result),
            Some(Outcome::Error(error)) => Err(error),
            None => Err(RpcError::new(error::SHUTTING_DOWN, "the call was ended")),
        }
    }

    /// All tools of one server.
    async fn tools(&self, server: &Arc<Server>) -> Result<Vec<RawJson>, RpcError> {
        let (mut tools, mut params) = (Vec::new(), Params::default());
        for _ in 0..MAX_PAGES {
            let page = match self.ask(server, Method::ToolsList, params).await {
                Ok(page) => page,
                // It has no tools, and that is no fault.
                Err(error) if error.code == Code::METHOD_NOT_FOUND => return Ok(tools),
                Err(error) => return Err(error),
            };
            tools.extend(page.get("tools").and_then(|list| list.elements()).unwrap_or_default());
            let Some(cursor) = page.get("nextCursor").filter(|cursor| cursor.kind() == Kind::String) else {
                break;
            };
            params = Params::default();
            params.set("cursor", cursor);
        }
        Ok(tools)
    }

    async fn tools_in_time(&self, server: &Arc<Server>) -> Result<Vec<RawJson>, RpcError> {
        let late = |_| Err(RpcError::new(error::TIMEOUT, "the server did not list its tools in time"));
        tokio::time::timeout(LIST_TIME, self.tools(server)).await.unwrap_or_else(late)
    }

    /// The tools of all servers that the caller reaches. Who gives no list is named and changes nothing for the others.
    async fn all(&self) -> Response<OutBody> {
        let mut servers = self.edge.gateway.servers();
        servers.retain(|server| self.edge.gateway.reaches(&self.principal, server));
        servers.sort_by(|one, other| one.name().cmp(other.name()));
        let lists = join_all(servers.iter().map(|server| self.tools_in_time(server))).await;
        let mut out = Vec::from(*b"{\"tools\":[");
        for (server, list) in servers.iter().zip(&lists) {
            write_tools(&mut out, server, list.as_deref().unwrap_or_default());
        }
        out.extend_from_slice(b"],\"unavailable\":[");
        let faults =
            servers.iter().zip(&lists).filter_map(|(server, list)| Some((server, list.as_ref().err()?)));
        for (server, fault) in faults {
            separate(&mut out);
            out.push(b'{');
            json::write_member(&mut out, "server", RawJson::string(server.name().as_str()).as_bytes());
            write_fault(&mut out, fault);
            out.push(b'}');
        }
        out.extend_from_slice(b"]}");
        answer::json(StatusCode::OK, OutBody::whole(out))
    }

    async fn of_server(&self, name: &str) -> Answered<Response<OutBody>> {
        let server = self.server(name)?;
        let tools = self.tools_in_time(&server).await.map_err(|error| refused(&error))?;
        let mut out = Vec::from(*b"{\"tools\":[");
        write_tools(&mut out, &server, &tools);
        out.extend_from_slice(b"]}");
        Ok(answer::json(StatusCode::OK, OutBody::whole(out)))
    }

    async fn describe(&self, server: &str, tool: &str) -> Answered<Response<OutBody>> {
        let (server, tool) = (self.server(server)?, name_of(tool)?);
        let tools = self.tools_in_time(&server).await.map_err(|error| refused(&error))?;
        let found = tools.iter().find(|known| is_called(known, &tool)).ok_or_else(|| no_tool(&tool))?;
        Ok(answer::json(StatusCode::OK, OutBody::whole(shown(&server, found).as_bytes().to_vec())))
    }

    async fn call(
        &self,
        server: &Arc<Server>,
        tool: &str,
        arguments: RawJson,
    ) -> Answered<Response<OutBody>> {
        let mut params = Params::default();
        params.set("name", RawJson::string(tool));
        params.set("arguments", arguments);
        match self.ask(server, Method::ToolsCall, params).await {
            Ok(result) => {
                let failed = result.get("isError").is_some_and(|is| is.as_bytes() == b"true");
                let status = if failed { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
                Ok(answer::json(status, OutBody::whole(result.bytes())))
            }
            // An unknown tool and wrong arguments have one code, and the list tells them apart.
            Err(error) if error.code == Code::INVALID_PARAMS => match self.tools_in_time(server).await {
                Ok(tools) if !tools.iter().any(|known| is_called(known, tool)) => Err(no_tool(tool)),
                _ => Err(refused(&error)),
            },
            Err(error) => Err(refused(&error)),
        }
    }
}

/// The arguments: a JSON object, or nothing at all for a tool that needs none.
async fn read_arguments(edge: &Edge, headers: &http::HeaderMap, body: Incoming) -> Answered<RawJson> {
    let limits = edge.gateway.limits();
    let body = read_body(body, limits.body)
        .await
        .map_err(|fault| problem(fault.status(), &fault.text(limits.body)))?;
    // A form of a foreign page can send anything but this media type, and a body of nothing.
    if !is_json(headers) {
        let text = "send `Content-Type: application/json` and the arguments as one JSON object";
        return Err(problem(StatusCode::UNSUPPORTED_MEDIA_TYPE, text));
    }
    let body = if body.is_empty() { Bytes::from_static(b"{}") } else { body };
    match RawJson::parse(&body, limits.depth) {
        Ok(arguments) if arguments.kind() == Kind::Object => Ok(arguments),
        Ok(_) => Err(problem(StatusCode::BAD_REQUEST, "the body is not an object: send {\"<argument>\": …}")),
        Err(error) => Err(problem(StatusCode::BAD_REQUEST, &format!("the body is not JSON: {error}"))),
    }
}

/// The name of a tool as the path spells it. Names have few characters today, but older servers use any. Half an escape
/// stands for itself (URL standard, 1.3).
fn name_of(segment: &str) -> Answered<String> {
    let name = percent_decode_str(segment).decode_utf8().map(Cow::into_owned);
    name.map_err(|_| problem(StatusCode::BAD_REQUEST, "the name of a tool is UTF-8"))
}

fn is_called(tool: &RawJson, name: &str) -> bool {
    tool.get("name").and_then(|known| known.string_value()).is_some_and(|known| known == *name)
}

/// A tool as its server describes it, with the server's name.
fn shown(server: &Server, tool: &RawJson) -> RawJson {
    tool.with(&[], &[("server", &RawJson::string(server.name().as_str()))])
}

fn write_tools(out: &mut Vec<u8>, server: &Server, tools: &[RawJson]) {
    for tool in tools {
        separate(out);
        out.extend_from_slice(shown(server, tool).as_bytes());
    }
}

fn separate(out: &mut Vec<u8>) {
    if out.last() != Some(&b'[') {
        out.push(b',');
    }
}

fn write_fault(out: &mut Vec<u8>, fault: &RpcError) {
    json::write_member(out, "error", RawJson::string(&fault.message).as_bytes());
    json::write_member(out, "code", fault.code.0.to_string().as_bytes());
}

/// An error of the protocol as an HTTP status (docs/rest.md): what is certain not to have run is told apart from the rest.
fn status_of(code: Code) -> StatusCode {
    match code {
        Code::METHOD_NOT_FOUND => StatusCode::NOT_FOUND,
        Code::INVALID_PARAMS | Code::INVALID_REQUEST => StatusCode::BAD_REQUEST,
        Code::MISSING_CAPABILITY | Code::URL_ELICITATION_REQUIRED => StatusCode::NOT_IMPLEMENTED,
        error::UNREACHABLE | error::BUSY | error::SHUTTING_DOWN => StatusCode::SERVICE_UNAVAILABLE,
        error::TIMEOUT => StatusCode::GATEWAY_TIMEOUT,
        error::RATE_LIMITED => StatusCode::TOO_MANY_REQUESTS,
        _ => StatusCode::BAD_GATEWAY,
    }
}

fn refused(fault: &RpcError) -> Box<Response<OutBody>> {
    let mut out = vec![b'{'];
    write_fault(&mut out, fault);
    if let Some(data) = &fault.data {
        json::write_member(&mut out, "data", data.as_bytes());
    }
    out.push(b'}');
    let mut response = answer::json(status_of(fault.code), OutBody::whole(out));
    let wait = fault.data.as_ref().and_then(|data| data.get("retryAfterSeconds"));
    if let Some(wait) = wait.and_then(|seconds| HeaderValue::from_bytes(seconds.as_bytes()).ok()) {
        response.headers_mut().insert(header::RETRY_AFTER, wait);
    }
    Box::new(response)
}

fn problem(status: StatusCode, text: &str) -> Box<Response<OutBody>> {
    Box::new(answer::problem(status, text))
}

fn no_tool(name: &str) -> Box<Response<OutBody>> {
    problem(StatusCode::NOT_FOUND, &format!("no such tool: {name}"))
}

fn wrong_verb(allowed: &'static str) -> Box<Response<OutBody>> {
    let mut response = answer::problem(StatusCode::METHOD_NOT_ALLOWED, &format!("use {allowed}"));
    response.headers_mut().insert(header::ALLOW, HeaderValue::from_static(allowed));
    Box::new(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_decoded_once() {
        let rows = [
            ("plain_name", Some("plain_name")),
            ("a%2Fb", Some("a/b")),
            ("a/b", Some("a/b")),
            ("gr%C3%B6%C3%9Fe", Some("größe")),
            ("100%2525", Some("100%25")),
            ("a%", Some("a%")),
            ("a%2", Some("a%2")),
            ("a%zz%41", Some("a%zzA")),
            ("%ff", None),
        ];
        for (segment, expected) in rows {
            assert_eq!(name_of(segment).ok().as_deref(), expected, "{segment}");
        }
    }
}

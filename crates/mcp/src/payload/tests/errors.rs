//! Errors, between the revisions.

use super::*;
use crate::{Params, RpcError};

const READ: Method = Method::ResourcesRead;
const CALL: Method = Method::ToolsCall;

fn check(error: &str, method: &Method, client: Version, server: Era, wanted: &str) {
    let params = Params::parse(Some(&raw(r#"{"uri":"file:///a","name":"t"}"#))).unwrap();
    let error = RpcError::from_raw(&raw(error));
    let got = error_for_client(&error, method, &params, client, server);
    let about = format!("{error:?} {method:?} from {server:?} to {client}");
    same(&got.encode(), wanted, &about);
}

fn passes(error: &str, method: &Method, client: Version, server: Era) {
    check(error, method, client, server, error);
}

#[test]
fn check_035_legacy_codes_become_internal_for_modern_clients() {
    for code in [-32000, -32001, -32002, -32003, -32019, -32020, -32021, -32022, -32042, -32050, -32099] {
        let error = format!(r#"{{"code":{code},"message":"m","data":{{"x":1}}}}"#);
        let wanted = format!(r#"{{"code":-32603,"message":"m","data":{{"original":{error}}}}}"#);
        check(&error, &CALL, MODERN, Era::Legacy, &wanted);
        passes(&error, &CALL, RICH, Era::Legacy);
    }
    for code in [-32700, -32600, -32601, -32602, -32603, -32100, -31999, -1, 1, 404] {
        let error = format!(r#"{{"code":{code},"message":"m","extra":1}}"#);
        passes(&error, &CALL, MODERN, Era::Legacy);
        passes(&error, &CALL, MODERN, Era::Modern);
        passes(&error, &CALL, RICH, Era::Modern);
    }
}

#[test]
fn check_035_undefined_codes_of_modern_servers_become_internal() {
    for code in [-32023, -32042, -32099] {
        let error = format!(r#"{{"code":{code},"message":"m"}}"#);
        let wanted = format!(r#"{{"code":-32603,"message":"m","data":{{"original":{error}}}}}"#);
        check(&error, &CALL, MODERN, Era::Modern, &wanted);
        check(&error, &CALL, RICH, Era::Modern, &wanted);
    }
    let legacy = r#"{"code":-32002,"message":"m"}"#;
    check(
        legacy,
        &CALL,
        MODERN,
        Era::Modern,
        r#"{"code":-32603,"message":"m","data":{"original":{"code":-32002,"message":"m"}}}"#,
    );
}

#[test]
fn what_is_between_gate_and_server_is_not_shown() {
    for code in [-32020, -32022] {
        let error = format!(r#"{{"code":{code},"message":"inner","data":{{"supported":[]}}}}"#);
        let wanted = r#"{"code":-32603,"message":"the server did not accept the form of the request"}"#;
        for client in [OLDEST, RICH, MODERN] {
            check(&error, &CALL, client, Era::Modern, wanted);
        }
    }
    let capability = r#"{"code":-32021,"message":"m","data":{"requiredCapabilities":{"sampling":{}}}}"#;
    passes(capability, &CALL, MODERN, Era::Modern);
    passes(capability, &CALL, RICH, Era::Modern);
}

#[test]
fn check_140_141_a_missing_resource_has_each_eras_code() {
    let legacy = r#"{"code":-32002,"message":"m"}"#;
    let modern = r#"{"code":-32602,"message":"m","data":{"uri":"file:///a"}}"#;
    let other = r#"{"code":-32602,"message":"m","data":{"uri":"file:///b"}}"#;
    let plain = r#"{"code":-32602,"message":"m"}"#;
    check(legacy, &READ, MODERN, Era::Legacy, modern);
    check(legacy, &READ, MODERN, Era::Modern, modern);
    check(r#"{"code":-32002,"message":"m","data":{"uri":"file:///a"}}"#, &READ, MODERN, Era::Legacy, modern);
    check(
        r#"{"code":-32002,"message":"m","data":{"x":1}}"#,
        &READ,
        MODERN,
        Era::Legacy,
        r#"{"code":-32602,"message":"m","data":{"x":1,"uri":"file:///a"}}"#,
    );
    check(
        r#"{"code":-32002,"message":"m","data":"gone"}"#,
        &READ,
        MODERN,
        Era::Legacy,
        r#"{"code":-32602,"message":"m","data":{"original":"gone","uri":"file:///a"}}"#,
    );
    passes(legacy, &READ, RICH, Era::Legacy);
    check(modern, &READ, RICH, Era::Modern, r#"{"code":-32002,"message":"m","data":{"uri":"file:///a"}}"#);
    for (error, method) in [(other, &READ), (plain, &READ), (modern, &CALL)] {
        passes(error, method, RICH, Era::Modern);
    }
    passes(modern, &READ, MODERN, Era::Modern);
    passes(modern, &READ, RICH, Era::Legacy);
}

#[test]
fn a_legacy_server_that_says_which_capability_it_needs_is_understood() {
    let says = |code: i32, data: &str| format!(r#"{{"code":{code},"message":"m","data":{data}}}"#);
    let needs = r#"{"requiredCapabilities":{"sampling":{}}}"#;
    for code in [-32000, -32021, -32050] {
        check(&says(code, needs), &CALL, MODERN, Era::Legacy, &says(-32021, needs));
        passes(&says(code, needs), &CALL, RICH, Era::Legacy);
    }
    // Words that are no list of capabilities say nothing.
    let vague = says(-32021, r#"{"requiredCapabilities":["sampling"]}"#);
    let internal = says(-32603, &format!(r#"{{"original":{vague}}}"#));
    check(&vague, &CALL, MODERN, Era::Legacy, &internal);
}

//! `tls`, the certificate that the gate shows, and `outbound`, the way to servers: certificate authorities and a proxy.
//! Both are read with what they name, so that a broken file is an error of the configuration and has a place.

use super::{
    reader::{At, Reader, Table},
    reference::absolute,
    table::{OUTBOUND, TLS},
    types::{Outbound, Tls},
};
use http::Uri;
use portreeve_edge::{Certificate, CertificateError};
use portreeve_model::Secret;
use portreeve_upstream::{Authorities, Proxy};

/// Reads `tls`.
pub(super) fn tls(reader: &mut Reader<'_>, at: &At<'_>) -> Option<Tls> {
    let table = reader.table(at, &TLS)?;
    let [certificate, key] = ["certificate", "key"].map(|name| {
        if table.get(name).is_none() && !table.misspelt(name) {
            let mend = "write `tls: {certificate: /path/tls.crt, key: /path/tls.key}`".to_owned();
            reader.problem(at, format!("`{name}` is missing"), Some(mend));
        }
        table.get(name)
    });
    let (certificate_at, key_at) = (certificate?, key?);
    let (certificate, key) = (file(reader, &certificate_at), file(reader, &key_at));
    let tls = Tls { certificate: certificate?, key: Secret::new(key?) };
    match Certificate::new(tls.certificate.as_bytes(), tls.key.expose().as_bytes()) {
        Ok(_) => return Some(tls),
        Err(error @ (CertificateError::NoCertificate | CertificateError::Unusable(_))) => {
            reader.problem(&certificate_at, error.to_string(), None);
        }
        Err(error @ (CertificateError::NoKey | CertificateError::Foreign)) => {
            reader.problem(&key_at, error.to_string(), None);
        }
    }
    None
}

/// Reads `outbound`.
pub(super) fn outbound(reader: &mut Reader<'_>, at: &At<'_>) -> Outbound {
    let Some(table) = reader.table(at, &OUTBOUND) else { return Outbound::default() };
    let authorities = table.get("ca").and_then(|at| authorities(reader, &at));
    let proxy = table.get("proxy").and_then(|at| proxy(reader, &at));
    Outbound { authorities, proxy }
}

/// The way to one server: its own keys first. A proxy that is there for all is not asked for this machine's own servers.
pub(super) fn way(reader: &mut Reader<'_>, table: &Table<'_>, all: &Outbound, url: &Uri) -> Outbound {
    let authorities = match table.get("ca") {
        Some(at) => authorities(reader, &at),
        None => all.authorities.clone(),
    };
    let proxy = match table.get("proxy") {
        Some(at) if matches!(&at.node.data, portreeve_yaml::Data::Scalar(text) if text.text == "none") => {
            None
        }
        Some(at) => proxy(reader, &at),
        None => all.proxy.clone().filter(|_| !is_loopback(url)),
    };
    Outbound { authorities, proxy }
}

fn is_loopback(url: &Uri) -> bool {
    let host = url.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost")
        || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.to_canonical().is_loopback())
}

fn authorities(reader: &mut Reader<'_>, at: &At<'_>) -> Option<Authorities> {
    match Authorities::parse(file(reader, at)?.as_bytes()) {
        Ok(authorities) => Some(authorities),
        Err(why) => {
            let mend = "name a file with the certificates of the authority, in PEM".to_owned();
            reader.problem(at, why, Some(mend));
            None
        }
    }
}

/// An address with a password in it, more often than not: it is never repeated.
fn proxy(reader: &mut Reader<'_>, at: &At<'_>) -> Option<Proxy> {
    match Proxy::parse(&reader.text(at)?) {
        Ok(proxy) => Some(proxy),
        Err(why) => {
            let mend =
                "write it like http://proxy.example.com:3128, or \"${env:PROXY}\" where it has a password"
                    .to_owned();
            reader.problem(at, format!("this is not the address of a proxy: {why}"), Some(mend));
            None
        }
    }
}

/// The text of the file that a value names.
fn file(reader: &mut Reader<'_>, at: &At<'_>) -> Option<String> {
    let path = reader.text(at)?;
    let read = absolute(&path, reader.base()).and_then(|path| {
        reader.lookup.file(&path).map_err(|why| format!("cannot read {}: {why}", at.shown()))
    });
    read.map_err(|what| reader.problem(at, what, None)).ok()
}

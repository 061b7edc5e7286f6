//! TLS towards servers: the Mozilla roots, the machine's own and those that the configuration names, one crypto provider,
//! TLS 1.2 and 1.3. It does not pin, and never skips verification.

use crate::ConfigError;
use rustls::{
    ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};
use std::{
    fmt,
    sync::{Arc, OnceLock},
};
use tokio_rustls::TlsConnector;

/// Certificate authorities beyond the public ones and the machine's own.
#[derive(Clone, PartialEq, Eq)]
pub struct Authorities(Arc<[CertificateDer<'static>]>);

impl fmt::Debug for Authorities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Authorities({})", self.0.len())
    }
}

impl Authorities {
    /// Reads certificates in PEM, one or several.
    ///
    /// # Errors
    /// There is none, or one that cannot stand for an authority.
    pub fn parse(pem: &[u8]) -> Result<Self, &'static str> {
        let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
        let certificates = read.map_err(|_| "it is not PEM")?;
        if certificates.is_empty() {
            return Err("there is no certificate in it (PEM: `-----BEGIN CERTIFICATE-----`)");
        }
        let mut tried = RootCertStore::empty();
        if certificates.iter().any(|one| tried.add(one.clone()).is_err()) {
            return Err("one of its certificates cannot be read");
        }
        Ok(Self(certificates.into()))
    }
}

/// The connector for a server. Those without authorities of their own share one; the roots are read once.
pub(crate) fn connector(authorities: Option<&Authorities>) -> Result<TlsConnector, ConfigError> {
    static SHARED: OnceLock<Arc<ClientConfig>> = OnceLock::new();
    if let Some(authorities) = authorities {
        return Ok(TlsConnector::from(Arc::new(client_config(&authorities.0)?)));
    }
    if let Some(config) = SHARED.get() {
        return Ok(TlsConnector::from(Arc::clone(config)));
    }
    let config = Arc::new(client_config(&[])?);
    Ok(TlsConnector::from(Arc::clone(SHARED.get_or_init(|| config))))
}

/// The public roots and the machine's own, read once.
fn roots() -> RootCertStore {
    static ROOTS: OnceLock<RootCertStore> = OnceLock::new();
    let read = || {
        let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
        let native = rustls_native_certs::load_native_certs();
        for error in &native.errors {
            tracing::debug!(%error, "some of the machine's certificate authorities cannot be read");
        }
        roots.add_parsable_certificates(native.certs);
        roots
    };
    ROOTS.get_or_init(read).clone()
}

fn client_config(further: &[CertificateDer<'static>]) -> Result<ClientConfig, ConfigError> {
    let mut roots = roots();
    roots.add_parsable_certificates(further.iter().cloned());
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let builder = builder.with_safe_default_protocol_versions();
    let builder = builder.map_err(|error| ConfigError::Tls(error.to_string()))?;
    let mut config = builder.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

/// The name that the certificate has to be for.
pub(crate) fn server_name(host: &str) -> Result<ServerName<'static>, String> {
    ServerName::try_from(host.to_owned()).map_err(|error| error.to_string())
}

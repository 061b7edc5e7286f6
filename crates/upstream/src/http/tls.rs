//! TLS towards servers: the Mozilla roots and the machine's own, one crypto provider, TLS 1.2 and 1.3.
//! It does not pin, and never skips verification.

use crate::ConfigError;
use rustls::{ClientConfig, RootCertStore, crypto::ring, pki_types::ServerName};
use std::sync::{Arc, OnceLock};
use tokio_rustls::TlsConnector;

/// The connector that all servers share; the roots are read once.
pub(crate) fn connector() -> Result<TlsConnector, ConfigError> {
    static SHARED: OnceLock<Arc<ClientConfig>> = OnceLock::new();
    if let Some(config) = SHARED.get() {
        return Ok(TlsConnector::from(Arc::clone(config)));
    }
    let config = Arc::new(client_config()?);
    Ok(TlsConnector::from(Arc::clone(SHARED.get_or_init(|| config))))
}

fn client_config() -> Result<ClientConfig, ConfigError> {
    let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    let native = rustls_native_certs::load_native_certs();
    for error in &native.errors {
        tracing::debug!(%error, "some of the machine's certificate authorities cannot be read");
    }
    roots.add_parsable_certificates(native.certs);
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

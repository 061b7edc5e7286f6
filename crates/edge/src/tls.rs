//! The certificate that a listener shows (decision D54): a PEM chain and its key, exchanged while the gate runs.
//! Connections that stand keep what they began with. Clients are not asked for certificates: callers have keys.

use arc_swap::ArcSwap;
use rustls::{
    ServerConfig,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use std::{io, sync::Arc, time::Duration};
use tokio::net::TcpStream;
use tokio_rustls::{TlsAcceptor, server::TlsStream};

/// How long a client may take for its part of the handshake.
const HANDSHAKE_TIME: Duration = Duration::from_secs(10);

/// A certificate cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// The chain is not PEM, or has no certificate in it.
    #[error("there is no certificate in it (PEM: `-----BEGIN CERTIFICATE-----`)")]
    NoCertificate,
    /// The key is not PEM, or of a kind that is not known.
    #[error("there is no private key in it (PEM: PKCS #8, PKCS #1 or SEC 1, without a password)")]
    NoKey,
    /// The key is not the certificate's.
    #[error("the key is not the one of the certificate")]
    Foreign,
    /// Something else about the pair.
    #[error("the pair cannot be used: {0}")]
    Unusable(String),
}

/// A certificate with its chain and its key, ready to be shown.
#[derive(Clone)]
pub struct Certificate(Arc<ServerConfig>);

impl Certificate {
    /// Reads a chain (the gate's own certificate first) and its key, both in PEM.
    ///
    /// # Errors
    /// One of the two is not what it should be, or they do not belong together.
    pub fn new(chain: &[u8], key: &[u8]) -> Result<Self, CertificateError> {
        let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(chain)
            .collect::<Result<_, _>>()
            .map_err(|_| CertificateError::NoCertificate)?;
        if chain.is_empty() {
            return Err(CertificateError::NoCertificate);
        }
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|_| CertificateError::NoKey)?;
        let unusable = |error: rustls::Error| match error {
            rustls::Error::InconsistentKeys(_) => CertificateError::Foreign,
            error => CertificateError::Unusable(error.to_string()),
        };
        let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, key))
            .map_err(unusable)?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self(Arc::new(config)))
    }
}

/// The certificate of a listener at the moment.
pub(crate) struct Shown(ArcSwap<ServerConfig>);

impl Shown {
    pub(crate) fn new(certificate: Certificate) -> Self {
        Self(ArcSwap::new(certificate.0))
    }

    pub(crate) fn exchange(&self, certificate: Certificate) {
        self.0.store(certificate.0);
    }

    /// The server's part of a handshake.
    pub(crate) async fn accept(&self, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        let handshake = TlsAcceptor::from(self.0.load_full()).accept(stream);
        tokio::time::timeout(HANDSHAKE_TIME, handshake).await?
    }
}

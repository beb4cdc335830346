//! How a seller lets buyers in.

use super::bounded::{Bounded, Stream};
use super::certificate::{roots, shown, unfit};
use super::{HANDSHAKE_MAX, PROTOCOL, Papers, Part, Refused, SILENCE_MAX, Unsound};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use tokio_rustls::rustls::version::TLS13;
use tokio_rustls::rustls::{self, ServerConfig};
use tokio_rustls::{TlsAcceptor, TlsStream};

/// The first byte of a TLS handshake; no frame begins with it.
const HANDSHAKE: u8 = 0x16;

/// What a seller shows, and whom it lets in.
#[derive(Clone)]
pub struct SellersTls(TlsAcceptor);

impl SellersTls {
    /// Shows `papers`; where `buyers` is given, PEM of authorities, only those are let in that have a
    /// certificate of one of them.
    ///
    /// # Errors
    /// [`Unsound`] for what of it cannot be used.
    pub fn new(papers: Papers, buyers: Option<&[u8]>) -> Result<Self, Unsound> {
        let provider = Arc::new(ring::default_provider());
        let builder = ServerConfig::builder_with_provider(provider.clone());
        let builder = builder.with_protocol_versions(&[&TLS13]).map_err(unfit)?;
        let builder = match buyers {
            None => builder.with_no_client_auth(),
            Some(pem) => {
                let roots = Arc::new(roots(Some(pem))?);
                let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider).build();
                let unsound = |error| Unsound {
                    part: Part::Roots,
                    what: format!("they cannot be used: {error}"),
                };
                builder.with_client_cert_verifier(verifier.map_err(unsound)?)
            }
        };
        let mut config = builder.with_cert_resolver(shown(&papers)?);
        config.alpn_protocols = vec![PROTOCOL.to_vec()];
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        config.max_early_data_size = 0;
        Ok(SellersTls(TlsAcceptor::from(Arc::new(config))))
    }

    /// Shakes hands with a buyer, for so long at most and no longer than [`HANDSHAKE_MAX`]; one that
    /// says nothing is given up after [`SILENCE_MAX`].
    ///
    /// # Errors
    /// [`Refused`]: who does not speak TLS can still be told so.
    pub async fn accept(&self, stream: TcpStream, at_most: Duration) -> Result<Stream, Refused> {
        let at_most = at_most.min(HANDSHAKE_MAX);
        let late = |_| Refused::Handshake(format!("the handshake took more than {at_most:?}"));
        let shake = self.shake(stream, at_most.min(SILENCE_MAX));
        tokio::time::timeout(at_most, shake).await.map_err(late)?
    }

    async fn shake(&self, stream: TcpStream, silence_max: Duration) -> Result<Stream, Refused> {
        let mut first = [0];
        match tokio::time::timeout(silence_max, stream.peek(&mut first)).await {
            Ok(Ok(1)) if first[0] == HANDSHAKE => {}
            Ok(Ok(1)) | Err(_) => return Err(Refused::InTheClear(stream)),
            Ok(Ok(_)) => return Err(Refused::Handshake("the connection was closed".to_owned())),
            Ok(Err(error)) => return Err(Refused::Handshake(error.to_string())),
        }
        let accepted = self.0.accept(Bounded::new(stream)).await;
        let mut stream = accepted.map_err(|error| Refused::Handshake(sentence(&error)))?;
        stream.get_mut().0.free();
        Ok(TlsStream::Server(stream))
    }
}

/// Why a handshake failed, as the seller's log says it.
fn sentence(error: &std::io::Error) -> String {
    let tls = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match tls {
        Some(rustls::Error::NoCertificatesPresented) => {
            "the buyer showed no certificate, and client_roots asks for one".to_owned()
        }
        Some(rustls::Error::InvalidCertificate(error)) => {
            format!("the buyer's certificate does not do: {error}")
        }
        Some(rustls::Error::AlertReceived(alert)) => {
            format!("the buyer does not take our certificate or our TLS: {alert:?}")
        }
        _ => error.to_string(),
    }
}

impl fmt::Debug for SellersTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SellersTls").finish_non_exhaustive()
    }
}

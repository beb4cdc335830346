//! How a buyer reaches a seller.

use super::bounded::{Bounded, Stream};
use super::certificate::{roots, shown, unfit};
use super::{DialError, PROTOCOL, Papers, Part, Unsound};
use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncBufReadExt;
use tokio::net::TcpStream;
use tokio_rustls::rustls::client::Resumption;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::version::TLS13;
use tokio_rustls::rustls::{
    self, AlertDescription, CertificateError, ClientConfig, Error, InvalidMessage,
};
use tokio_rustls::{TlsConnector, TlsStream};

/// Whom a buyer believes, and what it shows of itself.
#[derive(Clone)]
pub struct BuyersTls {
    connector: TlsConnector,
    /// Who must answer.
    name: ServerName<'static>,
}

/// Whether a certificate can be for this: a host's name or an IP address.
pub fn is_name(text: &str) -> bool {
    ServerName::try_from(text).is_ok()
}

impl BuyersTls {
    /// Believes whoever shows a certificate for `name`, a host's name or an IP address, of one of the
    /// authorities in `sellers` (PEM), or of the public ones without. Shows `papers` to who asks.
    ///
    /// # Errors
    /// [`Unsound`] for what of it cannot be used.
    pub fn new(
        sellers: Option<&[u8]>,
        papers: Option<Papers>,
        name: &str,
    ) -> Result<Self, Unsound> {
        let unsound = |_| Unsound {
            part: Part::Name,
            what: format!("{name:?} is no host's name and no IP address"),
        };
        let name = ServerName::try_from(name.to_owned()).map_err(unsound)?;
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
        let builder = builder.with_protocol_versions(&[&TLS13]).map_err(unfit)?;
        let builder = builder.with_root_certificates(roots(sellers)?);
        let mut config = match papers {
            None => builder.with_no_client_auth(),
            Some(papers) => builder.with_client_cert_resolver(shown(&papers)?),
        };
        config.alpn_protocols = vec![PROTOCOL.to_vec()];
        config.resumption = Resumption::disabled();
        Ok(BuyersTls { connector: TlsConnector::from(Arc::new(config)), name })
    }

    /// Shakes hands with a seller and waits for its first words, within `patience` in all: what a
    /// seller thinks of our certificate comes when our part of the handshake is over.
    ///
    /// # Errors
    /// [`DialError`] says why this is not who was meant, or what we lack.
    pub async fn connect(
        &self,
        stream: TcpStream,
        patience: Duration,
    ) -> Result<Stream, DialError> {
        let shake = self.shake(stream);
        let late = |_| DialError::Line(io::Error::from(io::ErrorKind::TimedOut));
        tokio::time::timeout(patience, shake).await.map_err(late)?
    }

    async fn shake(&self, stream: TcpStream) -> Result<Stream, DialError> {
        let connecting = self.connector.connect(self.name.clone(), Bounded::new(stream));
        let mut stream = match connecting.into_fallible().await {
            Ok(stream) => stream,
            Err((error, socket)) => return Err(self.failure(error, socket.heard())),
        };
        if let Err(error) = stream.fill_buf().await {
            return Err(self.failure(error, &[]));
        }
        stream.get_mut().0.free();
        Ok(TlsStream::Client(stream))
    }

    fn failure(&self, error: io::Error, heard: &[u8]) -> DialError {
        let tls = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
        match tls {
            Some(Error::InvalidCertificate(refusal)) => {
                DialError::Unproven(unproven(refusal, &self.name.to_str()))
            }
            Some(Error::InvalidMessage(InvalidMessage::InvalidContentType)) => {
                DialError::InTheClear(heard.to_vec())
            }
            Some(Error::AlertReceived(alert)) => alerted(*alert),
            Some(error) => DialError::Handshake(error.to_string()),
            None => DialError::Line(error),
        }
    }
}

/// Why a certificate proves nothing to us, and what to do.
fn unproven(refusal: &CertificateError, name: &str) -> String {
    match refusal {
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            format!(
                "its certificate is not for {name}: dial it by a name that is in it, or write that as name"
            )
        }
        CertificateError::UnknownIssuer => {
            "nobody whom we believe has signed its certificate: write the file of its authority as roots"
                .to_owned()
        }
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            format!("its certificate has expired, or our clock is wrong ({refusal})")
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            format!("its certificate is not good yet, or our clock is wrong ({refusal})")
        }
        refusal => format!("its certificate does not do: {refusal}"),
    }
}

/// What a seller's alert tells us.
fn alerted(alert: AlertDescription) -> DialError {
    match alert {
        AlertDescription::CertificateRequired => DialError::WeAreRefused(
            "it lets in only who shows a certificate, and we have none for it: write certificate and key"
                .to_owned(),
        ),
        AlertDescription::UnknownCA => DialError::WeAreRefused(
            "it does not believe who has signed our certificate: ask it whose it takes".to_owned(),
        ),
        AlertDescription::CertificateExpired => {
            DialError::WeAreRefused("our certificate has expired: renew it".to_owned())
        }
        AlertDescription::BadCertificate
        | AlertDescription::UnsupportedCertificate
        | AlertDescription::CertificateRevoked
        | AlertDescription::CertificateUnknown
        | AlertDescription::AccessDenied => {
            DialError::WeAreRefused(format!("it does not take our certificate ({alert:?})"))
        }
        AlertDescription::NoApplicationProtocol => {
            DialError::Handshake("it speaks TLS, but not SDPP under it".to_owned())
        }
        alert => DialError::Handshake(format!("it ended the handshake ({alert:?})")),
    }
}

impl fmt::Debug for BuyersTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BuyersTls").field("name", &self.name).finish_non_exhaustive()
    }
}

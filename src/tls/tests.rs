//! What only a strange peer does, on real sockets.

use super::*;
use rcgen::{CertificateParams, KeyPair};
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::version::TLS13;
use tokio_rustls::rustls::{ClientConfig, HandshakeKind, RootCertStore};

const LONG: Duration = Duration::from_secs(9);

/// A seller's side, and the PEM that its buyers believe.
fn seller() -> (SellersTls, Vec<u8>) {
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    let certificate = params.self_signed(&key).unwrap().pem().into_bytes();
    let papers = Papers { certificate: certificate.clone(), key: key.serialize_pem().into() };
    (SellersTls::new(papers, None).unwrap(), certificate)
}

/// Two ends of a connection: the buyer's, the seller's.
async fn line() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let buyer = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    (buyer, listener.accept().await.unwrap().0)
}

/// A peer of another make, that names these protocols.
fn stranger(roots: &[u8], protocols: &[&[u8]]) -> ClientConfig {
    let mut believed = RootCertStore::empty();
    believed.add(CertificateDer::from_pem_slice(roots).unwrap()).unwrap();
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let builder = builder.with_protocol_versions(&[&TLS13]).unwrap();
    let mut config = builder.with_root_certificates(believed).with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
    config
}

#[tokio::test]
async fn another_protocol_is_refused_and_none_is_not() {
    let (seller, roots) = seller();
    let cases: [(&[&[u8]], bool); 4] =
        [(&[b"sdpp/1"], true), (&[], true), (&[b"h2"], false), (&[b"h2", b"sdpp/1"], true)];
    for (protocols, is_let_in) in cases {
        let (buyer, end) = line().await;
        let connector = TlsConnector::from(Arc::new(stranger(&roots, protocols)));
        let name = "127.0.0.1".try_into().unwrap();
        let (accepted, connected) =
            tokio::join!(seller.accept(end, LONG), connector.connect(name, buyer));
        assert_eq!((accepted.is_ok(), connected.is_ok()), (is_let_in, is_let_in), "{protocols:?}");
    }
}

/// The same buyer comes twice: its second handshake is as whole as its first.
#[tokio::test]
async fn nothing_is_resumed() {
    let (seller, roots) = seller();
    let connector = TlsConnector::from(Arc::new(stranger(&roots, &[])));
    for _ in 0..2 {
        let (buyer, end) = line().await;
        let name = "127.0.0.1".try_into().unwrap();
        let (accepted, connected) =
            tokio::join!(seller.accept(end, LONG), connector.connect(name, buyer));
        let (mut accepted, mut connected) = (accepted.unwrap(), connected.unwrap());
        // What a seller would give to come back with comes before its first words.
        accepted.write_all(b"words").await.unwrap();
        accepted.flush().await.unwrap();
        connected.read_exact(&mut [0; 5]).await.unwrap();
        assert_eq!(connected.get_ref().1.handshake_kind(), Some(HandshakeKind::Full));
        assert_eq!(connected.get_ref().1.tls13_tickets_received(), 0);
    }
}

/// Whoever sends and sends is stopped.
#[tokio::test]
async fn a_handshake_without_end_is_not_read_to_its_end() {
    let (mut buyer, end) = line().await;
    let mut bounded = bounded::Bounded::new(end);
    let sending = tokio::spawn(async move {
        let mut sent = 0;
        while buyer.write_all(&[0x16; 1024]).await.is_ok() {
            sent += 1024;
        }
        sent
    });
    let mut read = 0;
    let mut bytes = [0; 4096];
    let error = loop {
        assert!(read <= HANDSHAKE_BYTES_MAX, "it reads on and on");
        match bounded.read(&mut bytes).await {
            Ok(count) => read += count,
            Err(error) => break error,
        }
    };
    drop(bounded);
    assert!(
        read <= HANDSHAKE_BYTES_MAX && error.to_string().contains("longer than any"),
        "{error}"
    );
    assert!(sending.await.unwrap() > 0);
}

#[tokio::test]
async fn no_secret_is_in_what_is_printed_or_refused() {
    let (seller, _) = seller();
    let papers = Papers { certificate: b"a".to_vec(), key: "a secret".to_owned().into() };
    assert!(!format!("{papers:?}{seller:?}").contains("secret"));
    let unsound = SellersTls::new(papers, None).unwrap_err();
    assert!(!unsound.to_string().contains("secret"), "{unsound}");
}

#[test]
fn from_when_until_when_a_certificate_is_good_is_read_for_each_of_a_chain() {
    let key = KeyPair::generate().unwrap();
    let pem = |from, until| {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.not_before = rcgen::date_time_ymd(from, 1, 1);
        params.not_after = rcgen::date_time_ymd(until, 1, 1);
        params.self_signed(&key).unwrap().pem()
    };
    // After 2049 the date is written another way.
    let chain = [pem(2001, 2002), pem(1970, 2100)].concat();
    let day = 24 * 60 * 60;
    assert_eq!(
        lifetimes(chain.as_bytes()),
        [
            Lifetime { from_s: 11_323 * day, until_s: 11_688 * day },
            Lifetime { from_s: 0, until_s: 47_482 * day },
        ]
    );
    assert!(lifetimes(b"nothing").is_empty());
}

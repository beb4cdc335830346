//! The three HTTP surfaces: the node, the faucet, and what controls the double.

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::header::CONTENT_TYPE;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpListener;

use crate::faults::Fault;
use crate::shared::Shared;
use crate::{admin, giving, rpc};

/// As many bytes of a request are read.
const BODY_MAX: usize = 4 * 1024 * 1024;
/// How long after a connection that could not be taken the next one is.
const ACCEPT_AGAIN: Duration = Duration::from_millis(10);
const JSON: &str = "application/json";
/// Nodes name the character set, faucets do not.
const NODE_JSON: &str = "application/json; charset=utf-8";
const TEXT: &str = "text/plain; charset=utf-8";

/// Whom a port belongs to.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Door {
    Node,
    Faucet,
    Admin,
}

/// An answer that is still to be put into HTTP.
pub(crate) struct Answer {
    pub(crate) status: u16,
    content_type: &'static str,
    body: Vec<u8>,
}

impl Answer {
    pub(crate) fn json(status: u16, body: &Value) -> Answer {
        Answer { status, content_type: JSON, body: body.to_string().into_bytes() }
    }

    pub(crate) fn text(status: u16, text: impl Into<String>) -> Answer {
        Answer { status, content_type: TEXT, body: text.into().into_bytes() }
    }
}

/// Serves one port until the task is ended.
pub(crate) async fn serve(listener: TcpListener, door: Door, shared: Arc<Shared>) {
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            // A client that went away, or too many open files, of which some may close meanwhile.
            tokio::time::sleep(ACCEPT_AGAIN).await;
            continue;
        };
        let _ = stream.set_nodelay(true);
        let shared = Arc::clone(&shared);
        tokio::spawn(async move {
            let service = service_fn(move |request| respond(request, door, Arc::clone(&shared)));
            // How a connection ends is told to its client by its end.
            let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

async fn respond(
    request: Request<Incoming>,
    door: Door,
    shared: Arc<Shared>,
) -> io::Result<Response<Full<Bytes>>> {
    let (head, body) = request.into_parts();
    let Ok(body) = Limited::new(body, BODY_MAX).collect().await else {
        return Ok(response(Answer::text(413, "length limit exceeded")));
    };
    let body = body.to_bytes();
    let (method, path) = (head.method, head.uri.path().to_owned());
    let answered = async move {
        match door {
            Door::Node => node(&method, &body, &shared).await,
            Door::Faucet => faucet(&method, &path, &body, &shared).await,
            Door::Admin => Some(admin::answer(&method, &body, &shared)),
        }
    };
    // On its own: what was begun is done even if the client has gone.
    let answer = tokio::spawn(answered).await.map_err(io::Error::other)?;
    answer.map(response).ok_or_else(|| io::ErrorKind::ConnectionAborted.into())
}

async fn node(method: &Method, body: &[u8], shared: &Arc<Shared>) -> Option<Answer> {
    if method != Method::POST {
        return Some(Answer::text(405, "Used HTTP Method is not allowed. POST is required"));
    }
    let request = match rpc::Request::read(body) {
        Ok(request) => request,
        Err(answer) => return Some(node_json(&answer)),
    };
    let fault = shared.meet(&request.method);
    beset(shared, fault.as_ref(), async {
        node_json(&request.answer(shared, fault.as_ref()).await)
    })
    .await
}

async fn faucet(method: &Method, path: &str, body: &[u8], shared: &Arc<Shared>) -> Option<Answer> {
    let fault = shared.meet("faucet");
    beset(shared, fault.as_ref(), async { giving::answer(method, path, body, shared).await }).await
}

/// Answers under a fault; none where the connection is to close.
async fn beset(
    shared: &Arc<Shared>,
    fault: Option<&Fault>,
    answer: impl Future<Output = Answer>,
) -> Option<Answer> {
    match fault {
        Some(Fault::Unavailable) => return Some(Answer::text(503, "Service Unavailable")),
        Some(Fault::TooMany) => return Some(Answer::text(429, "Too Many Requests")),
        Some(Fault::Garbage) => return Some(Answer::text(200, "<html>no node here</html>")),
        Some(Fault::Huge { bytes }) => return Some(Answer::text(200, " ".repeat(*bytes))),
        Some(Fault::Dropped) => return None,
        Some(Fault::Held) => shared.hold().await,
        _ => {}
    }
    let answer = answer.await;
    match fault {
        Some(Fault::Lost) => return None,
        Some(Fault::AnswerHeld) => shared.hold().await,
        _ => {}
    }
    Some(answer)
}

fn node_json(body: &Value) -> Answer {
    Answer { content_type: NODE_JSON, ..Answer::json(200, body) }
}

fn response(answer: Answer) -> Response<Full<Bytes>> {
    let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = Response::new(Full::new(Bytes::from(answer.body)));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, hyper::header::HeaderValue::from_static(answer.content_type));
    // So that nobody takes it for a node.
    headers.insert("x-sdpp-double", hyper::header::HeaderValue::from_static("iota"));
    response
}

/// Listens on a port of the loopback interface; 0 is any that is free.
pub(crate) fn listen(port: u16) -> io::Result<std::net::TcpListener> {
    let listener = std::net::TcpListener::bind(("127.0.0.1", port))?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

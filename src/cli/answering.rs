//! Where a running seller is asked: by our own people on the socket in its journal's folder, and by
//! whoever supervises it on the health address of its config.

use super::exit::{Exit, Failure, Outcome};
use super::running::Running;
use super::sell::Selling;
use super::status::{self, Asked};
use crate::actors::keeper::Keeper;
use crate::admin::{Admin, health};
use crate::config::Config;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;

/// How long to wait before the socket is made again that could not be.
const AGAIN: Duration = Duration::from_secs(1);

/// Answers from here on.
pub(super) async fn answer(config: &Config, running: &Running, selling: &Selling) -> Outcome {
    let listener = match config.admin.health {
        Some(address) => Some(listen(address).await?),
        None => None,
    };
    let address = listener.as_ref().and_then(|listener| listener.local_addr().ok());
    let asked = Arc::new(Asked::new(config, running, selling, address));
    on_socket(&running.keeper, &config.journal.dir, &asked)?;
    if let Some(listener) = listener {
        for_supervisors(&running.keeper, listener, asked);
    }
    Ok(())
}

fn on_socket(keeper: &Keeper, dir: &std::path::Path, asked: &Arc<Asked>) -> Outcome {
    let bound = Admin::bind(dir).map_err(Failure::io("make the admin socket in", dir))?;
    let (dir, asked, mut first) = (dir.to_owned(), asked.clone(), Some(bound));
    keeper.keep("admin socket", move || Some(serve(first.take(), dir.clone(), asked.clone())));
    Ok(())
}

async fn serve(bound: Option<Admin>, dir: PathBuf, asked: Arc<Asked>) {
    let mut bound = bound.map(Ok).unwrap_or_else(|| Admin::bind(&dir));
    let admin = loop {
        match bound {
            Ok(admin) => break admin,
            Err(error) => tracing::warn!(%error, "nobody can ask this node: no admin socket"),
        }
        tokio::time::sleep(AGAIN).await;
        bound = Admin::bind(&dir);
    };
    admin.serve(move |request| status::answer(asked.clone(), request)).await;
}

async fn listen(address: SocketAddr) -> Outcome<TcpListener> {
    TcpListener::bind(address).await.map_err(|error| {
        let hint = "stop what uses it, or set another in [admin]";
        Failure::new(
            Exit::Failed,
            format!("cannot answer for health on {address}: {error}: {hint}"),
        )
    })
}

fn for_supervisors(keeper: &Keeper, listener: TcpListener, asked: Arc<Asked>) {
    let listener = Arc::new(listener);
    keeper.keep("health", move || {
        let (listener, asked) = (listener.clone(), asked.clone());
        Some(async move { health::serve(&listener, move || status::health(asked.clone())).await })
    });
}

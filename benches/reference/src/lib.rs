//! What the reference servers share: they listen where they are told and say so.

use std::error::Error;

use axum::Router;

/// How a program of these ends that cannot go on: with the cause, in words.
pub type Ended = Result<(), Box<dyn Error + Send + Sync>>;

/// Serves on the address that is the first argument, `127.0.0.1:0` without one.
///
/// # Errors
/// When nothing can listen there.
pub async fn serve(app: Router) -> Ended {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:0".into());
    let listener = tokio::net::TcpListener::bind(&address)
        .await
        .map_err(|cause| format!("cannot listen on {address}: {cause}"))?;
    println!("listening on http://{}", listener.local_addr()?);
    Ok(axum::serve(listener, app).await?)
}

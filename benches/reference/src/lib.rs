//! What the reference servers share: they listen on an address and print it.

use std::error::Error;

use axum::Router;

/// The result of a program.
pub type ProgramResult = Result<(), Box<dyn Error + Send + Sync>>;

/// Serves on the address in the first argument, by default `127.0.0.1:0`.
///
/// # Errors
/// If the address cannot be bound.
pub async fn serve(app: Router) -> ProgramResult {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:0".into());
    let listener = tokio::net::TcpListener::bind(&address)
        .await
        .map_err(|cause| format!("cannot listen on {address}: {cause}"))?;
    println!("listening on http://{}", listener.local_addr()?);
    Ok(axum::serve(listener, app).await?)
}

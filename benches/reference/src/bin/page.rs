//! A constant page of 4 KB at `/login` on bare axum: the lower bound of what a page costs.

use axum::Router;
use axum::response::Html;
use axum::routing::get;
use reference::ProgramResult;

#[tokio::main]
async fn main() -> ProgramResult {
    let page: &'static str = Box::leak("x".repeat(4096).into_boxed_str());
    reference::serve(Router::new().route("/login", get(move || async move { Html(page) }))).await
}

//! A constant page of 4 KB at `/login` on bare axum: the least that a page can cost.

use axum::Router;
use axum::response::Html;
use axum::routing::get;
use reference::Ended;

#[tokio::main]
async fn main() -> Ended {
    let page: &'static str = Box::leak("x".repeat(4096).into_boxed_str());
    reference::serve(Router::new().route("/login", get(move || async move { Html(page) }))).await
}

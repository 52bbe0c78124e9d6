//! Notes without a network, a browser or a wait.

use axum::body::{Body, to_bytes};
use axum::http::{Request, header};
use axum::response::Response;
use tower::ServiceExt;
use vestibule::testing::TestApp;

use super::{App, Config, Router, SqlitePool, StatusCode, routes};

/// The application, on a database in memory that it shares with the accounts.
async fn notes() -> (TestApp, Router) {
    let db = SqlitePool::connect("sqlite::memory:").await.unwrap();
    let test = TestApp::with(App::builder(Config::default()).sqlite(db.clone())).await;
    let router = routes(test.app(), db).await.unwrap();
    (test, router)
}

async fn open(router: &Router, path: &str, cookie: &str) -> Response {
    let request = Request::get(path).header(header::COOKIE, cookie).body(Body::empty());
    router.clone().oneshot(request.unwrap()).await.unwrap()
}

async fn text(response: Response) -> String {
    String::from_utf8(to_bytes(response.into_body(), 65536).await.unwrap().to_vec()).unwrap()
}

#[tokio::test]
async fn everybody_sees_their_own_notes() {
    let (test, router) = notes().await;
    let ann = test.login_as(&test.user("ann").await).await;
    let bob = test.login_as(&test.user("bob").await).await;
    let add = Request::post("/notes")
        .header(header::COOKIE, &ann)
        .header(header::ORIGIN, "http://localhost:8000")
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body(Body::from("text=Buy+<moss>"));
    let added = router.clone().oneshot(add.unwrap()).await.unwrap();
    assert_eq!(added.headers()[header::LOCATION], "/notes");
    assert!(
        text(open(&router, "/notes", &ann).await).await.contains("<li>Buy &#60;moss&#62;</li>")
    );
    assert!(!text(open(&router, "/notes", &bob).await).await.contains("<li>"));
}

#[tokio::test]
async fn strangers_and_expired_sessions_are_sent_to_the_login() {
    let (test, router) = notes().await;
    let ann = test.login_as(&test.user("ann").await).await;
    assert_eq!(open(&router, "/notes", &ann).await.status(), StatusCode::OK);
    test.clock().advance(13 * 60 * 60);
    for cookie in [ann.as_str(), ""] {
        let answer = open(&router, "/notes", cookie).await;
        assert_eq!(answer.headers()[header::LOCATION], "/login?next=/notes");
    }
    assert_eq!(open(&router, "/nowhere", "").await.status(), StatusCode::NOT_FOUND);
    assert!(test.mailbox().to("ann@example.test").is_empty());
}

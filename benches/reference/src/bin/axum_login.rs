//! A login and an account page with axum-login and tower-sessions on SQLite, as in their documentation.
//! The user `ann` is created at the start.

use argon2::password_hash::phc::PasswordHash;
use argon2::{Argon2, PasswordHasher, PasswordVerifier};
use axum::http::StatusCode;
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use axum::{Form, Router};
use axum_login::login_required;
use axum_login::tower_sessions::{Expiry, SessionManagerLayer};
use axum_login::{AuthManagerLayerBuilder, AuthSession, AuthUser, AuthnBackend, UserId};
use reference::ProgramResult;
use serde::Deserialize;
use sqlx::SqlitePool;
use sqlx::sqlite::SqliteConnectOptions;
use tower_sessions_sqlx_store::SqliteStore;

const NAME: &str = "ann";
const PASSWORD: &str = "moss lantern quartz";

#[derive(Clone, Debug)]
struct User {
    id: i64,
    username: String,
    password: String,
}

impl AuthUser for User {
    type Id = i64;

    fn id(&self) -> i64 {
        self.id
    }

    /// A new password ends all sessions.
    fn session_auth_hash(&self) -> &[u8] {
        self.password.as_bytes()
    }
}

#[derive(Clone, Deserialize)]
struct Credentials {
    username: String,
    password: String,
}

#[derive(Clone, Debug)]
struct Backend {
    db: SqlitePool,
}

impl Backend {
    async fn find(&self, column: &str, value: &str) -> Result<Option<User>, sqlx::Error> {
        let query = format!("select id, username, password from users where {column} = ?");
        let row = sqlx::query_as::<_, (i64, String, String)>(&query).bind(value);
        let row = row.fetch_optional(&self.db).await?;
        Ok(row.map(|(id, username, password)| User { id, username, password }))
    }
}

impl AuthnBackend for Backend {
    type User = User;
    type Credentials = Credentials;
    type Error = sqlx::Error;

    async fn authenticate(&self, typed: Credentials) -> Result<Option<User>, sqlx::Error> {
        let user = self.find("username", &typed.username).await?;
        let verified = tokio::task::spawn_blocking(move || {
            user.filter(|user| is_correct(&typed.password, &user.password))
        });
        verified.await.map_err(|cause| sqlx::Error::Protocol(cause.to_string()))
    }

    async fn get_user(&self, id: &UserId<Self>) -> Result<Option<User>, sqlx::Error> {
        self.find("id", &id.to_string()).await
    }
}

fn is_correct(password: &str, stored: &str) -> bool {
    let Ok(stored) = PasswordHash::new(stored) else { return false };
    Argon2::default().verify_password(password.as_bytes(), &stored).is_ok()
}

#[tokio::main]
async fn main() -> ProgramResult {
    let options = SqliteConnectOptions::new().filename("reference.db").create_if_missing(true);
    let db = SqlitePool::connect_with(options).await?;
    prepare(&db).await?;
    let store = SqliteStore::new(db.clone());
    store.migrate().await?;
    let sessions = SessionManagerLayer::new(store)
        .with_secure(false)
        .with_expiry(Expiry::OnInactivity(time::Duration::days(1)));
    let layer = AuthManagerLayerBuilder::new(Backend { db }, sessions).build();
    let app = Router::new()
        .route("/account", get(account))
        .route_layer(login_required!(Backend, login_url = "/login"))
        .route("/login", post(log_in))
        .layer(layer);
    reference::serve(app).await
}

async fn prepare(db: &SqlitePool) -> ProgramResult {
    sqlx::query("create table if not exists users (id integer primary key, username text unique, password text)")
        .execute(db)
        .await?;
    let hash = Argon2::default().hash_password(PASSWORD.as_bytes()).map_err(|e| e.to_string())?;
    let insert = sqlx::query("insert or ignore into users (username, password) values (?, ?)");
    insert.bind(NAME).bind(hash.to_string()).execute(db).await?;
    Ok(())
}

async fn log_in(mut session: AuthSession<Backend>, Form(typed): Form<Credentials>) -> Response {
    let user = match session.authenticate(typed).await {
        Ok(Some(user)) => user,
        Ok(None) => return StatusCode::UNPROCESSABLE_ENTITY.into_response(),
        Err(_) => return StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    };
    match session.login(&user).await {
        Ok(()) => Redirect::to("/account").into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

/// About as long as our own account page.
async fn account(session: AuthSession<Backend>) -> Response {
    let Some(user) = session.user else { return StatusCode::UNAUTHORIZED.into_response() };
    let filler =
        "<p>About as much text as a page with a few links and a form has.</p>\n".repeat(50);
    Html(format!("<!doctype html><title>Your account</title><h1>{}</h1>{filler}", user.username))
        .into_response()
}

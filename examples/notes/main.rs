//! Notes: an axum application whose users log in with Vestibule. `cargo run --example notes` serves it
//! on <http://localhost:8000> and keeps everything in `notes.db`.

use std::{collections::BTreeMap, error::Error, fmt::Display, net::SocketAddr};

use askama::Template;
use axum::extract::Form;
use axum::http::StatusCode;
use axum::response::{Html, Redirect};
use axum::{Extension, Router, routing::get};
use serde::Deserialize;
use sqlx::sqlite::{SqliteConnectOptions, SqlitePool};
use vestibule::{App, Config, CurrentUser};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let config = Config::load(&BTreeMap::new())?; // VESTIBULE_… from the environment
    let listener = tokio::net::TcpListener::bind(config.listen).await?;
    let file = SqliteConnectOptions::new().filename("notes.db").create_if_missing(true);
    let db = SqlitePool::connect_with(file).await?;
    let accounts = App::builder(config).sqlite(db.clone()).build().await?;
    let _tasks = vestibule::tasks::spawn(&accounts)?; // sends emails; stops when dropped
    let router = routes(&accounts, db).await?;
    println!("listening on http://{}", listener.local_addr()?);
    let service = router.into_make_service_with_connect_info::<SocketAddr>();
    Ok(axum::serve(listener, service).await?)
}

async fn routes(accounts: &App, db: SqlitePool) -> Result<Router, sqlx::Error> {
    let create = "create table if not exists notes (text text not null,
        user_id text not null references vestibule_users (id) on delete cascade)";
    sqlx::query(create).execute(&db).await?;
    Ok(Router::new()
        .route("/notes", get(show).post(add))
        .route("/", get(Html(r#"<h1>Notes</h1><a href="/notes">My notes</a>"#)))
        .fallback((StatusCode::NOT_FOUND, "There is no such page."))
        .layer(Extension(db))
        .layer(vestibule::protect(accounts))
        .merge(vestibule::router(accounts))
        .with_state(accounts.clone()))
}

#[derive(Template)]
#[template(
    ext = "html",
    source = r#"<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>Notes</title></head>
<body>
  <h1>Notes of <a href="/account">{{ user.username }}</a></h1>
  <form method="post">
    <label for="text">New note</label> <input id="text" name="text" required> <button>Add</button>
  </form>
  <ul>{% for note in notes %}<li>{{ note }}</li>{% endfor %}</ul>
  <form method="post" action="/logout"><button>Log out</button></form>
</body></html>"#
)]
struct Page {
    user: CurrentUser,
    notes: Vec<String>,
}

type Db = Extension<SqlitePool>;

/// `CurrentUser` sends a visitor who is not logged in to the login page, which leads back.
async fn show(user: CurrentUser, Extension(db): Db) -> Result<Html<String>, StatusCode> {
    let notes = sqlx::query_scalar("select text from notes where user_id = $1 order by rowid");
    let notes = notes.bind(&user.id).fetch_all(&db).await.map_err(failed)?;
    Ok(Html(Page { user, notes }.render().map_err(failed)?))
}

#[derive(Deserialize)]
struct NewNote {
    text: String,
}

async fn add(
    user: CurrentUser,
    Extension(db): Db,
    Form(new): Form<NewNote>,
) -> Result<Redirect, StatusCode> {
    let add = sqlx::query("insert into notes (user_id, text) values ($1, $2)");
    add.bind(&user.id).bind(new.text).execute(&db).await.map_err(failed)?;
    Ok(Redirect::to("/notes"))
}

fn failed(error: impl Display) -> StatusCode {
    eprintln!("{error}");
    StatusCode::INTERNAL_SERVER_ERROR
}

#[cfg(test)]
mod tests;

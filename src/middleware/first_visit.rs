//! A page that says the same to everybody who comes for the first time is made once.
//!
//! Whoever has neither a session nor a word to be told gets the same form as everybody else. Making it
//! anew, with every layer around it, takes three times the CPU of sending it (measured), and most of
//! what a flood of visitors costs is this.

use std::collections::HashMap;
use std::convert::Infallible;
use std::future::{Ready, ready};
use std::pin::Pin;
use std::sync::{Arc, PoisonError, RwLock};
use std::task::{Context, Poll};

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::Request;
use axum::http::header::{ACCEPT_ENCODING, SET_COOKIE};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use futures_util::future::Either;
use tower::{Layer, Service, ServiceExt};

use super::{cookies, framing, request_id, session};
use crate::app::App;
use crate::assets;
use crate::visitor::{self, peer};

/// Where such pages are. With a query each is another one.
const PATHS: [&str; 3] = ["/login", "/register", "/forgot"];

/// None is a tenth of it.
const LARGEST_PAGE: usize = 64 * 1024;

/// Its path, the content coding that its visitor takes, and whether they may read the development
/// mailbox, which it then links to.
type Page = (&'static str, &'static str, bool);

type Pages = RwLock<HashMap<Page, (HeaderMap, Bytes)>>;

/// Keeps the pages of one site. They stay as they are as long as it runs.
#[derive(Clone, Debug)]
pub struct FirstVisits {
    app: App,
    pages: Arc<Pages>,
}

/// Answers from what is kept, and has the rest answered.
#[derive(Clone, Debug)]
pub struct FirstVisit<S> {
    visits: FirstVisits,
    site: S,
}

type Made = Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>;

/// For this site.
pub fn layer(app: &App) -> FirstVisits {
    FirstVisits { app: app.clone(), pages: Arc::default() }
}

impl<S> Layer<S> for FirstVisits {
    type Service = FirstVisit<S>;

    fn layer(&self, site: S) -> FirstVisit<S> {
        FirstVisit { visits: self.clone(), site }
    }
}

impl<S> Service<Request> for FirstVisit<S>
where
    S: Service<Request, Response = Response, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
{
    type Response = Response;
    type Error = Infallible;
    type Future = Either<Ready<Result<Response, Infallible>>, Made>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let page = self.visits.page_of(&request);
        if let Some(kept) = page.and_then(|page| self.visits.kept(page, &request)) {
            return Either::Left(ready(Ok(kept)));
        }
        let (visits, site) = (self.visits.clone(), self.site.clone());
        Either::Right(Box::pin(async move {
            let Some(page) = page else { return site.oneshot(request).await };
            let answer = site.oneshot(in_coding(page.1, request)).await?;
            Ok(visits.keep(page, answer).await)
        }))
    }
}

impl FirstVisits {
    /// The page that is asked for, if it is one of those, by somebody of whom nothing is known.
    fn page_of(&self, request: &Request) -> Option<Page> {
        let uri = request.uri();
        let path = PATHS.into_iter().find(|path| *path == uri.path())?;
        let is_plain = request.method() == Method::GET && uri.query().is_none();
        let (config, headers) = (&self.app.config, request.headers());
        let is_first = is_plain
            && !cookies::has(headers, session::cookie_name(config))
            && !cookies::has(headers, &visitor::login_name_cookie_name(config))
            && !cookies::has(headers, &visitor::ended_cookie_name(config));
        (is_first && framing::has_one_meaning(request)).then(|| {
            let reads_mailbox = peer::reads_mailbox(request.extensions(), headers, &self.app);
            (path, assets::coding_for(headers), reads_mailbox)
        })
    }

    fn kept(&self, page: Page, request: &Request) -> Option<Response> {
        let (headers, body) = {
            let pages = self.pages.read().unwrap_or_else(PoisonError::into_inner);
            pages.get(&page).cloned()?
        };
        let mut response = Response::new(Body::from(body));
        *response.headers_mut() = headers;
        request_id::put(&request_id::of(request, &self.app), &mut response);
        Some(response)
    }

    /// Keeps what `answer` shows, unless it is for this visitor alone.
    async fn keep(&self, page: Page, answer: Response) -> Response {
        if answer.status() != StatusCode::OK || answer.headers().contains_key(SET_COOKIE) {
            return answer;
        }
        let (head, body) = answer.into_parts();
        let Ok(body) = to_bytes(body, LARGEST_PAGE).await else {
            return StatusCode::INTERNAL_SERVER_ERROR.into_response();
        };
        let mut headers = head.headers.clone();
        headers.remove(request_id::NAME);
        let mut pages = self.pages.write().unwrap_or_else(PoisonError::into_inner);
        pages.insert(page, (headers, body.clone()));
        Response::from_parts(head, Body::from(body))
    }
}

/// The same request, for an answer in this coding and no other.
fn in_coding(coding: &'static str, mut request: Request) -> Request {
    request.headers_mut().insert(ACCEPT_ENCODING, HeaderValue::from_static(coding));
    request
}

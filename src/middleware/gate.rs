//! A check in front of the pages, which lets a request through or answers in their place.
//!
//! `from_fn` would put what follows into a box for each request; a check that has nothing to wait for
//! needs none.

use std::future::{Ready, ready};
use std::task::{Context, Poll};

use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use futures_util::future::{Either, MapOk, TryFuture, TryFutureExt};
use tower::{Layer, Service};

/// The layer of one check, which answers for what may not pass.
#[derive(Clone, Debug)]
pub struct Gate<F>(F);

/// What stands behind a check.
#[derive(Clone, Debug)]
pub struct Gated<F, S> {
    check: F,
    within: S,
}

/// `check` answers `None` for a request that may pass.
pub fn gate<F: Fn(&Request) -> Option<Response>>(check: F) -> Gate<F> {
    Gate(check)
}

impl<F: Clone, S> Layer<S> for Gate<F> {
    type Service = Gated<F, S>;

    fn layer(&self, within: S) -> Gated<F, S> {
        Gated { check: self.0.clone(), within }
    }
}

type Passed<T> = MapOk<T, fn(<T as TryFuture>::Ok) -> Response>;

impl<F, S> Service<Request> for Gated<F, S>
where
    F: Fn(&Request) -> Option<Response>,
    S: Service<Request>,
    S::Response: IntoResponse,
{
    type Response = Response;
    type Error = S::Error;
    type Future = Either<Ready<Result<Response, S::Error>>, Passed<S::Future>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.within.poll_ready(context)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        match (self.check)(&request) {
            Some(answer) => Either::Left(ready(Ok(answer))),
            None => Either::Right(self.within.call(request).map_ok(IntoResponse::into_response)),
        }
    }
}

//! The hooks of a host application: what it does when an account is made or deleted.

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt;
use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::sync::Notify;

use crate::current_user::CurrentUser;
use crate::models::hook_event::HookKind;

/// Why a hook is to be run again.
pub type HookError = Box<dyn Error + Send + Sync>;

type Hook = Box<dyn Fn(CurrentUser) -> BoxFuture<'static, Result<(), HookError>> + Send + Sync>;

/// The hooks that this process runs.
#[derive(Default)]
pub struct Hooks {
    hooks: BTreeMap<HookKind, Hook>,
    /// Notified when there is something to tell.
    pub(crate) wakeup: Arc<Notify>,
}

impl Hooks {
    pub(super) fn set<F, Done>(&mut self, kind: HookKind, hook: F)
    where
        F: Fn(CurrentUser) -> Done + Send + Sync + 'static,
        Done: Future<Output = Result<(), HookError>> + Send + 'static,
    {
        self.hooks.insert(kind, Box::new(move |user| hook(user).boxed()));
    }

    pub(crate) fn kinds(&self) -> Vec<HookKind> {
        self.hooks.keys().copied().collect()
    }

    pub(crate) async fn run(&self, kind: HookKind, user: CurrentUser) -> Result<(), HookError> {
        match self.hooks.get(&kind) {
            Some(hook) => hook(user).await,
            None => Ok(()),
        }
    }
}

impl fmt::Debug for Hooks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.hooks.keys()).finish()
    }
}

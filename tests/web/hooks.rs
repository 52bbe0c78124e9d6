//! Hooks of a host application: at least once, after the commit, and never twice at a time.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use time::OffsetDateTime;
use tokio::sync::Notify;
use vestibule::accounts::delete_account::{Deletion, delete_account};
use vestibule::app::AppBuilder;
use vestibule::models::hook_event::{CLOCK_SKEW, HookKind, LEASE_SECONDS, claim_event};
use vestibule::models::user::find_user_by_username;
use vestibule::tasks::hooks::run_next;
use vestibule::tasks::sweep::sweep;
use vestibule::{App, CurrentUser, tasks};

use crate::support::host_database::{HostDatabase, START, register};
use crate::support::until;

/// What hooks were told, and whether they succeed.
#[derive(Clone, Default)]
struct Told {
    calls: Arc<Mutex<Vec<(&'static str, CurrentUser)>>>,
    fails: Arc<AtomicBool>,
}

impl Told {
    fn note(
        &self,
        hook: &'static str,
        user: CurrentUser,
    ) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        self.calls.lock().unwrap().push((hook, user));
        if self.fails.load(Ordering::SeqCst) { Err("the host is away".into()) } else { Ok(()) }
    }

    /// Sets both hooks.
    fn hear(&self, builder: AppBuilder) -> AppBuilder {
        let (registered, deleted) = (self.clone(), self.clone());
        builder
            .on_registered(move |user| {
                let told = registered.clone();
                async move { told.note("registered", user) }
            })
            .on_deleted(move |user| {
                let told = deleted.clone();
                async move { told.note("deleted", user) }
            })
    }

    /// The hooks and usernames, in order.
    fn names(&self) -> Vec<(&'static str, String)> {
        let calls = self.calls.lock().unwrap();
        calls.iter().map(|(hook, user)| (*hook, user.username.clone())).collect()
    }
}

const WAITING: &str = "select count(*) from vestibule_hook_events";

async fn delete(app: &App, username: &str) {
    let user = find_user_by_username(app.db.reader(), username).await.unwrap().unwrap();
    assert!(matches!(delete_account(app, &user, None).await.unwrap(), Deletion::Deleted));
}

/// Runs everything that is due.
async fn run_due(app: &App) {
    while run_next(app).await.unwrap() {}
}

#[tokio::test]
async fn hooks_are_told_who_registered_and_who_is_deleted() {
    for host in HostDatabase::all().await {
        let told = Told::default();
        let app = told.hear(host.builder()).build().await.unwrap();
        register(&app, "ann").await;
        run_due(&app).await;
        let id = find_user_by_username(app.db.reader(), "ann").await.unwrap().unwrap().id;
        host.wait(60);
        delete(&app, "ann").await;
        run_due(&app).await;
        assert_eq!(told.names(), [("registered", "ann".into()), ("deleted", "ann".into())]);
        for ((_, user), at) in told.calls.lock().unwrap().iter().zip([START, START + 60]) {
            let expected = CurrentUser {
                id: id.clone(),
                username: "ann".to_owned(),
                email: "ann@meadow.example".to_owned(),
                email_verified: false,
                logged_in_at: OffsetDateTime::from_unix_timestamp(at).unwrap(),
            };
            assert_eq!(*user, expected);
        }
        assert_eq!(host.count(WAITING).await, 0, "what was told is gone");
    }
}

#[tokio::test]
async fn a_hook_that_fails_is_retried_later_each_time() {
    for host in HostDatabase::all().await {
        let told = Told::default();
        let app = told.hear(host.builder()).build().await.unwrap();
        told.fails.store(true, Ordering::SeqCst);
        register(&app, "ann").await;
        run_due(&app).await;
        for (wait, calls) in [(1, 1), (1, 2), (3, 2), (1, 3), (7, 3), (1, 4)] {
            host.wait(wait);
            run_due(&app).await;
            assert_eq!(told.names().len(), calls);
        }
        told.fails.store(false, Ordering::SeqCst);
        host.wait(16);
        run_due(&app).await;
        host.wait(24 * 60 * 60);
        run_due(&app).await;
        assert_eq!((told.names().len(), host.count(WAITING).await), (5, 0));
    }
}

#[tokio::test]
async fn a_hook_that_panics_is_retried() {
    let host = HostDatabase::in_memory().await;
    let panics = Arc::new(AtomicBool::new(true));
    let again = Arc::clone(&panics);
    let builder = host.builder().on_registered(move |_| {
        assert!(!again.load(Ordering::SeqCst), "a bug of the host");
        async { Ok(()) }
    });
    let app = builder.build().await.unwrap();
    register(&app, "ann").await;
    run_due(&app).await;
    assert_eq!(host.count(WAITING).await, 1);
    panics.store(false, Ordering::SeqCst);
    host.wait(2);
    run_due(&app).await;
    assert_eq!(host.count(WAITING).await, 0);
}

#[tokio::test]
async fn what_was_not_told_before_a_crash_is_told_after_it() {
    for host in HostDatabase::all().await {
        let first = Told::default();
        let app = first.hear(host.builder()).build().await.unwrap();
        register(&app, "ann").await;
        drop(app);
        let second = Told::default();
        let app = second.hear(host.builder()).build().await.unwrap();
        run_due(&app).await;
        assert_eq!((first.names(), second.names()), (vec![], vec![("registered", "ann".into())]));
    }
}

#[tokio::test]
async fn a_hook_that_a_crash_cut_off_is_run_again_and_never_twice_at_once() {
    for host in HostDatabase::all().await {
        let (started, hang) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let entered = Arc::clone(&started);
        let hanging = host.builder().on_registered(move |_| {
            let (entered, hang) = (Arc::clone(&entered), Arc::clone(&hang));
            async move {
                entered.notify_one();
                hang.notified().await;
                Ok(())
            }
        });
        let app = hanging.build().await.unwrap();
        register(&app, "ann").await;
        let running = tokio::spawn({
            let app = app.clone();
            async move { run_next(&app).await }
        });
        started.notified().await;
        let told = Told::default();
        let other = told.hear(host.builder()).build().await.unwrap();
        assert!(!run_next(&other).await.unwrap(), "another process leaves it alone");
        running.abort();
        assert!(running.await.unwrap_err().is_cancelled());
        host.wait(LEASE_SECONDS - 1);
        assert!(!run_next(&other).await.unwrap(), "the claim holds");
        host.wait(1);
        run_due(&other).await;
        assert_eq!(told.names(), [("registered", "ann".into())]);
    }
}

#[tokio::test]
async fn a_process_without_hooks_enqueues_for_those_with_them() {
    for host in HostDatabase::all().await {
        let command = host.builder().build().await.unwrap();
        register(&command, "bob").await;
        assert_eq!(host.count(WAITING).await, 0, "no hook is set anywhere");
        let told = Told::default();
        let app = told.hear(host.builder()).build().await.unwrap();
        register(&command, "ann").await;
        host.wait(1);
        delete(&command, "bob").await;
        run_due(&command).await;
        assert_eq!(host.count(WAITING).await, 2);
        run_due(&app).await;
        assert_eq!(told.names(), [("registered", "ann".into()), ("deleted", "bob".into())]);
    }
}

#[tokio::test]
async fn a_hook_that_was_removed_is_forgotten_after_a_month() {
    const MONTH: i64 = 30 * 24 * 60 * 60;
    for host in HostDatabase::all().await {
        drop(Told::default().hear(host.builder()).build().await.unwrap());
        let app = host.builder().build().await.unwrap();
        register(&app, "ann").await;
        assert_eq!(host.count(WAITING).await, 1);
        host.wait(MONTH);
        register(&app, "bob").await;
        sweep(&app).await.unwrap();
        assert_eq!(host.count(WAITING).await, 0);
        let told = Told::default();
        let with_hook = told.hear(host.builder()).build().await.unwrap();
        host.wait(MONTH - 1);
        sweep(&with_hook).await.unwrap();
        host.wait(MONTH - 1);
        register(&app, "cat").await;
        assert_eq!(host.count(WAITING).await, 1, "a sweep shows that the hook is still set");
    }
}

#[tokio::test]
async fn a_deletion_takes_back_a_registration_that_was_not_told() {
    for host in HostDatabase::all().await {
        let told = Told::default();
        let app = told.hear(host.builder()).build().await.unwrap();
        register(&app, "ann").await;
        delete(&app, "ann").await;
        run_due(&app).await;
        assert_eq!(told.names(), [("deleted", "ann".into())]);
    }
}

#[tokio::test]
async fn events_are_due_after_the_clock_was_put_back() {
    for host in HostDatabase::all().await {
        let told = Told::default();
        let app = told.hear(host.builder()).build().await.unwrap();
        register(&app, "ann").await;
        host.wait(-24 * 60 * 60);
        sweep(&app).await.unwrap();
        run_due(&app).await;
        assert_eq!(told.names().len(), 1);
    }
}

#[tokio::test]
async fn a_process_whose_clock_is_slow_does_not_run_a_hook_that_is_running() {
    for host in HostDatabase::all().await {
        let told = Told::default();
        let app = told.hear(host.builder()).build().await.unwrap();
        register(&app, "ann").await;
        let now = START + LEASE_SECONDS;
        assert!(claim_event(&app.db, HookKind::Registered, now).await.unwrap().is_some());
        for behind in [1, CLOCK_SKEW] {
            let claimed = claim_event(&app.db, HookKind::Registered, now - behind).await.unwrap();
            assert!(claimed.is_none(), "{behind} s behind");
        }
    }
}

#[tokio::test]
async fn the_tasks_run_the_hooks() {
    for host in HostDatabase::all().await {
        let told = Told::default();
        let app = told.hear(host.builder()).build().await.unwrap();
        let tasks = tasks::spawn(&app).unwrap();
        register(&app, "ann").await;
        until(async || told.names().len() == 1 && host.count(WAITING).await == 0).await;
        tasks.finish().await;
    }
}

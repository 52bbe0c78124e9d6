-- What an application is told about accounts. Any process notes it for the processes that run the hooks.
create table vestibule_hooks (
    kind text primary key not null,          -- a hook that an application has set
    seen_at bigint not null
);

create table vestibule_hook_events (
    id text primary key not null,
    kind text not null,
    user_id text not null,                   -- without a foreign key: the user may be gone
    user_json text not null,
    tries bigint not null,
    created_at bigint not null,
    next_try_at bigint not null,
    claimed_until bigint not null            -- a process is running the hook: others skip it until then
);
create index vestibule_hook_events_user on vestibule_hook_events (user_id);
create index vestibule_hook_events_due on vestibule_hook_events (kind, next_try_at);

-- Whom an email is about: it is deleted with the account.
alter table vestibule_outbox add column user_id text not null default '';
create index vestibule_outbox_user on vestibule_outbox (user_id);

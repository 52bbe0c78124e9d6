-- The tables after migration 7, for a database without any. A host application may have tables with the
-- names that the first six migrations use.

create table vestibule_users (
    id text primary key not null,
    username text not null unique,           -- lower-case ASCII: itself the normalised key
    email text not null,                     -- as it was typed; mail goes here
    email_key text not null unique,          -- lower-case, domain in punycode
    password_hash text not null,             -- PHC string
    credential_version bigint not null,      -- grows with each new password or address: ends sessions and codes
    created_at bigint not null,
    password_set_in text,                    -- keyed digest of the cookie of the session that set the password
    password_set_at bigint not null default 0
);
create index vestibule_users_password_set_in on vestibule_users (password_set_in);

create table vestibule_sessions (
    id_hash bytea primary key not null,      -- SHA-256 of the cookie's value, never the value itself
    user_id text references vestibule_users (id) on delete cascade,
    credential_version bigint,
    data text not null,                      -- JSON
    created_at bigint not null,
    last_seen_at bigint not null,
    expires_at bigint not null
);
create index vestibule_sessions_user on vestibule_sessions (user_id);
create index vestibule_sessions_expiry on vestibule_sessions (expires_at);

create table vestibule_devices (             -- browsers that an account was used from
    token_hash bytea not null,               -- SHA-256 of the device cookie's value
    user_id text not null references vestibule_users (id) on delete cascade,
    logins bigint not null,
    last_login_at bigint not null,
    credential_version bigint not null default 0,  -- trusted while the account has this one
    primary key (user_id, token_hash)
);
create index vestibule_devices_expiry on vestibule_devices (last_login_at);

create table vestibule_one_time_codes (
    id text primary key not null,
    user_id text,                            -- null: no account matched, so no code is right
    attempts bigint not null,
    codes_sent bigint not null,              -- in this browser, in a row: each makes the wait before the next longer
    created_at bigint not null,
    expires_at bigint not null,
    purpose text not null default 'password_reset'
);
create index vestibule_one_time_codes_user on vestibule_one_time_codes (user_id);
create index vestibule_one_time_codes_expiry on vestibule_one_time_codes (expires_at);

create table vestibule_rate_limits (
    subject text primary key not null,       -- keyed digest of the limit's name and whom it counts
    count bigint not null,
    window_ends_at bigint not null
);
create index vestibule_rate_limits_expiry on vestibule_rate_limits (window_ends_at);

create table vestibule_outbox (
    id text primary key not null,
    kind text not null,
    sealed bytea not null,                   -- XChaCha20-Poly1305 of the email, bound to this id
    tries bigint not null,
    created_at bigint not null,
    next_try_at bigint not null,
    claimed_until bigint not null,           -- a worker is sending it: others skip it until then
    expires_at bigint not null,              -- never sent after this
    priority bigint not null default 1,      -- 0: a code, 1: a notice
    domain text not null default ''          -- keyed digest of the recipient's domain
);
create index vestibule_outbox_due on vestibule_outbox (next_try_at);
create index vestibule_outbox_expiry on vestibule_outbox (expires_at);
create index vestibule_outbox_order on vestibule_outbox (priority, tries, next_try_at);

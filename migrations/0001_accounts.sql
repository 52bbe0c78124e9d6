-- One text for SQLite and PostgreSQL: TEXT, BIGINT and BYTEA mean the same to both. Times are unix seconds.

create table users (
    id text primary key not null,
    username text not null unique,           -- lower-case ASCII: itself the normalised key
    email text not null,                     -- as it was typed; mail goes here
    email_key text not null unique,          -- lower-case, domain in punycode
    password_hash text not null,             -- PHC string
    credential_version bigint not null,      -- grows with each new password or address: ends sessions and codes
    created_at bigint not null
);

create table sessions (
    id_hash bytea primary key not null,      -- SHA-256 of the cookie's value, never the value itself
    user_id text references users (id) on delete cascade,
    credential_version bigint,
    data text not null,                      -- JSON
    created_at bigint not null,
    last_seen_at bigint not null,
    expires_at bigint not null
);
create index sessions_user on sessions (user_id);
create index sessions_expiry on sessions (expires_at);

create table devices (                       -- browsers that an account was used from
    token_hash bytea not null,               -- SHA-256 of the device cookie's value
    user_id text not null references users (id) on delete cascade,
    logins bigint not null,
    last_login_at bigint not null,
    primary key (user_id, token_hash)
);
create index devices_expiry on devices (last_login_at);

create table resets (
    id text primary key not null,
    user_id text references users (id) on delete cascade,  -- null: no account matched, so no code is right
    guesses bigint not null,
    codes_sent bigint not null,              -- in this browser, in a row: each makes the wait before the next longer
    created_at bigint not null,
    expires_at bigint not null
);
create index resets_user on resets (user_id);
create index resets_expiry on resets (expires_at);

create table limits (
    subject text primary key not null,       -- keyed digest of the limit's name and whom it counts
    count bigint not null,
    window_ends_at bigint not null
);
create index limits_expiry on limits (window_ends_at);

create table outbox (
    id text primary key not null,
    kind text not null,
    sealed bytea not null,                   -- XChaCha20-Poly1305 of the letter, bound to this id
    tries bigint not null,
    created_at bigint not null,
    next_try_at bigint not null,
    claimed_until bigint not null,           -- a worker is at it: others leave it alone until then
    expires_at bigint not null               -- never sent after this
);
create index outbox_due on outbox (next_try_at);
create index outbox_expiry on outbox (expires_at);

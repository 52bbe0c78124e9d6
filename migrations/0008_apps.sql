-- Forward auth: applications on hosts of their own, and identities that they can verify.
create table vestibule_tickets (
    token_hash bytea primary key not null,   -- SHA-256 of the ticket, never the ticket itself
    session_key bytea not null,              -- id_hash of the login session
    app text not null,                       -- the application's origin
    browser text not null,                   -- SHA-256 of the cookie of the browser that set out
    next text not null,
    expires_at bigint not null
);
create index vestibule_tickets_session on vestibule_tickets (session_key);
create index vestibule_tickets_expiry on vestibule_tickets (expires_at);

create table vestibule_signing_keys (
    number bigint primary key not null,
    sealed bytea not null,                   -- PKCS#8, sealed with the server's key, bound to the number
    created_at bigint not null               -- published from then on
);

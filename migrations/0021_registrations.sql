-- Registrations whose addresses are not proved yet. Written for addresses that have an account, too: both cost
-- the same, and no code can confirm those.
create table vestibule_registrations (
    id text primary key not null,
    username text not null,                  -- '': has none
    username_key text not null,
    email text not null,                     -- as it was typed; the code goes here
    email_key text not null,
    password_hash text not null,             -- PHC string
    terms_url text,                          -- null: none
    terms_accepted_at bigint,
    proved_at bigint,                        -- null: the code was not entered yet
    created_at bigint not null,
    expires_at bigint not null
);
create index vestibule_registrations_expiry on vestibule_registrations (expires_at);

-- Accounts that wait for the operator: nobody is logged in to them.
alter table vestibule_users add column approval_asked_at bigint;  -- null: approved
alter table vestibule_users add column approval_told_at bigint;   -- when the operator was told; null: not yet
create index vestibule_users_approval on vestibule_users (approval_asked_at) where approval_asked_at is not null;

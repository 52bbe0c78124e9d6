-- The check of the foreign key took time for codes of accounts, and none for codes of nobody: enough to
-- tell who has an account (measured by benches/timing.rs). A code whose user is gone is right for nobody.
create table resets_next (
    id text primary key not null,
    user_id text,                            -- null: no account matched, so no code is right
    guesses bigint not null,
    codes_sent bigint not null,              -- in this browser, in a row: each makes the wait before the next longer
    created_at bigint not null,
    expires_at bigint not null
);
insert into resets_next (id, user_id, guesses, codes_sent, created_at, expires_at)
    select id, user_id, guesses, codes_sent, created_at, expires_at from resets;
drop table resets;
alter table resets_next rename to resets;
create index resets_user on resets (user_id);
create index resets_expiry on resets (expires_at);

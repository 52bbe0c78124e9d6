-- What became of each email, also after it was sent.
create table vestibule_mail_log (
    id text primary key not null,            -- the email's, as in the outbox
    kind text not null,
    recipient text not null,                 -- keyed digest of the address
    user_id text not null,                   -- '': it is about no account
    state text not null,
    server text,                             -- what the mail server last said
    created_at bigint not null,
    sent_at bigint,                          -- null: not yet
    expires_at bigint not null
);
create index vestibule_mail_log_recipient on vestibule_mail_log (recipient);
create index vestibule_mail_log_user on vestibule_mail_log (user_id);
create index vestibule_mail_log_expiry on vestibule_mail_log (expires_at);

-- A code that the operator got for somebody, instead of an email.
alter table vestibule_one_time_codes add column digest text;  -- null: the session has it

-- Accounts that come from another program.
alter table vestibule_users add column password_scheme text;  -- of an imported hash: what it costs; null: it is our own
create index vestibule_users_password_scheme on vestibule_users (password_scheme) where password_scheme is not null;
alter table vestibule_users add column disabled_at bigint;  -- null: the account may be used

-- What people see of their accounts: their trusted devices in words, what happened, which emails they got.
alter table vestibule_devices add column device text;       -- "Firefox on Linux", at the last login
alter table vestibule_devices add column address text;      -- at the last login
alter table vestibule_devices add column created_at bigint; -- null: before there was this column

-- Without a foreign key: its check would show for which codes there is an account, as with one-time codes.
create table vestibule_history (
    user_id text not null,                   -- '': an email to an address without an account
    id text not null,
    kind text not null,
    detail text,
    device text,
    address text,
    created_at bigint not null,
    primary key (user_id, id)
);
create index vestibule_history_expiry on vestibule_history (created_at);

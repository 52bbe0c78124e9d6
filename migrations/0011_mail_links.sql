-- Links in emails. One that was sent to an address can give the account this address back.
create table vestibule_mail_links (
    token_hash bytea primary key not null,   -- SHA-256 of the token, never the token itself
    purpose text not null,
    user_id text references vestibule_users (id) on delete cascade,  -- null: no account
    credential_version bigint not null,      -- the user's when the link was made
    email text not null,                     -- the address that it was sent to, as it was typed
    email_key text not null,
    created_at bigint not null,
    expires_at bigint not null
);
create index vestibule_mail_links_user on vestibule_mail_links (user_id);
create index vestibule_mail_links_email on vestibule_mail_links (email_key);
create index vestibule_mail_links_expiry on vestibule_mail_links (expires_at);

-- Usernames that were given up. Nobody but their last owner gets them.
create table vestibule_reserved_usernames (
    username text primary key not null,
    user_id text references vestibule_users (id) on delete set null,  -- null: the account is gone
    reserved_until bigint not null
);
create index vestibule_reserved_usernames_user on vestibule_reserved_usernames (user_id);
create index vestibule_reserved_usernames_expiry on vestibule_reserved_usernames (reserved_until);

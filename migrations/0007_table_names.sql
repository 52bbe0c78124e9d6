-- Every table has the prefix `vestibule_`, so that a host application has the other names for its own.
-- References to the tables follow. SQLite cannot rename an index.
alter table users rename to vestibule_users;
alter table sessions rename to vestibule_sessions;
alter table devices rename to vestibule_devices;
alter table one_time_codes rename to vestibule_one_time_codes;
alter table limits rename to vestibule_rate_limits;
alter table outbox rename to vestibule_outbox;

drop index users_password_set_in;
drop index sessions_user;
drop index sessions_expiry;
drop index devices_expiry;
drop index one_time_codes_user;
drop index one_time_codes_expiry;
drop index limits_expiry;
drop index outbox_due;
drop index outbox_expiry;
drop index outbox_order;
create index vestibule_users_password_set_in on vestibule_users (password_set_in);
create index vestibule_sessions_user on vestibule_sessions (user_id);
create index vestibule_sessions_expiry on vestibule_sessions (expires_at);
create index vestibule_devices_expiry on vestibule_devices (last_login_at);
create index vestibule_one_time_codes_user on vestibule_one_time_codes (user_id);
create index vestibule_one_time_codes_expiry on vestibule_one_time_codes (expires_at);
create index vestibule_rate_limits_expiry on vestibule_rate_limits (window_ends_at);
create index vestibule_outbox_due on vestibule_outbox (next_try_at);
create index vestibule_outbox_expiry on vestibule_outbox (expires_at);
create index vestibule_outbox_order on vestibule_outbox (priority, tries, next_try_at);

-- Only PostgreSQL, where these are names of indexes, too:
alter table vestibule_users rename constraint users_pkey to vestibule_users_pkey;
alter table vestibule_users rename constraint users_username_key to vestibule_users_username_key;
alter table vestibule_users rename constraint users_email_key_key to vestibule_users_email_key_key;
alter table vestibule_sessions rename constraint sessions_pkey to vestibule_sessions_pkey;
alter table vestibule_sessions rename constraint sessions_user_id_fkey to vestibule_sessions_user_id_fkey;
alter table vestibule_devices rename constraint devices_pkey to vestibule_devices_pkey;
alter table vestibule_devices rename constraint devices_user_id_fkey to vestibule_devices_user_id_fkey;
alter table vestibule_one_time_codes rename constraint resets_next_pkey to vestibule_one_time_codes_pkey;
alter table vestibule_rate_limits rename constraint limits_pkey to vestibule_rate_limits_pkey;
alter table vestibule_outbox rename constraint outbox_pkey to vestibule_outbox_pkey;

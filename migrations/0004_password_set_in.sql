-- Which browser session set the password last, and when: its form may arrive twice.
alter table users add column password_set_in text;  -- keyed digest of the session's cookie
alter table users add column password_set_at bigint not null default 0;
create index users_password_set_in on users (password_set_in);

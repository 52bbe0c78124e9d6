-- A browser that an account was used from has a budget of its own for wrong passwords and codes, as
-- long as its last login was with the password that the account still has.
alter table devices add column credential_version bigint not null default 0;

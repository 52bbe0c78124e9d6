-- One table for the codes of every purpose.
alter table resets rename to one_time_codes;
alter table one_time_codes rename column guesses to attempts;
alter table one_time_codes add column purpose text not null default 'password_reset';
drop index resets_user;
drop index resets_expiry;
create index one_time_codes_user on one_time_codes (user_id);
create index one_time_codes_expiry on one_time_codes (expires_at);

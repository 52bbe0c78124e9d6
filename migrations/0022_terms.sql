-- The terms that a user accepted when they registered, and when.
alter table vestibule_users add column terms_url text;               -- null: none
alter table vestibule_users add column terms_accepted_at bigint;

-- Whether the owner of an address wants the account. 0: not known, and not typed by a stranger either: the
-- account is older than this column, or the operator made it. Notices go there as before.
alter table vestibule_users add column email_verified_at bigint default 0;  -- null: not proved yet

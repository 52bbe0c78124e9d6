-- Since when the password is not accepted, because the owner reported somebody else who knows it.
alter table vestibule_users add column password_blocked_at bigint;  -- null: it is accepted

-- Accounts without a username, and usernames of any script. The column with the unique key keeps it, because
-- the table is never rebuilt, and gets another name: username_key is what no other account may have. It is
-- the username's skeleton (UTS 39), which is the same for names that look alike; without a username it is
-- the address's key, so that no username is the same as the address of such an account.
alter table vestibule_users rename column username to username_key;
alter table vestibule_users add column username text not null default '';  -- lower case; '': has none
update vestibule_users set username = username_key;
create unique index vestibule_users_username on vestibule_users (username) where username <> '';

-- The skeletons of the usernames so far, which are ASCII. Of those that look alike, one gets it, if none is
-- spelled like it; the others keep their own spelling as their key.
update vestibule_users
set username_key = replace(replace(replace(username, '1', 'l'), '0', 'o'), 'm', 'rn')
where id in (
    select min(id) from vestibule_users
    where username <> replace(replace(replace(username, '1', 'l'), '0', 'o'), 'm', 'rn')
    group by replace(replace(replace(username, '1', 'l'), '0', 'o'), 'm', 'rn')
) and not exists (
    select 1 from vestibule_users other
    where other.username <> '' and other.username = replace(replace(replace(vestibule_users.username, '1', 'l'), '0', 'o'), 'm', 'rn')
);

-- A username that was given up is kept with what looks like it. Of two such, one is kept.
alter table vestibule_reserved_usernames rename column username to username_key;
update vestibule_reserved_usernames
set username_key = replace(replace(replace(username_key, '1', 'l'), '0', 'o'), 'm', 'rn')
where username_key in (
    select min(username_key) from vestibule_reserved_usernames
    group by replace(replace(replace(username_key, '1', 'l'), '0', 'o'), 'm', 'rn')
) and not exists (
    select 1 from vestibule_reserved_usernames other
    where other.username_key =
        replace(replace(replace(vestibule_reserved_usernames.username_key, '1', 'l'), '0', 'o'), 'm', 'rn')
);

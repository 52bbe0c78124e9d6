-- Usernames with @ that are not the address of their account get the skeletons of UTS 39 as their keys, like all
-- others: they are ASCII. Of those that look alike, one gets it, if nobody has it; the others keep their own
-- spelling as their key.
update vestibule_users
set username_key = replace(replace(replace(username, '1', 'l'), '0', 'o'), 'm', 'rn')
where id in (
    select min(id) from vestibule_users
    where username like '%@%' and username <> email_key
        and username_key <> replace(replace(replace(username, '1', 'l'), '0', 'o'), 'm', 'rn')
    group by replace(replace(replace(username, '1', 'l'), '0', 'o'), 'm', 'rn')
) and not exists (
    select 1 from vestibule_users other
    where other.username_key = replace(replace(replace(vestibule_users.username, '1', 'l'), '0', 'o'), 'm', 'rn')
);

-- Reserved ones stay as they are: whoever wants one is compared in both spellings.
update vestibule_registrations
set username_key = replace(replace(replace(username, '1', 'l'), '0', 'o'), 'm', 'rn')
where username like '%@%' and username <> email_key;

-- An address is kept for an account only if it was proved when the link was sent to it: a stranger may have typed
-- any other.
alter table vestibule_mail_links add column keeps_email bigint not null default 1;  -- 0: it was not proved

-- One invitation for an address: of two that are sent at the same instant, the second one replaces the first.
delete from vestibule_mail_links where purpose = 'invite' and exists (select 1 from vestibule_mail_links newer
    where newer.purpose = 'invite' and newer.email_key = vestibule_mail_links.email_key
        and (newer.created_at > vestibule_mail_links.created_at
            or newer.created_at = vestibule_mail_links.created_at
                and newer.token_hash > vestibule_mail_links.token_hash));
create unique index vestibule_mail_links_invitation on vestibule_mail_links (email_key) where purpose = 'invite';

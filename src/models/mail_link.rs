//! The `vestibule_mail_links` table: links that were emailed, each usable once.

use super::expired::{Expired, expired};
use crate::db::{DbError, Executor, row, sql};

/// What a link is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkPurpose {
    /// Reports that somebody else did what the email says.
    NotMe,
    /// Lets a browser try to log in although logins are stopped.
    Unlock,
    /// Lets the owner of the address register.
    Invite,
    /// Answers a form that used a link if it comes twice.
    Used,
}

impl LinkPurpose {
    /// As the table and the log call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::NotMe => "not_me",
            Self::Unlock => "unlock",
            Self::Invite => "invite",
            Self::Used => "used",
        }
    }
}

row! {
    columns mail_link_columns;
    /// A link as it was sent.
    #[derive(Clone, Debug)]
    pub struct MailLink {
        /// `None` when there is no account.
        pub user_id: Option<String>,
        /// The user's when the link was made.
        pub credential_version: i64,
        /// The address that it was sent to, as it was typed.
        pub email: String,
        pub email_key: String,
        /// 1 if nobody else gets the address while the link can give it back, else 0: a stranger may have typed
        /// one that was not proved.
        pub keeps_email: i64,
    }
}

row! {
    columns invitation_columns;
    /// A link that lets the owner of an address register.
    #[derive(Clone, Debug)]
    pub struct Invitation {
        /// As it was typed.
        pub email: String,
        pub created_at: i64,
        pub expires_at: i64,
    }
}

const INSERT: &str = concat!(
    "insert into vestibule_mail_links (token_hash, purpose, created_at, expires_at, ",
    mail_link_columns!(),
    ") values ($1, $2, $3, $4, $5, $6, $7, $8, $9)
    on conflict (email_key) where purpose = 'invite' do update
        set token_hash = $1, created_at = $3, expires_at = $4, email = $7"
);

/// Not the link of a disabled account, which the operator's changes may have made since.
macro_rules! usable {
    () => {
        "from vestibule_mail_links where token_hash = $1 and purpose = $2 and expires_at > $3
            and not exists (select 1 from vestibule_users where id = user_id and disabled_at is not null)"
    };
}

const FIND: &str = concat!("select ", mail_link_columns!(), " ", usable!());

const TAKE: &str = concat!("delete ", usable!(), " returning ", mail_link_columns!());

const REVOKE_SINCE: &str =
    "delete from vestibule_mail_links where user_id = $1 and credential_version >= $2";

const IS_EMAIL_TAKEN: &str = "select id from vestibule_users where email_key = $1 and id <> $2
    union all
    select user_id from vestibule_mail_links
        where email_key = $1 and purpose = 'not_me' and keeps_email = 1 and user_id <> $2 and expires_at > $3
    limit 1";

const LIST_INVITATIONS: &str = concat!(
    "select ",
    invitation_columns!(),
    " from vestibule_mail_links where purpose = 'invite' and expires_at > $1
    order by created_at, email"
);

const REVOKE_INVITATION: &str = "delete from vestibule_mail_links
    where email_key = $1 and purpose = 'invite' returning expires_at";

/// Links that have expired.
pub const EXPIRED: Expired = expired!("vestibule_mail_links", "token_hash", "expires_at <= $1", 0);

/// Adds a link that is valid for `ttl` seconds. An invitation replaces the one that its address has.
pub async fn insert_link(
    executor: Executor<'_>,
    purpose: LinkPurpose,
    token_hash: Vec<u8>,
    link: MailLink,
    (ttl, now): (i64, i64),
) -> Result<(), DbError> {
    let insert = sql(INSERT).bind(token_hash).bind(purpose.name()).bind(now).bind(now + ttl);
    let insert = insert.bind(link.user_id).bind(link.credential_version);
    let insert = insert.bind(link.email).bind(link.email_key).bind(link.keeps_email);
    insert.execute(executor).await.map(drop)
}

/// The link with this token, unless it was used or has expired, or its account is disabled.
pub async fn find_link(
    executor: Executor<'_>,
    purpose: LinkPurpose,
    token_hash: Vec<u8>,
    now: i64,
) -> Result<Option<MailLink>, DbError> {
    sql(FIND).bind(token_hash).bind(purpose.name()).bind(now).fetch_optional(executor).await
}

/// Uses up the link that [`find_link`] finds: once, whatever is sent in parallel.
pub async fn take_link(
    executor: Executor<'_>,
    purpose: LinkPurpose,
    token_hash: Vec<u8>,
    now: i64,
) -> Result<Option<MailLink>, DbError> {
    sql(TAKE).bind(token_hash).bind(purpose.name()).bind(now).fetch_optional(executor).await
}

/// Deletes the links of a user that were made at this version of the credentials or later.
pub async fn revoke_links_since(
    executor: Executor<'_>,
    user_id: &str,
    credential_version: i64,
) -> Result<(), DbError> {
    let revoke = sql(REVOKE_SINCE).bind(user_id).bind(credential_version);
    revoke.execute(executor).await.map(drop)
}

/// Whether a user other than `user_id`, which may be empty, has this address, or had proved it and can get it
/// back by a link.
pub async fn is_email_taken(
    executor: Executor<'_>,
    email_key: &str,
    user_id: &str,
    now: i64,
) -> Result<bool, DbError> {
    let taken = sql(IS_EMAIL_TAKEN).bind(email_key).bind(user_id).bind(now);
    Ok(taken.fetch_optional::<(String,)>(executor).await?.is_some())
}

/// The invitations that can be used, oldest first.
pub async fn list_invitations(
    executor: Executor<'_>,
    now: i64,
) -> Result<Vec<Invitation>, DbError> {
    sql(LIST_INVITATIONS).bind(now).fetch_all(executor).await
}

/// Deletes the invitation to this address. Returns whether it could be used.
pub async fn revoke_invitation(
    executor: Executor<'_>,
    email_key: &str,
    now: i64,
) -> Result<bool, DbError> {
    let revoked = sql(REVOKE_INVITATION).bind(email_key).fetch_all::<(i64,)>(executor).await?;
    Ok(revoked.iter().any(|(expires_at,)| *expires_at > now))
}

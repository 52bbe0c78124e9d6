//! The `auth_user` table of a Django application.

use crate::db::{Db, DbError, row, sql};

row! {
    pub struct DjangoUser {
        pub id: i64,
        pub username: String,
        pub email: String,
        pub password: String,
        /// 0 or 1.
        pub is_active: i64,
        /// Unix time.
        pub date_joined: i64,
    }
}

/// A query for users. The two databases differ only in how they make a number of a time.
macro_rules! django_users {
    ($date_joined:literal) => {
        concat!(
            "select cast(id as bigint) as id, cast(username as text) as username,
                coalesce(email, '') as email, coalesce(password, '') as password,
                cast(case when is_active then 1 else 0 end as bigint) as is_active,
                coalesce(cast(",
            $date_joined,
            " as bigint), 0) as date_joined
            from auth_user where id > $1 order by id limit $2"
        )
    };
}

/// Up to `limit` users after the one with this id.
pub async fn django_users_after(db: &Db, id: i64, limit: i64) -> Result<Vec<DjangoUser>, DbError> {
    let text = if db.is_postgres() {
        django_users!("extract(epoch from date_joined)")
    } else {
        django_users!("strftime('%s', date_joined)")
    };
    sql(text).bind(id).bind(limit).fetch_all(db.reader()).await
}

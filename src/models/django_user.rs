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

/// Of a database without the table, or with another one of this name.
const NO_TABLE: &str = "there is no table auth_user with Django's columns id, username, email, password, is_active and date_joined: name the database of a Django application. One with a user model of its own is imported with `vestibule import users`, see docs/moving.md";

/// Up to `limit` users after the one with this id.
pub async fn django_users_after(db: &Db, id: i64, limit: i64) -> Result<Vec<DjangoUser>, DbError> {
    let text = if db.is_postgres() {
        django_users!("extract(epoch from date_joined)")
    } else {
        django_users!("strftime('%s', date_joined)")
    };
    match sql(text).bind(id).bind(limit).fetch_all(db.reader()).await {
        Err(error) if error.is_other_schema() => {
            Err(DbError::Unusable { path: "auth_user".to_owned(), cause: NO_TABLE.to_owned() })
        }
        found => found,
    }
}

//! Rows as structs with named fields.

/// Declares a struct that either driver fills from a row: each field from the column of its name, so
/// that a select list in another order swaps no values.
///
/// With `columns name;` before the struct, `name!()` is its select list for use in `concat!`:
///
/// ```ignore
/// row! {
///     columns user_columns;
///     pub struct User { pub id: String, pub created_at: i64 }
/// }
/// const BY_ID: &str = concat!("select ", user_columns!(), " from vestibule_users where id = $1");
/// ```
macro_rules! row {
    (columns $columns:ident; $(#[$meta:meta])* $vis:vis struct $name:ident {
        $($(#[$field_meta:meta])* $field_vis:vis $field:ident: $type:ty),* $(,)?
    }) => {
        macro_rules! $columns {
            () => { stringify!($($field),*) };
        }
        $crate::db::row! {
            $(#[$meta])* $vis struct $name {
                $($(#[$field_meta])* $field_vis $field: $type),*
            }
        }
    };
    ($(#[$meta:meta])* $vis:vis struct $name:ident {
        $($(#[$field_meta:meta])* $field_vis:vis $field:ident: $type:ty),* $(,)?
    }) => {
        $(#[$meta])*
        $vis struct $name {
            $($(#[$field_meta])* $field_vis $field: $type,)*
        }

        impl<'r, R: sqlx::Row> sqlx::FromRow<'r, R> for $name
        where
            for<'a> &'a str: sqlx::ColumnIndex<R>,
            $($type: sqlx::Decode<'r, R::Database> + sqlx::Type<R::Database>,)*
        {
            fn from_row(row: &'r R) -> Result<Self, sqlx::Error> {
                Ok(Self { $($field: row.try_get(stringify!($field))?,)* })
            }
        }
    };
}
pub(crate) use row;

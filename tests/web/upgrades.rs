//! Databases of earlier versions: each is upgraded, and everybody logs in.

use std::fs;
use std::path::Path;

use sqlx::{AssertSqlSafe, Connection, PgConnection, SqliteConnection};

use crate::support::program::Folder;
use crate::support::{OTHER_PASSWORD, PASSWORD, Site, email_of, new_schema};

/// `databases/VERSION.sqlite.sql` and `databases/VERSION.postgres.sql`, made by `databases/make`.
fn versions() -> Vec<(String, Dump)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/web/databases");
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let dumps = files.filter(|path| path.extension().is_some_and(|kind| kind == "sql"));
    let dumps = dumps.map(|path| {
        let text = fs::read_to_string(&path).unwrap();
        (path.file_stem().unwrap().to_str().unwrap().to_owned(), Dump(text))
    });
    dumps.collect()
}

/// The statements that make a database, after a line with the session cookie of `ann`.
struct Dump(String);

impl Dump {
    fn session(&self) -> &str {
        self.0.lines().next().unwrap().strip_prefix("-- session: ").unwrap()
    }

    /// A site on this database. The folder is that of the SQLite file.
    async fn site(&self, name: &str, folder: &Folder) -> Option<Site> {
        let statements = sqlx::raw_sql(AssertSqlSafe(self.0.clone()));
        let url = if name.ends_with(".sqlite") {
            let url = format!("sqlite:{}", folder.0.join("vestibule.db").display());
            let mut connection =
                SqliteConnection::connect(&format!("{url}?mode=rwc")).await.unwrap();
            statements.execute(&mut connection).await.unwrap();
            connection.close().await.unwrap();
            url
        } else {
            let url = new_schema().await?;
            let mut connection = PgConnection::connect(&url).await.unwrap();
            statements.execute(&mut connection).await.unwrap();
            connection.close().await.unwrap();
            url
        };
        let site = Site::at(&url, |_| ()).await;
        // In the minute after it was made.
        let made_at = site.count("select max(created_at) from vestibule_users").await;
        site.wait(made_at + 60 - site.app.clock.now());
        Some(site)
    }
}

#[tokio::test]
async fn a_database_of_every_version_can_be_upgraded_and_its_users_log_in() {
    let versions = versions();
    assert!(versions.len() >= 4, "the databases were not found");
    for (name, dump) in versions {
        let folder = Folder::new();
        let Some(site) = dump.site(&name, &folder).await else { continue };

        let mut still_logged_in = site.browser();
        still_logged_in.set_cookie("vestibule", dump.session());
        assert!(still_logged_in.is_logged_in().await, "{name}");

        for user in ["ann", "ben"] {
            for login in [user, &email_of(user)] {
                let mut browser = site.browser();
                browser.log_in(login, PASSWORD).await;
                assert_eq!(browser.path(), "/account", "{name}: {login}");
            }
            let (mut forgot, code) = site.with_code(user).await;
            forgot.reset(&code, OTHER_PASSWORD).await;
            let mut browser = site.browser();
            browser.log_in(user, OTHER_PASSWORD).await;
            assert_eq!(browser.path(), "/account", "{name}: {user} after a reset");
        }
        assert!(!still_logged_in.is_logged_in().await, "{name}");
    }
}

//! Explains why PostgreSQL, or a pooler in front of it, cannot be used, and what to do.

use std::io::ErrorKind;

/// For the operator; PostgreSQL names no password in its messages.
pub fn explain(error: &sqlx::Error) -> String {
    match error {
        sqlx::Error::Database(cause) => {
            explain_refusal(cause.code().as_deref().unwrap_or_default(), cause.message())
        }
        sqlx::Error::Tls(_) | sqlx::Error::Io(_) if error.to_string().contains("certificate") => {
            format!(
                "the server's certificate is refused ({error}): name its authority with sslrootcert=/path/of/ca.pem in the URL, and the host as the certificate does"
            )
        }
        sqlx::Error::Tls(_) if error.to_string().contains("does not support TLS") => {
            "the server offers no TLS, and over a network the password is not sent without: set ssl = on in postgresql.conf, or name a weaker sslmode in the URL".into()
        }
        sqlx::Error::Io(cause) if cause.to_string().contains("lookup address") => {
            format!("the name of the host cannot be resolved ({cause}): correct it")
        }
        sqlx::Error::Io(cause) if cause.kind() == ErrorKind::PermissionDenied => {
            format!("this user may not use the server's socket ({cause}): change its folder's rights")
        }
        sqlx::Error::Io(_) | sqlx::Error::Protocol(_) | sqlx::Error::Tls(_) => {
            format!("no PostgreSQL answers there ({error}): start it, or correct host and port")
        }
        other => other.to_string(),
    }
}

fn explain_refusal(code: &str, message: &str) -> String {
    let advice = match code {
        "28P01" => {
            "PostgreSQL refuses the user or the password: correct them in the URL, or PGPASSWORD"
        }
        "28000" => explain_login(message),
        "3D000" => "the database does not exist: make it with createdb, or correct the URL's path",
        "42501" => {
            "PostgreSQL does not give the user the right: run `alter database NAME owner to USER`, or `grant create, usage on schema public to USER` in that database, and let USER own the tables"
        }
        "53300" => {
            "PostgreSQL has no free connection: raise max_connections there, end other programs' connections, or put PgBouncer in front"
        }
        "53100" => "the disk of the PostgreSQL server is full: free space there",
        "57P03" => "PostgreSQL starts, stops or recovers: wait and try again",
        "25006" => {
            "PostgreSQL is read-only, like a standby: use the address of the server that takes writes"
        }
        "08P01" => explain_pooler(message),
        _ => return message.to_owned(),
    };
    format!("{advice} (it says: {message})")
}

/// Who may connect from where is in `pg_hba.conf`.
fn explain_login(message: &str) -> &'static str {
    let says = |text: &str| message.contains(text);
    if says("pg_hba.conf") && (says("no encryption") || says("SSL off")) {
        "PostgreSQL takes only encrypted connections from here (hostssl in pg_hba.conf): write sslmode=require into the URL, or sslmode=verify-full, which also checks the certificate"
    } else if says("pg_hba.conf") {
        "PostgreSQL has no line for this user, database and address in pg_hba.conf: add one"
    } else if says("does not exist") {
        "the user does not exist: make it with createuser, or correct the URL"
    } else if says("eer authentication") || says("dent authentication") {
        "PostgreSQL takes the name of the system's user for this connection: run this as that user, or connect to a host with a password"
    } else {
        "PostgreSQL refuses the user or the password: correct them in the URL, or PGPASSWORD"
    }
}

/// `PgBouncer` has one code for everything.
fn explain_pooler(message: &str) -> &'static str {
    let says = |text: &str| message.contains(text);
    if says("startup parameter") {
        "a pooler refuses the connection: take `options` out of the URL and set such things with `alter role … set …`, or name them in ignore_startup_parameters in pgbouncer.ini"
    } else if says("statement pooling") {
        "a pooler in statement mode cannot be used: set pool_mode = session in pgbouncer.ini, or pool_mode = transaction and pgbouncer=transaction in the URL"
    } else if says("no such database") {
        "the pooler does not know the database: add it under [databases] in pgbouncer.ini, or correct the URL's path"
    } else if says("no such user") || says("password") || says("SASL") {
        "the pooler refuses the user or the password: correct them in the URL, PGPASSWORD, or the pooler's auth_file"
    } else if says("no more connections") {
        "the pooler takes no more clients: raise max_client_conn in pgbouncer.ini"
    } else {
        "a pooler refuses the connection"
    }
}

//! PostgreSQL URLs that are read, and those that are refused.

use super::*;

fn read(url: &str) -> Result<Server, String> {
    Server::from_url(&Url::parse(url).unwrap())
}

fn parse(url: &str) -> Server {
    read(url).unwrap()
}

#[test]
fn over_a_network_the_certificate_and_its_name_are_checked_unless_the_url_says_otherwise() {
    for url in [
        "postgres://v:hush@db.example/v",
        "postgresql://v:hush@db.example:6432/v?application_name=x",
        "postgres://v@192.0.2.1/v",
        "postgres://v@[2001:db8::1]/v",
        "postgres://v@localhost.example/v",
        "postgres://v@127.0.0.1.example/v",
        "postgres://v@0.0.0.0/v",
        "postgres://v@localhost/v?host=db.example",
        "postgres://v@localhost/v?hostaddr=192.0.2.1",
        "postgres://v@db.example/v?sslmode=disable&sslmode=verify-full",
    ] {
        let server = parse(url);
        assert!(!server.is_on_this_machine(), "{url}");
        assert!(matches!(server.options.get_ssl_mode(), PgSslMode::VerifyFull), "{url}");
        assert_eq!(server.weakness(), None, "{url}");
    }
}

#[test]
fn on_this_machine_no_certificate_is_checked() {
    for url in [
        "postgres://v@localhost/v",
        "postgres://v@LOCALHOST./v",
        "postgres://v@127.0.0.1/v",
        "postgres://v@127.1.2.3:6432/v",
        "postgres://v@[::1]/v",
        "postgres://v@[::ffff:127.0.0.1]/v",
        "postgres://v@%2Fvar%2Frun%2Fpostgresql/v",
        "postgres:///v?user=v&host=/var/run/postgresql",
        "postgres:///v?user=v",
        "postgres://v@db.example/v?hostaddr=127.0.0.1",
        "postgres://v@db.example/v?host=localhost",
    ] {
        let server = parse(url);
        assert!(server.is_on_this_machine(), "{url}");
        assert!(matches!(server.options.get_ssl_mode(), PgSslMode::Prefer), "{url}");
        let query = if url.contains('?') { "&sslmode=disable" } else { "?sslmode=disable" };
        assert_eq!(parse(&format!("{url}{query}")).weakness(), None);
    }
}

#[test]
fn the_weakness_of_each_ssl_mode_is_named() {
    for (query, words) in [
        ("sslmode=disable", "unencrypted"),
        ("sslmode=allow", "unencrypted"),
        ("ssl-mode=disable", "unencrypted"),
        ("sslmode=verify-full&sslmode=prefer", "switch the encryption off"),
        ("sslmode=require", "no certificate is checked"),
        ("sslmode=verify-ca", "name is not checked"),
        ("sslmode=require&sslrootcert=/dev/null", "name is not checked"),
    ] {
        let server = parse(&format!("postgres://v@db.example/v?{query}"));
        assert!(server.weakness().unwrap().contains(words), "{query}: {:?}", server.weakness());
    }
}

#[test]
fn wrong_and_unknown_parameters_are_refused() {
    for (query, words) in [
        ("pgbouncer=yes", "expected pgbouncer=transaction or pgbouncer=session"),
        ("PgBouncer=session", "expected pgbouncer in the place of PgBouncer"),
        ("target_session_attrs=read-only", "expected target_session_attrs=read-write"),
        ("target_session_attrs=prefer-standby", "every node writes"),
        ("SSLMODE=verify-full", "expected sslmode in the place of SSLMODE"),
        ("SslRootCert=/dev/null", "expected sslrootcert"),
        ("ssl=true", "the parameter ssl is unknown here: TLS is set with sslmode, sslrootcert"),
        ("requiressl=1", "the parameter requiressl"),
        ("channel_binding=require", "the parameter channel_binding"),
        ("gssencmode=require", "the parameter gssencmode"),
        ("ssl_mode=require", "the parameter ssl_mode"),
        ("sslcrl=/x", "the parameter sslcrl"),
        ("ssl_min_protocol_version=TLSv1.3", "the parameter ssl_min_protocol_version"),
        ("use_tls=1", "the parameter use_tls"),
        ("sslmode=verify_full&sslmode=disable", "verify-ca, verify-full"),
        ("sslmode=VERIFY-FULL", "expected sslmode=disable, allow, prefer, require"),
        ("sslmode=", "expected sslmode="),
        ("host=a.example,b.example", "expected one host"),
        ("hostaddr=192.0.2.1,192.0.2.2", "expected one host"),
        ("port=5432,5433", "expected one host"),
        ("hostaddr=db.example", "expected an IP address"),
        ("sslrootcert=/nowhere/ca.pem", "/nowhere/ca.pem cannot be read"),
        ("sslmode=full", "full"),
    ] {
        let url = format!("postgres://v:hush@db.example/v?{query}");
        let why = read(&url).unwrap_err();
        assert!(why.contains(words) && !why.contains("hush"), "{why}");
        assert!(!why.contains("error with configuration"), "{why}");
    }
    for hosts in ["a.example,b.example", "a%2Cb"] {
        let why = read(&format!("postgres://v:hu,sh@{hosts}/v")).unwrap_err();
        assert!(why.contains("expected one host: give several servers one name"), "{why}");
    }
    parse("postgres://v:hu,sh@db.example/v?target_session_attrs=read-write&password=a,b");
    assert!(parse("postgres://v@db.example/v?sslrootcert=system").weakness().is_none());
}

#[test]
fn the_url_names_the_mode_of_a_pooler() {
    let server = |query| parse(&format!("postgres://v@db.example/v{query}"));
    assert_eq!(server("").is_per_transaction, None);
    assert_eq!(server("?pgbouncer=session").is_per_transaction, Some(false));
    for query in ["?pgbouncer=transaction", "?pgbouncer=true", "?pgbouncer=Transaction"] {
        assert_eq!(server(query).is_per_transaction, Some(true), "{query}");
    }
    assert_eq!(server("?pgbouncer=SESSION").is_per_transaction, Some(false));
}

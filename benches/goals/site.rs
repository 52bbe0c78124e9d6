//! The measured site: the release build behind a proxy, with a mail server that accepts everything, and
//! without rate limits.

use std::net::SocketAddr;
use std::process::Command;
use std::time::Duration;

use super::http::{self, Client};
use super::limits::LIMITS;
use super::load::{self, Window};
use super::mail_sink;
use super::process::{Folder, Program};

pub const PASSWORD: &str = "moss lantern quartz";

/// The weakest parameters that are accepted, so that hashing hides little of the other costs.
pub const FLOOR_MEMORY_KIB: u32 = 7168;
/// See [`FLOOR_MEMORY_KIB`].
pub const FLOOR_ITERATIONS: u32 = 5;

/// A running site. It is stopped when this is dropped.
pub struct Site {
    program: Program,
}

/// A user and their browser.
#[derive(Clone)]
pub struct Person {
    pub name: String,
    /// The cookies of the session and of the device, as `name=value`.
    pub session: String,
    pub device: String,
    /// The address for `X-Forwarded-For`. Each has a network of their own: otherwise the share of one
    /// network in the hash queue would be measured.
    pub from: String,
}

impl Site {
    pub fn start() -> Self {
        Self::start_in(Folder::new(), &[])
    }

    /// With the weakest hash, in a folder that may hold a database.
    pub fn start_with_weak_hash(folder: Folder) -> Self {
        let (memory, iterations) = (FLOOR_MEMORY_KIB.to_string(), FLOOR_ITERATIONS.to_string());
        let settings =
            [("VESTIBULE_HASH_MEMORY_KIB", &*memory), ("VESTIBULE_HASH_ITERATIONS", &*iterations)];
        Self::start_in(folder, &settings)
    }

    fn start_in(folder: Folder, settings: &[(&str, &str)]) -> Self {
        let mut command = command("127.0.0.1:0");
        command.envs(settings.iter().copied());
        Self { program: Program::start(&mut command, folder) }
    }

    pub fn pid(&self) -> u32 {
        self.program.child.id()
    }

    pub fn address(&self) -> SocketAddr {
        self.program.address
    }

    /// Registers this number of people by the form.
    pub fn people(&self, count: usize) -> Vec<Person> {
        let mut client = Client::new(self.address());
        let names = (0..count).map(|number| (format!("person{number}"), network(number)));
        names.map(|(name, from)| self.register(&mut client, name, from)).collect()
    }

    pub fn register(&self, client: &mut Client, name: String, from: String) -> Person {
        let email = format!("{name}@meadow.example");
        let fields = [
            ("username", &*name),
            ("email", &email),
            ("password", PASSWORD),
            ("password_confirm", PASSWORD),
        ];
        let headers = [("X-Forwarded-For", &*from)];
        let answer = client.ask(&http::post(self.address(), "/register", &fields, &headers));
        let answer = answer.expect(303);
        assert_eq!(answer.location(), "/account", "{name} is registered already");
        let session = answer.cookie("vestibule").expect("a session");
        let device = answer.cookie("vestibule-device").unwrap_or_default();
        Person { name, session, device, from }
    }

    /// The bytes of a login from a trusted device.
    pub fn login(&self, person: &Person) -> Vec<u8> {
        let fields = [("username", &*person.name), ("password", PASSWORD)];
        let headers = [("Cookie", &*person.device), ("X-Forwarded-For", &*person.from)];
        http::post(self.address(), "/login", &fields, &headers)
    }

    /// All of them log in repeatedly.
    pub fn logins(&self, people: &[Person], time: Duration) -> Window {
        let clients = people.iter().map(|person| {
            let (mut client, request) = (Client::new(self.address()), self.login(person));
            move || drop(client.ask(&request).expect(303))
        });
        load::run(self.pid(), clients.collect(), time)
    }
}

/// The command `vestibule serve`.
pub fn command(listen: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_vestibule"));
    command.arg("serve").env_clear();
    command.env("VESTIBULE_LISTEN", listen);
    command.env("VESTIBULE_TRUSTED_PROXIES", "127.0.0.1");
    command.env("VESTIBULE_SMTP_URL", mail_sink::start());
    for limit in LIMITS {
        command.env(format!("VESTIBULE_LIMIT_{limit}"), "off");
    }
    command
}

/// An address in a network that no other client has.
pub fn network(number: usize) -> String {
    format!("10.{}.{}.1", (number >> 8) & 255, number & 255)
}

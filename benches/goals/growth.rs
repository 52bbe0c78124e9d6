//! Goal 5: what each action costs with a thousand users and with a million.

use std::sync::atomic::{AtomicU64, Ordering};

use vestibule::random;

use super::http::{self, Client};
use super::load::{self, Window};
use super::options::Options;
use super::proc::undisturbed;
use super::report::{Row, Wanted, figure};
use super::seed::{self, Seed};
use super::series::Series;
use super::site::{Person, Site};

const SIZES: [u64; 3] = [1000, 100_000, 1_000_000];

/// Costs may grow by half.
const MAX_GROWTH: Wanted = Wanted::AtMost(1.5);

/// The actions. The account page comes first, because its sessions must have been used recently.
const ACTIONS: [(&str, Action); 4] =
    [("account page", account), ("login", log_in), ("forgot", forget), ("register", register)];

type Action = fn(&Grown, &mut Client);

/// A site with this number of users.
struct Grown {
    site: Site,
    users: u64,
    registered: AtomicU64,
}

/// What an action costs on one site.
#[derive(Default)]
struct Costs {
    cpu: Series,
    cpu_without_hashing: Series,
    wall: Series,
}

pub fn measure(options: &Options) -> Vec<Row> {
    let sizes = if options.quick { &SIZES[..2] } else { &SIZES[..] };
    let sites: Vec<Grown> = sizes.iter().map(|users| Grown::start(*users)).collect();
    ACTIONS
        .iter()
        .flat_map(|(name, action)| rows(name, &costs(&sites, *action, options), &sites))
        .collect()
}

impl Grown {
    fn start(users: u64) -> Self {
        let folder = seed::copy(Seed { users, sessions: users, has_expired: false });
        let site = Site::start_with_weak_hash(folder);
        Self { site, users, registered: AtomicU64::new(0) }
    }

    fn random_person(&self) -> Person {
        seed::person(u64::from_le_bytes(random::bytes()) % self.users)
    }
}

fn costs(sites: &[Grown], action: Action, options: &Options) -> Vec<Costs> {
    let mut costs: Vec<Costs> = sites.iter().map(|_| Costs::default()).collect();
    for _ in 0..options.samples {
        for (grown, costs) in sites.iter().zip(&mut costs) {
            let (window, others) = undisturbed(|| one_client(grown, action, options));
            costs.cpu.push(window.cpu_ms(), others);
            costs.cpu_without_hashing.push(window.cpu_ms_without_hashing(), others);
            costs.wall.push(window.wall_ms(), others);
        }
    }
    costs
}

fn one_client(grown: &Grown, action: Action, options: &Options) -> Window {
    let mut client = Client::new(grown.site.address());
    load::run(grown.site.pid(), vec![|| action(grown, &mut client)], options.time)
}

/// Compares the largest site with the smallest; the sizes between are a remark.
fn rows(name: &str, costs: &[Costs], sites: &[Grown]) -> [Row; 3] {
    let row = |what: &str, pick: fn(&Costs) -> &Series, wanted| {
        let all: Vec<&Series> = costs.iter().map(pick).collect();
        let (smallest, largest) = (all[0], all[all.len() - 1]);
        let sizes = all.iter().zip(sites).take(all.len() - 1);
        let remarks =
            sizes.map(|(cost, grown)| format!("{} ({})", figure(cost.median()), grown.users));
        let remark = remarks.collect::<Vec<_>>().join(", ");
        let what = format!("{name} with {} users, {what}", sites[sites.len() - 1].users);
        Row::ratio(&what, [largest, smallest], largest.over(smallest), wanted).remark(remark)
    };
    [
        row("CPU ms", |costs| &costs.cpu, MAX_GROWTH),
        row("CPU ms without hashing", |costs| &costs.cpu_without_hashing, MAX_GROWTH),
        row("ms for one client", |costs| &costs.wall, MAX_GROWTH),
    ]
}

fn account(grown: &Grown, client: &mut Client) {
    let person = grown.random_person();
    let cookies = format!("{}; {}", person.session, person.device);
    let request = http::get(grown.site.address(), "/account", &[("Cookie", &cookies)]);
    drop(client.ask(&request).expect(200));
}

fn log_in(grown: &Grown, client: &mut Client) {
    let answer = client.ask(&grown.site.login(&grown.random_person())).expect(303);
    assert_eq!(answer.location(), "/account");
}

fn forget(grown: &Grown, client: &mut Client) {
    let person = grown.random_person();
    let email = format!("{}@meadow.example", person.name);
    let fields = [("username", &*person.name), ("email", &email)];
    let headers = [("Cookie", &*person.device), ("X-Forwarded-For", &*person.from)];
    let request = http::post(grown.site.address(), "/forgot", &fields, &headers);
    assert_eq!(client.ask(&request).expect(303).location(), "/reset");
}

/// The names are spread over the index.
fn register(grown: &Grown, client: &mut Client) {
    let number = grown.registered.fetch_add(1, Ordering::Relaxed);
    let random = u32::from_le_bytes(random::bytes());
    let name = format!("new{random:08x}x{number}");
    drop(grown.site.register(client, name, "10.0.0.1".to_owned()));
}

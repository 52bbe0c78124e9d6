//! Goal 5: what each thing costs with a thousand users, and with a million.

use std::sync::atomic::{AtomicU64, Ordering};

use vestibule::random;

use super::http::{self, Client};
use super::load::{self, Window};
use super::options::Options;
use super::proc::calmly;
use super::report::{Row, Wanted, figure};
use super::seed::{self, Seed};
use super::series::Series;
use super::site::{Person, Site};

const SIZES: [u64; 3] = [1000, 100_000, 1_000_000];

/// Grows at most by half.
const MOST: Wanted = Wanted::AtMost(1.5);

/// What is done. The account page comes first: its sessions must not have been unused for long.
const ACTS: [(&str, Act); 4] =
    [("account page", account), ("login", log_in), ("forgot", forget), ("register", register)];

type Act = fn(&Grown, &mut Client);

/// A site with so many users.
struct Grown {
    site: Site,
    users: u64,
    registered: AtomicU64,
}

/// What an act costs on one of them.
#[derive(Default)]
struct Costs {
    cpu: Series,
    cpu_beside_pool: Series,
    wall: Series,
}

pub fn measure(options: &Options) -> Vec<Row> {
    let sizes = if options.quick { &SIZES[..2] } else { &SIZES[..] };
    let sites: Vec<Grown> = sizes.iter().map(|users| Grown::start(*users)).collect();
    ACTS.iter().flat_map(|(name, act)| rows(name, &costs(&sites, *act, options), &sites)).collect()
}

impl Grown {
    fn start(users: u64) -> Self {
        let folder = seed::copy(Seed { users, sessions: users, has_expired: false });
        let site = Site::start_with_weak_hash(folder);
        Self { site, users, registered: AtomicU64::new(0) }
    }

    fn anybody(&self) -> Person {
        seed::person(u64::from_le_bytes(random::bytes()) % self.users)
    }
}

fn costs(sites: &[Grown], act: Act, options: &Options) -> Vec<Costs> {
    let mut costs: Vec<Costs> = sites.iter().map(|_| Costs::default()).collect();
    for _ in 0..options.samples {
        for (grown, costs) in sites.iter().zip(&mut costs) {
            let (window, others) = calmly(|| one_client(grown, act, options));
            costs.cpu.push(window.cpu_ms(), others);
            costs.cpu_beside_pool.push(window.cpu_ms_beside_pool(), others);
            costs.wall.push(window.wall_ms(), others);
        }
    }
    costs
}

fn one_client(grown: &Grown, act: Act, options: &Options) -> Window {
    let mut client = Client::new(grown.site.address());
    load::run(grown.site.pid(), vec![|| act(grown, &mut client)], options.time)
}

/// Of the largest site and the smallest, with those between in words.
fn rows(name: &str, costs: &[Costs], sites: &[Grown]) -> [Row; 3] {
    let row = |what: &str, pick: fn(&Costs) -> &Series, wanted| {
        let all: Vec<&Series> = costs.iter().map(pick).collect();
        let (smallest, largest) = (all[0], all[all.len() - 1]);
        let sizes = all.iter().zip(sites).take(all.len() - 1);
        let told =
            sizes.map(|(cost, grown)| format!("{} ({})", figure(cost.median()), grown.users));
        let told = told.collect::<Vec<_>>().join(", ");
        let what = format!("{name} with {} users, {what}", sites[sites.len() - 1].users);
        Row::ratio(&what, [largest, smallest], largest.over(smallest), wanted).remark(told)
    };
    [
        row("CPU ms", |costs| &costs.cpu, MOST),
        row("CPU ms without hashing", |costs| &costs.cpu_beside_pool, MOST),
        row("ms for one client", |costs| &costs.wall, MOST),
    ]
}

fn account(grown: &Grown, client: &mut Client) {
    let person = grown.anybody();
    let cookies = format!("{}; {}", person.session, person.device);
    let request = http::get(grown.site.address(), "/account", &[("Cookie", &cookies)]);
    drop(client.ask(&request).expect(200));
}

fn log_in(grown: &Grown, client: &mut Client) {
    let answer = client.ask(&grown.site.login(&grown.anybody())).expect(303);
    assert_eq!(answer.location(), "/account");
}

fn forget(grown: &Grown, client: &mut Client) {
    let person = grown.anybody();
    let email = format!("{}@meadow.example", person.name);
    let fields = [("username", &*person.name), ("email", &email)];
    let headers = [("Cookie", &*person.device), ("X-Forwarded-For", &*person.from)];
    let request = http::post(grown.site.address(), "/forgot", &fields, &headers);
    assert_eq!(client.ask(&request).expect(303).location(), "/reset");
}

/// Names that lie anywhere in the index.
fn register(grown: &Grown, client: &mut Client) {
    let number = grown.registered.fetch_add(1, Ordering::Relaxed);
    let drawn = u32::from_le_bytes(random::bytes());
    let name = format!("new{drawn:08x}x{number}");
    drop(grown.site.register(client, name, "10.0.0.1".to_owned()));
}

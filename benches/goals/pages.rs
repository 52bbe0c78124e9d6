//! Goal 2: what a page costs, compared with bare axum and with axum-login.

use std::net::SocketAddr;

use super::http::{self, Client};
use super::load;
use super::options::Options;
use super::proc::undisturbed;
use super::program::start_reference;
use super::report::{Row, Wanted};
use super::series::Series;
use super::site::Site;

/// Enough to keep two cores busy.
const CONNECTIONS: usize = 8;

/// A request that is repeated, and its cost.
struct Page {
    pid: u32,
    address: SocketAddr,
    request: Vec<u8>,
    cost: Series,
}

impl Page {
    fn new(pid: u32, address: SocketAddr, path: &str, headers: &[(&str, &str)]) -> Self {
        let request = http::get(address, path, headers);
        Self { pid, address, request, cost: Series::default() }
    }

    /// Takes a sample: milliseconds of the server's CPU for a request.
    fn sample(&mut self, options: &Options) {
        let (cost, others) = undisturbed(|| {
            let clients = (0..CONNECTIONS).map(|_| {
                let (mut client, request) = (Client::new(self.address), &self.request);
                move || drop(client.ask(request).expect(200))
            });
            load::run(self.pid, clients.collect(), options.time).cpu_ms()
        });
        self.cost.push(cost, others);
    }
}

pub fn measure(options: &Options) -> Vec<Row> {
    let (site, bare) = (Site::start(), start_reference("page"));
    let axum_login = start_reference("axum_login");
    let ann = site.people(1).remove(0);
    let cookies = format!("{}; {}", ann.session, ann.device);
    let browser = [("Accept-Encoding", "gzip, br"), ("Cookie", &*ann.device)];
    let ours = |path, headers: &[_]| Page::new(site.pid(), site.address(), path, headers);
    let theirs = session_of_axum_login(axum_login.address);
    let mut pages = [
        ours("/login", &[]),
        Page::new(bare.child.id(), bare.address, "/login", &[]),
        ours("/login", &browser),
        ours("/account", &[("Cookie", &cookies)]),
        Page::new(axum_login.child.id(), axum_login.address, "/account", &[("Cookie", &theirs)]),
    ];
    for _ in 0..options.samples {
        for page in &mut pages {
            page.sample(options);
        }
    }
    rows(&pages.map(|page| page.cost))
}

fn rows([login, bare, browser, account, axum_login]: &[Series; 5]) -> Vec<Row> {
    let row = |what, ours, reference: &Series, wanted| {
        Row::ratio(what, [ours, reference], reference.over(ours), wanted)
    };
    let as_browser = "the same with a browser's headers, compressed";
    vec![
        row("login page, CPU ms, to bare axum", login, bare, Wanted::AtLeast(0.5)),
        row(as_browser, browser, bare, Wanted::Nothing),
        row("account page, CPU ms, to axum-login", account, axum_login, Wanted::AtLeast(2.0)),
    ]
}

fn session_of_axum_login(address: SocketAddr) -> String {
    let fields = [("username", "ann"), ("password", "moss lantern quartz")];
    let answer = Client::new(address).ask(&http::post(address, "/login", &fields, &[])).expect(303);
    answer.cookie("id").expect("a session")
}

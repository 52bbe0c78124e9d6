// An application on another host: Chromium comes back from the login, with our script and without,
// although it applies `form-action` to redirects.

import assert from "node:assert/strict";
import { createServer, request } from "node:http";
import { after, before, test } from "node:test";

import { launch } from "./support/browser.mjs";
import { startSite } from "./support/site.mjs";

const PASSWORD = "moss lantern quartz";

let browser, site, base, app, proxy;

/** Sends a request to the site, as a proxy does. */
const send = (method, path, headers, body) =>
  new Promise((resolve, reject) => {
    const passed = request(site.url + path, { method, headers }, resolve);
    passed.once("error", reject);
    passed.end(body);
  });

/** What nginx or Caddy does before an application that greets. */
async function answer(incoming, response) {
  const { cookie = "", accept = "*/*", origin = "null" } = incoming.headers;
  const headers = { cookie, accept, "x-forwarded-host": new URL(app).host, "x-forwarded-proto": "http" };
  if (incoming.url.startsWith("/.vestibule/")) {
    const passed = await send(incoming.method, incoming.url, { ...headers, origin });
    return passed.pipe(response.writeHead(passed.statusCode, passed.headers));
  }
  const asked = { "x-forwarded-method": incoming.method, "x-forwarded-uri": incoming.url };
  const check = await send("GET", "/forward/proxy", { ...headers, ...asked });
  if (check.statusCode !== 200) {
    return check.pipe(response.writeHead(check.statusCode, check.headers));
  }
  check.resume();
  response.writeHead(200, { "content-type": "text/html" });
  response.end(`<h1>Hello ${check.headers["remote-user"]}</h1>
    <form method="post" action="/.vestibule/logout"><button>Log out</button></form>`);
}

before(async () => {
  proxy = createServer(answer).listen(0, "127.0.0.1");
  await new Promise((resolve) => proxy.once("listening", resolve));
  app = `http://127.0.0.1:${proxy.address().port}`;
  site = await startSite({ VESTIBULE_APPS: app, VESTIBULE_TRUSTED_PROXIES: "127.0.0.1" });
  base = site.url.replace("127.0.0.1", "localhost");
  browser = await launch();
});

after(async () => {
  await browser?.close();
  proxy?.close();
  await site?.stop();
});

for (const script of [true, false]) {
  test(`one comes back to the application ${script ? "with" : "without"} a script`, async () => {
    const context = await browser.newContext({ javaScriptEnabled: script });
    const page = await context.newPage();
    const complaints = [];
    page.on("console", (message) => complaints.push(message.text()));
    const name = script ? "ann" : "bob";
    await page.goto(`${app}/page?a=b&c`);
    await page.getByRole("link", { name: "Create an account" }).click();
    await page.getByLabel("Username").fill(name);
    await page.getByLabel("Email").fill(`${name}@meadow.example`);
    await page.getByLabel("Password", { exact: true }).fill(PASSWORD);
    await page.getByLabel("Confirm password").fill(PASSWORD);
    await page.getByRole("button", { name: "Create account" }).click();
    await page.getByRole("heading", { name: `Hello ${name}` }).waitFor();
    assert.equal(page.url(), `${app}/page?a=b&c`);

    await page.getByRole("button", { name: "Log out" }).click();
    await page.getByRole("heading", { name: "Log in" }).waitFor();
    assert.equal(page.url(), `${base}/login`);
    await page.goto(`${app}/again`);
    await page.getByLabel("Username or email").fill(name);
    await page.getByLabel("Password", { exact: true }).fill(PASSWORD);
    await page.getByRole("button", { name: "Log in" }).click();
    await page.getByRole("heading", { name: `Hello ${name}` }).waitFor();
    assert.equal(page.url(), `${app}/again`);

    await page.goto(`${base}/logout?next=${app}/bye`);
    await page.getByRole("main").getByRole("button", { name: "Log out" }).click();
    await page.getByRole("heading", { name: "Log in" }).waitFor();
    assert.match(page.url(), /\/login\?next=/);
    assert.deepEqual(complaints, []);
    await context.close();
  });
}

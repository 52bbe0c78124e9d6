// A refused form with new passwords: the script shows the answer, and what was typed stays.

import assert from "node:assert/strict";
import { test } from "node:test";

import { openPage } from "./support/browser.mjs";
import { siteAndBrowser } from "./support/hooks.mjs";
import * as steps from "./support/journey.mjs";
import { hasFocus } from "./support/keyboard.mjs";
import { startSite } from "./support/site.mjs";

const WRONG_CODE = "CCCC-CCCC";
const NEW = "velvet anchor pudding";
const AGAIN = "Confirm password";

const on = siteAndBrowser();
let people = 0;

/** Opens a page for somebody new; what it complains of is in `page.complaints`. */
async function open(t, options = {}) {
  const page = await openPage(on.browser, { site: on.site, ...options });
  t.after(() => page.context().close());
  return [page, steps.person(`person${people++}`)];
}

async function withAccount(t, options) {
  const [page, who] = await open(t, options);
  await steps.register(page, who);
  await page.waitForURL("/account");
  return [page, who];
}

async function withCode(t, options) {
  const [page, who] = await withAccount(t, options);
  await steps.logOut(page);
  await steps.askForCode(page, who);
  await page.waitForURL("/reset");
  return [page, who];
}

const guess = (page) => steps.refused(page, "/reset", 422, () => steps.reset(page, WRONG_CODE, NEW));

function typed(page, ...labels) {
  return Promise.all(labels.map((label) => steps.field(page, label).inputValue()));
}

async function says(page, words) {
  await page.getByRole("status").filter({ hasText: words }).waitFor();
}

test("a wrong code keeps both passwords typed, and a right one then works", async (t) => {
  const [page, who] = await withCode(t);
  for (const left of [4, 3]) {
    await steps.button(page, "Show new password").click();
    await guess(page);
    await hasFocus(page, steps.summary(page));
    await steps.summary(page).getByText(`${left} attempts left`).waitFor();
    assert.deepEqual(await typed(page, "Code", "New password", AGAIN), [WRONG_CODE, NEW, NEW]);
    assert.match(await page.title(), /^Error: /);
    assert.equal(await page.evaluate(() => scrollY), 0);
    const inputs = page.locator("main form input[type=password]");
    assert.equal(await inputs.count(), 2, "both hidden");
    assert.equal(await steps.field(page, "Code").getAttribute("autocomplete"), "one-time-code");
    assert.ok(!(await page.served.text()).includes(NEW), "the server repeats no password");
    assert.equal(await page.locator("main .show-password").count(), 2);
    assert.equal(await page.locator("main").count(), 1);
  }
  await steps.field(page, AGAIN).fill(`${NEW}!`);
  await page.getByText("Passwords don't match.").waitFor();
  await steps.field(page, AGAIN).fill(NEW);
  await page.getByText("Passwords match.").waitFor();
  await steps.field(page, "Code").fill(await steps.readCode(page));
  await steps.button(page, "Change password").click();
  await page.waitForURL("/login");
  await says(page, "Your password was changed");
  await steps.logIn(page, { ...who, password: NEW });
  await page.waitForURL("/account");
  assert.deepEqual(page.complaints, []);
});

test("a refused registration keeps both passwords, the wrong one too", async (t) => {
  const [page, who] = await open(t);
  await page.goto("/register?next=/account/password");
  const fields = { Username: "a", Email: who.email, Password: "short", [AGAIN]: "shorter" };
  await steps.refused(page, "/register", 422, () => steps.send(page, fields, "Create account"));
  assert.deepEqual(await typed(page, "Username", "Email", "Password", AGAIN), Object.values(fields));
  assert.equal(await steps.summary(page).getByRole("listitem").count(), 3);
  const better = { Username: "a", Password: NEW, [AGAIN]: NEW };
  await steps.refused(page, "/register", 422, () => steps.send(page, better, "Create account"));
  assert.equal(await steps.summary(page).getByRole("listitem").count(), 1);
  await steps.send(page, { Username: who.username }, "Create account");
  await page.waitForURL("/account/password");
  await says(page, "Your account was created");
  const how = page.served.request();
  assert.ok(how.isNavigationRequest() && how.method() === "GET", "password managers see a navigation");
  assert.deepEqual(page.complaints, []);
});

test("a wrong current password keeps all three", async (t) => {
  const [page, who] = await withAccount(t);
  const change = () => steps.changePassword(page, "not the one", NEW);
  await steps.refused(page, "/account/password", 422, change);
  assert.deepEqual(await typed(page, "Current password", "New password", AGAIN), ["not the one", NEW, NEW]);
  await steps.send(page, { "Current password": who.password }, "Change password");
  await page.waitForURL("/account");
  await says(page, "Your password was changed");
  assert.deepEqual(page.complaints, []);
});

test("without scripts the passwords are empty", async (t) => {
  const [page] = await withCode(t, { script: false });
  await guess(page);
  assert.deepEqual(await typed(page, "Code", "New password", AGAIN), [WRONG_CODE, "", ""]);
  assert.ok(page.served.request().isNavigationRequest());
  assert.deepEqual(page.complaints, []);
});

test("who goes back to a refused form can send it again", async (t) => {
  const [page] = await withCode(t);
  await guess(page);
  await steps.link(page, "Use a different username or email").click();
  await page.waitForURL("/forgot");
  await page.goBack();
  await page.waitForURL("/reset");
  await guess(page);
  await steps.summary(page).getByText("3 attempts left").waitFor();
  await steps.reset(page, await steps.readCode(page), NEW);
  await page.waitForURL("/login");
  await page.goBack();
  await page.waitForURL("/forgot");
  assert.deepEqual(page.complaints, []);
});

/** Answers what the script sends with what `act` makes of it, and nothing else. */
function onFetch(page, path, act) {
  return page.route(`**${path}`, (route) =>
    route.request().resourceType() === "fetch" ? act(route) : route.fallback());
}

const failures = {
  "that fails": (route) => route.abort(),
  "that is redirected by a proxy": (route) => route.fulfill({ status: 302, headers: { location: "/login" } }),
  "whose answer is no page of ours": (route) => route.fulfill({ status: 200, body: "<h1>Welcome to the café</h1>" }),
};
for (const [what, act] of Object.entries(failures)) {
  test(`a form ${what} is sent again by the browser`, async (t) => {
    const [page] = await withCode(t);
    await onFetch(page, "/reset", act);
    await guess(page);
    assert.ok(page.served.request().isNavigationRequest());
    await steps.summary(page).getByText("4 attempts left").waitFor();
    assert.deepEqual(await typed(page, "New password", AGAIN), ["", ""]);
  });
}

test("an answer that comes late is shown, but not after a newer one", async (t) => {
  const [page] = await withCode(t);
  await page.clock.install({ time: 0 });
  await page.clock.pauseAt(1000);
  await page.goto("/reset");
  const held = [];
  await onFetch(page, "/reset", (route) => held.push(route));
  const press = async (code) => {
    const asked = page.waitForRequest("**/reset");
    await steps.reset(page, code, NEW);
    await asked;
    await page.clock.runFor(8000);
  };
  await press("11");
  await press("22");
  const [first, second] = held;
  await steps.refused(page, "/reset", 422, () => second.continue());
  page.expectRefusal("/reset", 422);
  await Promise.all([page.waitForEvent("requestfinished"), first.continue()]);
  assert.deepEqual(await typed(page, "Code", "New password"), ["22", NEW]);
  assert.deepEqual(page.complaints, []);
});

test("a form that is refused for where it comes from shows that page", async (t) => {
  const [page, who] = await open(t);
  await onFetch(page, "/register", async (route) => {
    const headers = { ...route.request().headers(), origin: "http://evil.example", "sec-fetch-site": "cross-site" };
    await route.fulfill({ response: await route.fetch({ headers }) });
  });
  await steps.refused(page, "/register", 403, () => steps.register(page, who));
  assert.equal(await page.locator("h1").count(), 1);
  assert.equal(await steps.button(page, "Create account").count(), 0);
  await hasFocus(page, page.locator("main"));
  assert.deepEqual(page.complaints, []);
});

test("a limit that is reached keeps the passwords", async (t) => {
  const site = await startSite({ VESTIBULE_LIMIT_REGISTER_IP: "1/1h" });
  t.after(() => site.stop());
  const [page, who] = await withAccount(t, { site });
  await steps.logOut(page);
  const other = steps.person(`${who.username}-2`);
  await steps.refused(page, "/register", 429, () => steps.register(page, other));
  await steps.summary(page).waitFor();
  assert.deepEqual(await typed(page, "Password", AGAIN), [other.password, other.password]);
  assert.deepEqual(page.complaints, []);
});

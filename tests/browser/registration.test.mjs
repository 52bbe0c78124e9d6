// Registrations that are confirmed by a code, and approved: without scripts, by keyboard alone.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { test } from "node:test";

import { openPage } from "./support/browser.mjs";
import { siteAndBrowser } from "./support/hooks.mjs";
import * as steps from "./support/journey.mjs";
import { hasFocus, tabTo } from "./support/keyboard.mjs";
import { VESTIBULE } from "./support/site.mjs";

const WRONG_CODE = "CCCC-CCCC";

const verified = siteAndBrowser({ VESTIBULE_REGISTRATION: "verified" });
const approval = siteAndBrowser({ VESTIBULE_REGISTRATION: "approval" });

async function sees(page, words) {
  await page.getByRole("status").filter({ hasText: words }).waitFor();
}

/** Types into the fields with these labels, which Tab leads to, and presses Enter. */
async function type(page, fields) {
  for (const [label, value] of Object.entries(fields)) {
    const field = steps.field(page, label);
    if (!(await field.and(page.locator(":focus")).count())) await tabTo(page, field);
    await page.keyboard.press("ControlOrMeta+A");
    await page.keyboard.type(value);
  }
  await page.keyboard.press("Enter");
}

async function registers(page, { username, email, password }) {
  await page.goto("/register");
  await type(page, { Username: username, Email: email, Password: password, "Confirm password": password });
  await page.waitForURL("/register/confirm");
  await hasFocus(page, steps.field(page, "Code"));
}

function open(on) {
  return openPage(on.browser, { site: on.site, script: false, reducedMotion: "reduce" });
}

test("a registration is confirmed, and a taken username replaced", async () => {
  const page = await open(verified);
  const ann = steps.person("ann");
  await registers(page, ann);
  await steps.refused(page, "/register/confirm", 422, () => type(page, { Code: WRONG_CODE }));
  await hasFocus(page, steps.summary(page));
  await type(page, { Code: await steps.readCode(page) });
  await page.waitForURL("/account");
  await sees(page, "Your account was created");
  await steps.logOut(page);

  await registers(page, { ...ann, email: "anna@meadow.example" });
  const code = await steps.readCode(page);
  await steps.refused(page, "/register/confirm", 422, () => type(page, { Code: code }));
  await hasFocus(page, steps.summary(page));
  await type(page, { Username: "anna" });
  await page.waitForURL("/account");
  assert.deepEqual(page.complaints, []);
  await page.context().close();
});

test("an account waits until it is approved", async () => {
  const page = await open(approval);
  const bob = steps.person("bob");
  await registers(page, bob);
  await type(page, { Code: await steps.readCode(page) });
  await page.waitForURL("/login");
  await sees(page, "We'll email you when you're approved.");
  const logIn = () => type(page, { "Username or email": bob.username, Password: bob.password });
  await steps.refused(page, "/login", 422, logIn);
  await hasFocus(page, steps.summary(page));
  const told = execFileSync(VESTIBULE[0], ["user", "approve", "bob"], { cwd: approval.site.folder, env: {} });
  assert.match(told.toString(), /bob@meadow\.example/);
  await page.goto("/login");
  await logIn();
  await page.waitForURL("/account");
  assert.deepEqual(page.complaints, []);
  await page.context().close();
});

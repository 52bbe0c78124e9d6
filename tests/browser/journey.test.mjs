// The whole journey, as people make it: with the mouse, without scripts, by keyboard alone.

import assert from "node:assert/strict";
import { test } from "node:test";

import { openPage } from "./support/browser.mjs";
import { siteAndBrowser } from "./support/hooks.mjs";
import * as steps from "./support/journey.mjs";
import { hasFocus, tabTo } from "./support/keyboard.mjs";

const WRONG_CODE = "CCCC-CCCC";
const SECOND_PASSWORD = "velvet anchor pudding";
const THIRD_PASSWORD = "copper orchard window";

const on = siteAndBrowser({ VESTIBULE_LOGIN_CODE: "on" });

async function sees(page, words) {
  await page.getByRole("status").filter({ hasText: words }).waitFor();
}

async function isLoggedOut(page) {
  await page.goto("/account");
  assert.equal(page.url(), `${on.site.url}/login?next=/account`);
}

for (const script of [true, false]) {
  const manner = script ? "with scripts" : "without scripts";

  test(`the whole journey ${manner}`, async () => {
    const page = await openPage(on.browser, { site: on.site, script });
    const ann = steps.person(script ? "ann" : "anna");

    await steps.register(page, ann);
    await page.waitForURL("/account");
    await sees(page, "Your account was created");
    await steps.logOut(page);
    await sees(page, "You've been logged out");
    await isLoggedOut(page);

    await steps.link(page, "Forgot your password?").click();
    await page.waitForURL("/forgot");
    await steps.askForCode(page, ann);
    await page.waitForURL("/reset");
    const guess = () => steps.reset(page, WRONG_CODE, SECOND_PASSWORD);
    await steps.refused(page, "/reset", 422, guess);
    await hasFocus(page, steps.summary(page));
    await steps.reset(page, await steps.readCode(page), SECOND_PASSWORD);
    await page.waitForURL("/login");
    await sees(page, "Your password was changed");

    await steps.refused(page, "/login", 422, () => steps.logIn(page, ann));
    await steps.summary(page).waitFor();
    await steps.logIn(page, { ...ann, password: SECOND_PASSWORD });
    await page.waitForURL("/account");
    await steps.changePassword(page, SECOND_PASSWORD, THIRD_PASSWORD);
    await page.waitForURL("/account");
    await sees(page, "Your password was changed");
    await steps.logOut(page);
    await isLoggedOut(page);

    await steps.logIn(page, { ...ann, password: THIRD_PASSWORD });
    await page.waitForURL("/account");
    assert.deepEqual(page.complaints, []);
    await page.context().close();
  });

  test(`the whole journey by keyboard alone, ${manner}`, async () => {
    // A skip link that slides into view is not there yet at the first look.
    const page = await openPage(on.browser, { site: on.site, script, reducedMotion: "reduce" });
    const bob = steps.person(script ? "bob" : "bobby");
    const typist = typing(page);

    await page.goto("/register");
    await tabTo(page, steps.button(page, "Create account"));
    await steps.refused(page, "/register", 422, () => page.keyboard.press("Enter"));
    await leadsToTheField(page, "Username");
    await typist.fill({
      Username: bob.username,
      "Email": bob.email,
      Password: bob.password,
      "Confirm password": bob.password,
    });
    await goesBackAndForth(page, "Confirm password", "Email");
    await page.keyboard.press("Enter");
    await page.waitForURL("/account");
    await typist.press("Log out", "Space", "/login");

    await typist.follow("Forgot your password?", "/forgot");
    await typist.fill({ Username: bob.username, "Email": bob.email });
    await page.keyboard.press("Enter");
    await page.waitForURL("/reset");
    await typist.fill({
      Code: WRONG_CODE,
      "New password": SECOND_PASSWORD,
      "Confirm password": SECOND_PASSWORD,
    });
    await steps.refused(page, "/reset", 422, () => page.keyboard.press("Enter"));
    await leadsToTheField(page, "Code");
    await typist.fill({
      Code: await steps.readCode(page),
      "New password": SECOND_PASSWORD,
      "Confirm password": SECOND_PASSWORD,
    });
    await typist.press("Change password", "Enter", "/login");

    await typist.fill({ "Username or email": bob.username, Password: SECOND_PASSWORD });
    const remember = page.getByRole("checkbox");
    await tabTo(page, remember);
    await page.keyboard.press("Space");
    assert.ok(await remember.isChecked());
    await typist.press("Log in", "Space", "/account");
    await typist.follow("Change password", "/account/password");
    await typist.fill({
      "Current password": SECOND_PASSWORD,
      "New password": THIRD_PASSWORD,
      "Confirm password": THIRD_PASSWORD,
    });
    await page.keyboard.press("Enter");
    await page.waitForURL("/account");
    await typist.press("Log out", "Enter", "/login");
    assert.deepEqual(page.complaints, []);
    await page.context().close();
  });

  test(`the account pages by keyboard alone, ${manner}`, async () => {
    const page = await openPage(on.browser, { site: on.site, script, reducedMotion: "reduce" });
    const eve = steps.person(script ? "eve" : "evelyn");
    const typist = typing(page);
    await steps.register(page, eve);
    await page.waitForURL("/account");

    await typist.follow("Confirm your email", "/verify");
    await typist.fill({ Code: await steps.readCode(page) });
    await typist.press("Confirm email", "Enter", "/account");
    await typist.follow("Change username", "/account/username");
    eve.username += "-2";
    await typist.fill({ "New username": eve.username });
    await typist.press("Change username", "Enter", "/account");
    await typist.follow("Change email", "/account/email");
    await typist.fill({ "New email": `${eve.username}@garden.example` });
    await typist.press("Email me a code", "Enter", "/account/email/confirm");
    await typist.fill({ Code: await steps.readCode(page) });
    await typist.press("Change email", "Enter", "/account");
    await typist.press("Log out", "Space", "/login");

    await typist.follow("Email me a code instead", "/login/code");
    const login = steps.field(page, "Username or email");
    await hasFocus(page, login);
    await login.press("Control+A");
    await typist.fill({ "Username or email": eve.username });
    await typist.press("Email me a code", "Enter", "/login/code/confirm");
    await typist.fill({ Code: await steps.readCode(page) });
    await typist.press("Log in", "Enter", "/account");

    const elsewhere = await openPage(on.browser, { site: on.site, script });
    await steps.logIn(elsewhere, eve);
    await elsewhere.waitForURL("/account");
    await typist.follow("Sessions", "/account/sessions");
    await typist.press("Log out everywhere else", "Space", "/account/sessions");
    await sees(page, "You've been logged out everywhere else");
    await isLoggedOut(elsewhere);
    await typist.follow("History", "/account/history");
    await typist.follow("Account", "/account");
    await tabTo(page, steps.button(page, "Download your data"));
    await Promise.all([page.waitForEvent("download"), page.keyboard.press("Space")]);
    await typist.follow("Delete your account", "/account/delete");
    await typist.fill({ Username: eve.username, "Current password": eve.password });
    await typist.press("Delete account", "Enter", "/login");
    await sees(page, "Your account was deleted");
    // Chromium reports a download as a page that did not come.
    const rest = page.complaints.filter((words) => !words.includes("/account/export net::ERR_ABORTED"));
    assert.deepEqual([...rest, ...elsewhere.complaints], []);
    await Promise.all([page, elsewhere].map((one) => one.context().close()));
  });

  test(`the link of a notice by keyboard alone, ${manner}`, async () => {
    const page = await openPage(on.browser, { site: on.site, script, reducedMotion: "reduce" });
    const fay = steps.person(script ? "fay" : "fayette");
    const typist = typing(page);
    await steps.register(page, fay);
    await page.waitForURL("/account");
    await page.goto(await steps.readLink(page, fay, "/not-me/"));
    await typist.press("This wasn't me", "Space", "/forgot");
    await typist.fill({ Email: fay.email });
    await typist.press("Email me a code", "Enter", "/reset");
    assert.deepEqual(page.complaints, []);
    await page.context().close();
  });

  test(`the skip link and the links of the summary lead on, and back to it, ${manner}`, async () => {
    const page = await openPage(on.browser, { site: on.site, script, reducedMotion: "reduce" });
    await page.goto("/register");
    await hasFocus(page, steps.field(page, "Username"));
    await tabTo(page, page.getByRole("link", { name: /^skip/i }), "Shift+Tab");
    await page.keyboard.press("Enter");
    await page.keyboard.press("Tab");
    await page.locator("main :focus").waitFor();

    // The address now ends with the fragment of the link, and browsers heed no autofocus then: the
    // form must not be sent to that address.
    for (const label of ["Username", "Username"]) {
      await tabTo(page, steps.button(page, "Create account"));
      await steps.refused(page, "/register", 422, () => page.keyboard.press("Enter"));
      await leadsToTheField(page, label);
    }
    assert.deepEqual(page.complaints, []);
    await page.context().close();
  });
}

function typing(page) {
  const act = async (target, key, path) => {
    await tabTo(page, target);
    await page.keyboard.press(key);
    await page.waitForURL(path);
  };
  return {
    /** Tabs to each field, which selects what stands in it, and types. */
    fill: async (fields) => {
      for (const [label, value] of Object.entries(fields)) {
        const target = steps.field(page, label);
        const isThere = await target.and(page.locator(":focus")).count();
        if (!isThere) await tabTo(page, target);
        await page.keyboard.type(value);
        assert.equal(await target.inputValue(), value);
      }
    },
    press: (name, key, path) => act(steps.button(page, name), key, path),
    follow: (name, path) => act(steps.link(page, name), "Enter", path),
  };
}

/** The summary of a refused form has the focus; its link puts it into the field. */
async function leadsToTheField(page, label) {
  await hasFocus(page, steps.summary(page));
  await tabTo(page, steps.summary(page).getByRole("link").first());
  await page.keyboard.press("Enter");
  const field = steps.field(page, label);
  await hasFocus(page, field);
  // Coming back with Tab selects what stands there, to be typed over.
  await page.keyboard.press("Shift+Tab");
  await tabTo(page, field);
}

async function goesBackAndForth(page, from, to) {
  await tabTo(page, steps.field(page, to), "Shift+Tab");
  await tabTo(page, steps.field(page, from));
}

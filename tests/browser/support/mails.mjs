// Every kind of mail that a visitor can cause, and what causes it.
//
// The trial mail of `vestibule mail` has the same frame and is not among them: it goes to a mail
// server alone.

import { openPage } from "./browser.mjs";
import * as steps from "./journey.mjs";

const SECOND_PASSWORD = "velvet anchor pudding";

/** The kinds, as /dev/mailbox.json names them. */
export const KINDS = ["registered", "login", "new_device", "reset_code", "password_changed", "username_changed", "email_code", "email_changed", "login_stopped"];

/** Does all that is told by mail; the HTML of one mail of each kind. */
export async function receiveMails(browser, site) {
  const page = await openPage(browser, { site });
  const who = steps.person("addressee");
  await steps.register(page, who);
  await page.waitForURL("/account");
  await steps.logOut(page);
  await logIn(page, who);
  await steps.changePassword(page, who.password, SECOND_PASSWORD);
  await page.waitForURL("/account");
  await page.goto("/account/username");
  who.username = "addressee-2";
  await steps.send(page, { "New username": who.username }, "Change username");
  await page.waitForURL("/account");
  who.email = "addressee-2@garden.example";
  await page.goto("/account/email");
  await steps.send(page, { "New email": who.email }, "Email me a code");
  await page.waitForURL("/account/email/confirm");
  await steps.send(page, { Code: await steps.readCode(page) }, "Change email");
  await page.waitForURL("/account");
  const elsewhere = await openPage(browser, { site });
  await logIn(elsewhere, { ...who, password: SECOND_PASSWORD });
  await failToLogIn(browser, site, who);
  await elsewhere.goto("/logout");
  await steps.logOut(elsewhere);
  await steps.askForCode(elsewhere, who);
  await elsewhere.waitForURL("/reset");
  const mails = await (await page.request.get("/dev/mailbox.json")).json();
  await Promise.all([page, elsewhere].map((one) => one.context().close()));
  return Object.fromEntries(mails.map(({ kind, html }) => [kind, html]));
}

/** A hundred times in a row, as a stranger. */
async function failToLogIn(browser, site, who) {
  const stranger = await openPage(browser, { site });
  const form = { username: who.username, password: "wrong" };
  const headers = { origin: new URL(site.url).origin };
  const logIn = () => stranger.request.post("/login", { form, headers });
  // Fewer at a time than wait for a hash: who is told to come back has not failed.
  for (let failed = 0; failed < 100; ) {
    const answers = await Promise.all(Array.from({ length: 20 }, logIn));
    failed += answers.filter((answer) => answer.status() === 422).length;
  }
  await stranger.context().close();
}

async function logIn(page, who) {
  await steps.logIn(page, who);
  await page.waitForURL("/account");
}

// Every kind of mail that a visitor can cause, and what causes it.
//
// The trial mail of `vestibule mail` has the same frame and is not among them: it goes to a mail
// server alone.

import { openPage } from "./browser.mjs";
import * as steps from "./journey.mjs";

const SECOND_PASSWORD = "velvet anchor pudding";

/** The kinds, as /dev/mailbox.json names them; there, "already_registered" is "register_code", too. */
export const KINDS = [
  "invitation",
  "registered",
  "verify_code",
  "login",
  "new_device",
  "login_code",
  "login_limited",
  "login_stopped",
  "reset_code",
  "password_changed",
  "username_changed",
  "email_code",
  "email_changed",
  "email_restored",
  "account_deleted",
  "register_code",
  "already_registered",
  "approval_asked",
  "approved",
];

/** Does all that is told by mail; the HTML of one mail of each kind. */
export async function receiveMails(browser, site) {
  site.invite("invited@meadow.example");
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
  await page.goto("/logout");
  await steps.logOut(page);
  await steps.link(page, "Email me a code instead").click();
  await steps.send(page, { "Username or email": who.username }, "Email me a code");
  await page.waitForURL("/login/code/confirm");
  await moveAndLeave(page);
  const mails = await (await page.request.get("/dev/mailbox.json")).json();
  await Promise.all([page, elsewhere].map((one) => one.context().close()));
  return Object.fromEntries(mails.map(({ kind, html }) => [kind, html]));
}

/** The mail about limited logins, of a site that takes one wrong password. */
export async function receiveLimited(browser, site) {
  const page = await openPage(browser, { site });
  const who = steps.person("addressee");
  await steps.register(page, who);
  await page.waitForURL("/account");
  await steps.confirmEmail(page);
  const stranger = await openPage(browser, { site });
  await steps.refused(stranger, "/login", 422, () => steps.logIn(stranger, { ...who, password: "wrong" }));
  const mails = await (await page.request.get("/dev/mailbox.json")).json();
  await Promise.all([page, stranger].map((one) => one.context().close()));
  return mails.find(({ kind }) => kind === "login_limited").html;
}

/** The mails about a registration at a site where accounts are approved. */
export async function receiveApproval(browser, site) {
  const page = await openPage(browser, { site });
  const who = steps.person("addressee");
  await steps.register(page, who);
  await page.waitForURL("/register/confirm");
  await steps.send(page, { Code: await steps.readCode(page) }, "Create account");
  await page.waitForURL("/login");
  site.approve(who.username);
  await steps.register(page, { ...who, username: "somebody-else" });
  await page.waitForURL("/register/confirm");
  const mails = await (await page.request.get("/dev/mailbox.json")).json();
  await page.context().close();
  const kindOf = ({ kind, subject }) => (subject.startsWith("You already") ? "already_registered" : kind);
  return Object.fromEntries(mails.map((mail) => [kindOf(mail), mail.html]));
}

/** Someone else confirms the address, changes it, has it given back, and leaves. */
async function moveAndLeave(page) {
  const who = steps.person("mover");
  await steps.register(page, who);
  await page.waitForURL("/account");
  await page.goto("/verify");
  await steps.button(page, "Send a new code").click();
  await page.getByText("We've sent a new code").waitFor();
  await page.goto("/account/email");
  await steps.send(page, { "New email": "mover@garden.example" }, "Email me a code");
  await page.waitForURL("/account/email/confirm");
  await steps.send(page, { Code: await steps.readCode(page) }, "Change email");
  await page.waitForURL("/account");
  await page.goto(await steps.readLink(page, who, "/not-me/"));
  await steps.button(page, "This wasn't me").click();
  await page.waitForURL("/forgot");
  const leaver = steps.person("leaver");
  await steps.register(page, leaver);
  await page.waitForURL("/account");
  await page.goto("/account/delete");
  const fields = { Username: leaver.username, "Current password": leaver.password };
  await steps.send(page, fields, "Delete account");
  await page.waitForURL("/login");
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

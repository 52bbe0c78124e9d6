// What people do, step by step, by the labels and the roles that they see.

import { autofocused, isFetched } from "./browser.mjs";

/** Someone with an address of their own. */
export function person(username) {
  return { username, email: `${username}@meadow.example`, password: "moss lantern quartz" };
}

/** The input with this label; buttons that name a field too ("Show password") are not meant. */
export function field(page, label) {
  return page.getByLabel(label, { exact: true }).and(page.locator("input"));
}

export function button(page, name) {
  return page.getByRole("button", { name, exact: true });
}

export function link(page, name) {
  return page.getByRole("link", { name, exact: true });
}

/** What is wrong, at the top of a refused form. */
export function summary(page) {
  return page.getByRole("alert").filter({ hasText: "There is a problem" });
}

/** Fills the fields with these labels and presses the button. */
export async function send(page, fields, name) {
  for (const [label, value] of Object.entries(fields)) await field(page, label).fill(value);
  await button(page, name).click();
}

export async function register(page, who) {
  await page.goto("/register");
  const { username, email, password } = who;
  const fields = { Username: username, "Email": email };
  await send(page, { ...fields, Password: password, "Confirm password": password }, "Create account");
}

/** Proves the address of the account that has just been made, with the code of its welcome. */
export async function confirmEmail(page) {
  await page.goto("/verify");
  await send(page, { Code: await readCode(page) }, "Confirm email");
  await page.waitForURL("/account");
}

export async function logIn(page, who) {
  await page.goto("/login");
  const fields = { "Username or email": who.username, Password: who.password };
  await send(page, fields, "Log in");
}

export async function logOut(page) {
  await button(page, "Log out").click();
  await page.waitForURL("/login");
}

export async function askForCode(page, who) {
  await page.goto("/forgot");
  await send(page, { Username: who.username, "Email": who.email }, "Email me a code");
}

/** The path that begins with `start` in a mail to `who`. */
export async function readLink(page, who, start) {
  const mails = await (await page.request.get("/dev/mailbox.json")).json();
  const text = mails.filter(({ to }) => to === who.email).map((mail) => mail.text).join("\n");
  return text.match(new RegExp(`${start}[\\w-]+`))[0];
}

/** The code of the newest mail with one, read in a tab of its own. */
export async function readCode(page) {
  const mailbox = await page.context().newPage();
  await mailbox.goto("/dev/mailbox");
  const codes = /\b[A-Z0-9]{4}-[A-Z0-9]{4}\b/;
  const mail = await mailbox.locator("pre").filter({ hasText: codes }).first().textContent();
  await mailbox.close();
  return codes.exec(mail)[0];
}

/** On the page that asks for the code: a new password with it. */
export async function reset(page, code, password) {
  const fields = { Code: code, "New password": password, "Confirm password": password };
  await send(page, fields, "Change password");
}

export async function changePassword(page, current, password) {
  await page.goto("/account/password");
  const fields = { "Current password": current, "New password": password };
  await send(page, { ...fields, "Confirm password": password }, "Change password");
}

/** Asks for another code, and comes back to the same address. */
export async function resend(page) {
  await Promise.all([page.waitForEvent("load"), button(page, "Send a new code").click()]);
  await autofocused(page);
}

/**
 * What `act` sends to `path` is refused with this status. The address may stay and the answer comes
 * before its page, so what there is to wait for is the load of that page, or that the script has put it
 * in the place of the one with the busy button.
 */
export async function refused(page, path, status, act) {
  page.expectRefusal(path, status);
  const loaded = page.waitForEvent("load", async () => (await statusOf(page)) === status);
  const isAnswer = (response) => isFetched(response.request()) && response.status() === status;
  const replaced = page.waitForResponse(isAnswer).then(() => isIdle(page));
  await Promise.all([Promise.any([loaded, replaced]), act()]);
  await autofocused(page);
}

/** Waits until no form is under way. */
function isIdle(page) {
  return page.locator("main [aria-busy=true]").waitFor({ state: "detached" });
}

/** As the page itself knows it: playwright can tell of the answer after the load. A stopped clock hides it. */
async function statusOf(page) {
  const own = await page.evaluate(() => performance.getEntriesByType("navigation")[0]?.responseStatus);
  return own ?? page.served?.status();
}

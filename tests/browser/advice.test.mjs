// Advice on a new password and on its repetition, while they are typed.

import assert from "node:assert/strict";

import { button, field, refused, summary } from "./support/journey.mjs";
import { ADVICE, STRONG, advice, heard, visits } from "./support/visits.mjs";

const AGAIN = "Confirm password";
const SAME = "Passwords match.";
const DIFFER = "Passwords don't match.";

const visit = visits();
const strictly = visits({ VESTIBULE_PASSWORD_MIN: "15" });

/** The length alone: what is common or easy to guess, only the server knows. */
const MEASURED = [
  ["a", "11 more characters needed."],
  ["moss lanter", "1 more character needed."],
  ["cafe\u0301 cafe\u0301 1", "1 more character needed."], // 11 code points after NFC, 13 before
  ["😀😁😂🤣😃😄", "6 more characters needed."],
  ["m".repeat(129), "1 character too many."],
  ["aaaaaaaaaaaa", "Long enough."],
  ["letmein letmein2", "Long enough."],
  ["moss lantern", "Long enough."],
  ["густой туман над рекой", "Long enough."],
  [STRONG, "Long enough."],
];

visit("the length of a new password is told as it is typed", "/register", async (page) => {
  const line = advice(page, "Password");
  assert.ok(await line.isHidden(), "nothing while it is empty");
  for (const [password, words] of MEASURED) {
    await field(page, "Password").fill(password);
    assert.equal(await line.innerText(), words, password);
  }
  await field(page, "Password").fill("");
  assert.ok(await line.isHidden(), "nothing once it is empty again");
  await page.clock.runFor(500);
  assert.equal(await heard(page), "");
});

/** Sends a registration that is refused. */
async function send(page, fields) {
  for (const [label, value] of Object.entries(fields)) await field(page, label).fill(value);
  await refused(page, "/register", 422, () => button(page, "Create account").click());
}

visit("other fields change nothing of it", "/register", async (page) => {
  await field(page, "Password").fill("moss lantern");
  await page.clock.runFor(500);
  await field(page, "Username").fill("lantern");
  assert.equal(await advice(page, "Password").innerText(), "Long enough.");
});

visit("the server's message goes when there are newer words", "/register", async (page) => {
  await send(page, { Password: "short", [AGAIN]: "oth" });
  const messages = page.locator("main .error");
  const listed = summary(page).getByRole("listitem");
  const before = [await messages.count(), await listed.count()];
  const place = () => field(page, "Password").evaluate((input) => Math.round(input.getBoundingClientRect().top + scrollY));
  const top = await place();
  await field(page, "Password").fill("moss");
  assert.deepEqual([await messages.count(), await listed.count()], [before[0] - 1, before[1]]);
  assert.equal(await advice(page, "Password").innerText(), "8 more characters needed.");
  assert.equal(await field(page, "Password").getAttribute("aria-invalid"), null);
  assert.equal(await field(page, "Password").getAttribute("aria-describedby"), null);
  assert.ok(Math.abs((await place()) - top) <= 2, "the field stays where it is");
  assert.equal(await field(page, AGAIN).getAttribute("aria-invalid"), "true", "nothing new is said of it");
  await field(page, "Password").fill(STRONG);
  assert.equal(await listed.count(), before[1] - 1);
  await field(page, AGAIN).fill(STRONG);
  assert.deepEqual([await messages.count(), await listed.count()], [before[0] - 2, before[1] - 2]);
  assert.equal(await advice(page, AGAIN).innerText(), SAME);
  assert.equal(await field(page, AGAIN).getAttribute("aria-describedby"), null);
});

visit("the summary goes with its last line", "/account/password", async (page) => {
  await field(page, "Current password").fill(STRONG);
  await field(page, "New password").fill("velvet anchor pudding");
  await field(page, AGAIN).fill("other");
  await refused(page, "/account/password", 422, () => button(page, "Change password").click());
  await summary(page).waitFor();
  for (const label of ["New password", AGAIN]) await field(page, label).fill(STRONG);
  assert.equal(await summary(page).count(), 0);
  assert.equal(await page.getByText(DIFFER).count(), 0);
});

strictly("the least length is the one that the server asks for", "/register", async (page) => {
  await field(page, "Password").fill("moss lantern");
  assert.equal(await advice(page, "Password").innerText(), "3 more characters needed.");
});

visit("a login is not measured", "/login", async (page) => {
  await field(page, "Password").fill("abc");
  assert.equal(await page.locator(ADVICE).count(), 0);
});

visit("advice is heard after a pause, not at each key", "/register", async (page) => {
  for (const letter of "moss") {
    await field(page, "Password").press(letter);
    await page.clock.runFor(499);
    assert.equal(await heard(page), "");
  }
  assert.equal(await advice(page, "Password").innerText(), "8 more characters needed.");
  await page.clock.runFor(1);
  assert.equal(await heard(page), "8 more characters needed.");
});

visit("the second password is compared once it is as long as the first", "/register", async (page) => {
  const line = advice(page, AGAIN);
  await field(page, "Password").fill(STRONG);
  assert.ok(await line.isHidden());
  await field(page, AGAIN).fill("moss lanturn");
  assert.equal(await line.textContent(), "", "it is being typed");
  const room = await button(page, "Create account").boundingBox();
  await field(page, AGAIN).fill("moss lanturn quartz");
  assert.equal(await line.innerText(), DIFFER);
  assert.equal(await heard(page), "");
  await page.clock.runFor(500);
  assert.equal(await heard(page), DIFFER);
  await field(page, AGAIN).fill(STRONG);
  assert.equal(await line.innerText(), SAME);
  assert.deepEqual(await button(page, "Create account").boundingBox(), room, "no button moves");
  await field(page, "Password").fill(`${STRONG}!`);
  await page.clock.runFor(500);
  assert.equal(await heard(page), `Long enough. ${DIFFER}`);
});

visit("the second password is compared once it was left", "/reset", async (page) => {
  const line = advice(page, AGAIN);
  await field(page, "New password").fill(STRONG);
  await field(page, AGAIN).fill("moss");
  assert.equal(await line.textContent(), "");
  await page.keyboard.press("Tab");
  assert.equal(await line.innerText(), DIFFER);
  await page.clock.runFor(500);
  assert.equal(await heard(page), DIFFER);
  await field(page, AGAIN).fill("moss lan");
  assert.equal(await line.innerText(), DIFFER, "it stays until it is mended");
  await field(page, AGAIN).fill("");
  assert.ok(await line.isHidden());
});

// Advice on a new password and on its repetition, while they are typed.

import assert from "node:assert/strict";

import { button, field } from "./support/journey.mjs";
import { ADVICE, STRONG, advice, heard, visits } from "./support/visits.mjs";

const SAME = "Both passwords are the same.";
const DIFFER = "The two passwords differ.";

const visit = visits();
const strictly = visits({ VESTIBULE_PASSWORD_MIN: "15" });

const RATED = [
  ["a", 1, "11 more characters needed."],
  ["moss lanter", 1, "1 more character needed."],
  ["cafe\u0301 cafe\u0301 1", 1, "1 more character needed."], // 11 code points after NFC, 13 before
  ["😀😁😂🤣😃😄", 1, "6 more characters needed."],
  ["m".repeat(129), 1, "1 character too many."],
  ["aaaaaaaaaaaaaaaa", 2, "Could be stronger: it repeats itself."],
  ["xk7xk7xk7xk7", 2, "Could be stronger: it repeats itself."],
  ["abcdefghijkl", 2, "Could be stronger: it contains a run like abcd, 1234 or qwerty."],
  ["987654321098", 2, "Could be stronger: it contains a run like abcd, 1234 or qwerty."],
  ["QWERTYuiop12", 2, "Could be stronger: it contains a run like abcd, 1234 or qwerty."],
  ["xyyxxzyzxxyz", 2, "Could be stronger: it has few different characters."],
  ["annabel12345", 2, "Could be stronger: it contains a name or word that is tried first."],
  ["ANNABELsmeadow", 2, "Could be stronger: it contains a name or word that is tried first."],
  ["brook.street2", 2, "Could be stronger: it contains a name or word that is tried first."],
  ["Vestibule2024", 2, "Could be stronger: it contains a name or word that is tried first."],
  ["Password1958", 2, "Could be stronger: it contains a name or word that is tried first."],
  ["P@ssw0rd1958", 2, "Could be stronger: it contains a name or word that is tried first."],
  ["1q2w3e4r5t6y", 2, "Could be stronger: it contains a run like abcd, 1234 or qwerty."],
  ["Liverpool2023", 2, "Could be stronger: add another word."],
  ["brook.street", 2, "Could be stronger: it contains a name or word that is tried first."],
  ["meadow.3xampl3", 2, "Could be stronger: it contains a name or word that is tried first."],
  ["moss lantern", 3, "Long enough. Another word makes it stronger."],
  ["annabel and the lantern", 4, "Long and varied."],
  ["густой туман над рекой", 4, "Long and varied."],
  [STRONG, 4, "Long and varied."],
];

visit("a new password is rated as it is typed", "/register", async (page) => {
  await field(page, "Username").fill("Annabel");
  await field(page, "Email").fill("brook.street@meadow.example");
  const line = advice(page, "Password");
  assert.ok(await line.isHidden(), "nothing while it is empty");
  for (const [password, level, words] of RATED) {
    await field(page, "Password").fill(password);
    const found = [await line.getAttribute("data-level"), await line.innerText()];
    assert.deepEqual(found, [`${level}`, words], password);
  }
  await field(page, "Password").fill("");
  assert.ok(await line.isHidden(), "nothing once it is empty again");
  await page.clock.runFor(500);
  assert.equal(await heard(page), "");
});

visit("the username that a page carries along counts as a name", "/reset", async (page) => {
  await field(page, "New password").fill("ann-ann1-ann");
  assert.match(await advice(page, "New password").innerText(), /a name or word/);
});

strictly("the least length is the one that the server asks for", "/register", async (page) => {
  await field(page, "Password").fill("moss lantern");
  assert.equal(await advice(page, "Password").innerText(), "3 more characters needed.");
});

visit("a login is not rated", "/login", async (page) => {
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
  const line = advice(page, "Confirm password");
  await field(page, "Password").fill(STRONG);
  assert.ok(await line.isHidden());
  await field(page, "Confirm password").fill("moss lanturn");
  assert.equal(await line.textContent(), "", "it is being typed");
  const room = await button(page, "Create account").boundingBox();
  await field(page, "Confirm password").fill("moss lanturn quartz");
  assert.equal(await line.innerText(), DIFFER);
  assert.equal(await heard(page), "");
  await page.clock.runFor(500);
  assert.equal(await heard(page), DIFFER);
  await field(page, "Confirm password").fill(STRONG);
  assert.equal(await line.innerText(), SAME);
  assert.deepEqual(await button(page, "Create account").boundingBox(), room, "no button moves");
  await field(page, "Password").fill(`${STRONG}!`);
  await page.clock.runFor(500);
  assert.equal(await heard(page), `Long and varied. ${DIFFER}`);
});

visit("the second password is compared once it was left", "/reset", async (page) => {
  const line = advice(page, "Confirm password");
  await field(page, "New password").fill(STRONG);
  await field(page, "Confirm password").fill("moss");
  assert.equal(await line.textContent(), "");
  await page.keyboard.press("Tab");
  assert.equal(await line.innerText(), DIFFER);
  await page.clock.runFor(500);
  assert.equal(await heard(page), DIFFER);
  await field(page, "Confirm password").fill("moss lan");
  assert.equal(await line.innerText(), DIFFER, "it stays until it is mended");
  await field(page, "Confirm password").fill("");
  assert.ok(await line.isHidden());
});

visit("the bar has the text's colour in forced colours", "/register", async (page) => {
  await page.emulateMedia({ forcedColors: "active" });
  await field(page, "Password").fill("moss lantern");
  const [adjust, bar, text] = await advice(page, "Password").evaluate((line) => {
    const { forcedColorAdjust, backgroundImage } = getComputedStyle(line, "::before");
    return [forcedColorAdjust, backgroundImage, getComputedStyle(line).color];
  });
  assert.equal(adjust, "none");
  assert.ok(bar.startsWith(`linear-gradient(to right, ${text} 75%, rgb(`), bar);
});

// The button beside a password, which shows and hides it.

import assert from "node:assert/strict";

import { button, field } from "./support/journey.mjs";
import { PASSWORDS, STRONG, count, heard, tell, visits } from "./support/visits.mjs";

const visit = visits();
const type = (page, label) => field(page, label).getAttribute("type");

for (const [path, labels] of Object.entries(PASSWORDS)) {
  visit(`each password of ${path} has a button of its own that shows it`, path, async (page) => {
    assert.equal(await page.locator("button[type=button]").count(), labels.length);
    for (const label of labels) {
      const name = label.toLowerCase();
      assert.equal(await page.getByLabel(label, { exact: true }).count(), 1);
      await field(page, label).fill(STRONG);
      assert.equal(await type(page, label), "password");
      await button(page, `Show ${name}`).click();
      assert.equal(await type(page, label), "text");
      assert.equal(await page.locator("input[type=text]:visible").and(field(page, label)).count(), 1);
      const controls = await button(page, `Hide ${name}`).getAttribute("aria-controls");
      assert.equal(controls, await field(page, label).getAttribute("id"));
      await button(page, `Hide ${name}`).click();
      assert.equal(await type(page, label), "password");
      assert.equal(await field(page, label).inputValue(), STRONG);
    }
  });
}

visit("the button makes no second control of the label", "/login", async (page) => {
  assert.equal(await page.getByLabel("Password").count(), 1);
  await button(page, "Show password").click();
  assert.equal(await page.getByLabel("Password").count(), 1);
});

visit("value, caret and autocomplete stay when a password is shown", "/login", async (page) => {
  const password = field(page, "Password");
  await password.fill(STRONG);
  await password.evaluate((input) => input.setSelectionRange(4, 8));
  for (const name of ["Show password", "Hide password"]) {
    await button(page, name).click();
    await password.focus();
    const caret = await password.evaluate((input) => [input.selectionStart, input.selectionEnd]);
    assert.deepEqual([await password.inputValue(), caret], [STRONG, [4, 8]], name);
    assert.equal(await password.getAttribute("autocomplete"), "current-password");
  }
});

visit("screen readers hear each time whether the password is shown", "/login", async (page) => {
  await page.clock.runFor(1000);
  assert.equal(await heard(page), "", "nothing on arrival");
  for (const [name, words] of [["Show", "shown"], ["Hide", "hidden"], ["Show", "shown"]]) {
    await button(page, `${name} password`).click();
    assert.equal(await heard(page), "");
    await page.clock.runFor(100);
    assert.equal(await heard(page), `Your password is ${words}.`);
  }
});

visit("the keyboard reaches the button after its field, and Enter still sends", "/login", async (page) => {
  await field(page, "Password").focus();
  await page.keyboard.type(STRONG);
  await page.keyboard.press("Tab");
  await page.keyboard.press("Space");
  assert.equal(await type(page, "Password"), "text");
  assert.ok(await button(page, "Hide password").evaluate((it) => it === document.activeElement));
  await page.keyboard.press("Enter");
  assert.equal(await type(page, "Password"), "password");
  await page.keyboard.press("Shift+Tab");
  const sent = page.waitForRequest((request) => request.method() === "POST");
  await page.route("**/login", (route) => route.fulfill({ body: "sent" }));
  await page.keyboard.press("Enter");
  assert.match((await sent).postData(), /password=moss\+lantern\+quartz/);
});

for (const kind of ["pagehide", "pageshow"]) {
  visit(`a shown password is hidden at ${kind}`, "/login", async (page) => {
    await button(page, "Show password").click();
    await tell(page, kind);
    assert.equal(await type(page, "Password"), "password");
    assert.equal(await button(page, "Show password").count(), 1);
  });
}

visit("a shown password is hidden before it is sent", "/register", async (page) => {
  await button(page, "Show password").click();
  await button(page, "Show confirm password").click();
  await count(page);
  await button(page, "Create account").click();
  assert.deepEqual([await type(page, "Password"), await type(page, "Confirm password")], ["password", "password"]);
});

visit("the button is a thumb high and lies beside the text at 320 px", "/register", async (page) => {
  const label = "Confirm password";
  await field(page, label).fill(STRONG.repeat(5));
  // The first press may scroll the button into view.
  for (const name of ["Show", "Hide"]) await button(page, `${name} confirm password`).click();
  const before = await field(page, label).boundingBox();
  await button(page, "Show confirm password").click();
  const [input, hide] = [await field(page, label).boundingBox(), await button(page, "Hide confirm password").boundingBox()];
  assert.deepEqual(input, before, "showing moves nothing");
  assert.ok(hide.height >= 44 && hide.width >= 44, JSON.stringify(hide));
  assert.ok(hide.x >= input.x + input.width && Math.abs(hide.y - input.y) < 1, JSON.stringify({ input, hide }));
  assert.ok(input.width > 160, `${input.width} px are left for the text`);
  assert.equal(await page.evaluate(() => document.documentElement.scrollWidth), 320);
}, { width: 320, height: 640 });

// A form is sent once, however often its button is pressed.

import assert from "node:assert/strict";

import { button, field } from "./support/journey.mjs";
import { STRONG, count, isBusy, tell, visits } from "./support/visits.mjs";

const visit = visits();

visit("a form that is under way is not sent again, for eight seconds", "/login", async (page) => {
  const sent = await count(page);
  const box = await button(page, "Log in").boundingBox();
  await field(page, "Password").fill(STRONG);
  await page.keyboard.press("Enter");
  await page.keyboard.press("Enter");
  await button(page, "Log in").dblclick();
  await page.clock.runFor(7999);
  await button(page, "Log in").click();
  assert.deepEqual(await sent(), ["/login"]);
  assert.ok(await isBusy(page, "Log in"));
  assert.ok(await button(page, "Log in").isEnabled());
  assert.deepEqual(await button(page, "Log in").boundingBox(), box, "no layout shift");
  await page.clock.runFor(1);
  assert.ok(!(await isBusy(page, "Log in")));
  await button(page, "Log in").dblclick();
  assert.ok(await isBusy(page, "Log in"));
  assert.deepEqual(await sent(), ["/login", "/login"]);
});

visit("a form that another listener stops is not under way", "/login", async (page) => {
  const sent = await count(page);
  await page.evaluate(() => {
    const stop = (event) => event.preventDefault();
    document.forms[0].addEventListener("submit", stop, { once: true });
  });
  await button(page, "Log in").click();
  assert.ok(!(await isBusy(page, "Log in")));
  await button(page, "Log in").click();
  assert.ok(await isBusy(page, "Log in"));
  assert.deepEqual(await sent(), ["/login"]);
});

visit("a page from the browser's memory can be sent again", "/login", async (page) => {
  const sent = await count(page);
  await button(page, "Log in").click();
  await page.clock.runFor(1);
  await tell(page, "pageshow");
  assert.ok(!(await isBusy(page, "Log in")));
  await button(page, "Log in").click();
  await page.clock.runFor(7999);
  assert.ok(await isBusy(page, "Log in"), "the time of the first one is over");
  assert.deepEqual(await sent(), ["/login", "/login"]);
});

visit("a form under way does not hold up another", "/reset", async (page) => {
  const sent = await count(page);
  await button(page, "Change password").click();
  await button(page, "Send a new code").click();
  assert.deepEqual(await sent(), ["/reset", "/reset/resend"]);
  assert.deepEqual([await isBusy(page, "Change password"), await isBusy(page, "Send a new code")], [false, true]);
});

visit("a download is not asked for twice at once, and its button is not busy", "/account", async (page) => {
  const sent = await count(page);
  await button(page, "Download your data").dblclick();
  assert.ok(!(await isBusy(page, "Download your data")));
  assert.deepEqual(await sent(), ["/account/export"]);
  await page.clock.runFor(1000);
  await button(page, "Download your data").click();
  assert.deepEqual(await sent(), ["/account/export", "/account/export"]);
});

visit("nothing moves for those who want no motion", "/login", async (page) => {
  await page.emulateMedia({ reducedMotion: "reduce" });
  await count(page);
  await button(page, "Log in").click();
  const moves = () => document.getAnimations().length;
  assert.equal(await page.evaluate(moves), 0);
  await page.emulateMedia({ reducedMotion: "no-preference" });
  assert.equal(await page.evaluate(moves), 1);
});

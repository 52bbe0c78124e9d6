// What static/app.js does to all pages, and that nothing of it is there without scripts.

import assert from "node:assert/strict";

import { axe } from "./support/axe.mjs";
import { button, field, resend } from "./support/journey.mjs";
import { ADVICE, PASSWORDS, STRONG, count, resendWords, visits } from "./support/visits.mjs";

const visit = visits();

for (const scheme of ["light", "dark"]) {
  for (const width of [320, 1280]) {
    const options = { scheme, width };
    visit(`what the script adds is accessible: ${scheme}, ${width} px`, "/reset", async (page) => {
      await resend(page);
      const found = [];
      for (const [first, second] of [["a", "ab"], ["abcdefghijkl", "x".repeat(12)], [STRONG, STRONG]]) {
        await field(page, "New password").fill(first);
        await field(page, "Confirm password").fill(second);
        await page.clock.runFor(500);
        // axe waits by timers.
        await page.clock.resume();
        found.push(...(await axe(page)));
      }
      await button(page, "Show new password").click();
      await count(page);
      await button(page, "Change password").click();
      await page.clock.runFor(100);
      found.push(...(await axe(page)));
      assert.deepEqual(found, []);
      const overflow = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
      assert.equal(overflow, 0);
    }, options);
  }
}

visit("the script leaves no name behind", "/login", async (page) => {
  for (const name of ["make", "announce", "addReveal", "sendOnce"]) {
    assert.equal(await page.evaluate(`typeof ${name}`), "undefined");
  }
});

// Not the mailbox: playwright puts the clock into its frame too, where no script may run.
for (const path of ["/forgot", "/account", "/logout"]) {
  visit(`a page without passwords has nothing to complain of: ${path}`, path, async (page) => {
    assert.equal(await page.locator("button[type=button]").count(), 0);
    assert.equal(await page.locator(ADVICE).count(), 0);
  });
}

for (const [path, labels] of Object.entries(PASSWORDS)) {
  visit(`without scripts nothing of it is there: ${path}`, path, async (page) => {
    for (const label of labels) await field(page, label).fill("abc");
    assert.equal(await page.locator(`button:not([type=submit]), ${ADVICE}, [aria-live]`).count(), 0);
    if (path === "/reset") {
      await resend(page);
      assert.match(await resendWords(page), /^You can request another code in (30|29) seconds\.$/);
    }
  }, { script: false });
}

// The wait for the next code.

import assert from "node:assert/strict";

import { refused, reset, resend } from "./support/journey.mjs";
import { STRONG, heard, resendWords, visits } from "./support/visits.mjs";

const visit = visits();

visit("the wait for the next code is counted down and its end is heard", "/reset", async (page) => {
  assert.equal(await page.getByText("You can request another code").count(), 0);
  await resend(page);
  assert.match(await resendWords(page), /^You can request another code in (30|29) seconds\.$/);
  const seconds = Number(/\d+/.exec(await resendWords(page))[0]);
  await page.clock.runFor((seconds - 2) * 1000);
  assert.equal(await resendWords(page), "You can request another code in 2 seconds.");
  await page.clock.runFor(1999);
  assert.equal(await resendWords(page), "You can request another code in 1 second.");
  assert.equal(await heard(page), "");
  await page.clock.runFor(1);
  assert.equal(await resendWords(page), "You can request another code now.");
  await page.clock.runFor(100);
  assert.equal(await heard(page), "You can request another code now.");
  await page.clock.runFor(900);
  assert.equal(await heard(page), "You can request another code now.", "said once, not emptied to be said again");
});

visit("the wait is counted down after a refused form too, and its end is heard once", "/reset", async (page) => {
  await resend(page);
  await page.clock.runFor(1000);
  await refused(page, "/reset", 422, () => reset(page, "CCCC-CCCC", STRONG));
  await page.evaluate(() => {
    window.spoken = [];
    const region = document.querySelector("[aria-live=polite]");
    new MutationObserver(() => region.textContent && spoken.push(region.textContent)).observe(region, { childList: true });
  });
  await page.clock.runFor(40_000);
  assert.equal(await resendWords(page), "You can request another code now.");
  assert.deepEqual(await page.evaluate(() => spoken), ["You can request another code now."]);
});

visit("a long wait stands as the server has rounded it", "/reset", async (page) => {
  await resend(page);
  await page.route("**/reset", async (route) => {
    const answer = await route.fetch();
    const body = (await answer.text()).replace(/data-wait="\d+">in \d+ seconds/, 'data-wait="120">in 2 minutes');
    await route.fulfill({ response: answer, body });
  });
  await page.reload();
  await page.clock.runFor(29_000);
  assert.equal(await resendWords(page), "You can request another code in 2 minutes.");
  await page.clock.runFor(1000);
  assert.equal(await resendWords(page), "You can request another code in 90 seconds.");
});

visit("a code can be asked for before the wait is over, and is refused in words", "/reset", async (page) => {
  await resend(page);
  await resend(page);
  assert.match(await page.getByRole("status").innerText(), /^Warning:\s+Wait (30|29) seconds before requesting another code\.$/);
  assert.match(await resendWords(page), /^You can request another code in \d+ seconds\.$/);
});

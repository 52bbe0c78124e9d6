// A site under a path: the style sheet, the script, and the forms that the script sends.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { launch, openPage } from "./support/browser.mjs";
import { link, send } from "./support/journey.mjs";
import { startSite } from "./support/site.mjs";

const OLD = "moss lantern quartz";
const NEW = "velvet anchor pudding";

let browser, site;
before(async () => {
  browser = await launch();
  site = await startSite({ VESTIBULE_BASE_URL: "http://localhost:8000/auth" });
});
after(async () => {
  await browser?.close();
  await site?.stop();
});

for (const script of [true, false]) {
  test(`a person registers and changes the password under a path, ${script ? "with" : "without"} scripts`, async (t) => {
    const page = await openPage(browser, { site, script });
    t.after(() => page.context().close());
    await page.goto("/auth/account/password");
    await page.waitForURL("/auth/login?next=/auth/account/password");
    await link(page, "Create an account").click();
    assert.equal(await page.getByRole("button", { name: /^Show/ }).count(), script ? 2 : 0);
    const username = script ? "ann" : "bob";
    const fields = { Username: username, "Email": `${username}@meadow.example`, Password: OLD };
    await send(page, { ...fields, "Confirm password": OLD }, "Create account");
    await page.waitForURL("/auth/account/password");
    const passwords = { "Current password": OLD, "New password": NEW, "Confirm password": NEW };
    await send(page, passwords, "Change password");
    await page.waitForURL("/auth/account");
    assert.deepEqual(page.complaints, []);
    const background = await page.evaluate(() => getComputedStyle(document.body).backgroundColor);
    assert.notEqual(background, "rgba(0, 0, 0, 0)");
  });
}
